//! AWS policy documents: their meaning, comparison and description in words.

pub mod kms;
pub mod policy;
