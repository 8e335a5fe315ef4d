//! What GitHub Actions obeys in a log: lines that fold, and lines that mark an error. The same for the other side: text
//! from outside must not be obeyed, whatever it says.

use std::collections::BTreeMap;

use super::{Look, text, value::clean, words};
use crate::{apply::event::Event, model::Address};

/// How many steps there are, by the group they are told in.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    open: BTreeMap<String, Group>,
}

/// The steps of one app, or of one process group.
#[derive(Clone, Debug, Default)]
struct Group {
    steps: usize,
    done: usize,
    failed: usize,
    skipped: usize,
    lines: Vec<String>,
}

/// The app, or, of machines, the process group.
fn group_of(address: &Address) -> String {
    let parts: Vec<&str> = address.name().parts().collect();
    let depth = if address.kind() == "fly.machine" {
        2
    } else {
        1
    };
    parts[..depth.min(parts.len())].join("/")
}

impl Groups {
    /// Groups for steps on these resources, one address for each step.
    pub fn new<'a>(steps: impl IntoIterator<Item = &'a Address>) -> Self {
        let mut groups = Self::default();
        for address in steps {
            groups.open.entry(group_of(address)).or_default().steps += 1;
        }
        groups
    }

    /// What an event makes worth saying: nothing while its group is under way, the group once it is complete, and a
    /// failure at once. Every line is fit to be shown as it is.
    pub fn tell(&mut self, event: &Event) -> Vec<String> {
        let line = text::event(event, &Look::LOG).map(|line| harmless(&line));
        let address = match event {
            Event::Begun { .. } | Event::Stopping | Event::OutOfTime => {
                return line.into_iter().collect();
            }
            Event::Progress { .. } => return Vec::new(),
            Event::Started { address, .. }
            | Event::Finished { address, .. }
            | Event::Failed { address, .. }
            | Event::HeldBack { address, .. }
            | Event::Output { address, .. }
            | Event::Skipped { address, .. } => address,
        };
        let name = group_of(address);
        let group = self.open.entry(name.clone()).or_default();
        group.lines.extend(line);
        let mut out = Vec::new();
        match event {
            Event::Finished { .. } => group.done += 1,
            Event::Skipped { .. } | Event::HeldBack { .. } => group.skipped += 1,
            Event::Failed {
                action, failure, ..
            } => {
                group.failed += 1;
                let title = format!("could not {} {address}", words::imperative(*action));
                let id = failure
                    .request_id
                    .as_ref()
                    .map(|id| format!("request id: {id}"));
                let parts = [Some(&failure.reason), id.as_ref(), failure.hint.as_ref()];
                let message: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
                out.push(error(&title, &message.join("\n")));
            }
            _ => {}
        }
        if group.done + group.failed + group.skipped >= group.steps {
            out.extend(
                self.open
                    .remove(&name)
                    .map(|group| group.told(&name))
                    .unwrap_or_default(),
            );
        }
        out
    }

    /// The groups that were not completed, for the end of a run that was interrupted.
    pub fn rest(&mut self) -> Vec<String> {
        let open = std::mem::take(&mut self.open);
        let begun = open
            .into_iter()
            .filter(|(_, group)| !group.lines.is_empty());
        begun.flat_map(|(name, group)| group.told(&name)).collect()
    }
}

impl Group {
    fn told(self, name: &str) -> Vec<String> {
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
            escaped(&clean(&format!("{name}: {}", counts.join(", "))))
        );
        [title]
            .into_iter()
            .chain(lines)
            .chain(["::endgroup::".to_owned()])
            .collect()
    }
}

/// A line that GitHub shows as an error at the top of the run.
fn error(title: &str, message: &str) -> String {
    let message: Vec<String> = message.lines().map(clean).collect();
    let title = escaped(&clean(title))
        .replace(':', "%3A")
        .replace(',', "%2C");
    format!("::error title={title}::{}", escaped(&message.join("\n")))
}

/// The escapes of a workflow command's message.
fn escaped(text: &str) -> String {
    text.replace("##[", "## [")
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The text without anything that GitHub's runner would obey: a line that begins with `::`, blanks and colours aside,
/// or a `##[` anywhere. In JSON the bracket is written in another way that means the same.
#[must_use]
pub fn harmless(text: &str) -> String {
    let is_json = text.starts_with('{');
    let bracket = if is_json { "##\\u005b" } else { "## [" };
    let text = text.replace("##[", bracket);
    let mut out = String::with_capacity(text.len());
    // The runner reads a lone carriage return as the end of a line as well.
    for line in text.split_inclusive(['\n', '\r']) {
        let at = line.len() - beginning(line).len();
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
fn beginning(line: &str) -> &str {
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
    use crate::{apply::event::Failure, plan::Action};

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
        let mut groups = Groups::new([&zero, &one, &secrets]);
        let action = Action::Update;
        let mut tell = |event| groups.tell(&event);
        for at in [&zero, &secrets] {
            assert!(
                tell(Event::Started {
                    address: at.clone(),
                    action
                })
                .is_empty()
            );
        }
        let done = tell(Event::Finished {
            address: secrets,
            action,
            millis: 400,
        });
        assert_eq!(done[0], "::group::web: 1 done");
        assert_eq!(done.len(), 4);
        assert_eq!(done[3], "::endgroup::");
        let reason = "100%: no\n::set-output name=x::y\r".to_owned();
        let failure = Failure {
            reason,
            request_id: None,
            hint: Some("a, b".to_owned()),
        };
        let failed = tell(Event::Failed {
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
        let skipped = tell(Event::Skipped {
            address: one,
            action,
            because: zero,
        });
        assert_eq!(skipped[0], "::group::web/app: 1 failed, 1 skipped");
        assert!(groups.rest().is_empty());
    }

    #[test]
    fn what_is_interrupted_is_told_as_far_as_it_came() {
        let machine = address("fly.machine/web/app/ewr/0");
        let mut groups = Groups::new([&machine, &address("fly.app/api")]);
        groups.tell(&Event::Started {
            address: machine,
            action: Action::Create,
        });
        assert_eq!(groups.rest()[0], "::group::web/app: 1 not finished");
    }

    #[test]
    fn nothing_from_outside_is_obeyed() {
        assert_eq!(
            harmless("a::b\n  ::error::x\r::y\n"),
            "a::b\n  : :error::x\r: :y\n"
        );
        assert_eq!(
            harmless("\u{1b}[2m ::add-mask::x"),
            "\u{1b}[2m : :add-mask::x"
        );
        assert_eq!(harmless("say ##[error]x"), "say ## [error]x");
        let json = serde_json::json!({ "a": "##[error]\n::b" }).to_string();
        let safe = harmless(&json);
        assert!(!safe.contains("##["));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).unwrap()["a"],
            "##[error]\n::b"
        );
    }
}
