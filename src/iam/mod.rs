//! IAM policies: policy documents as values, their comparison, validation and description in words,
//! and statements that other modules need.

pub mod kms;
pub mod policy;
