//! Waiting for a machine: for a state by the API's own long poll, for its checks, and for staying up. All waiting is
//! here, with one limit each, one explanation, and an eye on programs that crash.

use std::time::Duration;

use reqwest::Method;

use super::{FlyReader, exit_diagnosis, wire};
use crate::{
    clouds::{
        CloudError, ErrorKind, MachineStatus, ProgressSink, RateLimitedAction,
        http::{ApiRequest, Idempotency},
    },
    model::fly_limits::SMOKE_CHECK_SECS,
};

/// How waiting ended.
#[derive(Clone, Debug)]
pub enum WaitOutcome {
    /// The machine is in the state.
    Reached,
    /// It is gone.
    Gone,
}

/// The longest single poll, in seconds. Fly's proxy cuts at 60, and what it cuts reads as a lost connection.
const MAX_POLL_SECS: u64 = 55;
/// How often a machine that starts is looked at beside the long poll, which does not tell that its program crashes.
const START_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often checks are looked at: reading a machine is limited to five a second.
const CHECKS_POLL_INTERVAL: Duration = Duration::from_millis(500);

impl FlyReader {
    /// Waits until a machine is in a state, in this version of its configuration when one is named.
    ///
    /// # Flow
    /// Poll until the server says so or the limit is over. Look at the machine after each poll that timed out, and
    /// while it starts once a second as well: one whose program crashes, or that has come to rest elsewhere, will not
    /// get there by waiting.
    ///
    /// # Errors
    /// [`Trouble::Failed`] with what became of it when it does not get there within `limit_secs`.
    pub async fn wait_for_state(
        &self,
        app: &str,
        id: &str,
        version: Option<&str>,
        state: &str,
        limit_secs: u64,
        voice: &ProgressSink,
    ) -> Result<WaitOutcome, CloudError> {
        let version = version
            .map(|version| format!("&version={version}"))
            .unwrap_or_default();
        let doing = format!("wait until machine {id} of {app} is {state}");
        let mut watch = MachineWait {
            reader: self,
            app,
            id,
            operation: doing,
            progress: voice,
            last_status: None,
        };
        let deadline = self.http.deadline_in(limit_secs);
        loop {
            let left = deadline.remaining_secs();
            let poll = left.clamp(1, MAX_POLL_SECS);
            let path =
                format!("/v1/apps/{app}/machines/{id}/wait?state={state}&timeout={poll}{version}");
            let Err(error) = watch.long_poll(path, state == "started").await? else {
                return Ok(WaitOutcome::Reached);
            };
            match error.kind {
                ErrorKind::NotFound if state == "destroyed" => return Ok(WaitOutcome::Gone),
                ErrorKind::NotFound | ErrorKind::Ambiguous | ErrorKind::Conflict => {}
                _ => return Err(error),
            }
            // A machine that was just made may not be known everywhere yet, so it is looked at before it counts as gone.
            let Some(machine) = watch.read_machine().await? else {
                return Ok(WaitOutcome::Gone);
            };
            if machine.state == state {
                return Ok(WaitOutcome::Reached);
            }
            if exit_diagnosis::is_inactive(&machine) {
                return Err(watch.failure_error(&machine).await);
            }
            if left == 0 {
                return Err(watch.timeout_error(&machine, limit_secs).await);
            }
            self.http.sleep_scaled(START_POLL_INTERVAL).await;
        }
    }

    /// Waits until every check of a running machine passes. One that does not pass yet is no failure until the limit is
    /// over; a program that crashes, or has ended, is one at once.
    ///
    /// # Errors
    /// [`Trouble::Failed`] with how the program ended, or what the first failing check said.
    pub async fn wait_until_checks_pass(
        &self,
        app: &str,
        id: &str,
        limit_secs: u64,
        voice: &ProgressSink,
    ) -> Result<wire::MachineResponse, CloudError> {
        let doing = format!("wait until the checks of machine {id} of {app} pass");
        let mut watch = MachineWait {
            reader: self,
            app,
            id,
            operation: doing,
            progress: voice,
            last_status: None,
        };
        let deadline = self.http.deadline_in(limit_secs);
        loop {
            let machine = watch.read_running_machine().await?;
            let sign = exit_diagnosis::machine_status(&machine);
            if sign.state == "started"
                && sign.checks_total > 0
                && sign.checks_passing == sign.checks_total
            {
                return Ok(machine);
            }
            if deadline.remaining_secs() == 0 {
                return Err(watch.timeout_error(&machine, limit_secs).await);
            }
            self.http.sleep_scaled(CHECKS_POLL_INTERVAL).await;
        }
    }

    /// Waits until a machine without checks has stayed up for ten seconds, as flyctl's smoke checks do. A restart in
    /// between begins them anew.
    ///
    /// # Errors
    /// [`Trouble::Failed`] with how its program ended when it crashes or ends, or does not stay up within `limit_secs`.
    pub async fn wait_until_stable(
        &self,
        app: &str,
        id: &str,
        limit_secs: u64,
        voice: &ProgressSink,
    ) -> Result<wire::MachineResponse, CloudError> {
        let doing = format!("wait until machine {id} of {app} stays up");
        let mut watch = MachineWait {
            reader: self,
            app,
            id,
            operation: doing,
            progress: voice,
            last_status: None,
        };
        let deadline = self.http.deadline_in(limit_secs);
        let smoke = SMOKE_CHECK_SECS.min(limit_secs);
        let mut steady = self.http.deadline_in(smoke);
        let mut turn = None;
        loop {
            // What a look tells is as old as the question.
            let is_over = steady.has_passed();
            let machine = watch.read_running_machine().await?;
            let seen = exit_diagnosis::last_start_or_exit(&machine);
            if machine.state != "started" || turn != Some(seen) {
                steady = self.http.deadline_in(smoke);
                turn = Some(seen);
            } else if is_over {
                return Ok(machine);
            }
            if deadline.remaining_secs() == 0 {
                return Err(watch.timeout_error(&machine, limit_secs).await);
            }
            self.http.sleep_scaled(START_POLL_INTERVAL).await;
        }
    }
}

/// One wait for one machine.
struct MachineWait<'a> {
    reader: &'a FlyReader,
    app: &'a str,
    id: &'a str,
    operation: String,
    progress: &'a ProgressSink,
    last_status: Option<MachineStatus>,
}

impl MachineWait<'_> {
    /// One long poll; the inner result is its answer. It is never repeated blindly: 408 is an answer here, not a
    /// failure. A machine that starts is looked at meanwhile, and the outer error is one whose program crashes.
    async fn long_poll(
        &mut self,
        path: String,
        starts: bool,
    ) -> Result<Result<(), CloudError>, CloudError> {
        let (reader, id, doing) = (self.reader, self.id, self.operation.clone());
        let call = ApiRequest {
            method: Method::GET,
            path,
            body: None,
            action: RateLimitedAction::Other("wait"),
            identifier: id,
            idempotency: Idempotency::NotIdempotent,
            operation: doing,
        };
        let answer = reader.http.send::<serde::de::IgnoredAny>(&call);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return Ok(answer.map(drop)),
                () = reader.http.sleep_scaled(START_POLL_INTERVAL), if starts => {}
            }
            // What cannot be read now is looked at after the poll.
            if let Ok(Some(machine)) = self.read_machine().await
                && (exit_diagnosis::is_crash_looping(&machine)
                    || exit_diagnosis::has_exited(&machine))
            {
                return Err(self.failure_error(&machine).await);
            }
        }
    }

    /// Looks at the machine, and tells what is seen; nothing when it is gone.
    async fn read_machine(&mut self) -> Result<Option<wire::MachineResponse>, CloudError> {
        match self.reader.get_machine(self.app, self.id).await {
            Err(gone) if gone.is_not_found() => Ok(None),
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

    /// The same of a machine that should be up: gone, crashing or at rest is an error.
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

    /// The same when the time is over, and nothing else is wrong with it.
    async fn timeout_error(&self, machine: &wire::MachineResponse, limit_secs: u64) -> CloudError {
        let error = self.failure_error(machine).await;
        CloudError {
            message: format!("not within {limit_secs} s: {}", error.message),
            ..error
        }
    }

    async fn failure_error(&self, machine: &wire::MachineResponse) -> CloudError {
        // What it was waited for is chance, too.
        let doing = match exit_diagnosis::is_restarting_repeatedly(machine) {
            true => format!("start machine {} of {}", self.id, self.app),
            false => self.operation.clone(),
        };
        CloudError::new(
            doing,
            ErrorKind::Failed,
            self.reader.describe_failure(self.app, machine).await,
        )
    }
}
