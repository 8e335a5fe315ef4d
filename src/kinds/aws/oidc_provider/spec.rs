//! What a manifest says of a provider, and what IAM reports.

use serde::Serialize;

use crate::{kinds::References, model::Address};

/// The one name of the provider in an environment: that of the cloud whose tokens it believes.
pub const FLY_PROVIDER_NAME: &str = "fly";
/// The audience of the tokens that AWS's SDKs exchange, and that Fly's init asks for.
pub const AUDIENCE: &str = "sts.amazonaws.com";
/// The tag on a provider that trimtab made. It names no environment, because the provider is not one environment's.
pub const SHARED_TAG: &str = "trimtab_shared";

/// The issuer of an organization's tokens without its scheme, as condition keys name it. The organization's own slug
/// counts, never the alias `personal` (Fly's documentation of OpenID Connect; `rawSlug` in its GraphQL schema).
#[must_use]
pub fn issuer_host(org: &str) -> String {
    format!("oidc.fly.io/{org}")
}

/// The ARN of an organization's provider in an account.
#[must_use]
pub fn provider_arn(account: &str, org: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{}", issuer_host(org))
}

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OidcProviderSpec {
    /// The account, twelve digits.
    pub account: String,
    /// The organization's own slug; empty until Fly has told it.
    pub org: String,
}

/// What IAM reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OidcProviderLive {
    /// Its ARN.
    pub arn: String,
    /// The audiences that its tokens may be for.
    pub audiences: Vec<String>,
    /// Whether trimtab made it.
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
