//! `trimtab doctor`: what is missing or wrong around the environments, each with the exact step. Nothing here writes.
//!
//! Everything is read first, at once; the checks are functions over what was read. What a token may not see is never called missing.
//!
//! ```text
//! github/         what GitHub has to have: files, settings, environments, secrets, the subjects of identity tokens
//! fly.rs          the tokens
//! aws.rs          the credentials, and what they may do
//! repository.rs   what stands beside the manifests
//! dockerfile.rs   the user that an image runs as
//! remote.rs       which repository on GitHub this is
//! ```

mod aws;
mod dockerfile;
mod fly;
pub mod github;
mod remote;
mod repository;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clouds::{CloudError, ErrorKind};

pub use aws::{AwsProbe, check_aws};
pub use fly::{FlyProbe, check_fly};
pub use remote::{RemoteRepository, find_remote};
pub use repository::{
    InvalidManifest, check_builds, check_fly_tomls, check_ignored, check_invalid,
};

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingArea {
    /// The files of the repository.
    Repository,
    /// GitHub.
    Github,
    /// Fly.io.
    Fly,
    /// AWS.
    Aws,
}

impl FindingArea {
    /// The area as a heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Repository => "Repository",
            Self::Github => "GitHub",
            Self::Fly => "Fly.io",
            Self::Aws => "AWS",
        }
    }
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Something is missing or wrong.
    Wrong,
    /// The token may not see it, so that it is not known whether something is wrong.
    CannotSee,
    /// It could not be looked at, such as because nobody answered.
    Failed,
}

/// What is missing or wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct DoctorFinding {
    /// What it is about.
    pub area: FindingArea,
    /// What it means.
    pub kind: FindingKind,
    /// Where it is: a file, an environment, a setting.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do: commands, clicks, or what to write, in their order.
    pub steps: Vec<String>,
}

impl DoctorFinding {
    /// Something that is missing or wrong.
    #[must_use]
    pub fn wrong(
        area: FindingArea,
        place: impl Into<String>,
        message: impl Into<String>,
        step: impl Into<String>,
    ) -> Self {
        Self {
            area,
            kind: FindingKind::Wrong,
            place: place.into(),
            message: message.into(),
            steps: vec![step.into()],
        }
    }

    /// Adds another step.
    #[must_use]
    pub fn and_step(mut self, step: impl Into<String>) -> Self {
        self.steps.push(step.into());
        self
    }

    /// A look that failed.
    #[must_use]
    pub fn failed(area: FindingArea, place: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            kind: FindingKind::Failed,
            ..Self::wrong(area, place, why, "run the same command again")
        }
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DoctorReport {
    /// The version of this format.
    pub format_version: &'static str,
    /// The repository on GitHub, where it is known.
    pub repository: Option<String>,
    /// What is missing or wrong, or could not be seen.
    pub findings: Vec<DoctorFinding>,
}

impl DoctorReport {
    /// A report with the findings in a stable order, each of them once.
    #[must_use]
    pub fn new(repository: Option<String>, mut findings: Vec<DoctorFinding>) -> Self {
        findings.sort();
        findings.dedup();
        Self {
            format_version: "1.0",
            repository,
            findings,
        }
    }

    /// Whether there is a finding of this kind.
    #[must_use]
    pub fn has(&self, kind: FindingKind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind)
    }
}

/// The JSON Schema of the report.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(DoctorReport).to_value();
    if let Some(schema) = schema.as_object_mut() {
        let title = "What is missing or wrong around the environments";
        schema.insert("title".to_owned(), title.into());
    }
    schema
}

/// The result of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// This is there.
    Seen(T),
    /// It does not exist, or the token may not know.
    Absent,
    /// The token lacks this permission.
    Hidden(String),
    /// There was no answer that says anything.
    Failed(String),
}

impl<T> Lookup<T> {
    /// The result of a request; `permission` is what it needs, where the server does not say so.
    pub(crate) fn of(result: Result<T, CloudError>, permission: &str) -> Self {
        match result {
            Ok(value) => Self::Seen(value),
            Err(error) => match error.kind {
                ErrorKind::NotFound => Self::Absent,
                ErrorKind::PermissionDenied => {
                    let named = error.needed_permission().unwrap_or(permission);
                    Self::Hidden(named.to_owned())
                }
                _ => Self::Failed(format!("cannot {error}")),
            },
        }
    }

    /// The same for something that always exists: who is told otherwise may not see it.
    pub(crate) fn of_existing(result: Result<T, CloudError>, permission: &str) -> Self {
        match Self::of(result, permission) {
            Self::Absent => Self::Hidden(permission.to_owned()),
            other => other,
        }
    }

    /// What is there.
    #[must_use]
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(value) => Some(value),
            _ => None,
        }
    }
}

/// Collects what could not be seen, so that each missing permission is one finding.
#[derive(Debug, Default)]
pub(crate) struct Unseen {
    hidden: BTreeMap<String, Vec<String>>,
    failed: Vec<(String, String)>,
}

impl Unseen {
    /// What was seen, or `None` after a note of why not.
    pub(crate) fn look<'l, T>(&mut self, what: &str, lookup: &'l Lookup<T>) -> Option<&'l T> {
        match lookup {
            Lookup::Seen(value) => return Some(value),
            Lookup::Absent => {}
            Lookup::Hidden(permission) => {
                let hidden = self.hidden.entry(permission.clone()).or_default();
                if !hidden.iter().any(|known| known == what) {
                    hidden.push(what.to_owned());
                }
            }
            Lookup::Failed(why) => {
                let failure = (what.to_owned(), why.clone());
                if !self.failed.contains(&failure) {
                    self.failed.push(failure);
                }
            }
        }
        None
    }

    /// The findings; `step` is how to get a token that may see more.
    pub(crate) fn into_findings(
        self,
        area: FindingArea,
        step: impl Fn(&str) -> String,
    ) -> Vec<DoctorFinding> {
        let hidden = self
            .hidden
            .into_iter()
            .map(|(permission, whats)| DoctorFinding {
                kind: FindingKind::CannotSee,
                ..DoctorFinding::wrong(
                    area,
                    whats.join(", "),
                    format!("cannot see: the token lacks {permission}"),
                    step(&permission),
                )
            });
        let failed = self.failed.into_iter();
        let failed = failed.map(|(what, why)| DoctorFinding::failed(area, what, why));
        hidden.chain(failed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_not_missing() {
        let denied = CloudError::new(
            "list",
            ErrorKind::PermissionDenied,
            "403 Resource not accessible by integration; the token needs secrets=read",
        );
        let hidden: Lookup<()> = Lookup::of(Err(denied.clone()), "other");
        assert_eq!(hidden, Lookup::Hidden("secrets=read".to_owned()));
        let gone = CloudError::new("list", ErrorKind::NotFound, "404 Not Found");
        let gone: Lookup<()> = Lookup::of_existing(Err(gone), "contents=read");
        assert_eq!(gone, Lookup::Hidden("contents=read".to_owned()));
        let mut unseen = Unseen::default();
        assert_eq!(unseen.look("secrets", &hidden), None);
        assert_eq!(unseen.look("more secrets", &hidden), None);
        let findings = unseen.into_findings(FindingArea::Github, str::to_owned);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].kind, FindingKind::CannotSee);
        assert_eq!(findings[0].place, "secrets, more secrets");
    }
}
