//! A certificate is there or it is not: the hostname is its name.

use super::{Certificate, CertificateLive, CertificateSpec};
use crate::{
    kinds::{Diff, DiffContext, Kind, NoEdit, References},
    model::{Address, DiffLine},
};

impl Kind for Certificate {
    type Spec = CertificateSpec;
    type Live = CertificateLive;
    type Edit = NoEdit;

    fn diff(_: &CertificateSpec, _: &CertificateLive, _: &DiffContext<'_>) -> Diff<NoEdit> {
        Diff::Same
    }

    fn creation_lines(spec: &CertificateSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let CertificateSpec { app: _, hostname } = spec;
        vec![DiffLine::add("hostname", hostname.clone())]
    }

    fn identity(live: &CertificateLive) -> String {
        live.hostname.clone()
    }

    fn describe(live: &CertificateLive) -> String {
        live.hostname.clone()
    }

    fn deleted_with(live: &CertificateLive) -> Option<Address> {
        live.references().pop()
    }
}
