//! Machines that run one command and end: how they are waited for, and how they ended.

use std::time::Duration;

use super::{Reader, fate, wire};
use crate::clouds::{Action, CloudError, Sign, Trouble, Voice};

/// How often a running command is looked at. Fly allows five such looks a second; nobody waits for a migration that
/// closely.
const LOOK: Duration = Duration::from_secs(1);

impl wire::Machine {
    /// How its command ended, once it has.
    #[must_use]
    pub fn exit_code(&self) -> Option<i64> {
        let newest = |kind: &str| self.events.iter().find(|event| event.kind == kind);
        let exit = newest("exit")?;
        let began = newest("start").map_or(0, |start| start.timestamp);
        let code = exit.exit()?.get("exit_code")?.as_i64()?;
        (exit.timestamp >= began).then_some(code)
    }

    /// Whether it is gone, or about to be.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.state.as_str(), "destroyed" | "destroying")
    }

    /// Whether its command has ended, and nothing more happens by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let failed = matches!(self.state.as_str(), "failed" | "launch_failed");
        self.is_gone() || failed || self.state == "stopped" && self.exit_code().is_some()
    }
}

impl Reader {
    /// The machines of an app with those that are gone, as far as Fly still knows them, newest first.
    ///
    /// # Errors
    /// As every request.
    pub async fn machines_ever(&self, app: &str) -> Result<Vec<wire::Machine>, CloudError> {
        let doing = format!("list the machines of {app}");
        let path = format!("/v1/apps/{app}/machines?include_deleted=true");
        let all: Option<Vec<wire::Machine>> = self
            .get(Action::Other("machine list"), app, path, doing)
            .await?;
        let mut all = all.unwrap_or_default();
        all.sort_by(|a, b| (&b.created_at, &b.id).cmp(&(&a.created_at, &a.id)));
        Ok(all)
    }

    /// Waits until a machine's command has ended; `None` sets no limit. A machine that destroys itself can still be read
    /// for a while, which is how its exit code is known (flyctl, `machines_releasecommand.go`).
    ///
    /// # Errors
    /// [`Trouble::Failed`] when it has not ended within `limit_secs`, with its last lines.
    pub async fn wait_until_ended(
        &self,
        app: &str,
        id: &str,
        limit_secs: Option<u64>,
        voice: &Voice,
    ) -> Result<wire::Machine, CloudError> {
        let deadline = limit_secs.map(|limit| (limit, self.http.deadline(limit)));
        let mut told = None;
        loop {
            let machine = self.machine(app, id).await?;
            voice.tell(&mut told, fate::sign(&machine));
            if machine.has_ended() {
                return Ok(machine);
            }
            if let Some((limit, _)) = deadline.filter(|(_, deadline)| deadline.left_secs() == 0) {
                let doing = format!("wait until the command of machine {id} of {app} ends");
                let why = self.why(app, &machine).await;
                let what = format!("it has not ended within {limit} seconds; {why}");
                return Err(CloudError::new(doing, Trouble::Failed, what));
            }
            self.http.pause(LOOK).await;
        }
    }

    /// Tells what a command that succeeded printed last, as far as it can be read.
    pub async fn tell_output(&self, app: &str, machine: &wire::Machine, voice: &Voice) {
        let lines = self.lines(app, &machine.id, fate::since(machine)).await;
        if !lines.is_empty() {
            voice.tell(
                &mut None,
                Sign {
                    lines,
                    ..fate::sign(machine)
                },
            );
        }
    }

    /// The error of a command that did not succeed: how it ended, and the last lines it wrote.
    pub async fn failed_command(
        &self,
        doing: String,
        app: &str,
        machine: &wire::Machine,
    ) -> CloudError {
        let how = match machine.exit_code() {
            Some(_) => self.why(app, machine).await,
            None => "nobody can tell how it ended".to_owned(),
        };
        CloudError::new(doing, Trouble::Failed, how)
    }
}
