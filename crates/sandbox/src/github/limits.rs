//! GitHub's rate limits: requests per hour, and the secondary limits on bursts and on new content.

use std::collections::{BTreeMap, VecDeque};

use super::access::GithubCaller;
use super::response::GithubError;
use super::state::{GithubBehaviour, user_id};

const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// Requests per hour and address without a token.
const ANONYMOUS_REQUESTS: u64 = 60;
/// Comments, issues and the like per minute and per hour.
const CONTENT_PER_MINUTE: usize = 80;
const CONTENT_PER_HOUR: usize = 500;
/// Points per minute; a read costs one, a write five.
const POINTS_PER_MINUTE: u64 = 900;
const DOCUMENTATION: &str =
    "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";

/// The requests of one caller in the current hour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateWindow {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) reset_ms: i64,
}

/// What is counted of all callers.
#[derive(Clone, Debug, Default)]
pub(crate) struct GithubLimiter {
    windows: BTreeMap<String, RateWindow>,
    /// The times of writes of content.
    content: BTreeMap<String, VecDeque<i64>>,
    /// The times and points of all requests.
    points: BTreeMap<String, VecDeque<(i64, u64)>>,
}

impl GithubLimiter {
    /// The current hour of a caller. The token of a job shares it with all jobs of its repository.
    pub(crate) fn window(
        &mut self,
        caller: &GithubCaller,
        behaviour: &GithubBehaviour,
        now: i64,
    ) -> &mut RateWindow {
        let (key, limit) = match caller {
            GithubCaller::Anonymous => (String::new(), ANONYMOUS_REQUESTS),
            GithubCaller::Token(token) if caller.is_actions() => {
                let repository = token.repositories.first().copied().unwrap_or_default();
                (
                    format!("repository {repository}"),
                    behaviour.actions_requests_per_hour,
                )
            }
            GithubCaller::Token(token) => (token.login.clone(), behaviour.user_requests_per_hour),
        };
        let fresh = RateWindow {
            limit,
            used: 0,
            reset_ms: now + HOUR_MS,
        };
        let window = self.windows.entry(key).or_insert(fresh);
        if window.reset_ms <= now {
            *window = fresh;
        }
        window.limit = limit;
        window
    }

    /// Counts a request.
    ///
    /// # Errors
    /// `403` or `429` when the caller has none left in this hour.
    pub(crate) fn take_request(
        &mut self,
        caller: &GithubCaller,
        behaviour: &GithubBehaviour,
        now: i64,
    ) -> Result<(), GithubError> {
        let window = self.window(caller, behaviour, now);
        if window.used >= window.limit {
            let who = match caller {
                GithubCaller::Anonymous => "127.0.0.1".to_owned(),
                GithubCaller::Token(token) if caller.is_actions() => {
                    let repository = token.repositories.first().copied().unwrap_or_default();
                    format!("installation ID {repository}")
                }
                GithubCaller::Token(token) => format!("user ID {}", user_id(&token.login)),
            };
            let message = format!("API rate limit exceeded for {who}.");
            return Err(GithubError::new(behaviour.rate_limit_status, message)
                .with_documentation(DOCUMENTATION));
        }
        window.used += 1;
        Ok(())
    }

    /// Counts a request towards the secondary limits.
    ///
    /// # Errors
    /// `403` or `429` when there were too many in a short time.
    pub(crate) fn take_burst(
        &mut self,
        caller: &GithubCaller,
        behaviour: &GithubBehaviour,
        is_write: bool,
        is_content: bool,
        now: i64,
    ) -> Result<(), GithubError> {
        let key = caller.login().to_owned();
        let points = self.points.entry(key.clone()).or_default();
        while points.front().is_some_and(|(at, _)| at + MINUTE_MS <= now) {
            points.pop_front();
        }
        let cost = if is_write { 5 } else { 1 };
        let spent: u64 = points.iter().map(|(_, points)| points).sum();
        if spent + cost > POINTS_PER_MINUTE {
            return Err(secondary_limit(behaviour));
        }
        if is_content {
            let times = self.content.entry(key).or_default();
            while times.front().is_some_and(|at| at + HOUR_MS <= now) {
                times.pop_front();
            }
            let last_minute = times.iter().filter(|at| **at + MINUTE_MS > now).count();
            if last_minute >= CONTENT_PER_MINUTE || times.len() >= CONTENT_PER_HOUR {
                return Err(secondary_limit(behaviour));
            }
            times.push_back(now);
        }
        points.push_back((now, cost));
        Ok(())
    }
}

/// The refusal by a secondary limit.
pub(crate) fn secondary_limit(behaviour: &GithubBehaviour) -> GithubError {
    let message =
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    let error = GithubError::new(behaviour.rate_limit_status, message)
        .with_documentation("https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits");
    match behaviour.retry_after {
        true => error.with_header("retry-after", "60"),
        false => error,
    }
}
