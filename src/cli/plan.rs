//! `trimtab plan`: what `apply` would do, in order. Its clients cannot write. On GitHub it can say so in a comment.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use futures_util::future::join_all;

use super::{
    CommandContext, CommandError, commit,
    connect::token_variable,
    console::warn_of_unused_permissions,
    exit, github,
    look::{self, EnvironmentLook, PlannedEnvironment, with_results},
    plan_comment, plan_file,
    session::{InputArgs, PlanningArgs, Session, TargetArgs, global_command_args, load_manifest},
};
use crate::{
    manifest::SecretsMode,
    model::Address,
    ops::check_known_addresses,
    plan::{Plan, Refusal, refusals},
    render::{self, Headline},
};

/// Show what `apply` would do, in order.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The environments: the stems of their manifests' file names
    #[arg(value_name = "ENV", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    planning: PlanningArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: PlanFormat,
    /// Write the plan to a file for `apply --plan`; it holds no secrets
    #[arg(long, value_name = "FILE", conflicts_with = "comment")]
    out: Option<PathBuf>,
    /// Exit with 2 when there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Explain one resource: why it changes, what it waits for, and what waits for it
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse, conflicts_with = "comment")]
    why: Option<Address>,
    /// Do without the secrets that are not set, in a job that has none: whether one has changed is then not shown
    #[arg(long)]
    no_secrets: bool,
    /// Write the plans into one comment of the pull request, and mark the changes at the lines of the manifests
    ///
    /// On GitHub Actions, the comment is made once and then updated. Its first line holds the ids of the plans for
    /// `apply --expect-reviewed`. A comment that GitHub refuses is only a warning. Elsewhere the text of the comment is printed.
    /// Implies --no-secrets. An environment whose Fly token is not set is left out.
    #[arg(long, conflicts_with = "format")]
    comment: bool,
}

/// The output format of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PlanFormat {
    /// Text, for people.
    #[default]
    Text,
    /// Markdown, for a comment on a pull request.
    Markdown,
    /// JSON, as `trimtab schema --of plan` describes it.
    Json,
    /// JSON in the format of `terraform show -json`.
    TfJson,
}

impl PlanFormat {
    /// Prints the plan in this format.
    fn print(
        self,
        context: &CommandContext<'_>,
        plan: &Plan,
        refusals: &[Refusal],
        headline: &Headline,
    ) -> std::io::Result<()> {
        let ui = context.ui;
        match self {
            Self::Text => ui.print(&render::text::plan(
                plan,
                refusals,
                headline,
                &ui.stdout_options(),
            )),
            Self::Markdown => ui.print(&render::markdown::plan(
                plan,
                refusals,
                headline,
                render::markdown::COMMENT_BUDGET,
            )),
            Self::Json => ui.print_json(render::json::plan(plan, refusals, headline)),
            Self::TfJson => ui.print_json(render::tfjson::plan(plan)),
        }
    }
}

pub(super) async fn run(context: &CommandContext<'_>, args: &PlanArgs) -> Result<u8, CommandError> {
    if let (Some(option), [_, _, ..]) = (args.single_environment_option(), &args.names[..]) {
        return Err(
            CommandError::new(format!("{option} is for one environment"))
                .with_hint("name one, or leave the option out"),
        );
    }
    let outcomes = look_at_all(context, args).await;
    let result = show(context, args, &outcomes).await;
    look::close(outcomes).await;
    result
}

impl PlanArgs {
    /// The option that makes sense for a single environment only.
    fn single_environment_option(&self) -> Option<&'static str> {
        let is_document = matches!(self.format, PlanFormat::Json | PlanFormat::TfJson);
        [
            (self.out.is_some(), "--out"),
            (self.why.is_some(), "--why"),
            (is_document, "a JSON format"),
        ]
        .into_iter()
        .find_map(|(is_given, option)| is_given.then_some(option))
    }

    fn secrets_mode(&self) -> SecretsMode {
        if self.no_secrets || self.comment {
            SecretsMode::Lenient
        } else {
            SecretsMode::Required
        }
    }

    fn target(&self, environment: &str) -> TargetArgs {
        TargetArgs {
            environment: environment.to_owned(),
            inputs: InputArgs {
                multiple_environments: self.names.len() > 1,
                ..self.inputs.clone()
            },
        }
    }
}

/// Looks at all environments at once.
async fn look_at_all(context: &CommandContext<'_>, args: &PlanArgs) -> Vec<EnvironmentLook> {
    let mut opened = Vec::new();
    // One after the other: with the embedded sandbox the first one starts it, and the others find it running.
    let mut names = args.names.clone();
    let mut known = std::collections::BTreeSet::new();
    names.retain(|name| known.insert(name.clone()));
    for environment in names {
        let session = open(context, args, &environment).await;
        opened.push((environment, session));
    }
    let looks = opened.into_iter().map(|(environment, opened)| async move {
        let session = match opened {
            Ok(Ok(session)) => session,
            Ok(Err(reason)) => {
                return EnvironmentLook::NotPlanned {
                    environment,
                    reason,
                };
            }
            Err(error) => return EnvironmentLook::Failed { environment, error },
        };
        match look(context, args, &session).await {
            Ok((plan, refusals)) => {
                let headline = session.headline("plan");
                EnvironmentLook::Planned(Box::new(PlannedEnvironment {
                    session,
                    plan,
                    refusals,
                    headline,
                }))
            }
            Err(error) => {
                session.close().await;
                EnvironmentLook::Failed { environment, error }
            }
        }
    });
    join_all(looks).await
}

/// Opens an environment; the inner error is why it is left out.
async fn open(
    context: &CommandContext<'_>,
    args: &PlanArgs,
    environment: &str,
) -> Result<Result<Session, String>, CommandError> {
    let (target, mode) = (args.target(environment), args.secrets_mode());
    let loaded = load_manifest(context, environment, &target.inputs, mode)?;
    let variable = token_variable(&loaded);
    if args.comment && context.global.sandbox.is_none() && context.env_vars.get(variable).is_none()
    {
        return Ok(Err(format!("{variable} is not set in this job")));
    }
    Session::open_loaded(context, &target, loaded, mode, &args.planning)
        .await
        .map(Ok)
}

async fn look(
    context: &CommandContext<'_>,
    args: &PlanArgs,
    session: &Session,
) -> Result<(Plan, Vec<Refusal>), CommandError> {
    let (plan, world) = session.plan(context, &args.planning.only).await?;
    if let Some(address) = &args.why {
        check_known_addresses(std::slice::from_ref(address), session.desired(), &world)?;
    }
    let refusals = refusals(&plan, &args.planning.limits());
    Ok((plan, refusals))
}

async fn show(
    context: &CommandContext<'_>,
    args: &PlanArgs,
    outcomes: &[EnvironmentLook],
) -> Result<u8, CommandError> {
    let mut worst = exit::OK;
    for (index, outcome) in outcomes.iter().enumerate() {
        if index > 0 {
            context.ui.print("\n")?;
        }
        let code = match outcome {
            EnvironmentLook::Planned(planned) => print_plan(context, args, planned)?,
            EnvironmentLook::NotPlanned {
                environment,
                reason,
            } => {
                context
                    .ui
                    .eprint(&format!("{environment}: not planned here, {reason}"));
                exit::OK
            }
            EnvironmentLook::Failed { error, .. } => error.print(context.ui),
        };
        worst = exit::worst(worst, code);
    }
    if context.ui.is_github() {
        github::append_summary(
            context,
            &with_results(outcomes, |results| {
                render::markdown::environments_summary(results, false)
            }),
        );
        github::set_outputs(context, &outputs(outcomes));
    }
    if args.comment {
        plan_comment::write(context, outcomes).await?;
    }
    let is_left_out =
        |outcome: &EnvironmentLook| matches!(outcome, EnvironmentLook::NotPlanned { .. });
    if outcomes.iter().all(is_left_out) {
        // A required check must not be green for ever because a secret's name is misspelt.
        return Err(CommandError::new("no environment was planned")
            .with_hint("give the job the tokens that read: `fly tokens create readonly`"));
    }
    Ok(worst)
}

/// Prints one plan, and returns the exit code that it alone would have.
fn print_plan(
    context: &CommandContext<'_>,
    args: &PlanArgs,
    planned: &PlannedEnvironment,
) -> Result<u8, CommandError> {
    let PlannedEnvironment {
        session: _,
        plan,
        refusals,
        headline,
    } = planned;
    if let Some(address) = &args.why {
        context.ui.print(&render::text::why(
            plan,
            address,
            &context.ui.stdout_options(),
        ))?;
        return Ok(exit::OK);
    }
    // Outside GitHub the text of the comment is printed instead.
    if !args.comment || context.ui.is_github() {
        args.format.print(context, plan, refusals, headline)?;
    }
    if refusals.is_empty() {
        warn_of_unused_permissions(context, &args.planning.allow_destroy, plan);
    }
    if let Some(file) = &args.out {
        write_plan_file(context, args, file, planned)?;
    }
    Ok(match refusals.is_empty() {
        // A pull-request check must not pass for a plan that `apply` would refuse.
        false => exit::REFUSED,
        true if args.detailed_exitcode && !plan.is_converged() => exit::CHANGES,
        true => exit::OK,
    })
}

fn write_plan_file(
    context: &CommandContext<'_>,
    args: &PlanArgs,
    file: &std::path::Path,
    planned: &PlannedEnvironment,
) -> Result<(), CommandError> {
    let PlannedEnvironment {
        session: _,
        plan,
        refusals,
        headline,
    } = planned;
    plan_file::write(
        file,
        &args.target(&args.names[0]),
        &args.planning,
        plan,
        refusals,
        headline,
    )?;
    let mut command = vec![format!("trimtab apply --plan {}", file.display())];
    command.extend(global_command_args(context));
    context.ui.eprint(&format!(
        "The plan is in {}. Apply it with: {}",
        file.display(),
        command.join(" ")
    ));
    Ok(())
}

/// The outputs of a step on GitHub: for each environment the id of its plan and whether it changes anything, and for the step
/// whether any does. A step with one environment also has its id as `expect`.
fn outputs(outcomes: &[EnvironmentLook]) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let mut has_changes = false;
    for outcome in outcomes {
        let EnvironmentLook::Planned(planned) = outcome else {
            continue;
        };
        let environment = &planned.headline.environment;
        let id = planned.plan.review_id().to_string();
        let changes = !planned.plan.is_converged();
        has_changes |= changes;
        outputs.insert(format!("expect-{environment}"), id.clone());
        outputs.insert(format!("changes-{environment}"), changes.to_string());
        if outcomes.len() == 1 {
            outputs.insert("expect".to_owned(), id);
        }
    }
    let is_complete = outcomes
        .iter()
        .all(|outcome| matches!(outcome, EnvironmentLook::Planned(_)));
    // Without a plan of each, nothing may be concluded from "no changes".
    if is_complete || has_changes {
        outputs.insert("changes".to_owned(), has_changes.to_string());
    }
    // The commit that the manifests are of, so that the next job checks out the same one even where a branch has moved.
    if let Ok(commit) = commit::head_commit() {
        outputs.insert("commit".to_owned(), commit);
    }
    outputs
}
