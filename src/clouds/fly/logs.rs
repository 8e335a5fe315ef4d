//! The last lines that a machine printed, for the error of one that does not come up. They come from another API than
//! everything else, and missing them never hides the error that they would explain.

use std::time::Duration;

use serde::Deserialize;

use super::{FlyReader, exit_diagnosis, wire};
use crate::{
    clouds::RateLimitedAction,
    model::{is_unprintable, redact},
};

/// How many lines are shown: a stack trace's end, and not a screenful for each of twenty machines.
const MAX_LINES: usize = 10;
/// How many characters of a line are shown.
const MAX_LINE_CHARS: usize = 200;
/// How long to try. It is not scaled, since a network takes its time at any speed.
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
    /// The last lines that a machine printed, at most ten, each without control characters and cut to 200 characters.
    /// None when they cannot be read in five seconds.
    pub async fn read_logs(&self, app: &str, id: &str) -> Vec<String> {
        let mut lines = self.read_logs_since(app, id, i64::MIN).await;
        lines.split_off(lines.len().saturating_sub(MAX_LINES))
    }

    /// What became of a machine, with the last lines of its present run.
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

    /// The lines since a moment, in Unix milliseconds.
    pub(super) async fn read_logs_since(&self, app: &str, id: &str, since: i64) -> Vec<String> {
        let Some(http) = &self.logs_client else {
            return Vec::new();
        };
        // flyctl sends an empty token for the first page.
        let path = format!("/api/v1/apps/{app}/logs?next_token=&instance={id}");
        let doing = format!("read the logs of machine {id} of {app}");
        let answer =
            Self::get_from::<LogsResponse>(http, RateLimitedAction::Other("logs"), id, path, doing);
        let answer = match tokio::time::timeout(READ_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::debug!(%error, "no logs");
                return Vec::new();
            }
            Err(_) => return Vec::new(),
        };
        let recent = |line: &LogAttributes| {
            let at = line
                .timestamp
                .as_ref()
                .and_then(|text| text.parse::<jiff::Timestamp>().ok());
            at.is_none_or(|at| at.as_millisecond() >= since)
        };
        let lines = answer
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|entry| entry.attributes)
            .filter(recent);
        lines
            .filter_map(|line| line.message)
            // Programs print their environment. A secret goes before a line of it is cut in two.
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

/// Of a program that begins again and again, the last run that is told to its end: the same lines over and over, cut
/// off somewhere, hide the one that matters.
fn last_complete_run(lines: &[String]) -> &[String] {
    let begins = |line: &String| line.contains("Starting init (commit");
    let ended = lines
        .iter()
        .rposition(|line| line.contains("Main child exited"));
    let Some(end) = ended else { return lines };
    let from = lines[..end].iter().rposition(begins).unwrap_or(0);
    let over = |line: &String| begins(line) || line.contains("max restart count");
    let to = lines[end..]
        .iter()
        .position(over)
        .map_or(lines.len(), |next| end + next);
    &lines[from..to]
}

/// A foreign text as one line for a terminal: without escapes and control characters, and not too wide.
pub(super) fn sanitize_line(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            // A sequence such as a colour ends with a letter, or `~`.
            '\u{1b}' if characters.peek() == Some(&'[') => {
                characters.next();
                characters
                    .by_ref()
                    .find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            c if is_unprintable(c) => out.push(' '),
            c => out.push(c),
        }
    }
    let out = out.trim();
    match out.char_indices().nth(MAX_LINE_CHARS) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_crash_loop_one_run_is_shown() {
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
    fn a_line_cannot_reach_the_terminal_s_controls() {
        assert_eq!(sanitize_line("\u{1b}[31;1mred\u{1b}[0m\u{7}\r"), "red");
        assert_eq!(sanitize_line("\u{1b}]0;title\u{7}a\tb"), "]0;title a b");
        assert_eq!(sanitize_line("\u{1b}["), "");
        assert_eq!(sanitize_line(&"x".repeat(300)).chars().count(), 201);
    }
}
