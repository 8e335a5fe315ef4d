//! OIDC identity tokens: Fly issues them to machines, GitHub to workflows, and STS verifies them.
//!
//! Each issuer has its own signing key, which is generated on first use and stored. STS knows exactly
//! the keys of these issuers, so it rejects tokens of other issuers and of other sandboxes.

mod fly;
mod github;
mod jwt;

pub(crate) use fly::{issue_machine_token, serve_oidc_discovery};
pub(crate) use github::{WorkflowRun, issue_workflow_token, start_workflow};
pub(crate) use jwt::{TokenIssuer, verify_token};
