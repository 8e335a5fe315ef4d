//! GitHub: the parts of its REST API that a program uses which comments on pull requests, keeps an
//! issue, records deployments and looks at the settings of a repository; and a little GraphQL.
//!
//! The API is served below [`MOUNT`] on the address of the Fly APIs. What people do in the web
//! interface or with git (push, open and merge pull requests, set up environments) is done through the
//! administration endpoints, [`admin`].

mod access;
pub(crate) mod admin;
mod call;
mod comments;
mod commits;
mod deployments;
mod git;
mod graphql;
mod issues;
mod limits;
mod pulls;
mod response;
mod routes;
mod serve;
mod settings;
mod setup;
mod state;
mod views;
mod workflows;

pub(crate) use serve::serve;
pub use setup::{GithubSetup, GithubSetupError};
pub(crate) use state::GithubState;

/// The path of the API. `GITHUB_API_URL` is the sandbox's address with it.
pub(crate) const MOUNT: &str = "/github";
