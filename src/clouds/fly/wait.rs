//! Waits for machines: for a state (with the API's long poll), for passing checks, and for staying
//! up. Every wait has a timeout, detects crashing programs early, and explains its failure.

use std::time::Duration;

use reqwest::Method;

use super::{FlyReader, exit_diagnosis, wire};
use crate::{
    clouds::{
        CloudError, ErrorKind, MachineStatus, ProgressSink, RateLimitedAction,
        http::{ApiRequest, Idempotency},
        url::{query_value, segment},
    },
    model::fly_limits::SMOKE_CHECK_SECS,
};

/// The result of [`FlyReader::wait_for_state`].
#[derive(Clone, Debug)]
pub enum WaitOutcome {
    /// The machine has reached the state.
    Reached,
    /// The machine no longer exists.
    Gone,
}

/// The longest single poll, in seconds. Fly's proxy closes requests after 60 seconds, which would
/// look like a lost connection.
const MAX_POLL_SECS: u64 = 55;
/// How often a starting machine is read during the long poll, which does not report that the
/// program crashes.
const START_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often checks are read. Fly allows five reads of a machine per second.
const CHECKS_POLL_INTERVAL: Duration = Duration::from_millis(500);

impl FlyReader {
    /// Waits until a machine has reached a state. If `version` is given, the machine must run this
    /// version of its configuration (its `instance_id`).
    ///
    /// # Flow
    /// Poll until the server reports the state or the time is over. Read the machine after each
    /// poll that timed out, and every second while it starts: if its program crashes, or it has
    /// settled in another state, waiting longer is no use. Reading also ends the wait while the poll
    /// has no place yet among many others.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] with a diagnosis if the machine does not reach the state within
    /// `limit_secs` seconds.
    pub async fn wait_for_state(
        &self,
        app: &str,
        id: &str,
        version: Option<&str>,
        state: &str,
        limit_secs: u64,
        progress: &ProgressSink,
    ) -> Result<WaitOutcome, CloudError> {
        let version_query = version
            .map(|version| format!("&version={}", query_value(version)))
            .unwrap_or_default();
        let operation = format!("wait until machine {id} of {app} is {state}");
        let mut wait = MachineWait::new(self, app, id, operation, progress);
        let deadline = self.http.deadline_in(limit_secs);
        loop {
            let remaining = deadline.remaining_secs();
            let poll_secs = remaining.clamp(1, MAX_POLL_SECS);
            let path = format!(
                "/v1/apps/{}/machines/{}/wait?state={state}&timeout={poll_secs}{version_query}",
                segment(app),
                segment(id)
            );
            let is_running = |machine: &wire::MachineResponse| {
                machine.state == "started"
                    && version.is_none_or(|version| machine.instance_id == version)
            };
            let is_running = (state == "started").then_some(is_running);
            let Err(error) = wait.long_poll(path, is_running).await? else {
                return Ok(WaitOutcome::Reached);
            };
            match error.kind {
                ErrorKind::NotFound if state == "destroyed" => return Ok(WaitOutcome::Gone),
                ErrorKind::NotFound | ErrorKind::Ambiguous | ErrorKind::Conflict => {}
                _ => return Err(error),
            }
            // A new machine may not be known everywhere yet, so a 404 of the poll does not prove
            // that it is gone; reading it does.
            let Some(machine) = wait.read_machine().await? else {
                return Ok(WaitOutcome::Gone);
            };
            if machine.state == state {
                return Ok(WaitOutcome::Reached);
            }
            if exit_diagnosis::is_inactive(&machine) {
                return Err(wait.failure_error(&machine).await);
            }
            if remaining == 0 {
                return Err(wait.timeout_error(&machine, limit_secs).await);
            }
            self.http.sleep_scaled(START_POLL_INTERVAL).await;
        }
    }

    /// Waits until all checks of a running machine pass. A failing check is not an error until the
    /// time is over, but a program that crashes or exits is an error at once.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] with how the program exited, or the output of the first failing check.
    pub async fn wait_until_checks_pass(
        &self,
        app: &str,
        id: &str,
        limit_secs: u64,
        progress: &ProgressSink,
    ) -> Result<wire::MachineResponse, CloudError> {
        let operation = format!("wait until the checks of machine {id} of {app} pass");
        let mut wait = MachineWait::new(self, app, id, operation, progress);
        let deadline = self.http.deadline_in(limit_secs);
        loop {
            let machine = wait.read_running_machine().await?;
            let status = exit_diagnosis::machine_status(&machine);
            if status.state == "started"
                && status.checks_total > 0
                && status.checks_passing == status.checks_total
            {
                return Ok(machine);
            }
            if deadline.remaining_secs() == 0 {
                return Err(wait.timeout_error(&machine, limit_secs).await);
            }
            self.http.sleep_scaled(CHECKS_POLL_INTERVAL).await;
        }
    }

    /// Waits until a machine without checks has stayed up for ten seconds, as flyctl's smoke checks
    /// do. A restart in between starts the ten seconds again.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] with how the program exited, if it crashes, exits, or does not stay up
    /// within `limit_secs` seconds.
    pub async fn wait_until_stable(
        &self,
        app: &str,
        id: &str,
        limit_secs: u64,
        progress: &ProgressSink,
    ) -> Result<wire::MachineResponse, CloudError> {
        let operation = format!("wait until machine {id} of {app} stays up");
        let mut wait = MachineWait::new(self, app, id, operation, progress);
        let deadline = self.http.deadline_in(limit_secs);
        let smoke_secs = SMOKE_CHECK_SECS.min(limit_secs);
        let mut stable_at = self.http.deadline_in(smoke_secs);
        let mut last_change = None;
        loop {
            // Check the time before reading the machine: the status is only known to be current as
            // of the request, so a later time would overstate how long it stayed up.
            let was_stable = stable_at.has_passed();
            let machine = wait.read_running_machine().await?;
            let change = exit_diagnosis::last_start_or_exit(&machine);
            if machine.state != "started" || last_change != Some(change) {
                stable_at = self.http.deadline_in(smoke_secs);
                last_change = Some(change);
            } else if was_stable {
                return Ok(machine);
            }
            if deadline.remaining_secs() == 0 {
                return Err(wait.timeout_error(&machine, limit_secs).await);
            }
            self.http.sleep_scaled(START_POLL_INTERVAL).await;
        }
    }
}

/// The context of one wait for one machine.
struct MachineWait<'a> {
    reader: &'a FlyReader,
    app: &'a str,
    id: &'a str,
    operation: String,
    progress: &'a ProgressSink,
    last_status: Option<MachineStatus>,
}

impl<'a> MachineWait<'a> {
    fn new(
        reader: &'a FlyReader,
        app: &'a str,
        id: &'a str,
        operation: String,
        progress: &'a ProgressSink,
    ) -> Self {
        Self {
            reader,
            app,
            id,
            operation,
            progress,
            last_status: None,
        }
    }

    /// One long poll. The inner result is its response; it is never retried blindly, since 408 is a
    /// regular response here. A starting machine, which has `is_running`, is also read regularly:
    /// when it runs, the poll has succeeded, and the outer error is that its program crashes.
    async fn long_poll(
        &mut self,
        path: String,
        is_running: Option<impl Fn(&wire::MachineResponse) -> bool>,
    ) -> Result<Result<(), CloudError>, CloudError> {
        let (reader, id, operation) = (self.reader, self.id, self.operation.clone());
        let request = ApiRequest {
            method: Method::GET,
            path,
            body: None,
            action: RateLimitedAction::WaitForState,
            identifier: id,
            idempotency: Idempotency::NotIdempotent,
            operation,
        };
        let response = reader.http.send::<serde::de::IgnoredAny>(&request);
        tokio::pin!(response);
        loop {
            tokio::select! {
                response = &mut response => return Ok(response.map(drop)),
                () = reader.http.sleep_scaled(START_POLL_INTERVAL), if is_running.is_some() => {}
            }
            // Ignore read errors here: the caller reads the machine again after the poll.
            let Ok(Some(machine)) = self.read_machine().await else {
                continue;
            };
            if exit_diagnosis::is_crash_looping(&machine) || exit_diagnosis::has_exited(&machine) {
                return Err(self.failure_error(&machine).await);
            }
            if is_running
                .as_ref()
                .is_some_and(|is_running| is_running(&machine))
            {
                return Ok(Ok(()));
            }
        }
    }

    /// Reads the machine and reports its status. `None` if it is gone.
    async fn read_machine(&mut self) -> Result<Option<wire::MachineResponse>, CloudError> {
        match self.reader.get_machine(self.app, self.id).await {
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
            Ok(machine) => {
                self.progress.report_change(
                    &mut self.last_status,
                    exit_diagnosis::machine_status(&machine),
                );
                Ok(Some(machine))
            }
        }
    }

    /// Reads a machine that should be running. It is an error if it is gone, crashing or inactive.
    async fn read_running_machine(&mut self) -> Result<wire::MachineResponse, CloudError> {
        let Some(machine) = self.read_machine().await? else {
            return Err(CloudError::new(
                &self.operation,
                ErrorKind::Failed,
                "it is gone",
            ));
        };
        if exit_diagnosis::is_crash_looping(&machine) || exit_diagnosis::is_inactive(&machine) {
            return Err(self.failure_error(&machine).await);
        }
        Ok(machine)
    }

    /// The error of a wait whose time is over.
    async fn timeout_error(&self, machine: &wire::MachineResponse, limit_secs: u64) -> CloudError {
        let error = self.failure_error(machine).await;
        CloudError {
            message: format!("not within {limit_secs} s: {}", error.message),
            ..error
        }
    }

    async fn failure_error(&self, machine: &wire::MachineResponse) -> CloudError {
        // In a crash loop it depends on timing which wait notices the failure, so report it as a
        // failed start.
        let operation = match exit_diagnosis::is_restarting_repeatedly(machine) {
            true => format!("start machine {} of {}", self.id, self.app),
            false => self.operation.clone(),
        };
        CloudError::new(
            operation,
            ErrorKind::Failed,
            self.reader.describe_failure(self.app, machine).await,
        )
    }
}
