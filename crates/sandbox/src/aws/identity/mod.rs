//! Identity tokens: what Fly gives its machines and GitHub its workflows, and how AWS finds out whether they did.
//!
//! Each issuer signs with a key of its own, made when it is first needed and kept. AWS knows the keys of exactly these
//! issuers: a token that claims another one, or that another sandbox signed, is none.

mod fly;
mod github;
mod jwt;

pub(crate) use fly::{issue_machine_token, serve_oidc_discovery};
pub(crate) use github::{WorkflowRun, issue_workflow_token, start_workflow};
pub(crate) use jwt::{TokenIssuer, verify_token};
