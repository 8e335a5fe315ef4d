//! The secrets and variables that GitHub has to have: what the workflows read.

use std::collections::{BTreeMap, BTreeSet};

use super::model::Workflow;

/// What one environment of GitHub, or the repository, has to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GithubNeeds {
    /// The secrets.
    pub secrets: BTreeSet<String>,
    /// The variables.
    pub vars: BTreeSet<String>,
}

impl GithubNeeds {
    /// What the jobs read, by environment; under the empty name what they read without one.
    #[must_use]
    pub fn of(workflows: &[Workflow]) -> BTreeMap<String, Self> {
        let mut needs: BTreeMap<String, Self> = BTreeMap::new();
        for job in workflows.iter().flat_map(|workflow| &workflow.jobs) {
            let environment = job.environment.as_ref();
            let environment = environment.map(|environment| environment.name.clone());
            for (_, value) in job.steps().iter().flat_map(|step| &step.env) {
                let own = |prefix: &str| {
                    let name = value.strip_prefix(prefix)?.strip_suffix(" }}")?;
                    Some(name.to_owned())
                };
                let (secret, variable) = (own("${{ secrets."), own("${{ vars."));
                if secret.is_some() || variable.is_some() {
                    let needs = needs
                        .entry(environment.clone().unwrap_or_default())
                        .or_default();
                    needs.secrets.extend(secret);
                    needs.vars.extend(variable);
                }
            }
        }
        needs
    }
}
