//! The kinds on AWS, and the policy documents that they carry.

pub mod policy;
