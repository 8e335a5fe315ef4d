//! Waiting for a machine: for a state by the API's own long poll, for its checks, and for staying up. All waiting is
//! here, with one limit each, one explanation, and an eye on programs that crash.

use std::time::Duration;

use reqwest::Method;

use super::{Reader, fate, wire};
use crate::{
    clouds::{
        Action, CloudError, Sign, Trouble, Voice,
        http::{Call, Repeat},
    },
    model::pace::STEADY_SECS,
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
/// How often a machine that starts is looked at beside the long poll, which does not tell that its program crashes.
const GLANCE: Duration = Duration::from_secs(1);
/// How often checks are looked at: reading a machine is limited to five a second.
const LOOK: Duration = Duration::from_millis(500);

impl Reader {
    /// Waits until a machine is in a state, in this version of its configuration when one is named.
    ///
    /// # Flow
    /// Poll until the server says so or the limit is over. Look at the machine after each poll that timed out, and
    /// while it starts once a second as well: one whose program crashes, or that has come to rest elsewhere, will not
    /// get there by waiting.
    ///
    /// # Errors
    /// [`Trouble::Failed`] with what became of it when it does not get there within `limit_secs`.
    pub async fn wait_for(
        &self,
        app: &str,
        id: &str,
        version: Option<&str>,
        state: &str,
        limit_secs: u64,
        voice: &Voice,
    ) -> Result<Waited, CloudError> {
        let version = version
            .map(|version| format!("&version={version}"))
            .unwrap_or_default();
        let doing = format!("wait until machine {id} of {app} is {state}");
        let mut watch = Watch {
            reader: self,
            app,
            id,
            doing,
            voice,
            last: None,
        };
        let deadline = self.http.deadline(limit_secs);
        loop {
            let left = deadline.left_secs();
            let poll = left.clamp(1, POLL);
            let path =
                format!("/v1/apps/{app}/machines/{id}/wait?state={state}&timeout={poll}{version}");
            let Err(error) = watch.poll(path, state == "started").await? else {
                return Ok(Waited::There);
            };
            match error.trouble {
                Trouble::NotFound if state == "destroyed" => return Ok(Waited::Gone),
                Trouble::NotFound | Trouble::Ambiguous | Trouble::Conflict => {}
                _ => return Err(error),
            }
            // A machine that was just made may not be known everywhere yet, so it is looked at before it counts as gone.
            let Some(machine) = watch.look().await? else {
                return Ok(Waited::Gone);
            };
            if machine.state == state {
                return Ok(Waited::There);
            }
            if fate::is_at_rest(&machine) {
                return Err(watch.failed(&machine).await);
            }
            if left == 0 {
                return Err(watch.late(&machine, limit_secs).await);
            }
            self.http.pause(GLANCE).await;
        }
    }

    /// Waits until every check of a running machine passes. One that does not pass yet is no failure until the limit is
    /// over; a program that crashes, or has ended, is one at once.
    ///
    /// # Errors
    /// [`Trouble::Failed`] with how the program ended, or what the first failing check said.
    pub async fn wait_until_passing(
        &self,
        app: &str,
        id: &str,
        limit_secs: u64,
        voice: &Voice,
    ) -> Result<wire::Machine, CloudError> {
        let doing = format!("wait until the checks of machine {id} of {app} pass");
        let mut watch = Watch {
            reader: self,
            app,
            id,
            doing,
            voice,
            last: None,
        };
        let deadline = self.http.deadline(limit_secs);
        loop {
            let machine = watch.look_at_living().await?;
            let sign = fate::sign(&machine);
            if sign.state == "started" && sign.checks > 0 && sign.passing == sign.checks {
                return Ok(machine);
            }
            if deadline.left_secs() == 0 {
                return Err(watch.late(&machine, limit_secs).await);
            }
            self.http.pause(LOOK).await;
        }
    }

    /// Waits until a machine without checks has stayed up for ten seconds, as flyctl's smoke checks do. A restart in
    /// between begins them anew.
    ///
    /// # Errors
    /// [`Trouble::Failed`] with how its program ended when it crashes or ends, or does not stay up within `limit_secs`.
    pub async fn wait_until_steady(
        &self,
        app: &str,
        id: &str,
        limit_secs: u64,
        voice: &Voice,
    ) -> Result<wire::Machine, CloudError> {
        let doing = format!("wait until machine {id} of {app} stays up");
        let mut watch = Watch {
            reader: self,
            app,
            id,
            doing,
            voice,
            last: None,
        };
        let deadline = self.http.deadline(limit_secs);
        let smoke = STEADY_SECS.min(limit_secs);
        let mut steady = self.http.deadline(smoke);
        let mut turn = None;
        loop {
            // What a look tells is as old as the question.
            let is_over = steady.is_over();
            let machine = watch.look_at_living().await?;
            let seen = fate::last_turn(&machine);
            if machine.state != "started" || turn != Some(seen) {
                steady = self.http.deadline(smoke);
                turn = Some(seen);
            } else if is_over {
                return Ok(machine);
            }
            if deadline.left_secs() == 0 {
                return Err(watch.late(&machine, limit_secs).await);
            }
            self.http.pause(GLANCE).await;
        }
    }
}

/// One wait for one machine.
struct Watch<'a> {
    reader: &'a Reader,
    app: &'a str,
    id: &'a str,
    doing: String,
    voice: &'a Voice,
    last: Option<Sign>,
}

impl Watch<'_> {
    /// One long poll; the inner result is its answer. It is never repeated blindly: 408 is an answer here, not a
    /// failure. A machine that starts is looked at meanwhile, and the outer error is one whose program crashes.
    async fn poll(
        &mut self,
        path: String,
        starts: bool,
    ) -> Result<Result<(), CloudError>, CloudError> {
        let (reader, id, doing) = (self.reader, self.id, self.doing.clone());
        let call = Call {
            method: Method::GET,
            path,
            body: None,
            action: Action::Other("wait"),
            identifier: id,
            repeat: Repeat::LookFirst,
            doing,
        };
        let answer = reader.http.send::<serde::de::IgnoredAny>(&call);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return Ok(answer.map(drop)),
                () = reader.http.pause(GLANCE), if starts => {}
            }
            // What cannot be read now is looked at after the poll.
            if let Ok(Some(machine)) = self.look().await
                && (fate::is_crashing(&machine) || fate::has_ended(&machine))
            {
                return Err(self.failed(&machine).await);
            }
        }
    }

    /// Looks at the machine, and tells what is seen; nothing when it is gone.
    async fn look(&mut self) -> Result<Option<wire::Machine>, CloudError> {
        match self.reader.machine(self.app, self.id).await {
            Err(gone) if gone.is_not_found() => Ok(None),
            Err(error) => Err(error),
            Ok(machine) => {
                self.voice.tell(&mut self.last, fate::sign(&machine));
                Ok(Some(machine))
            }
        }
    }

    /// The same of a machine that should be up: gone, crashing or at rest is an error.
    async fn look_at_living(&mut self) -> Result<wire::Machine, CloudError> {
        let Some(machine) = self.look().await? else {
            return Err(CloudError::new(&self.doing, Trouble::Failed, "it is gone"));
        };
        if fate::is_crashing(&machine) || fate::is_at_rest(&machine) {
            return Err(self.failed(&machine).await);
        }
        Ok(machine)
    }

    /// The same when the time is over, and nothing else is wrong with it.
    async fn late(&self, machine: &wire::Machine, limit_secs: u64) -> CloudError {
        let error = self.failed(machine).await;
        CloudError {
            answer: format!("not within {limit_secs} s: {}", error.answer),
            ..error
        }
    }

    async fn failed(&self, machine: &wire::Machine) -> CloudError {
        // What it was waited for is chance, too.
        let doing = match fate::keeps_ending(machine) {
            true => format!("start machine {} of {}", self.id, self.app),
            false => self.doing.clone(),
        };
        CloudError::new(
            doing,
            Trouble::Failed,
            self.reader.why(self.app, machine).await,
        )
    }
}
