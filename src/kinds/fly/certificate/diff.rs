//! Compares a certificate. It never changes: its hostname is its name, so it either exists or does not.

use super::{Certificate, CertificateLive, CertificateSpec};
use crate::{
    kinds::{DeletionRules, Diff, DiffContext, Kind, NoEdit, References, fly},
    model::{Address, DiffLine, KindName as _},
};

impl Kind for Certificate {
    type Spec = CertificateSpec;
    type Live = CertificateLive;
    type Edit = NoEdit;

    const CONTAINER: Option<&'static str> = Some(fly::App::NAME);
    const KNOWN_AFTER_CREATE: &'static [&'static str] = &[];

    fn diff(_: &CertificateSpec, _: &CertificateLive, _: &DiffContext<'_>) -> Diff<NoEdit> {
        Diff::Same
    }

    fn creation_lines(spec: &CertificateSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        vec![DiffLine::add("hostname", spec.hostname.clone())]
    }

    fn identity(live: &CertificateLive) -> String {
        live.hostname.clone()
    }

    fn describe(live: &CertificateLive) -> String {
        live.hostname.clone()
    }
}

impl DeletionRules for Certificate {
    fn deleted_with(live: &CertificateLive) -> Option<Address> {
        live.references().pop()
    }
}
