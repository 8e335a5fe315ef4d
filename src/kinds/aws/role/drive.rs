//! The calls of a role.

use super::{Role, RoleEdit, RoleLive, RoleSpec, compute_edits};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        aws::{AwsWriter, NewRole, types},
    },
    iam::policy::PolicyDocument,
    kinds::{CloudWriters, Drive, World, aws::OidcProvider},
    model::{Name, ResourceRef},
};

impl RoleLive {
    /// A role as IAM reports it. `provider` is the ARN of the provider that is ours to remove, and its name.
    ///
    /// # Errors
    /// When one of its documents is no policy.
    pub fn from_iam(
        role: &types::RoleDescription,
        provider: Option<(&str, ResourceRef<OidcProvider>)>,
    ) -> Result<Self, CloudError> {
        let types::RoleDescription {
            name,
            arn,
            path,
            trust_policy: trust,
            description,
            max_session_duration: max_session,
            permissions_boundary: boundary,
            tags,
            inline_policies: inline,
            attached_policies: attached,
        } = role;
        let document = |what: &str, text: &str| {
            PolicyDocument::parse(text).map_err(|error| {
                let doing = format!("read {what} of role {name}");
                CloudError::new_aws(doing, ErrorKind::InvalidResponse, error.to_string())
            })
        };
        let policies = inline
            .iter()
            .map(|(name, text)| Ok((name.clone(), document(name, text)?)));
        let provider = provider
            .filter(|(arn, _)| role.summary().trusts(arn))
            .map(|(_, name)| name);
        Ok(Self {
            name: name.clone(),
            arn: arn.clone(),
            path: path.clone(),
            description: description.clone(),
            trust: document("the trust policy", trust)?,
            policies: policies.collect::<Result<_, CloudError>>()?,
            managed: attached.iter().cloned().collect(),
            boundary: boundary.clone(),
            max_session: *max_session,
            tags: tags.clone(),
            provider,
        })
    }
}

/// Makes the role, or finds the one that an unanswered attempt made.
async fn create_or_find_role(
    aws: &AwsWriter,
    spec: &RoleSpec,
    trust: &PolicyDocument,
) -> Result<types::RoleDescription, CloudError> {
    let RoleSpec {
        name,
        path,
        description,
        boundary,
        max_session,
        tags,
        ..
    } = spec;
    let new = NewRole {
        name,
        path,
        trust_policy: trust.to_json_string(),
        description,
        max_session_duration: *max_session,
        permissions_boundary: boundary.as_deref(),
        tags,
    };
    let made = aws.create_role(&new).await;
    let there = aws.read_role(name).await?;
    match (there, made) {
        (Some(role), Ok(())) => Ok(role),
        // An attempt whose answer was lost bears our tags and stands on our path.
        (Some(role), Err(_))
            if role.path == *path && tags.iter().all(|(k, v)| role.tags.get(k) == Some(v)) =>
        {
            Ok(role)
        }
        (_, Err(error)) => Err(error),
        (None, Ok(())) => Err(CloudError::new_aws(
            format!("make role {name}"),
            ErrorKind::Ambiguous,
            "it does not show",
        )),
    }
}

/// Carries one edit out; the role as it is then.
async fn apply_edit(
    aws: &AwsWriter,
    live: &RoleLive,
    edit: &RoleEdit,
) -> Result<RoleLive, CloudError> {
    let (name, mut after) = (live.name.as_str(), live.clone());
    match edit {
        RoleEdit::TrustPolicy(_, to) => {
            aws.update_trust_policy(name, &to.to_json_string()).await?;
            after.trust = (**to).clone();
        }
        RoleEdit::Settings {
            description: (_, text),
            max_session: (_, secs),
        } => {
            aws.update_role(name, text, *secs).await?;
            after.description.clone_from(text);
            after.max_session = *secs;
        }
        RoleEdit::PermissionsBoundary(_, to) => {
            aws.put_permissions_boundary(name, to.as_deref()).await?;
            after.boundary.clone_from(to);
        }
        RoleEdit::Tags(change) => {
            aws.update_role_tags(name, &change.set, &change.removed)
                .await?;
            after.tags = change.apply_to(&live.tags);
        }
        RoleEdit::InlinePolicy(policy, _, to) => {
            let text = to.as_ref().map(|to| to.to_json_string());
            aws.set_role_policy(name, policy, text.as_deref()).await?;
            after.policies.remove(policy);
            after
                .policies
                .extend(to.as_ref().map(|to| (policy.clone(), (**to).clone())));
        }
        RoleEdit::ManagedPolicy(arn, attached) => {
            aws.set_policy_attachment(name, arn, *attached).await?;
            after.managed.remove(arn);
            after.managed.extend(attached.then(|| arn.clone()));
        }
    }
    Ok(after)
}

impl Drive for Role {
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &RoleSpec,
        world: &World,
    ) -> Result<RoleLive, CloudError> {
        let aws = clouds.aws()?;
        let org = spec.trust.org();
        let made =
            create_or_find_role(aws, spec, &spec.trust.to_policy(&spec.account, org)).await?;
        let mut live = RoleLive::from_iam(&made, None)?;
        live.provider.clone_from(&spec.provider);
        for edit in compute_edits(spec, &live, org) {
            live = Self::edit(clouds, &live, &edit, world).await?;
        }
        Ok(live)
    }

    /// One call, and then looks until it shows: IAM spreads changes within seconds.
    async fn edit(
        clouds: &CloudWriters,
        live: &RoleLive,
        edit: &RoleEdit,
        _: &World,
    ) -> Result<RoleLive, CloudError> {
        let after = apply_edit(clouds.aws()?, live, edit).await?;
        let shows = |role: &types::RoleDescription| {
            let now = RoleLive::from_iam(role, None);
            now.is_ok_and(|now| {
                RoleLive {
                    provider: after.provider.clone(),
                    ..now
                } == after
            })
        };
        clouds.aws()?.wait_for_role(&after.name, shows).await?;
        Ok(after)
    }

    /// IAM removes a role only when nothing hangs on it any more, so that goes first: what is there now, not what was
    /// there when the plan was made.
    async fn delete(clouds: &CloudWriters, live: &RoleLive, _: &World) -> Result<(), CloudError> {
        let aws = clouds.aws()?;
        let Some(now) = aws.read_role(&live.name).await? else {
            return Ok(());
        };
        if now.arn != live.arn {
            let what = format!("another has been made under its name: {}", now.arn);
            return Err(CloudError::new_aws(
                format!("remove role {}", live.name),
                ErrorKind::Conflict,
                what,
            ));
        }
        for policy in now.inline_policies.keys() {
            aws.set_role_policy(&live.name, policy, None).await?;
        }
        for arn in &now.attached_policies {
            aws.set_policy_attachment(&live.name, arn, false).await?;
        }
        aws.delete_role(&live.name, &live.path).await
    }
}
