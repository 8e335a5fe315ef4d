//! An OpenID Connect provider: it makes an account of AWS believe the tokens that Fly gives to machines of one
//! organization. There is one for each account and organization, so it is shared: made when it is missing, used when it
//! is there, and removed only if we made it and no role trusts it any more.

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
