//! The imitation of AWS: S3 in path style, and IAM and STS in the query protocol, on one port of their own.
//!
//! Any account of twelve digits exists. Every request is signed (Signature Version 4) and judged: the caller's policies,
//! permissions boundary and session policy, and the policy of the bucket. New buckets look as they do on AWS since April
//! 2026: AES256 and no SSE-C, all public access blocked, no access lists, no versions.

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
