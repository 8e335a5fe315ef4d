//! A certificate is there or it is not: the hostname is its name.

use super::{Certificate, CertificateLive, CertificateSpec};
use crate::{
    kinds::{Around, Diff, Kind, Never, Refers},
    model::{Address, Line},
};

impl Kind for Certificate {
    type Spec = CertificateSpec;
    type Live = CertificateLive;
    type Edit = Never;

    fn diff(_: &CertificateSpec, _: &CertificateLive, _: &Around<'_>) -> Diff<Never> {
        Diff::Same
    }

    fn outline(spec: &CertificateSpec, _: &Around<'_>) -> Vec<Line> {
        let CertificateSpec { app: _, hostname } = spec;
        vec![Line::add("hostname", hostname.clone())]
    }

    fn identity(live: &CertificateLive) -> String {
        live.hostname.clone()
    }

    fn describe(live: &CertificateLive) -> String {
        live.hostname.clone()
    }

    fn goes_with(live: &CertificateLive) -> Option<Address> {
        live.refs().pop()
    }
}
