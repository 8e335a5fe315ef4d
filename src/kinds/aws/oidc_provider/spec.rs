//! The desired and the live state of an OIDC provider.

use serde::Serialize;

use crate::{kinds::References, model::Address};

/// The name of the provider in every environment, since there can be only one for Fly.
pub const FLY_PROVIDER_NAME: &str = "fly";
/// The audience of the tokens that AWS's SDKs exchange, and that Fly's init requests.
pub const AUDIENCE: &str = "sts.amazonaws.com";
/// The tag of a provider that trimtab created. It names no environment, because environments share
/// the provider.
pub const SHARED_TAG: &str = "trimtab_shared";

/// The issuer of an organization's tokens without `https://`, as condition keys contain it. `org`
/// must be the organization's own slug, never the alias `personal` (Fly's documentation of OpenID
/// Connect; `rawSlug` in its GraphQL schema).
#[must_use]
pub fn issuer_host(org: &str) -> String {
    format!("oidc.fly.io/{org}")
}

/// The ARN of an organization's provider in an account.
#[must_use]
pub fn provider_arn(account: &str, org: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{}", issuer_host(org))
}

/// The desired state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OidcProviderSpec {
    /// The account ID, twelve digits.
    pub account: String,
    /// The organization's own slug; empty until Fly has returned it.
    pub org: String,
}

/// The live state, as IAM reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OidcProviderLive {
    /// The ARN.
    pub arn: String,
    /// The audiences that it accepts.
    pub audiences: Vec<String>,
    /// Whether trimtab created it.
    pub ours: bool,
}

impl References for OidcProviderSpec {
    fn references(&self) -> Vec<Address> {
        let Self { account: _, org: _ } = self;
        Vec::new()
    }
}

impl References for OidcProviderLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            arn: _,
            audiences: _,
            ours: _,
        } = self;
        Vec::new()
    }
}
