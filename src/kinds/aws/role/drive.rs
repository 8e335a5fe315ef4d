//! The calls of a role.

use super::{Role, RoleEdit, RoleLive, RoleSpec, edits};
use crate::{
    clouds::{
        CloudError, Clouds, Trouble,
        aws::{NewRole, Writer, wire},
    },
    kinds::{
        Drive, World,
        aws::{Provider, policy::Policy},
    },
    model::{Name, Ref},
};

impl RoleLive {
    /// A role as IAM reports it. `provider` is the ARN of the provider that is ours to remove, and its name.
    ///
    /// # Errors
    /// When one of its documents is no policy.
    pub fn read(
        role: &wire::Role,
        provider: Option<(&str, Ref<Provider>)>,
    ) -> Result<Self, CloudError> {
        let wire::Role {
            name,
            arn,
            path,
            trust,
            description,
            max_session,
            boundary,
            tags,
            inline,
            attached,
        } = role;
        let document = |what: &str, text: &str| {
            Policy::parse(text).map_err(|error| {
                let doing = format!("read {what} of role {name}");
                CloudError::aws(doing, Trouble::Unreadable, error.to_string())
            })
        };
        let policies = inline
            .iter()
            .map(|(name, text)| Ok((name.clone(), document(name, text)?)));
        let provider = provider
            .filter(|(arn, _)| role.brief().trusts(arn))
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
async fn make(aws: &Writer, spec: &RoleSpec, trust: &Policy) -> Result<wire::Role, CloudError> {
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
        trust: trust.text(),
        description,
        max_session: *max_session,
        boundary: boundary.as_deref(),
        tags,
    };
    let made = aws.create_role(&new).await;
    let there = aws.role(name).await?;
    match (there, made) {
        (Some(role), Ok(())) => Ok(role),
        // An attempt whose answer was lost bears our tags and stands on our path.
        (Some(role), Err(_))
            if role.path == *path && tags.iter().all(|(k, v)| role.tags.get(k) == Some(v)) =>
        {
            Ok(role)
        }
        (_, Err(error)) => Err(error),
        (None, Ok(())) => Err(CloudError::aws(
            format!("make role {name}"),
            Trouble::Ambiguous,
            "it does not show",
        )),
    }
}

/// Carries one edit out; the role as it is then.
async fn change(aws: &Writer, live: &RoleLive, edit: &RoleEdit) -> Result<RoleLive, CloudError> {
    let (name, mut after) = (live.name.as_str(), live.clone());
    match edit {
        RoleEdit::Trust(_, to) => {
            aws.put_trust(name, &to.text()).await?;
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
        RoleEdit::Boundary(_, to) => {
            aws.put_boundary(name, to.as_deref()).await?;
            after.boundary.clone_from(to);
        }
        RoleEdit::Tags(change) => {
            aws.tag_role(name, &change.set, &change.gone).await?;
            after.tags = change.applied_to(&live.tags);
        }
        RoleEdit::Policy(policy, _, to) => {
            let text = to.as_ref().map(|to| to.text());
            aws.put_role_policy(name, policy, text.as_deref()).await?;
            after.policies.remove(policy);
            after
                .policies
                .extend(to.as_ref().map(|to| (policy.clone(), (**to).clone())));
        }
        RoleEdit::Attached(arn, attached) => {
            aws.attach(name, arn, *attached).await?;
            after.managed.remove(arn);
            after.managed.extend(attached.then(|| arn.clone()));
        }
    }
    Ok(after)
}

impl Drive for Role {
    async fn create(
        clouds: &Clouds,
        _: &Name,
        spec: &RoleSpec,
        world: &World,
    ) -> Result<RoleLive, CloudError> {
        let aws = clouds.aws()?;
        let org = spec.trust.org();
        let made = make(aws, spec, &spec.trust.policy(&spec.account, org)).await?;
        let mut live = RoleLive::read(&made, None)?;
        live.provider.clone_from(&spec.provider);
        for edit in edits(spec, &live, org) {
            live = Self::edit(clouds, &live, &edit, world).await?;
        }
        Ok(live)
    }

    /// One call, and then looks until it shows: IAM spreads changes within seconds.
    async fn edit(
        clouds: &Clouds,
        live: &RoleLive,
        edit: &RoleEdit,
        _: &World,
    ) -> Result<RoleLive, CloudError> {
        let after = change(clouds.aws()?, live, edit).await?;
        let shows = |role: &wire::Role| {
            let now = RoleLive::read(role, None);
            now.is_ok_and(|now| {
                RoleLive {
                    provider: after.provider.clone(),
                    ..now
                } == after
            })
        };
        clouds.aws()?.until(&after.name, shows).await?;
        Ok(after)
    }

    /// IAM removes a role only when nothing hangs on it any more, so that goes first: what is there now, not what was
    /// there when the plan was made.
    async fn delete(clouds: &Clouds, live: &RoleLive, _: &World) -> Result<(), CloudError> {
        let aws = clouds.aws()?;
        let Some(now) = aws.role(&live.name).await? else {
            return Ok(());
        };
        if now.arn != live.arn {
            let what = format!("another has been made under its name: {}", now.arn);
            return Err(CloudError::aws(
                format!("remove role {}", live.name),
                Trouble::Conflict,
                what,
            ));
        }
        for policy in now.inline.keys() {
            aws.put_role_policy(&live.name, policy, None).await?;
        }
        for arn in &now.attached {
            aws.attach(&live.name, arn, false).await?;
        }
        aws.delete_role(&live.name, &live.path).await
    }
}
