//! What GitHub Actions obeys in a log: lines that fold, and lines that mark an error. The same for the other side: text
//! from outside must not be obeyed, whatever it says.

use std::collections::BTreeMap;

use super::{TextOptions, text, value::sanitize, wording};
use crate::{apply::event::ApplyEvent, model::Address};

/// How many steps there are, by the group they are told in.
#[derive(Clone, Debug, Default)]
pub struct LogGroups {
    pending: BTreeMap<String, LogGroup>,
}

/// The steps of one app, or of one process group.
#[derive(Clone, Debug, Default)]
struct LogGroup {
    steps: usize,
    done: usize,
    failed: usize,
    skipped: usize,
    lines: Vec<String>,
}

/// The app, or, of machines, the process group.
fn group_name(address: &Address) -> String {
    let parts: Vec<&str> = address.name().segments().collect();
    let depth = if address.kind() == "fly.machine" {
        2
    } else {
        1
    };
    parts[..depth.min(parts.len())].join("/")
}

impl LogGroups {
    /// Groups for steps on these resources, one address for each step.
    pub fn new<'a>(steps: impl IntoIterator<Item = &'a Address>) -> Self {
        let mut groups = Self::default();
        for address in steps {
            groups.pending.entry(group_name(address)).or_default().steps += 1;
        }
        groups
    }

    /// What an event makes worth saying: nothing while its group is under way, the group once it is complete, and a
    /// failure at once. Every line is fit to be shown as it is.
    pub fn push_event(&mut self, event: &ApplyEvent) -> Vec<String> {
        let line =
            text::event(event, &TextOptions::LOG).map(|line| escape_workflow_commands(&line));
        let address = match event {
            ApplyEvent::Begun { .. } | ApplyEvent::Stopping | ApplyEvent::OutOfTime => {
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
        let mut out = Vec::new();
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
                let parts = [Some(&failure.reason), id.as_ref(), failure.hint.as_ref()];
                let message: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
                out.push(error_command(&title, &message.join("\n")));
            }
            _ => {}
        }
        if group.done + group.failed + group.skipped >= group.steps {
            out.extend(
                self.pending
                    .remove(&name)
                    .map(|group| group.render(&name))
                    .unwrap_or_default(),
            );
        }
        out
    }

    /// The groups that were not completed, for the end of a run that was interrupted.
    pub fn finish(&mut self) -> Vec<String> {
        let open = std::mem::take(&mut self.pending);
        let begun = open
            .into_iter()
            .filter(|(_, group)| !group.lines.is_empty());
        begun
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
        let open = steps.saturating_sub(done + failed + skipped);
        let of = |number: usize, word: &str| (number > 0).then(|| format!("{number} {word}"));
        let counts = [
            of(done, "done"),
            of(failed, "failed"),
            of(skipped, "skipped"),
            of(open, "not finished"),
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

/// A line that GitHub shows as an error at the top of the run.
fn error_command(title: &str, message: &str) -> String {
    let message: Vec<String> = message.lines().map(sanitize).collect();
    let title = escape_message(&sanitize(title))
        .replace(':', "%3A")
        .replace(',', "%2C");
    format!(
        "::error title={title}::{}",
        escape_message(&message.join("\n"))
    )
}

/// The escapes of a workflow command's message.
fn escape_message(text: &str) -> String {
    text.replace("##[", "## [")
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The text without anything that GitHub's runner would obey: a line that begins with `::`, blanks and colours aside,
/// or a `##[` anywhere. In JSON the bracket is written in another way that means the same.
#[must_use]
pub fn escape_workflow_commands(text: &str) -> String {
    let is_json = text.starts_with('{');
    let bracket = if is_json { "##\\u005b" } else { "## [" };
    let text = text.replace("##[", bracket);
    let mut out = String::with_capacity(text.len());
    // The runner reads a lone carriage return as the end of a line as well.
    for line in text.split_inclusive(['\n', '\r']) {
        let at = line.len() - skip_invisible_prefix(line).len();
        if line[at..].starts_with("::") {
            out.push_str(&line[..at]);
            out.push_str(": :");
            out.push_str(&line[at + 2..]);
        } else {
            out.push_str(line);
        }
    }
    out
}

/// The line from its first character that shows.
fn skip_invisible_prefix(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(escape) = rest.strip_prefix("\u{1b}[") {
        let end = escape
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(escape.len(), |at| at + 1);
        rest = escape[end..].trim_start();
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
    fn a_group_is_told_at_once_when_it_is_complete() {
        let (zero, one) = (
            address("fly.machine/web/app/ewr/0"),
            address("fly.machine/web/app/ewr/1"),
        );
        let secrets = address("fly.secrets/web");
        let mut groups = LogGroups::new([&zero, &one, &secrets]);
        let action = Action::Update;
        let mut tell = |event| groups.push_event(&event);
        for at in [&zero, &secrets] {
            assert!(
                tell(ApplyEvent::Started {
                    address: at.clone(),
                    action
                })
                .is_empty()
            );
        }
        let done = tell(ApplyEvent::Finished {
            address: secrets,
            action,
            millis: 400,
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
        let failed = tell(ApplyEvent::Failed {
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
        let skipped = tell(ApplyEvent::Skipped {
            address: one,
            action,
            because: zero,
        });
        assert_eq!(skipped[0], "::group::web/app: 1 failed, 1 skipped");
        assert!(groups.finish().is_empty());
    }

    #[test]
    fn what_is_interrupted_is_told_as_far_as_it_came() {
        let machine = address("fly.machine/web/app/ewr/0");
        let mut groups = LogGroups::new([&machine, &address("fly.app/api")]);
        groups.push_event(&ApplyEvent::Started {
            address: machine,
            action: Action::Create,
        });
        assert_eq!(groups.finish()[0], "::group::web/app: 1 not finished");
    }

    #[test]
    fn nothing_from_outside_is_obeyed() {
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
