//! An OpenID Connect provider: it makes an account of AWS believe the tokens that Fly gives to machines of one
//! organization. There is one for each account and organization, so it is shared: made when it is missing, used when it
//! is there, and removed only if we made it and no role trusts it any more.

mod diff;
mod drive;
mod spec;

pub use diff::ProviderEdit;
pub use spec::{AUDIENCE, NAME, ProviderLive, ProviderSpec, SHARED, arn, host};

use crate::model::Named;

/// The kind `aws.oidc_provider`.
#[derive(Clone, Copy, Debug)]
pub enum Provider {}

impl Named for Provider {
    const NAME: &'static str = "aws.oidc_provider";
}
