//! A workflow of GitHub Actions, as far as the generated ones need it.

use super::yaml::{Yaml, YamlEntry};

/// A workflow.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// The name of its file.
    pub file: String,
    /// Its name.
    pub name: String,
    /// What starts it.
    pub on: Vec<YamlEntry>,
    /// Which of its runs exclude each other.
    pub concurrency: Concurrency,
    /// Its jobs.
    pub jobs: Vec<Job>,
}

/// Which runs exclude each other.
#[derive(Clone, Debug)]
pub struct Concurrency {
    /// The name of the group.
    pub group: String,
    /// Why the group is as it is.
    pub comment: Option<&'static str>,
    /// What happens when another run comes.
    pub policy: ConcurrencyPolicy,
}

/// What happens to a run when another one of its group comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencyPolicy {
    /// The one that runs is cancelled.
    Cancel,
    /// The one that waits is replaced.
    KeepNewest,
    /// All wait.
    KeepAll,
}

/// A job. Its id is its name, since that is the name of the check.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Its id and name.
    pub id: &'static str,
    /// A comment behind its id.
    pub comment: Option<&'static str>,
    /// The jobs before it.
    pub needs: Vec<&'static str>,
    /// When it runs: the parts of an expression.
    pub condition: Vec<String>,
    /// A comment above the condition.
    pub condition_comment: Option<&'static str>,
    /// What the token may do, and why.
    pub permissions: Vec<Permission>,
    /// What later jobs may read, with its expression.
    pub outputs: Vec<(&'static str, String)>,
    /// The environment on GitHub.
    pub environment: Option<JobEnvironment>,
    /// What it does.
    pub work: Work,
}

/// What a job does.
#[derive(Clone, Debug)]
pub enum Work {
    /// Calls another workflow, with inputs.
    Call(String, Vec<YamlEntry>),
    /// Runs steps.
    Steps {
        /// The labels of the runner.
        runner: Vec<String>,
        /// The image that it runs in.
        container: Option<String>,
        /// When GitHub ends it.
        timeout_minutes: u64,
        /// The steps.
        steps: Vec<JobStep>,
    },
}

impl Default for Work {
    fn default() -> Self {
        Self::Call(String::new(), Vec::new())
    }
}

/// A right of the job's token.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// Its name.
    pub name: &'static str,
    /// `read` or `write`.
    pub level: &'static str,
    /// What it is needed for.
    pub reason: Option<&'static str>,
}

/// The environment of a job.
#[derive(Clone, Debug)]
pub struct JobEnvironment {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub comment: Option<&'static str>,
    /// The address of what was deployed; without one no deployment is recorded.
    pub url: Option<String>,
}

/// A step.
#[derive(Clone, Debug, Default)]
pub struct JobStep {
    /// What it does.
    pub name: Option<String>,
    /// What other steps call it.
    pub id: Option<&'static str>,
    /// The action or the script.
    pub command: StepCommand,
    /// The variables, sorted by name.
    pub env: Vec<(String, String)>,
}

/// What a step runs.
#[derive(Clone, Debug)]
pub enum StepCommand {
    /// An action with its pin, and its inputs.
    Uses {
        /// The action, with `@` and the commit.
        action: String,
        /// The comment behind it: the version.
        version: Option<String>,
        /// Its inputs.
        inputs: Vec<YamlEntry>,
    },
    /// A script.
    Run {
        /// The script.
        script: String,
        /// A comment above it.
        comment: Option<&'static str>,
    },
}

impl Default for StepCommand {
    fn default() -> Self {
        Self::Run {
            script: String::new(),
            comment: None,
        }
    }
}

impl Workflow {
    /// The document.
    #[must_use]
    pub fn entries(&self) -> Vec<YamlEntry> {
        let jobs = self
            .jobs
            .iter()
            .map(|job| YamlEntry {
                comment: job.comment.map(str::to_owned),
                ..YamlEntry::new(job.id, Yaml::Map(job.entries()))
            })
            .collect();
        vec![
            YamlEntry::new("name", Yaml::text(&self.name)),
            YamlEntry::new("on", Yaml::Map(self.on.clone())),
            YamlEntry::new("permissions", Yaml::Map(Vec::new())),
            YamlEntry::new("concurrency", Yaml::Map(self.concurrency.entries())),
            YamlEntry::new("jobs", Yaml::Map(jobs)),
        ]
    }
}

impl Concurrency {
    fn entries(&self) -> Vec<YamlEntry> {
        let is_cancelled = self.policy == ConcurrencyPolicy::Cancel;
        let mut entries = vec![
            YamlEntry {
                comment_above: self.comment.map(str::to_owned),
                ..YamlEntry::new("group", Yaml::text(&self.group))
            },
            YamlEntry::new("cancel-in-progress", Yaml::Boolean(is_cancelled)),
        ];
        // GitHub refuses this beside a cancellation.
        if self.policy == ConcurrencyPolicy::KeepAll {
            entries
                .push(YamlEntry::new("queue", Yaml::text("max")).with_comment(
                    "without it, a run that waits is thrown away when another comes",
                ));
        }
        entries
    }
}

impl Job {
    fn entries(&self) -> Vec<YamlEntry> {
        let mut entries = vec![YamlEntry::new("name", Yaml::text(self.id))];
        let needs: Vec<String> = self.needs.iter().map(|id| (*id).to_owned()).collect();
        if !needs.is_empty() {
            entries.push(YamlEntry::new("needs", Yaml::one_or_many(&needs)));
        }
        if !self.condition.is_empty() {
            entries.push(YamlEntry {
                comment_above: self.condition_comment.map(str::to_owned),
                ..YamlEntry::new("if", Yaml::Folded(self.condition.clone()))
            });
        }
        if let Work::Steps {
            runner,
            container,
            timeout_minutes,
            ..
        } = &self.work
        {
            entries.push(YamlEntry::new("runs-on", Yaml::one_or_many(runner)));
            let container = container.as_ref();
            entries.extend(container.map(|image| YamlEntry::new("container", Yaml::text(image))));
            entries.push(YamlEntry::new(
                "timeout-minutes",
                Yaml::Number(*timeout_minutes),
            ));
        }
        if let Work::Call(workflow, _) = &self.work {
            entries.push(uses(workflow, None));
        }
        let permissions = self.permissions.iter().map(|right| YamlEntry {
            comment: right.reason.map(str::to_owned),
            ..YamlEntry::new(right.name, Yaml::text(right.level))
        });
        entries.push(YamlEntry::new(
            "permissions",
            Yaml::Map(permissions.collect()),
        ));
        if !self.outputs.is_empty() {
            let outputs = self.outputs.iter();
            let outputs = outputs.map(|(name, value)| YamlEntry::new(*name, Yaml::text(value)));
            entries.push(YamlEntry::new("outputs", Yaml::Map(outputs.collect())));
        }
        entries.extend(self.environment.as_ref().map(JobEnvironment::entry));
        match &self.work {
            Work::Call(_, inputs) if inputs.is_empty() => {}
            Work::Call(_, inputs) => {
                entries.push(YamlEntry::new("with", Yaml::Map(inputs.clone())));
            }
            Work::Steps { steps, .. } => {
                let steps = steps.iter().map(|step| Yaml::Map(step.entries()));
                entries.push(YamlEntry::new("steps", Yaml::List(steps.collect())));
            }
        }
        entries
    }

    /// The steps; a call has none.
    #[must_use]
    pub fn steps(&self) -> &[JobStep] {
        match &self.work {
            Work::Call(..) => &[],
            Work::Steps { steps, .. } => steps,
        }
    }
}

impl JobEnvironment {
    fn entry(&self) -> YamlEntry {
        let name = YamlEntry {
            comment: self.comment.map(str::to_owned),
            ..YamlEntry::new("name", Yaml::text(&self.name))
        };
        let rest = match &self.url {
            Some(url) => YamlEntry::new("url", Yaml::text(url)),
            None => YamlEntry::new("deployment", Yaml::Boolean(false)),
        };
        YamlEntry::new("environment", Yaml::Map(vec![name, rest]))
    }
}

impl JobStep {
    fn entries(&self) -> Vec<YamlEntry> {
        let mut entries = Vec::new();
        let name = self.name.as_ref();
        entries.extend(name.map(|name| YamlEntry::new("name", Yaml::text(name))));
        entries.extend(self.id.map(|id| YamlEntry::new("id", Yaml::text(id))));
        match &self.command {
            StepCommand::Uses {
                action,
                version,
                inputs,
            } => {
                entries.push(uses(action, version.as_deref()));
                if !inputs.is_empty() {
                    entries.push(YamlEntry::new("with", Yaml::Map(inputs.clone())));
                }
            }
            StepCommand::Run { script, comment } => entries.push(YamlEntry {
                comment_above: comment.map(str::to_owned),
                ..YamlEntry::new("run", Yaml::text(script))
            }),
        }
        if !self.env.is_empty() {
            let pairs = self.env.iter();
            let pairs = pairs.map(|(name, value)| YamlEntry::new(name, Yaml::text(value)));
            entries.push(YamlEntry::new("env", Yaml::Map(pairs.collect())));
        }
        entries
    }
}

fn uses(action: &str, version: Option<&str>) -> YamlEntry {
    YamlEntry {
        comment: version.map(str::to_owned),
        ..YamlEntry::new("uses", Yaml::text(action))
    }
}
