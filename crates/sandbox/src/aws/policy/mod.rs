//! IAM policies and their evaluation.
//!
//! [`document`] parses and validates policy documents, [`condition`] and [`pattern`] match their
//! elements against a request, and [`authorize()`] combines all policies that apply to a request.

mod authorize;
mod aws_managed;
mod canonical_user;
mod condition;
mod deleted_principal;
mod document;
mod pattern;
mod public;

pub(crate) use authorize::{
    AuthorizationRequest, ResourcePolicy, authorize, missing_context_keys, trust_policy_allows,
};
pub(crate) use aws_managed::{ADMINISTRATOR_ACCESS_ARN, find_aws_managed_policy};
pub(crate) use canonical_user::replace_canonical_users;
pub(crate) use condition::RequestContext;
pub(crate) use deleted_principal::replace_deleted_principal;
pub(crate) use document::{
    normalize, parse_bucket_policy, parse_identity_policy, parse_trust_policy,
};
pub(crate) use public::is_public;
