//! Sets up the simulated GitHub from the process that runs the sandbox.

use serde_json::Value;

use super::{MOUNT, admin};
use crate::running::RunningSandbox;
use crate::server::Server;
use crate::store::StoreError;

/// What people and git do on the simulated GitHub: repositories, pushes, pull requests, tokens and
/// settings. From [`crate::RunningSandbox::github`].
#[derive(Clone, Copy, Debug)]
pub struct GithubSetup<'a> {
    server: &'a Server,
}

/// Why something could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum GithubSetupError {
    /// The request is wrong, or names something that does not exist.
    #[error("{0}")]
    Refused(String),
    /// The state cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RunningSandbox {
    /// Base URL of GitHub's REST API, for `GITHUB_API_URL`. With `/graphql` it is the GraphQL API.
    pub fn github_url(&self) -> String {
        format!("{}{MOUNT}", self.url())
    }

    /// What people and git do on the simulated GitHub.
    pub fn github(&self) -> GithubSetup<'_> {
        GithubSetup {
            server: &self.server,
        }
    }
}

impl GithubSetup<'_> {
    /// Does what `POST /_sandbox/github/{command}` does with this body, and returns its response.
    ///
    /// # Errors
    /// When the command or its body is wrong, or the state cannot be stored.
    pub fn run(&self, command: &str, body: &Value) -> Result<Value, GithubSetupError> {
        let mut state = self.server.lock_state();
        state.catch_up_with_clock();
        let state = &mut *state;
        let result = admin::run(&mut state.world, &state.url, command, body);
        state.save()?;
        self.server.notify_waiters();
        result.map_err(|error| {
            let text = error.body["error"].as_str().unwrap_or_default();
            GithubSetupError::Refused(format!("{command}: {text}"))
        })
    }

    /// The token of a job in this repository (`owner/name`) with these permissions, such as
    /// `("issues", "write")`.
    ///
    /// # Errors
    /// As [`GithubSetup::run`].
    pub fn actions_token(
        &self,
        repository: &str,
        permissions: &[(&str, &str)],
    ) -> Result<String, GithubSetupError> {
        let permissions: Value = permissions
            .iter()
            .map(|(name, level)| ((*name).to_owned(), Value::from(*level)))
            .collect();
        let body = serde_json::json!({
            "kind": "actions", "repositories": [repository], "permissions": permissions,
        });
        let made = self.run("tokens", &body)?;
        Ok(made["token"].as_str().unwrap_or_default().to_owned())
    }
}
