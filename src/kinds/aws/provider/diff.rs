//! What of a provider changes in place: an audience that is missing is added. Others stay: they are somebody's. The
//! thumbprint is never compared, because AWS fills it in and does not use it for issuers with a public certificate.

use super::{AUDIENCE, Provider, ProviderLive, ProviderSpec, host};
use crate::{
    kinds::{Announce, Around, Diff, Kind, Refused},
    model::Line,
};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderEdit {
    /// Tokens for AWS are accepted as well.
    AddAudience,
}

impl Announce for ProviderEdit {
    fn lines(&self) -> Vec<Line> {
        let Self::AddAudience = self;
        vec![Line::add("audience", AUDIENCE)]
    }
}

impl Kind for Provider {
    type Spec = ProviderSpec;
    type Live = ProviderLive;
    type Edit = ProviderEdit;

    const IN_APP: bool = false;

    fn diff(_: &ProviderSpec, live: &ProviderLive, _: &Around<'_>) -> Diff<ProviderEdit> {
        if live.audiences.iter().any(|audience| audience == AUDIENCE) {
            Diff::Same
        } else {
            Diff::Edit(vec![ProviderEdit::AddAudience])
        }
    }

    fn complete(spec: &ProviderSpec, around: &Around<'_>) -> Result<ProviderSpec, Refused> {
        Ok(ProviderSpec {
            org: around.world.fly_org()?.to_owned(),
            ..spec.clone()
        })
    }

    fn outline(spec: &ProviderSpec, _: &Around<'_>) -> Vec<Line> {
        let ProviderSpec { account: _, org } = spec;
        vec![
            Line::add("url", format!("https://{}", host(org))),
            Line::add("audience", AUDIENCE),
        ]
    }

    fn identity(live: &ProviderLive) -> String {
        live.arn.clone()
    }

    fn describe(live: &ProviderLive) -> String {
        live.arn
            .split_once("oidc-provider/")
            .map_or(live.arn.as_str(), |(_, host)| host)
            .to_owned()
    }
}
