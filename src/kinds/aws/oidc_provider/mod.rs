//! An OpenID Connect provider, which makes an AWS account trust the tokens that Fly issues to
//! machines of one organization. An account can have only one for each organization, so
//! environments share it: it is created if it is missing, used if it exists, and deleted only if
//! trimtab created it and no role trusts it any more.

mod diff;
mod drive;
mod spec;

pub use diff::OidcProviderEdit;
pub use spec::{
    AUDIENCE, FLY_PROVIDER_NAME, OidcProviderLive, OidcProviderSpec, SHARED_TAG, issuer_host,
    provider_arn,
};

use crate::model::KindName;

/// The kind `aws.oidc_provider`.
#[derive(Clone, Copy, Debug)]
pub enum OidcProvider {}

impl KindName for OidcProvider {
    const NAME: &'static str = "aws.oidc_provider";
}
