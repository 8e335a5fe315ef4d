//! Machines that run a single command, such as a release command: waiting for them, and how they
//! ended.

use std::{collections::BTreeMap, time::Duration};

use super::{FlyReader, exit_diagnosis, wire};
use crate::clouds::{CloudError, ErrorKind, MachineStatus, ProgressSink, url::segment};

/// How often a running command is checked. Fly allows five reads per second, but the end of a
/// migration need not be noticed that quickly.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

impl wire::MachineResponse {
    /// The exit code of the machine's command, once it has exited.
    #[must_use]
    pub fn exit_code(&self) -> Option<i64> {
        let newest_event = |kind: &str| self.events.iter().find(|event| event.kind == kind);
        let exit = newest_event("exit")?;
        let started_at = newest_event("start").map_or(0, |start| start.timestamp);
        let code = exit.exit_event()?.get("exit_code")?.as_i64()?;
        (exit.timestamp >= started_at).then_some(code)
    }

    /// The metadata in its configuration.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let metadata = self.known_config().get("metadata").cloned();
        metadata
            .and_then(|metadata| serde_json::from_value(metadata).ok())
            .unwrap_or_default()
    }

    /// The ids of the volumes that its configuration mounts.
    pub(crate) fn mounted_volumes(&self) -> impl Iterator<Item = &str> {
        let mounts = self.known_config().get("mounts");
        let ids = mounts
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten();
        ids.filter_map(|mount| mount.get("volume")?.as_str())
            .filter(|id| !id.is_empty())
    }

    /// The configuration, as far as Fly knows it.
    fn known_config(&self) -> &serde_json::Value {
        if self.config.is_null() {
            &self.incomplete_config
        } else {
            &self.config
        }
    }

    /// Whether the machine is destroyed or being destroyed.
    #[must_use]
    pub fn is_destroyed(&self) -> bool {
        matches!(self.state.as_str(), "destroyed" | "destroying")
    }

    /// Whether the machine's command has ended and the machine will not start again by itself.
    #[must_use]
    pub fn has_finished(&self) -> bool {
        let has_failed = matches!(self.state.as_str(), "failed" | "launch_failed");
        self.is_destroyed() || has_failed || self.state == "stopped" && self.exit_code().is_some()
    }
}

impl FlyReader {
    /// Lists the machines of an app, newest first, including the destroyed machines that Fly still
    /// knows.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_machines_with_deleted(
        &self,
        app: &str,
    ) -> Result<Vec<wire::MachineResponse>, CloudError> {
        let operation = format!("list the machines of {app}");
        let path = format!("/v1/apps/{}/machines?include_deleted=true", segment(app));
        let mut machines: Vec<wire::MachineResponse> =
            self.get_list("machine list", app, path, &operation).await?;
        machines.sort_by(|a, b| (&b.created_at, &b.id).cmp(&(&a.created_at, &a.id)));
        Ok(machines)
    }

    /// Waits until a machine's command has ended; without `limit_secs` there is no time limit. A
    /// machine that destroys itself can still be read for a while, which is how its exit code is
    /// found (flyctl, `machines_releasecommand.go`).
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] with the last log lines, if the command has not ended within
    /// `limit_secs` seconds.
    pub async fn wait_until_finished(
        &self,
        app: &str,
        id: &str,
        limit_secs: Option<u64>,
        progress: &ProgressSink,
    ) -> Result<wire::MachineResponse, CloudError> {
        let deadline = limit_secs.map(|limit| (limit, self.http.deadline_in(limit)));
        let mut last_status = None;
        loop {
            let machine = self.get_machine(app, id).await?;
            progress.report_change(&mut last_status, exit_diagnosis::machine_status(&machine));
            if machine.has_finished() {
                return Ok(machine);
            }
            if let Some((limit, _)) =
                deadline.filter(|(_, deadline)| deadline.remaining_secs() == 0)
            {
                let operation = format!("wait until the command of machine {id} of {app} ends");
                let diagnosis = self.describe_failure(app, &machine).await;
                let message = format!("it has not ended within {limit} seconds; {diagnosis}");
                return Err(CloudError::new(operation, ErrorKind::Failed, message));
            }
            self.http.sleep_scaled(POLL_INTERVAL).await;
        }
    }

    /// Reports the output of a command that succeeded, if it can be read.
    pub async fn report_output(
        &self,
        app: &str,
        machine: &wire::MachineResponse,
        progress: &ProgressSink,
    ) {
        let lines = self
            .read_logs_since(app, &machine.id, exit_diagnosis::run_started_at(machine))
            .await;
        if !lines.is_empty() {
            progress.report_change(
                &mut None,
                MachineStatus {
                    output: lines,
                    ..exit_diagnosis::machine_status(machine)
                },
            );
        }
    }

    /// The error of a command that failed: how it ended, and its last log lines.
    pub async fn command_error(
        &self,
        operation: String,
        app: &str,
        machine: &wire::MachineResponse,
    ) -> CloudError {
        let message = match machine.exit_code() {
            Some(_) => self.describe_failure(app, machine).await,
            None => "nobody can tell how it ended".to_owned(),
        };
        CloudError::new(operation, ErrorKind::Failed, message)
    }
}
