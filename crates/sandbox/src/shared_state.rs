//! What all requests share: the simulated world, the clock, the rate limits, the faults and the record
//! of requests.

use serde::Serialize;
use serde_json::Value;

use crate::clock::SandboxClock;
use crate::faults::{Faults, Injected, RequestKind};
use crate::fly::rate_limit::ApiRateLimiter;
use crate::fly::transitions;
use crate::gate::Gate;
use crate::store::{StateStore, StoreError};
use crate::world::SimulatedWorld;

/// A request, as `GET /_sandbox/requests` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// Its number since the start of the server, from 1.
    pub n: u64,
    /// The HTTP method.
    pub method: String,
    /// The path; for IAM and STS, the action.
    pub path: String,
    /// The query string, without the question mark.
    pub query: String,
    /// The status of the response; 0 when the connection was closed instead.
    pub status: u16,
    /// Whether it was rejected by a rate limit.
    pub rate_limited: bool,
    /// Whether it carried a lease nonce (`fly-machine-lease-nonce`).
    #[serde(rename = "nonce")]
    pub has_lease_nonce: bool,
    /// When it arrived, in milliseconds since 1970 on the sandbox's clock.
    pub at_ms: i64,
}

/// Everything that requests share, behind one mutex.
#[derive(Debug)]
pub(crate) struct SharedState {
    pub(crate) world: SimulatedWorld,
    pub(crate) clock: SandboxClock,
    pub(crate) limits: ApiRateLimiter,
    pub(crate) faults: Faults,
    pub(crate) gate: Gate,
    pub(crate) requests: Vec<RequestRecord>,
    pub(crate) store: StateStore,
    /// Base URL of the Fly APIs, `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// The token of the administration endpoints, which `server.json` holds.
    pub(crate) admin_token: String,
    /// Whether the server has shut down and unlocked its folder. Connections that are still open
    /// get no more responses.
    pub(crate) closed: bool,
}

impl SharedState {
    /// Counts and records a request, advances a stepped clock, and returns the request's number and
    /// the fault to inject, if any.
    pub(crate) fn begin_request(
        &mut self,
        method: &str,
        path: String,
        query: String,
        has_lease_nonce: bool,
        kind: RequestKind,
    ) -> (u64, Option<Injected>) {
        // A request that a fault drops advances the clock as well.
        self.clock.advance_for_request();
        let injected = self.faults.inject(kind);
        let n = self.requests.len() as u64 + 1;
        self.requests.push(RequestRecord {
            n,
            method: method.to_owned(),
            path,
            query,
            // Filled in by `Server::finish_request`; stays 0 when the connection is closed.
            status: 0,
            rate_limited: false,
            has_lease_nonce,
            at_ms: self.clock.now_ms(),
        });
        (n, injected)
    }

    /// Updates the world to the current time, and applies the delays of active faults.
    pub(crate) fn catch_up_with_clock(&mut self) {
        self.world.now_ms = self.clock.now_ms();
        self.world.list_lag_ms = self.faults.stale_list_ms();
        self.world.aws.config_lag_ms = self.faults.stale_config_ms();
        self.world.aws.removal_lag_ms = self.faults.late_removal_ms();
        transitions::apply_due(&mut self.world);
    }

    /// The whole state that would be stored.
    pub(crate) fn state_json(&self) -> Value {
        let SimulatedWorld {
            global,
            apps,
            aws,
            github,
            ..
        } = &self.world;
        let aws = serde_json::json!({ "accounts": aws.global, "buckets": aws.buckets });
        serde_json::json!({ "world": global, "apps": apps, "aws": aws, "github": github.file })
    }

    /// Stores the changes; a response may only be sent after this.
    ///
    /// # Errors
    /// When a file system operation fails.
    pub(crate) fn save(&mut self) -> Result<(), StoreError> {
        let saved = self.clock.to_saved();
        let moved = self
            .world
            .global
            .clock
            .is_none_or(|before| saved.is_after(before));
        // A manual or stepped clock must be stored as it moves. Real time can be computed from any
        // earlier stored time.
        self.world.global_dirty |= moved && self.clock.is_manual();
        if self.world.global_dirty {
            self.world.global.clock = Some(saved);
        }
        self.store.save(&mut self.world)
    }
}
