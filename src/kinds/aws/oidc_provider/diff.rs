//! Compares a provider with its spec. Only a missing audience is added; other audiences stay,
//! because somebody uses them. The thumbprint is never compared, because AWS fills it in and
//! ignores it for issuers with a public certificate.

use super::{AUDIENCE, OidcProvider, OidcProviderLive, OidcProviderSpec, issuer_host};
use crate::{
    kinds::{Blocker, DeletionRules, DescribeEdit, Diff, DiffContext, Kind},
    model::DiffLine,
};

/// A change that is one API call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OidcProviderEdit {
    /// Accept tokens for AWS STS as well.
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

    const KNOWN_AFTER_CREATE: &'static [&'static str] = &[];

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

impl DeletionRules for OidcProvider {
    /// What an app uses on AWS is known only from the environment variables of its machines.
    const DELETED_LAST: bool = true;
}
