//! The simulated AWS: S3 with path-style addressing, and IAM and STS with the Query protocol, all on
//! one port.
//!
//! Every 12-digit account id exists. Requests carry Signature Version 4 signatures and are authorized
//! against the caller's policies, its permissions boundary, its session policy, and the bucket policy.
//! New buckets have the defaults that AWS uses since April 2026: AES256 encryption, SSE-C blocked, all
//! public access blocked, ACLs disabled, versioning off.

mod access_keys;
mod caller;
mod iam;
mod identity;
mod policy;
mod request;
mod request_context;
mod response;
mod s3;
mod serve;
mod sigv4;
mod state;
mod sts;
mod xml;

pub use access_keys::AwsAccessKey;
pub(crate) use access_keys::{create_key_with_policy, ensure_administrator_key, is_account_id};
pub(crate) use identity::{
    issue_machine_token, issue_workflow_token, serve_oidc_discovery, start_workflow,
};
pub(crate) use serve::serve;
pub(crate) use state::AwsState;
