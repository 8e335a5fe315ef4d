//! The AWS kinds: what an app on Fly needs in AWS to keep backups without a static key.

pub mod bucket;
pub mod oidc_provider;
pub mod role;
pub mod tags;

pub use bucket::Bucket;
pub use oidc_provider::OidcProvider;
pub use role::Role;
