//! The credentials for AWS: whether there are some, whose they are, and what they may do.
//!
//! IAM can be asked what a policy allows (`SimulatePrincipalPolicy`); who may not ask is only known to be able to read what a
//! plan reads.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::Value;

use super::{DoctorFinding, FindingArea::Aws, FindingKind};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        aws::{AwsReader, types::CallerIdentity},
    },
    kinds::{Desired, aws::role},
    ops::permissions::{Purpose, build_policy},
};

/// The credentials of an environment.
#[derive(Clone, Debug)]
pub struct AwsProbe<'a> {
    /// The environment.
    pub environment: String,
    /// The manifest.
    pub place: String,
    /// What the manifest asks for.
    pub desired: &'a Desired,
    /// The client.
    pub reader: AwsReader,
}

/// Asks AWS about every environment at once.
pub async fn check_aws(probes: &[AwsProbe<'_>]) -> Vec<DoctorFinding> {
    let findings = join_all(probes.iter().map(check_credentials)).await;
    findings.into_iter().flatten().collect()
}

async fn check_credentials(probe: &AwsProbe<'_>) -> Vec<DoctorFinding> {
    let wrong =
        |message: String, step: &str| vec![DoctorFinding::wrong(Aws, &probe.place, message, step)];
    let caller = match probe.reader.caller_identity().await {
        Ok(caller) => caller,
        Err(error) if is_answer(&error) => {
            let step = error.hint().unwrap_or("aws sso login");
            return wrong(format!("the credentials do not work: {error}"), step);
        }
        Err(error) => return vec![failed(probe, &error)],
    };
    let account = &probe.reader.settings().account;
    if caller.account != *account {
        return wrong(
            format!(
                "the credentials are for the account {} ({}), and the manifest is for {account}",
                caller.account, caller.arn
            ),
            "export AWS_PROFILE=PROFILE   # one of the manifest's account: `aws configure list-profiles`",
        );
    }
    let allowed = ask_policy(probe, &caller).await;
    match allowed {
        Ok(denied) => lacking(probe, &caller, denied).into_iter().collect(),
        Err(error) => {
            let mut findings = check_reads(probe, &caller).await;
            if findings.is_empty() {
                findings.push(unknown(probe, &error));
            }
            findings
        }
    }
}

/// Whether AWS, or the chain of credentials, has said no.
fn is_answer(error: &CloudError) -> bool {
    matches!(
        error.kind,
        ErrorKind::PermissionDenied | ErrorKind::Rejected | ErrorKind::NotFound
    )
}

fn failed(probe: &AwsProbe<'_>, error: &CloudError) -> DoctorFinding {
    DoctorFinding::failed(Aws, &probe.place, format!("cannot {error}"))
}

fn unknown(probe: &AwsProbe<'_>, error: &CloudError) -> DoctorFinding {
    match is_answer(error) {
        false => failed(probe, error),
        true => DoctorFinding {
            kind: FindingKind::CannotSee,
            ..DoctorFinding::wrong(
                Aws,
                &probe.place,
                "cannot see what these credentials may write: they lack iam:SimulatePrincipalPolicy",
                format!("compare with `trimtab permissions {}`", probe.environment),
            )
        },
    }
}

/// The actions for an apply that a policy of the caller does not allow. Conditions on what only a real request has are left out.
async fn ask_policy(
    probe: &AwsProbe<'_>,
    caller: &CallerIdentity,
) -> Result<BTreeSet<String>, CloudError> {
    let requests = needed_requests(probe.desired);
    let simulations = requests.iter().map(|(actions, resources)| {
        probe
            .reader
            .find_denied_actions(&caller.arn, actions, resources)
    });
    let mut denied = BTreeSet::new();
    for simulation in join_all(simulations).await {
        denied.extend(simulation?);
    }
    Ok(denied)
}

/// The actions that an apply needs, with the resources that it needs each of them for.
fn needed_requests(desired: &Desired) -> Vec<(Vec<String>, Vec<String>)> {
    let texts = |value: Option<&Value>| match value {
        Some(Value::Array(values)) => values
            .iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect(),
        Some(Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    };
    let policy = build_policy(desired, Purpose::Apply).map(|policy| policy.to_json());
    let statements = policy
        .as_ref()
        .and_then(|policy| policy.get("Statement"))
        .and_then(Value::as_array);
    let statements = statements.into_iter().flatten();
    statements
        .map(|statement| {
            (
                texts(statement.get("Action")),
                texts(statement.get("Resource")),
            )
        })
        .collect()
}

fn lacking(
    probe: &AwsProbe<'_>,
    caller: &CallerIdentity,
    denied: BTreeSet<String>,
) -> Option<DoctorFinding> {
    if denied.is_empty() {
        return None;
    }
    let denied: Vec<String> = denied.into_iter().collect();
    Some(DoctorFinding::wrong(
        Aws,
        &probe.place,
        format!("{} may not {}", caller.arn, denied.join(", ")),
        policy_step(&probe.environment, &caller.arn),
    ))
}

/// How to give the caller the policy.
fn policy_step(environment: &str, arn: &str) -> String {
    let resource = arn.rsplit(':').next().unwrap_or_default();
    let mut parts = resource.split('/');
    let target = match (parts.next(), parts.next()) {
        (Some("assumed-role"), Some(role)) => format!("put-role-policy --role-name {role}"),
        _ => {
            let user = resource.rsplit('/').next().unwrap_or_default();
            format!("put-user-policy --user-name {user}")
        }
    };
    format!(
        "trimtab permissions {environment} > /tmp/policy.json && aws iam {target} --policy-name trimtab --policy-document file:///tmp/policy.json"
    )
}

/// Reads what a plan reads first, and collects what is denied.
async fn check_reads(probe: &AwsProbe<'_>, caller: &CallerIdentity) -> Vec<DoctorFinding> {
    let (reader, desired) = (&probe.reader, probe.desired);
    let path = role::role_path(&desired.meta.mark);
    let buckets = desired.aws_bucket.values();
    let buckets =
        buckets.map(async |spec| reader.read_bucket(&spec.name, &spec.region).await.err());
    let roles = desired.aws_role.values();
    let roles = roles.map(async |spec| reader.read_role(&spec.name).await.err());
    let (buckets, roles, all_roles, all_buckets) = tokio::join!(
        join_all(buckets),
        join_all(roles),
        reader.list_roles(&path),
        reader.list_buckets(&desired.meta.mark.project),
    );
    let errors = buckets.into_iter().chain(roles).flatten();
    let mut denied = BTreeSet::new();
    let all_buckets = match all_buckets {
        Ok(None) => {
            denied
                .insert("list the buckets of the account: it needs s3:ListAllMyBuckets".to_owned());
            None
        }
        other => other.err(),
    };
    let errors = errors.chain(all_roles.err()).chain(all_buckets);
    let mut findings = Vec::new();
    for error in errors {
        if error.kind == ErrorKind::PermissionDenied {
            denied.insert(error.to_string());
        } else {
            findings.push(failed(probe, &error));
        }
    }
    findings.extend(denied.into_iter().map(|error| {
        DoctorFinding::wrong(
            Aws,
            &probe.place,
            format!("cannot {error}"),
            policy_step(&probe.environment, &caller.arn),
        )
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_for_whom_it_concerns() {
        let user = policy_step("production", "arn:aws:iam::123456789012:user/people/ann");
        assert!(user.contains("put-user-policy --user-name ann "), "{user}");
        let role = policy_step("x", "arn:aws:sts::123456789012:assumed-role/deploy/i-1");
        assert!(
            role.contains("put-role-policy --role-name deploy "),
            "{role}"
        );
    }
}
