//! Whether the workflows run: their files, their states, what Actions may do, the checks of pull requests.

use std::collections::BTreeSet;

use super::super::{DoctorFinding, FindingArea::Github, Lookup, Unseen};
use super::{GitHubFacts, GitHubQuestions, PLAN_FILE};
use crate::{
    clouds::github::{BranchRule, BranchState, SelectedActions, WorkflowState},
    ops::FileState,
};

/// The checks of a pull request. If `validate` fails, `plan` is skipped, and what is skipped counts as green.
const CHECKS: [&str; 2] = ["plan", "validate"];

pub(super) fn check(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    unseen: &mut Unseen,
) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    let repository = &facts.repository;
    let stated = questions.project.default_branch();
    if repository.default_branch != stated {
        let actual = &repository.default_branch;
        findings.push(DoctorFinding::wrong(
            Github,
            "default branch",
            format!("it is {actual}, and the manifests say {stated}: schedules and deployments by hand run from {actual}"),
            format!("write `default_branch = \"{actual}\"` into [github.workflows], then `trimtab workflows`"),
        ));
    }
    findings.extend(check_files(questions, facts, unseen));
    findings.extend(check_states(questions, facts, unseen));
    findings.extend(check_permissions(questions, facts, unseen));
    if questions.project.shows_plans() {
        findings.extend(check_required(questions, facts, unseen));
        findings.extend(check_merge_queue(questions, facts, unseen));
    }
    if !repository.has_issues && questions.project.drift_schedule().is_some() {
        findings.push(DoctorFinding::wrong(
            Github,
            "issues",
            "they are switched off, and `drift --issue` reports in one",
            format!("gh repo edit {} --enable-issues", questions.repository),
        ));
    }
    findings
}

/// Files that are here and not on the default branch. GitHub knows a schedule and a start by hand only from there.
fn check_files(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    unseen: &mut Unseen,
) -> Vec<DoctorFinding> {
    let branch = questions.project.default_branch();
    let mut findings = Vec::new();
    // A file that cannot be read looks like one that is not there; the branch tells the two apart.
    let Some(_) = look_at_branch(facts, unseen) else {
        return findings;
    };
    let here = questions
        .files
        .iter()
        .filter(|file| !matches!(file.state, FileState::Missing | FileState::LeftOver));
    for file in here {
        let Some(there) = facts.files.get(&file.path) else {
            continue;
        };
        if matches!(there, Lookup::Absent) {
            findings.push(
                DoctorFinding::wrong(
                    Github,
                    &file.path,
                    format!("it is not on {branch}: GitHub starts nothing from it by a schedule or by hand"),
                    format!("git add {0} && git commit --message workflows {0}", file.path),
                )
                .and_step(format!("merge it into {branch}")),
            );
        }
        unseen.look(&file.path, there);
    }
    findings
}

fn look_at_branch<'f>(facts: &'f GitHubFacts, unseen: &mut Unseen) -> Option<&'f BranchState> {
    match &facts.branch {
        Lookup::Absent => {
            let hidden: Lookup<()> = Lookup::Hidden("contents=read".to_owned());
            unseen.look("files on the default branch", &hidden);
            None
        }
        branch => unseen.look("files on the default branch", branch),
    }
}

fn check_states(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    unseen: &mut Unseen,
) -> Vec<DoctorFinding> {
    let Some(workflows) = unseen.look("the states of the workflows", &facts.workflows) else {
        return Vec::new();
    };
    let is_ours = |workflow: &&WorkflowState| {
        let mut files = questions.files.iter();
        files.any(|file| file.path == workflow.path && file.state != FileState::LeftOver)
    };
    let disabled = |workflow: &WorkflowState| {
        let why = match workflow.state.as_str() {
            "disabled_inactivity" => "GitHub has switched it off after 60 days without activity",
            "disabled_fork" => "it is switched off, as in every fork",
            "disabled_manually" => "somebody has switched it off",
            _ => return None,
        };
        let file = workflow.path.rsplit('/').next().unwrap_or_default();
        let repository = questions.repository;
        Some(DoctorFinding::wrong(
            Github,
            &workflow.path,
            why,
            format!("gh workflow enable {file} --repo {repository}"),
        ))
    };
    let ours = workflows.iter().filter(is_ours);
    ours.filter_map(disabled).collect()
}

fn check_permissions(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    unseen: &mut Unseen,
) -> Vec<DoctorFinding> {
    let (place, repository) = ("Actions", questions.repository);
    let settings = format!("https://github.com/{repository}/settings/actions");
    let Some(permissions) = unseen.look("what Actions may do", &facts.permissions) else {
        return Vec::new();
    };
    if !permissions.enabled {
        return vec![DoctorFinding::wrong(
            Github,
            place,
            "they are switched off: no workflow runs",
            format!("gh api --method PUT repos/{repository}/actions/permissions -F enabled=true"),
        )];
    }
    let mut findings = Vec::new();
    let refused = match (permissions.allowed_actions.as_deref(), &facts.selected) {
        (Some("local_only"), _) => {
            let owner = repository.split('/').next().unwrap_or_default();
            let own = |action: &&String| is_owned_by(action, &[owner]);
            let actions = questions.actions.iter();
            actions.filter(|action| !own(action)).cloned().collect()
        }
        (_, Some(selected)) => match unseen.look("which actions are allowed", selected) {
            Some(selected) => find_refused(&questions.actions, selected),
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    if !refused.is_empty() {
        let patterns: Vec<String> = refused.iter().map(|action| pattern_of(action)).collect();
        findings.push(DoctorFinding::wrong(
            Github,
            place,
            format!("{} may not be used here", refused.join(", ")),
            format!(
                "{settings} → Allow specified actions: add {}",
                patterns.join(", ")
            ),
        ));
    }
    let is_pinned = |action: &&String| {
        let reference = action.rsplit('@').next().unwrap_or_default();
        reference.len() >= 40
    };
    let moving = questions.actions.iter().filter(|action| !is_pinned(action));
    let moving: Vec<&str> = moving.map(String::as_str).collect();
    if permissions.sha_pinning_required && !moving.is_empty() {
        findings.push(DoctorFinding::wrong(
            Github,
            place,
            format!(
                "only actions that a commit names may be used, and {} are not",
                moving.join(", ")
            ),
            "write the commit behind `@` in `setup` of [github]; `trimtab workflows` pins its own",
        ));
    }
    findings
}

fn is_owned_by(action: &str, owners: &[&str]) -> bool {
    let owner = action.split('/').next().unwrap_or_default();
    owners.iter().any(|own| own.eq_ignore_ascii_case(owner))
}

/// The actions that the settings refuse. Which creators GitHub has verified cannot be asked, so theirs count as allowed.
fn find_refused(actions: &BTreeSet<String>, selected: &SelectedActions) -> Vec<String> {
    let is_allowed = |action: &&String| {
        if is_owned_by(action, &["actions", "github"]) && selected.github_owned_allowed {
            return true;
        }
        let mut matches = selected.patterns_allowed.iter().map(|pattern| {
            let (is_exception, pattern) = match pattern.strip_prefix('!') {
                Some(pattern) => (true, pattern),
                None => (false, pattern.as_str()),
            };
            let action = action.to_ascii_lowercase();
            let name = action.split('@').next().unwrap_or_default().to_owned();
            let pattern = pattern.to_ascii_lowercase();
            let fits = [action, name]
                .iter()
                .any(|text| super::ref_pattern::matches_any(&pattern, text));
            (fits, is_exception)
        });
        let last = matches.by_ref().filter(|(fits, _)| *fits).last();
        last.map_or(selected.verified_allowed, |(_, is_exception)| !is_exception)
    };
    let actions = actions.iter();
    actions
        .filter(|action| !is_allowed(action))
        .cloned()
        .collect()
}

/// What to allow for an action: every version, since Dependabot moves it.
fn pattern_of(action: &str) -> String {
    let name = action.split('@').next().unwrap_or_default();
    format!("{name}@*")
}

fn check_required(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    unseen: &mut Unseen,
) -> Option<DoctorFinding> {
    let what = "the required checks";
    let rules = unseen.look(what, &facts.rules)?;
    let of_rules = rules.iter().flat_map(BranchRule::required_checks);
    let classic = facts.branch.seen();
    let of_branch = classic.into_iter().flat_map(BranchState::required_checks);
    let required: BTreeSet<&str> = of_rules.chain(of_branch).collect();
    let missing: Vec<&str> = CHECKS
        .into_iter()
        .filter(|check| !required.contains(check))
        .collect();
    if missing.is_empty() {
        return None;
    }
    // The classic protection may require them as well.
    look_at_branch(facts, unseen)?;
    let (branch, repository) = (questions.project.default_branch(), questions.repository);
    Some(DoctorFinding::wrong(
        Github,
        format!("branch {branch}"),
        format!(
            "the checks {} are not required: what they refuse can be merged",
            missing.join(" and ")
        ),
        format!(
            "https://github.com/{repository}/settings/rules/new?target=branch → Require status checks to pass: {}",
            missing.join(", ")
        ),
    ))
}

/// A merge queue waits for ever for checks that do not start in it.
fn check_merge_queue(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    unseen: &mut Unseen,
) -> Option<DoctorFinding> {
    if !facts.has_merge_queue() {
        return None;
    }
    let text = unseen.look(PLAN_FILE, &facts.plan_file)?;
    let starts = text
        .as_deref()
        .is_some_and(|text| text.contains("merge_group"));
    let is_own = questions
        .files
        .iter()
        .any(|file| file.path == PLAN_FILE && !matches!(file.state, FileState::NotOurs(_)));
    let step = match is_own {
        true => "trimtab workflows".to_owned(),
        false => format!("add `merge_group:` below `on:` in {PLAN_FILE}"),
    };
    let branch = questions.project.default_branch();
    (!starts).then(|| {
        DoctorFinding::wrong(
            Github,
            "merge queue",
            format!(
                "{PLAN_FILE} on {branch} does not start in it (merge_group), so nothing is merged"
            ),
            step,
        )
        .and_step(format!("commit it, and merge it into {branch}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(patterns: &[&str], github: bool, verified: bool) -> Vec<String> {
        let actions = [
            "actions/checkout@abc",
            "superfly/flyctl-actions/setup-flyctl@def",
        ];
        let actions = actions.map(str::to_owned).into_iter().collect();
        let selected = SelectedActions {
            github_owned_allowed: github,
            verified_allowed: verified,
            patterns_allowed: patterns.iter().map(|text| (*text).to_owned()).collect(),
        };
        find_refused(&actions, &selected)
    }

    #[test]
    fn patterns_allow_actions_and_take_them_back() {
        let flyctl = "superfly/flyctl-actions/setup-flyctl@def";
        assert_eq!(refused(&[], true, false), [flyctl]);
        assert_eq!(refused(&["superfly/*"], true, false), [""; 0]);
        assert_eq!(
            refused(&["superfly/flyctl-actions/setup-flyctl@*"], true, false),
            [""; 0]
        );
        assert_eq!(
            refused(&["superfly/*", "!superfly/flyctl-actions/*"], true, true),
            [flyctl]
        );
        assert_eq!(refused(&[], true, true), [""; 0]);
        assert_eq!(
            refused(&["superfly/*"], false, false),
            ["actions/checkout@abc"]
        );
    }
}
