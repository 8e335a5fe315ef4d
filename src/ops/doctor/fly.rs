//! The tokens for Fly.io: whether they are set, which organization they are for, and whether they may read.
//!
//! Whether a token may also write cannot be asked without writing.

use futures_util::future::join_all;

use super::{DoctorFinding, FindingArea::Fly};
use crate::clouds::{
    CloudError, ErrorKind, RegistryClient,
    fly::{CurrentToken, FlyReader},
};

/// A token, and what it has to be for.
#[derive(Clone, Debug)]
pub struct FlyProbe {
    /// The manifest.
    pub place: String,
    /// The variable that holds the token.
    pub variable: String,
    /// The organization.
    pub org: String,
    /// The clients that use it; `None` where the variable is not set.
    pub clients: Option<(FlyReader, RegistryClient)>,
}

impl FlyProbe {
    fn wrong(&self, message: String, step: String) -> DoctorFinding {
        DoctorFinding::wrong(Fly, &self.place, message, step)
    }

    fn token_step(&self) -> String {
        format!(
            "export {}=\"$(fly tokens create org --org {})\"",
            self.variable, self.org
        )
    }
}

/// Asks Fly about every token at once.
pub async fn check_fly(probes: &[FlyProbe]) -> Vec<DoctorFinding> {
    let findings = join_all(probes.iter().map(check_token)).await;
    findings.into_iter().flatten().collect()
}

async fn check_token(probe: &FlyProbe) -> Vec<DoctorFinding> {
    let Some((fly, registry)) = &probe.clients else {
        let (variable, org) = (&probe.variable, &probe.org);
        let message =
            format!("{variable} is not set: it holds the token for the organization {org}");
        return vec![probe.wrong(message, probe.token_step())];
    };
    let (tokens, slug, machines, access) = tokio::join!(
        fly.current_tokens(),
        fly.get_org_raw_slug(&probe.org),
        fly.list_org_machines(&probe.org),
        registry.check_access(),
    );
    let tokens = match tokens {
        Ok(tokens) => tokens,
        Err(error) if error.kind == ErrorKind::PermissionDenied => {
            let message = format!(
                "Fly does not accept {}: it is wrong, has run out, or was revoked",
                probe.variable
            );
            return vec![probe.wrong(message, probe.token_step())];
        }
        Err(error) => return vec![failed(probe, &error)],
    };
    let mut findings: Vec<DoctorFinding> = check_scope(probe, &tokens, slug.ok().as_deref())
        .into_iter()
        .collect();
    if findings.is_empty() {
        findings.extend(check_read(probe, machines.map(drop)));
    }
    match access {
        Err(error) if error.kind == ErrorKind::PermissionDenied => findings.push(probe.wrong(
            format!(
                "registry.fly.io does not accept {}: no image can be looked up or pushed",
                probe.variable
            ),
            probe.token_step(),
        )),
        Err(error) => findings.push(failed(probe, &error)),
        Ok(()) => {}
    }
    findings
}

/// Whether one of the tokens is for the whole organization. A user's token is for all of that user's.
fn check_scope(
    probe: &FlyProbe,
    tokens: &[CurrentToken],
    slug: Option<&str>,
) -> Option<DoctorFinding> {
    let is_ours = |token: &&CurrentToken| {
        token.org_slug == probe.org || slug.is_some_and(|slug| token.org_slug == slug)
    };
    let (variable, org) = (&probe.variable, &probe.org);
    if tokens.is_empty() || tokens.iter().any(|token| token.user.is_some()) {
        return None;
    }
    let ours: Vec<&CurrentToken> = tokens.iter().filter(is_ours).collect();
    if ours.is_empty() {
        let others: Vec<&str> = tokens.iter().map(|token| token.org_slug.as_str()).collect();
        let others = others.join(", ");
        return Some(probe.wrong(
            format!("{variable} is for the organization {others}, and the manifest is for {org}"),
            probe.token_step(),
        ));
    }
    let is_limited = |token: &&&CurrentToken| {
        let apps = token.apps.as_deref();
        apps.is_some_and(|apps| !apps.is_empty())
    };
    let limited: Vec<&str> = ours
        .iter()
        .filter(is_limited)
        .flat_map(|token| token.apps.iter().flatten())
        .map(String::as_str)
        .collect();
    (ours.iter().filter(is_limited).count() == ours.len()).then(|| {
        let apps = limited.join(", ");
        probe.wrong(
            format!(
                "{variable} is only for {apps}: what runs in {org} cannot be seen as a whole, and no app can be made"
            ),
            probe.token_step(),
        )
    })
}

fn check_read(probe: &FlyProbe, machines: Result<(), CloudError>) -> Option<DoctorFinding> {
    let error = machines.err()?;
    Some(match error.kind {
        ErrorKind::PermissionDenied | ErrorKind::NotFound => probe.wrong(
            format!(
                "{} may not read the organization {}, or there is none of this name",
                probe.variable, probe.org
            ),
            probe.token_step(),
        ),
        _ => failed(probe, &error),
    })
}

fn failed(probe: &FlyProbe, error: &CloudError) -> DoctorFinding {
    DoctorFinding::failed(Fly, &probe.place, format!("cannot {error}"))
}
