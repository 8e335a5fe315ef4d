//! The sandbox's AWS APIs, called with the AWS SDK.

mod bucket_access;
mod bucket_config;
mod buckets;
mod conditional_writes;
mod copies;
mod deletes;
mod faults;
mod iam;
mod iam_validation;
mod instance_profiles;
mod kms;
mod object_writes;
mod objects;
mod oidc;
mod policies;
mod principals;
mod session_conditions;
mod simulation;
mod state;
mod support;
mod system_tags;
