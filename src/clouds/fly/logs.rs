//! The last log lines of a machine, for the error of one that does not start. They come from
//! another API than the rest; if they cannot be read, the error is reported without them.

use std::time::Duration;

use serde::Deserialize;

use super::{FlyReader, exit_diagnosis, wire};
use crate::{
    clouds::{
        RateLimitedAction,
        url::{query_value, segment},
    },
    model::{is_unprintable, redact},
};

/// How many lines are shown: enough for the end of a stack trace, little enough for twenty
/// machines.
const MAX_LINES: usize = 10;
/// How many characters of a line are shown.
const MAX_LINE_CHARS: usize = 200;
/// The time limit for reading logs. It is not scaled by the sandbox's speed, since network latency
/// is not.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /api/v1/apps/{app}/logs` (fly-go's `GetAppLogs`), oldest line first.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LogsResponse {
    data: Option<Vec<LogEntry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LogEntry {
    attributes: LogAttributes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LogAttributes {
    /// RFC 3339.
    timestamp: Option<String>,
    message: Option<String>,
}

impl FlyReader {
    /// The last log lines of a machine: at most ten, without control characters, and truncated to
    /// 200 characters each. Empty if they cannot be read within five seconds.
    pub async fn read_logs(&self, app: &str, id: &str) -> Vec<String> {
        let mut lines = self.read_logs_since(app, id, i64::MIN).await;
        lines.split_off(lines.len().saturating_sub(MAX_LINES))
    }

    /// Describes why a machine failed, with the last log lines of its current run.
    pub(super) async fn describe_failure(
        &self,
        app: &str,
        machine: &wire::MachineResponse,
    ) -> String {
        let mut text = exit_diagnosis::describe_outcome(machine);
        let lines = self
            .read_logs_since(app, &machine.id, exit_diagnosis::run_started_at(machine))
            .await;
        let lines = if exit_diagnosis::is_restarting_repeatedly(machine) {
            last_complete_run(&lines)
        } else {
            &lines
        };
        let lines = &lines[lines.len().saturating_sub(MAX_LINES)..];
        if !lines.is_empty() {
            text.push_str("; its last lines:");
        }
        for line in lines {
            text = format!("{text}\n  | {line}");
        }
        text
    }

    /// The log lines since a time in Unix milliseconds. Empty if they cannot be read.
    pub(super) async fn read_logs_since(&self, app: &str, id: &str, since: i64) -> Vec<String> {
        let Some(http) = &self.logs_client else {
            return Vec::new();
        };
        // flyctl sends an empty token for the first page.
        let path = format!(
            "/api/v1/apps/{}/logs?next_token=&instance={}",
            segment(app),
            query_value(id)
        );
        let operation = format!("read the logs of machine {id} of {app}");
        let response = Self::get_from::<LogsResponse>(
            http,
            RateLimitedAction::Other("logs"),
            id,
            path,
            operation,
        );
        let response = match tokio::time::timeout(READ_TIMEOUT, response).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::debug!(%error, "no logs");
                return Vec::new();
            }
            Err(_) => return Vec::new(),
        };
        let is_recent = |line: &LogAttributes| {
            let timestamp = line
                .timestamp
                .as_ref()
                .and_then(|text| text.parse::<jiff::Timestamp>().ok());
            timestamp.is_none_or(|timestamp| timestamp.as_millisecond() >= since)
        };
        let lines = response
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|entry| entry.attributes)
            .filter(is_recent);
        lines
            .filter_map(|line| line.message)
            // Programs may print their environment. Redact before splitting and truncating lines,
            // so that no part of a secret is left.
            .flat_map(|message| {
                redact(&message)
                    .lines()
                    .map(sanitize_line)
                    .collect::<Vec<_>>()
            })
            .filter(|line| !line.is_empty())
            .collect()
    }
}

/// The last complete run of a program that restarts repeatedly. A tail of the log would cut a run
/// off at an arbitrary point, and might miss the line that matters.
fn last_complete_run(lines: &[String]) -> &[String] {
    let starts_run = |line: &String| line.contains("Starting init (commit");
    let last_exit = lines
        .iter()
        .rposition(|line| line.contains("Main child exited"));
    let Some(exit_index) = last_exit else {
        return lines;
    };
    let start = lines[..exit_index]
        .iter()
        .rposition(starts_run)
        .unwrap_or(0);
    let ends_run = |line: &String| starts_run(line) || line.contains("max restart count");
    let end = lines[exit_index..]
        .iter()
        .position(ends_run)
        .map_or(lines.len(), |next| exit_index + next);
    &lines[start..end]
}

/// Makes a line of foreign text safe for a terminal: without escape sequences and control
/// characters, and truncated.
pub(super) fn sanitize_line(text: &str) -> String {
    let mut sanitized = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // A control sequence, such as a colour, ends with a byte from `@` to `~`.
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                chars.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            c if is_unprintable(c) => sanitized.push(' '),
            c => sanitized.push(c),
        }
    }
    let sanitized = sanitized.trim();
    match sanitized.char_indices().nth(MAX_LINE_CHARS) {
        Some((end, _)) => format!("{}…", &sanitized[..end]),
        None => sanitized.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_one_run_of_a_crash_loop() {
        let run = [
            "INFO Starting init (commit: 1)...",
            "panic",
            "INFO Main child exited normally with code: 1",
        ];
        let lines: Vec<String> = run
            .iter()
            .cycle()
            .take(8)
            .map(|line| (*line).to_owned())
            .collect();
        assert_eq!(last_complete_run(&lines), &lines[3..6]);
        assert_eq!(last_complete_run(&lines[..2]), &lines[..2]);
        assert_eq!(last_complete_run(&lines[1..3]), &lines[1..3]);
    }

    #[test]
    fn log_lines_lose_control_sequences() {
        assert_eq!(sanitize_line("\u{1b}[31;1mred\u{1b}[0m\u{7}\r"), "red");
        assert_eq!(sanitize_line("\u{1b}]0;title\u{7}a\tb"), "]0;title a b");
        assert_eq!(sanitize_line("\u{1b}["), "");
        assert_eq!(sanitize_line(&"x".repeat(300)).chars().count(), 201);
    }
}
