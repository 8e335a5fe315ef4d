//! Identity tokens: what Fly gives its machines and GitHub its workflows, and how AWS finds out whether they did.
//!
//! Each issuer signs with a key of its own, made when it is first needed and kept. AWS knows the keys of exactly these
//! issuers: a token that claims another one, or that another sandbox signed, is none.

mod fly;
mod github;
mod jwt;

pub(crate) use fly::{discovery, machine_token};
pub(crate) use github::{Workflow, begin, workflow_token};
pub(crate) use jwt::{Issuer, check};
