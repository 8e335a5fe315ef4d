//! A request to an app's public address: the last gate of a rollout.

use serde::Serialize;

use crate::model::{GoDuration, redact};

/// What shows that an app works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The host name; the app's own under `fly.dev` when absent.
    pub host: Option<String>,
    /// The path, with its query.
    pub path: String,
    /// The status that the answer must have.
    pub status: u16,
    /// A regular expression that must match somewhere in the body.
    pub body: Option<String>,
    /// How often it is tried again.
    pub retries: u32,
    /// How long to wait between two tries.
    pub interval: GoDuration,
}

impl Verification {
    /// How often it is tried again when nothing is said: together with the interval, half a minute, which outlasts the
    /// time in which Fly's proxies learn of new machines.
    pub const DEFAULT_RETRIES: u32 = 5;
    /// How long to wait between two tries when nothing is said.
    pub const DEFAULT_INTERVAL: GoDuration = GoDuration::from_secs(5);

    /// The host that is asked.
    #[must_use]
    pub fn host(&self, app: &str) -> String {
        self.host
            .clone()
            .unwrap_or_else(|| format!("{app}.fly.dev"))
    }

    /// Why an answer is not the one that was expected.
    #[must_use]
    pub fn check_response(&self, status: u16, body: &str) -> Option<String> {
        if status != self.status {
            return Some(format!(
                "the answer has status {status}, not {}",
                self.status
            ));
        }
        let pattern = self.body.as_ref()?;
        // The manifest is refused when it is no pattern.
        let found = regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(body));
        (!found).then(|| match summarize_body(body) {
            None => format!("`{pattern}` does not match the body, which is empty"),
            Some(start) => format!("`{pattern}` does not match the body: {start:?}"),
        })
    }
}

/// The beginning of a body, without secrets; `None` if there is nothing in it.
fn summarize_body(body: &str) -> Option<String> {
    /// Enough for an error in JSON, or for the title of a page.
    const MAX_CHARS: usize = 160;
    let body = redact(body);
    let words: Vec<&str> = body.split_whitespace().collect();
    let body = words.join(" ");
    let start = match body.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &body[..end]),
        None => body,
    };
    Some(start).filter(|start| !start.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_status_and_body() {
        let verify = Verification {
            host: None,
            path: "/".into(),
            status: 200,
            body: Some("ok|fine".into()),
            retries: 0,
            interval: Verification::DEFAULT_INTERVAL,
        };
        assert_eq!(verify.host("web"), "web.fly.dev");
        assert_eq!(verify.check_response(200, "all fine"), None);
        assert_eq!(
            verify.check_response(200, "bad").as_deref(),
            Some("`ok|fine` does not match the body: \"bad\"")
        );
        assert_eq!(
            verify.check_response(200, " \n").as_deref(),
            Some("`ok|fine` does not match the body, which is empty")
        );
        assert_eq!(
            verify.check_response(502, "ok").as_deref(),
            Some("the answer has status 502, not 200")
        );
    }
}
