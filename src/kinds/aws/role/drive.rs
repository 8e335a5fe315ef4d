//! Creates, changes and deletes roles.

use super::{Role, RoleEdit, RoleLive, RoleSpec, RoleUsers, compute_edits, spec::trust_in_nobody};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        aws::{AwsWriter, NewRole, types},
    },
    iam::policy::{LivePolicy, PolicyDocument},
    kinds::{CloudWriters, Drive, World, aws::OidcProvider},
    model::{Name, ResourceRef},
};

impl RoleLive {
    /// The live state from what IAM reports. `provider` is the ARN of the provider that this
    /// environment manages, and the reference to it.
    #[must_use]
    pub fn from_iam(
        role: &types::RoleDescription,
        provider: Option<(&str, ResourceRef<OidcProvider>)>,
    ) -> Self {
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
            instance_profiles,
        } = role;
        let provider = provider
            .filter(|(arn, _)| role.summary().trusts(arn))
            .map(|(_, name)| name);
        Self {
            name: name.clone(),
            arn: arn.clone(),
            path: path.clone(),
            description: description.clone(),
            trust: LivePolicy::parse(trust),
            policies: inline
                .iter()
                .map(|(name, document)| (name.clone(), LivePolicy::parse(document)))
                .collect(),
            managed: attached.iter().cloned().collect(),
            boundary: boundary.clone(),
            max_session: *max_session,
            tags: tags.clone(),
            provider,
            users: RoleUsers {
                instance_profiles: instance_profiles.clone(),
                is_caller: false,
            },
        }
    }
}

/// Creates the role, or finds the one that an earlier attempt created without getting a response.
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
    let created = aws.create_role(&new).await;
    // Read in any case: after an error, this tells whether the creation succeeded all the same.
    let existing = aws.read_role(name).await?;
    match (existing, created) {
        (Some(role), Ok(())) => Ok(role),
        // If only the response was lost, the role has our tags and our path. Any other role of this
        // name belongs to somebody else.
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

/// Applies one edit, and returns the expected state.
async fn apply_edit(
    aws: &AwsWriter,
    live: &RoleLive,
    edit: &RoleEdit,
) -> Result<RoleLive, CloudError> {
    let (name, mut after) = (live.name.as_str(), live.clone());
    match edit {
        RoleEdit::TrustPolicy(_, to) => {
            aws.update_trust_policy(name, &to.to_json_string()).await?;
            after.trust = (**to).clone().into();
        }
        RoleEdit::Settings {
            description: (_, document),
            max_session: (_, max_session),
        } => {
            aws.update_role(name, document, *max_session).await?;
            after.description.clone_from(document);
            after.max_session = *max_session;
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
            let document = to.as_ref().map(|to| to.to_json_string());
            aws.set_role_policy(name, policy, document.as_deref())
                .await?;
            after.policies.remove(policy);
            after.policies.extend(
                to.as_ref()
                    .map(|to| (policy.clone(), (**to).clone().into())),
            );
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
        let first_trust = if spec.trusts_later {
            trust_in_nobody()
        } else {
            spec.trust.to_policy(&spec.account, org)
        };
        let created = create_or_find_role(aws, spec, &first_trust).await?;
        let mut live = RoleLive::from_iam(&created, None);
        live.provider.clone_from(&spec.provider);
        for edit in compute_edits(spec, &live, org) {
            live = Self::edit(clouds, &live, &edit, world).await?;
        }
        Ok(live)
    }

    /// Sends the change and waits until it is visible, since IAM needs some seconds to spread it.
    async fn edit(
        clouds: &CloudWriters,
        live: &RoleLive,
        edit: &RoleEdit,
        _: &World,
    ) -> Result<RoleLive, CloudError> {
        let after = apply_edit(clouds.aws()?, live, edit).await?;
        let shows = |role: &types::RoleDescription| {
            let current = RoleLive {
                provider: after.provider.clone(),
                users: after.users.clone(),
                ..RoleLive::from_iam(role, None)
            };
            current == after
        };
        clouds.aws()?.wait_for_role(&after.name, shows).await?;
        Ok(after)
    }

    /// IAM deletes a role only when it has no policies, so these are removed first: those that it
    /// has now, not those at the time of the plan.
    async fn delete(clouds: &CloudWriters, live: &RoleLive, _: &World) -> Result<(), CloudError> {
        let aws = clouds.aws()?;
        let Some(current) = aws.read_role(&live.name).await? else {
            return Ok(());
        };
        if current.arn != live.arn {
            let message = format!("another has been made under its name: {}", current.arn);
            return Err(CloudError::new_aws(
                format!("remove role {}", live.name),
                ErrorKind::Conflict,
                message,
            ));
        }
        // IAM refuses to delete a role that is in an instance profile, and its instances would be left
        // without rights.
        if let Some(profile) = aws.list_instance_profiles(&live.name).await?.first() {
            return Err(CloudError::new_aws(
                format!("remove role {}", live.name),
                ErrorKind::Rejected,
                format!("it is in the instance profile {profile}: take it out of that first"),
            ));
        }
        for policy in current.inline_policies.keys() {
            aws.set_role_policy(&live.name, policy, None).await?;
        }
        for arn in &current.attached_policies {
            aws.set_policy_attachment(&live.name, arn, false).await?;
        }
        aws.delete_role(&live.name, &live.path).await
    }
}
