//! Machines that run one command and end: how they are waited for, and how they ended.

use std::time::Duration;

use super::{FlyReader, exit_diagnosis, wire};
use crate::clouds::{CloudError, ErrorKind, MachineStatus, ProgressSink, RateLimitedAction};

/// How often a running command is looked at. Fly allows five such looks a second; nobody waits for a migration that
/// closely.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

impl wire::MachineResponse {
    /// How its command ended, once it has.
    #[must_use]
    pub fn exit_code(&self) -> Option<i64> {
        let newest = |kind: &str| self.events.iter().find(|event| event.kind == kind);
        let exit = newest("exit")?;
        let began = newest("start").map_or(0, |start| start.timestamp);
        let code = exit.exit_event()?.get("exit_code")?.as_i64()?;
        (exit.timestamp >= began).then_some(code)
    }

    /// Whether it is gone, or about to be.
    #[must_use]
    pub fn is_destroyed(&self) -> bool {
        matches!(self.state.as_str(), "destroyed" | "destroying")
    }

    /// Whether its command has ended, and nothing more happens by itself.
    #[must_use]
    pub fn has_finished(&self) -> bool {
        let failed = matches!(self.state.as_str(), "failed" | "launch_failed");
        self.is_destroyed() || failed || self.state == "stopped" && self.exit_code().is_some()
    }
}

impl FlyReader {
    /// The machines of an app with those that are gone, as far as Fly still knows them, newest first.
    ///
    /// # Errors
    /// As every request.
    pub async fn list_machines_with_deleted(
        &self,
        app: &str,
    ) -> Result<Vec<wire::MachineResponse>, CloudError> {
        let doing = format!("list the machines of {app}");
        let path = format!("/v1/apps/{app}/machines?include_deleted=true");
        let all: Option<Vec<wire::MachineResponse>> = self
            .get(RateLimitedAction::Other("machine list"), app, path, doing)
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
    pub async fn wait_until_finished(
        &self,
        app: &str,
        id: &str,
        limit_secs: Option<u64>,
        voice: &ProgressSink,
    ) -> Result<wire::MachineResponse, CloudError> {
        let deadline = limit_secs.map(|limit| (limit, self.http.deadline_in(limit)));
        let mut told = None;
        loop {
            let machine = self.get_machine(app, id).await?;
            voice.report_change(&mut told, exit_diagnosis::machine_status(&machine));
            if machine.has_finished() {
                return Ok(machine);
            }
            if let Some((limit, _)) =
                deadline.filter(|(_, deadline)| deadline.remaining_secs() == 0)
            {
                let doing = format!("wait until the command of machine {id} of {app} ends");
                let why = self.describe_failure(app, &machine).await;
                let what = format!("it has not ended within {limit} seconds; {why}");
                return Err(CloudError::new(doing, ErrorKind::Failed, what));
            }
            self.http.sleep_scaled(POLL_INTERVAL).await;
        }
    }

    /// Tells what a command that succeeded printed last, as far as it can be read.
    pub async fn report_output(
        &self,
        app: &str,
        machine: &wire::MachineResponse,
        voice: &ProgressSink,
    ) {
        let lines = self
            .read_logs_since(app, &machine.id, exit_diagnosis::run_started_at(machine))
            .await;
        if !lines.is_empty() {
            voice.report_change(
                &mut None,
                MachineStatus {
                    output: lines,
                    ..exit_diagnosis::machine_status(machine)
                },
            );
        }
    }

    /// The error of a command that did not succeed: how it ended, and the last lines it wrote.
    pub async fn command_error(
        &self,
        doing: String,
        app: &str,
        machine: &wire::MachineResponse,
    ) -> CloudError {
        let how = match machine.exit_code() {
            Some(_) => self.describe_failure(app, machine).await,
            None => "nobody can tell how it ended".to_owned(),
        };
        CloudError::new(doing, ErrorKind::Failed, how)
    }
}
