//! What a look at one of several environments found: `plan` and `drift` show all of them in one text.

use super::{CommandError, session::Session};
use crate::{
    plan::{Plan, Refusal},
    render::{Headline, markdown::EnvironmentResult},
};

/// One environment, looked at.
pub(super) struct PlannedEnvironment {
    pub(super) session: Session,
    pub(super) plan: Plan,
    pub(super) refusals: Vec<Refusal>,
    pub(super) headline: Headline,
}

/// What became of one environment.
pub(super) enum EnvironmentLook {
    Planned(Box<PlannedEnvironment>),
    /// It was left out, for this reason.
    NotPlanned {
        environment: String,
        reason: String,
    },
    Failed {
        environment: String,
        error: CommandError,
    },
}

impl EnvironmentLook {
    pub(super) fn planned(&self) -> Option<&PlannedEnvironment> {
        match self {
            Self::Planned(planned) => Some(planned),
            Self::NotPlanned { .. } | Self::Failed { .. } => None,
        }
    }

    /// The environment; where its manifest cannot be read, the name under which it was asked for.
    pub(super) fn environment(&self) -> &str {
        match self {
            Self::Planned(planned) => &planned.headline.environment,
            Self::NotPlanned { environment, .. } | Self::Failed { environment, .. } => environment,
        }
    }

    /// The same for a renderer. `message` holds the text of an error.
    fn to_result<'a>(&'a self, message: &'a str) -> EnvironmentResult<'a> {
        match self {
            Self::Planned(planned) => EnvironmentResult::Planned {
                plan: &planned.plan,
                refusals: &planned.refusals,
                headline: &planned.headline,
            },
            Self::NotPlanned {
                environment,
                reason,
            } => EnvironmentResult::NotPlanned {
                environment,
                reason,
            },
            Self::Failed { environment, .. } => EnvironmentResult::Failed {
                environment,
                message,
            },
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Failed { error, .. } => error.summary(),
            _ => String::new(),
        }
    }
}

/// Renders all looks.
pub(super) fn with_results<T>(
    looks: &[EnvironmentLook],
    render: impl FnOnce(&[EnvironmentResult<'_>]) -> T,
) -> T {
    let messages: Vec<String> = looks.iter().map(EnvironmentLook::message).collect();
    let results: Vec<EnvironmentResult<'_>> = looks
        .iter()
        .zip(&messages)
        .map(|(look, message)| look.to_result(message))
        .collect();
    render(&results)
}

/// The project of the environments, as the first manifest that could be read calls it; empty where none could.
pub(super) fn project(looks: &[EnvironmentLook]) -> String {
    let mut planned = looks.iter().filter_map(EnvironmentLook::planned);
    planned
        .next()
        .map(|planned| planned.headline.project.clone())
        .unwrap_or_default()
}

/// The address of the sandbox, where one is used and runs.
pub(super) fn sandbox_url(looks: &[EnvironmentLook]) -> Option<&str> {
    let mut planned = looks.iter().filter_map(EnvironmentLook::planned);
    planned.find_map(|planned| planned.session.sandbox_url())
}

/// Ends the sessions. The first one serves the embedded sandbox to the others, so this comes last.
pub(super) async fn close(looks: Vec<EnvironmentLook>) {
    for look in looks {
        if let EnvironmentLook::Planned(planned) = look {
            planned.session.close().await;
        }
    }
}
