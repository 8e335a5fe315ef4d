//! The user that the image of a Dockerfile runs as (Dockerfile reference, `FROM` and `USER`).

/// How a Dockerfile ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageUser {
    /// It says that root runs the program.
    Root,
    /// It says nothing, and neither does the name of the image that it begins with.
    Unstated,
    /// Somebody else does, or it cannot be told.
    Other,
}

struct BuildStage {
    base: String,
    name: Option<String>,
    user: Option<String>,
}

/// The user of a stage, or of the last one.
pub(super) fn image_user(text: &str, target: Option<&str>) -> ImageUser {
    let stages = parse_stages(text);
    let find = |name: &str, before: usize| {
        let named = |stage: &BuildStage| {
            let own = stage.name.as_deref();
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        stages[..before].iter().rposition(named)
    };
    let last = stages.len().checked_sub(1);
    let wanted = target.and_then(|target| {
        find(target, stages.len()).or_else(|| {
            let number = target.parse().ok();
            number.filter(|number| *number < stages.len())
        })
    });
    let Some(mut at) = wanted.or(last) else {
        return ImageUser::Other;
    };
    loop {
        let stage = &stages[at];
        if let Some(user) = &stage.user {
            return describe(user);
        }
        match find(&stage.base, at) {
            Some(base) => at = base,
            None if has_own_user(&stage.base) => return ImageUser::Other,
            None => return ImageUser::Unstated,
        }
    }
}

fn describe(user: &str) -> ImageUser {
    match user.split(':').next().unwrap_or_default() {
        "root" | "0" => ImageUser::Root,
        _ => ImageUser::Other,
    }
}

/// Whether the name of an image says that it does not run as root, or hides which image it is.
fn has_own_user(base: &str) -> bool {
    let base = base.to_ascii_lowercase();
    ["nonroot", "non-root", "rootless", "unprivileged", "$"]
        .iter()
        .any(|word| base.contains(word))
        || base.starts_with("cgr.dev/")
}

fn parse_stages(text: &str) -> Vec<BuildStage> {
    let mut stages: Vec<BuildStage> = Vec::new();
    for line in logical_lines(text) {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        let words: Vec<&str> = words.filter(|word| !word.starts_with("--")).collect();
        match (instruction.as_str(), words.as_slice(), stages.last_mut()) {
            ("FROM", [base, rest @ ..], _) => stages.push(BuildStage {
                base: (*base).to_owned(),
                name: match rest {
                    [r#as, name, ..] if r#as.eq_ignore_ascii_case("as") => Some((*name).to_owned()),
                    _ => None,
                },
                user: None,
            }),
            ("USER", [user, ..], Some(stage)) => {
                stage.user = Some(user.trim_matches(['"', '\'']).to_owned());
            }
            _ => {}
        }
    }
    stages
}

/// The lines without comments, continued ones joined. The lines of a here-document are none.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut whole = String::new();
    let mut document_end: Option<String> = None;
    for line in text.lines() {
        if let Some(end) = &document_end {
            if line.trim_start_matches('\t') == end {
                document_end = None;
            }
            continue;
        }
        let trimmed = line.trim();
        if trimmed.starts_with('#') {
            continue;
        }
        if let Some(start) = trimmed.strip_suffix('\\') {
            whole.push_str(start);
            whole.push(' ');
            continue;
        }
        whole.push_str(trimmed);
        document_end = here_document(&whole);
        lines.push(std::mem::take(&mut whole));
    }
    if !whole.is_empty() {
        lines.push(whole);
    }
    lines
}

/// The line that ends the here-document which an instruction begins.
fn here_document(line: &str) -> Option<String> {
    let instruction = line.split_whitespace().next()?.to_ascii_uppercase();
    if !["RUN", "COPY", "ADD"].contains(&instruction.as_str()) {
        return None;
    }
    let (_, rest) = line.split_once("<<")?;
    let word = rest.trim_start_matches('-').split_whitespace().next()?;
    let word = word.trim_matches(['"', '\'']);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!word.is_empty() && word.chars().all(is_name)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{ImageUser::*, *};

    #[test]
    fn the_last_user_of_the_last_stage_counts() {
        for (text, user) in [
            ("FROM debian\nRUN true\n", Unstated),
            ("FROM debian\nUSER root\n", Root),
            ("FROM debian\nUSER 0:0\n", Root),
            ("FROM debian\nUSER root\nRUN x\nuser app:app\n", Other),
            ("FROM debian AS build\nUSER app\nFROM debian\n", Unstated),
            ("FROM debian AS base\nUSER app\nFROM base\n", Other),
            ("FROM gcr.io/distroless/static:nonroot\n", Other),
            ("FROM cgr.dev/chainguard/node\n", Other),
            ("ARG BASE\nFROM $BASE\n", Other),
            ("FROM debian\n# USER app\n", Unstated),
            ("FROM debian\nRUN a && \\\n  USER app\n", Unstated),
            ("FROM debian\nRUN <<EOF\nUSER app\nEOF\n", Unstated),
            ("FROM debian\nUSER ${UID}\n", Other),
            (
                "FROM --platform=linux/amd64 debian AS base\nFROM base\n",
                Unstated,
            ),
            ("", Other),
        ] {
            assert_eq!(image_user(text, None), user, "{text}");
        }
    }

    #[test]
    fn a_target_is_another_stage() {
        let text = "FROM debian AS web\nUSER app\nFROM debian AS worker\n";
        assert_eq!(image_user(text, Some("web")), Other);
        assert_eq!(image_user(text, Some("0")), Other);
        assert_eq!(image_user(text, Some("worker")), Unstated);
        assert_eq!(image_user(text, None), Unstated);
    }
}
