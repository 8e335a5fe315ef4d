//! The rollout as a short list for each app: one number for each stage, and side by side what goes side by side.

use super::escape::{code, prose};
use crate::{
    plan::Plan,
    render::{
        rollout::{Course, Row, Say, courses},
        words,
    },
};

/// So many names of a list are shown; the log has as many as its lines hold.
const NAMES: usize = 12;
/// So many apps are told about: beyond that a comment is no place for them.
const APPS: usize = 20;

/// What happens in which order. `None` when nothing is rolled out.
pub(super) fn rollout(plan: &Plan) -> Option<String> {
    let courses = courses(plan);
    let mut parts: Vec<String> = courses.iter().take(APPS).map(course).collect();
    if let Some(more) = courses.len().checked_sub(APPS).filter(|more| *more > 0) {
        let number = u64::try_from(more).unwrap_or(u64::MAX);
        parts.push(format!("and of {}\n", words::count(number, "more app")));
    }
    (!parts.is_empty()).then(|| parts.join("\n"))
}

fn course(course: &Course) -> String {
    let numbered = course.stages.len() > 1;
    let mut out = format!("**Rollout of {}**\n\n", code(&course.app));
    for (at, stage) in course.stages.iter().enumerate() {
        let head = if numbered {
            format!("{}.", at + 1)
        } else {
            "-".to_owned()
        };
        let rows: Vec<String> = stage.iter().map(row).collect();
        out += &format!("{head} {}\n", rows.join("<br>"));
    }
    out
}

fn row(row: &Row) -> String {
    let says: Vec<String> = row.says.iter().map(said).collect();
    format!("**{}** {}", prose(&row.label), says.join("; "))
}

fn said(say: &Say) -> String {
    match say {
        Say::Words(words) => prose(words),
        Say::List(lead, items) => format!("{}: {}", prose(lead), prose(&words::few(items, NAMES))),
        Say::Code(text, words) => format!("{}{}", code(text), prose(words)),
    }
}
