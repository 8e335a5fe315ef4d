//! What of a provider changes in place: an audience that is missing is added. Others stay: they are somebody's. The
//! thumbprint is never compared, because AWS fills it in and does not use it for issuers with a public certificate.

use super::{AUDIENCE, OidcProvider, OidcProviderLive, OidcProviderSpec, issuer_host};
use crate::{
    kinds::{Blocker, DescribeEdit, Diff, DiffContext, Kind},
    model::DiffLine,
};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OidcProviderEdit {
    /// Tokens for AWS are accepted as well.
    AddAudience,
}

impl DescribeEdit for OidcProviderEdit {
    fn lines(&self) -> Vec<DiffLine> {
        let Self::AddAudience = self;
        vec![DiffLine::add("audience", AUDIENCE)]
    }
}

impl Kind for OidcProvider {
    type Spec = OidcProviderSpec;
    type Live = OidcProviderLive;
    type Edit = OidcProviderEdit;

    const IN_APP: bool = false;

    fn diff(
        _: &OidcProviderSpec,
        live: &OidcProviderLive,
        _: &DiffContext<'_>,
    ) -> Diff<OidcProviderEdit> {
        if live.audiences.iter().any(|audience| audience == AUDIENCE) {
            Diff::Same
        } else {
            Diff::Edit(vec![OidcProviderEdit::AddAudience])
        }
    }

    fn resolve_defaults(
        spec: &OidcProviderSpec,
        around: &DiffContext<'_>,
    ) -> Result<OidcProviderSpec, Blocker> {
        Ok(OidcProviderSpec {
            org: around.world.fly_org_slug()?.to_owned(),
            ..spec.clone()
        })
    }

    fn creation_lines(spec: &OidcProviderSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let OidcProviderSpec { account: _, org } = spec;
        vec![
            DiffLine::add("url", format!("https://{}", issuer_host(org))),
            DiffLine::add("audience", AUDIENCE),
        ]
    }

    fn identity(live: &OidcProviderLive) -> String {
        live.arn.clone()
    }

    fn describe(live: &OidcProviderLive) -> String {
        live.arn
            .split_once("oidc-provider/")
            .map_or(live.arn.as_str(), |(_, host)| host)
            .to_owned()
    }
}
