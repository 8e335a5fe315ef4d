//! GitHub Actions workflow commands: grouping log lines, and error annotations. The counterpart is here as well:
//! escaping untrusted text so that the runner does not execute it as a command. Source of the syntax:
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.

use std::collections::BTreeMap;

use super::{TextOptions, text, value::sanitize, wording};
use crate::{
    apply::event::ApplyEvent,
    kinds::{KindInfo, Phase},
    model::Address,
};

/// Collects the log lines of an apply, so that each app or process group becomes one foldable group in the log.
#[derive(Clone, Debug, Default)]
pub struct LogGroups {
    pending: BTreeMap<String, LogGroup>,
}

/// The progress of one app or process group.
#[derive(Clone, Debug, Default)]
struct LogGroup {
    steps: usize,
    done: usize,
    failed: usize,
    skipped: usize,
    lines: Vec<String>,
}

/// The log group of a resource: its process group if it is a machine, otherwise its app.
fn group_name(address: &Address) -> String {
    let segments: Vec<&str> = address.name().segments().collect();
    let in_process_group =
        KindInfo::lookup(address).is_some_and(|kind| kind.phase == Phase::Rollout);
    let depth = if in_process_group { 2 } else { 1 };
    segments[..depth.min(segments.len())].join("/")
}

impl LogGroups {
    /// Creates the groups for a plan; `steps` has the address of each step.
    pub fn new<'a>(steps: impl IntoIterator<Item = &'a Address>) -> Self {
        let mut groups = Self::default();
        for address in steps {
            groups.pending.entry(group_name(address)).or_default().steps += 1;
        }
        groups
    }

    /// Records an event and returns the lines to print now: an annotation for a failure, and the whole group once its
    /// last step has ended. The lines are escaped already.
    pub fn push_event(&mut self, event: &ApplyEvent) -> Vec<String> {
        let line =
            text::event(event, &TextOptions::LOG).map(|line| escape_workflow_commands(&line));
        let address = match event {
            ApplyEvent::Begun { .. }
            | ApplyEvent::WaitingForLease { .. }
            | ApplyEvent::Stopping
            | ApplyEvent::OutOfTime => {
                return line.into_iter().collect();
            }
            ApplyEvent::Progress { .. } => return Vec::new(),
            ApplyEvent::Started { address, .. }
            | ApplyEvent::Finished { address, .. }
            | ApplyEvent::Failed { address, .. }
            | ApplyEvent::HeldBack { address, .. }
            | ApplyEvent::Output { address, .. }
            | ApplyEvent::Skipped { address, .. } => address,
        };
        let name = group_name(address);
        let group = self.pending.entry(name.clone()).or_default();
        group.lines.extend(line);
        let mut printed = Vec::new();
        match event {
            ApplyEvent::Finished { .. } => group.done += 1,
            ApplyEvent::Skipped { .. } | ApplyEvent::HeldBack { .. } => group.skipped += 1,
            ApplyEvent::Failed {
                action, failure, ..
            } => {
                group.failed += 1;
                let title = format!(
                    "could not {} {address}",
                    wording::action_imperative(*action)
                );
                let id = failure
                    .request_id
                    .as_ref()
                    .map(|id| format!("request id: {id}"));
                let fragments = [Some(&failure.reason), id.as_ref(), failure.hint.as_ref()];
                let message: Vec<&str> = fragments
                    .into_iter()
                    .flatten()
                    .map(String::as_str)
                    .collect();
                printed.push(error_command(&title, &message.join("\n")));
            }
            _ => {}
        }
        // Lines are held until the group is complete: GitHub's groups do not nest, and steps of different groups run
        // at the same time.
        if group.done + group.failed + group.skipped >= group.steps {
            printed.extend(
                self.pending
                    .remove(&name)
                    .map(|group| group.render(&name))
                    .unwrap_or_default(),
            );
        }
        printed
    }

    /// Returns the groups that were started but not completed, at the end of an interrupted apply.
    pub fn finish(&mut self) -> Vec<String> {
        let unfinished = std::mem::take(&mut self.pending);
        let started = unfinished
            .into_iter()
            .filter(|(_, group)| !group.lines.is_empty());
        started
            .flat_map(|(name, group)| group.render(&name))
            .collect()
    }
}

impl LogGroup {
    fn render(self, name: &str) -> Vec<String> {
        let Self {
            steps,
            done,
            failed,
            skipped,
            lines,
        } = self;
        let unfinished = steps.saturating_sub(done + failed + skipped);
        let count =
            |number: usize, outcome: &str| (number > 0).then(|| format!("{number} {outcome}"));
        let counts = [
            count(done, "done"),
            count(failed, "failed"),
            count(skipped, "skipped"),
            count(unfinished, "not finished"),
        ];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        let title = format!(
            "::group::{}",
            escape_message(&sanitize(&format!("{name}: {}", counts.join(", "))))
        );
        [title]
            .into_iter()
            .chain(lines)
            .chain(["::endgroup::".to_owned()])
            .collect()
    }
}

/// How serious an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationLevel {
    /// Something is wrong.
    Error,
    /// Something that a reviewer must not miss.
    Warning,
    /// Anything else.
    Notice,
}

/// The workflow command for an error annotation, which GitHub also shows on the summary page of the run.
fn error_command(title: &str, message: &str) -> String {
    annotation_command(AnnotationLevel::Error, None, title, message)
}

/// The workflow command for an annotation; with the file, relative to the root of the repository, and the line that it is for.
#[must_use]
pub fn annotation_command(
    level: AnnotationLevel,
    place: Option<(&str, usize)>,
    title: &str,
    message: &str,
) -> String {
    let level = match level {
        AnnotationLevel::Error => "error",
        AnnotationLevel::Warning => "warning",
        AnnotationLevel::Notice => "notice",
    };
    let message: Vec<String> = message.lines().map(sanitize).collect();
    let place = place.map_or_else(String::new, |(file, line)| {
        format!("file={},line={line},", escape_property(file))
    });
    format!(
        "::{level} {place}title={}::{}",
        escape_property(title),
        escape_message(&message.join("\n"))
    )
}

/// Escapes the value of a property of a workflow command.
fn escape_property(text: &str) -> String {
    escape_message(&sanitize(text))
        .replace(':', "%3A")
        .replace(',', "%2C")
}

/// Escapes the message of a workflow command.
fn escape_message(text: &str) -> String {
    text.replace("##[", "## [")
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes everything that GitHub's runner would execute: `::` at the beginning of a line (whitespace and colours do
/// not count), and `##[` anywhere. In JSON the bracket becomes a `\\u005b` escape, so that the value stays the same.
#[must_use]
pub fn escape_workflow_commands(text: &str) -> String {
    let is_json = text.starts_with('{');
    let bracket = if is_json { "##\\u005b" } else { "## [" };
    let text = text.replace("##[", bracket);
    let mut escaped = String::with_capacity(text.len());
    // The runner also treats a lone carriage return as a line break.
    for line in text.split_inclusive(['\n', '\r']) {
        let at = line.len() - skip_invisible_prefix(line).len();
        if line[at..].starts_with("::") {
            escaped.push_str(&line[..at]);
            escaped.push_str(": :");
            escaped.push_str(&line[at + 2..]);
        } else {
            escaped.push_str(line);
        }
    }
    escaped
}

/// Skips whitespace and escape sequences at the beginning of a line.
fn skip_invisible_prefix(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(sequence) = rest.strip_prefix("\u{1b}[") {
        let end = sequence
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(sequence.len(), |at| at + 1);
        rest = sequence[end..].trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{apply::event::ApplyFailure, plan::Action};

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn a_group_is_printed_when_it_is_complete() {
        let (zero, one) = (
            address("fly.machine/web/app/ewr/0"),
            address("fly.machine/web/app/ewr/1"),
        );
        let secrets = address("fly.secrets/web");
        let mut groups = LogGroups::new([&zero, &one, &secrets]);
        let action = Action::Update;
        let mut push = |event| groups.push_event(&event);
        for at in [&zero, &secrets] {
            assert!(
                push(ApplyEvent::Started {
                    address: at.clone(),
                    action
                })
                .is_empty()
            );
        }
        let done = push(ApplyEvent::Finished {
            address: secrets,
            action,
            millis: 400,
            estimate_millis: 90_000,
        });
        assert_eq!(done[0], "::group::web: 1 done");
        assert_eq!(done.len(), 4);
        assert_eq!(done[3], "::endgroup::");
        let reason = "100%: no\n::set-output name=x::y\r".to_owned();
        let failure = ApplyFailure {
            reason,
            request_id: None,
            hint: Some("a, b".to_owned()),
        };
        let failed = push(ApplyEvent::Failed {
            address: zero.clone(),
            action,
            failure,
        });
        assert_eq!(
            failed,
            [
                "::error title=could not update fly.machine/web/app/ewr/0::100%25: no%0A::set-output name=x::y%0Aa, b"
            ]
        );
        let skipped = push(ApplyEvent::Skipped {
            address: one,
            action,
            because: zero,
        });
        assert_eq!(skipped[0], "::group::web/app: 1 failed, 1 skipped");
        assert!(groups.finish().is_empty());
    }

    #[test]
    fn finish_prints_an_interrupted_group() {
        let machine = address("fly.machine/web/app/ewr/0");
        let mut groups = LogGroups::new([&machine, &address("fly.app/api")]);
        groups.push_event(&ApplyEvent::Started {
            address: machine,
            action: Action::Create,
        });
        assert_eq!(groups.finish()[0], "::group::web/app: 1 not finished");
    }

    #[test]
    fn workflow_commands_in_text_are_escaped() {
        assert_eq!(
            escape_workflow_commands("a::b\n  ::error::x\r::y\n"),
            "a::b\n  : :error::x\r: :y\n"
        );
        assert_eq!(
            escape_workflow_commands("\u{1b}[2m ::add-mask::x"),
            "\u{1b}[2m : :add-mask::x"
        );
        assert_eq!(
            escape_workflow_commands("say ##[error]x"),
            "say ## [error]x"
        );
        let json = serde_json::json!({ "a": "##[error]\n::b" }).to_string();
        let safe = escape_workflow_commands(&json);
        assert!(!safe.contains("##["));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).unwrap()["a"],
            "##[error]\n::b"
        );
    }
}
