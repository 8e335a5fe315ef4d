//! Waiting for a machine, by the API's own long poll. All waiting is here, with one limit and one explanation.

use std::time::Duration;

use reqwest::Method;

use super::{Reader, wire};
use crate::clouds::{
    Action, CloudError, Trouble,
    http::{Call, Repeat},
};

/// How waiting ended.
#[derive(Clone, Debug)]
pub enum Waited {
    /// The machine is in the state.
    There,
    /// It is gone.
    Gone,
}

/// The longest single poll, in seconds. Fly's proxy cuts at 60, and what it cuts reads as a lost connection.
const POLL: u64 = 55;

impl Reader {
    /// Waits until a machine is in a state, in this version of its configuration when one is named.
    ///
    /// # Flow
    /// Poll until the server says so or the limit is over. After each poll that timed out, look at the machine: one
    /// that has come to rest elsewhere will not get there by waiting, and its last exit explains why.
    ///
    /// # Errors
    /// [`Trouble::Failed`] with the machine's last exit when it does not get there within `limit_secs`.
    pub async fn wait_for(
        &self,
        app: &str,
        id: &str,
        version: Option<&str>,
        state: &str,
        limit_secs: u64,
    ) -> Result<Waited, CloudError> {
        let version = version.map(|version| format!("&version={version}")).unwrap_or_default();
        let doing = format!("wait until machine {id} of {app} is {state}");
        let deadline = self.http.deadline(limit_secs);
        loop {
            let left = deadline.left_secs();
            let poll = left.clamp(1, POLL);
            let path = format!("/v1/apps/{app}/machines/{id}/wait?state={state}&timeout={poll}{version}");
            let Err(error) = self.poll(id, path, &doing).await else {
                return Ok(Waited::There);
            };
            match error.trouble {
                Trouble::NotFound if state == "destroyed" => return Ok(Waited::Gone),
                Trouble::NotFound | Trouble::Ambiguous | Trouble::Conflict => {}
                _ => return Err(error),
            }
            // A machine that was just made may not be known everywhere yet, so it is looked at before it counts as gone.
            let machine = match self.machine(app, id).await {
                Err(gone) if gone.is_not_found() => return Ok(Waited::Gone),
                other => other?,
            };
            if machine.state == state {
                return Ok(Waited::There);
            }
            if left == 0 || at_rest(&machine.state) {
                return Err(CloudError::new(doing, Trouble::Failed, explain(&machine)));
            }
            self.http.pause(Duration::from_secs(1)).await;
        }
    }

    /// Waits until every check of a running machine passes.
    ///
    /// # Errors
    /// [`Trouble::Failed`] with what the first failing check said, or how the process ended.
    pub async fn wait_until_passing(
        &self,
        app: &str,
        id: &str,
        limit_secs: u64,
    ) -> Result<wire::Machine, CloudError> {
        let deadline = self.http.deadline(limit_secs);
        loop {
            let machine = self.machine(app, id).await?;
            let failing = machine.checks.iter().find(|check| check.status != "passing");
            if machine.state == "started" && failing.is_none() && !machine.checks.is_empty() {
                return Ok(machine);
            }
            if at_rest(&machine.state) || deadline.left_secs() == 0 {
                let doing = format!("wait until the checks of machine {id} of {app} pass");
                let said = failing.map(|check| {
                    format!("; check {} is {}: {}", check.name, check.status, check.output.trim())
                });
                let what = format!("{}{}", explain(&machine), said.unwrap_or_default());
                return Err(CloudError::new(doing, Trouble::Failed, what));
            }
            self.http.pause(Duration::from_secs(1)).await;
        }
    }
}

impl Reader {
    /// One long poll. It is never repeated blindly: 408 is an answer here, not a failure.
    async fn poll(&self, id: &str, path: String, doing: &str) -> Result<(), CloudError> {
        let call = Call {
            method: Method::GET,
            path,
            body: None,
            action: Action::Other("wait"),
            identifier: id,
            repeat: Repeat::LookFirst,
            doing: doing.to_owned(),
        };
        self.http.send::<serde::de::IgnoredAny>(&call).await.map(drop)
    }
}

/// Whether a machine stays in this state by itself.
fn at_rest(state: &str) -> bool {
    matches!(state, "stopped" | "suspended" | "failed" | "destroyed" | "launch_failed")
}

/// What became of a machine: its state, and how its process ended.
pub(crate) fn explain(machine: &wire::Machine) -> String {
    let exit = machine.events.iter().find(|event| event.kind == "exit").and_then(wire::Event::exit);
    let number = |key: &str| exit.and_then(|exit| exit.get(key)).and_then(serde_json::Value::as_i64);
    let oom =
        exit.and_then(|exit| exit.get("oom_killed")).and_then(serde_json::Value::as_bool).unwrap_or(false);
    let how = match (oom, number("signal").filter(|signal| *signal > 0), number("exit_code")) {
        (true, _, _) => "; it ran out of memory".to_owned(),
        (_, Some(signal), _) => format!("; its process was ended by signal {signal}"),
        (_, _, Some(code)) => format!("; its process exited with code {code}"),
        _ => String::new(),
    };
    format!("it is {}{how}", machine.state)
}
