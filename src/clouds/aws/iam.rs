//! The writes to roles and identity providers. IAM spreads them over the regions within seconds, so what names something
//! new is tried again, and a new role is looked for until it shows.

use std::collections::BTreeMap;

use aws_sdk_iam::types::Tag;

use super::{
    AwsWriter,
    retry::{
        PropagationBackoff, RETRYABLE_ON_IAM_WRITE, RETRYABLE_ON_NEW_ROLE,
        RETRYABLE_ON_POLICY_ATTACHMENT, RETRYABLE_ON_ROLE_DELETION, retry,
    },
    types::RoleDescription,
};
use crate::clouds::{CloudError, ErrorKind};

/// A role that is to be made.
#[derive(Clone, Debug)]
pub struct NewRole<'a> {
    /// Its name, unique in the account whatever its case.
    pub name: &'a str,
    /// Its path, with a slash at both ends.
    pub path: &'a str,
    /// Who may take it: a policy document.
    pub trust_policy: String,
    /// What it is for.
    pub description: &'a str,
    /// The longest session, in seconds: 3600 to 43200.
    pub max_session_duration: i32,
    /// The ARN of its permissions boundary.
    pub permissions_boundary: Option<&'a str>,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
}

/// Tags as IAM takes them.
fn iam_tags_to_sdk(doing: &str, tags: &BTreeMap<String, String>) -> Result<Vec<Tag>, CloudError> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let all: Result<_, _> = tags.iter().map(tag).collect();
    all.map_err(|error| CloudError::new_aws(doing, ErrorKind::Rejected, error.to_string()))
}

/// What is gone already, or was never there, is as it should be.
fn ignore_not_found(answer: Result<(), CloudError>) -> Result<(), CloudError> {
    match answer {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

impl AwsWriter {
    async fn retry_iam<T, E: super::retry::OperationError, F>(
        &self,
        doing: &str,
        these: &[&str],
        call: impl Fn() -> F,
    ) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, aws_sdk_s3::error::SdkError<E>>>,
    {
        retry(self.settings().speed, doing, these, call).await
    }

    /// Makes a provider; one that is there already is no error.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_oidc_provider(
        &self,
        url: &str,
        audience: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), CloudError> {
        let doing = format!("make the identity provider {url}");
        let tags = iam_tags_to_sdk(&doing, tags)?;
        let made = self.retry_iam(&doing, RETRYABLE_ON_IAM_WRITE, || {
            let asked = self
                .account
                .iam()
                .create_open_id_connect_provider()
                .url(url);
            asked
                .client_id_list(audience)
                .set_tags(Some(tags.clone()))
                .send()
        });
        match made.await {
            Err(error) if !error.message.contains("EntityAlreadyExists") => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets a provider's tokens be for one more audience.
    ///
    /// # Errors
    /// As every request.
    pub async fn add_audience(&self, arn: &str, audience: &str) -> Result<(), CloudError> {
        let doing = format!("add the audience {audience} to {arn}");
        self.retry_iam(&doing, RETRYABLE_ON_NEW_ROLE, || {
            let asked = self
                .account
                .iam()
                .add_client_id_to_open_id_connect_provider();
            asked
                .open_id_connect_provider_arn(arn)
                .client_id(audience)
                .send()
        })
        .await
        .map(drop)
    }

    /// A role that trusts a provider, by its name. Roles that were removed a moment ago are listed for some seconds more, so
    /// one that is there is looked for until it stays.
    ///
    /// # Errors
    /// As every request.
    pub async fn find_role_trusting(&self, provider: &str) -> Result<Option<String>, CloudError> {
        let mut pauses = PropagationBackoff::new(self.settings().speed);
        loop {
            let trusting = self
                .list_roles("/")
                .await?
                .into_iter()
                .find(|role| role.trusts(provider));
            let Some(role) = trusting else {
                return Ok(None);
            };
            if !pauses.wait().await {
                return Ok(Some(role.name));
            }
        }
    }

    /// Removes a provider; it is no error when it is gone already.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_oidc_provider(&self, arn: &str) -> Result<(), CloudError> {
        let doing = format!("remove the identity provider {arn}");
        let gone = self.retry_iam(&doing, RETRYABLE_ON_IAM_WRITE, || {
            self.account
                .iam()
                .delete_open_id_connect_provider()
                .open_id_connect_provider_arn(arn)
                .send()
        });
        ignore_not_found(gone.await.map(drop))?;
        self.wait_until_gone(&doing, async || {
            Ok(self.read_oidc_provider(arn).await?.is_some())
        })
        .await
    }

    /// Reads until what was removed shows no more, or the plan that proves a run would find it again. After two minutes it
    /// counts as gone: the next plan tells.
    async fn wait_until_gone<F: Future<Output = Result<bool, CloudError>>>(
        &self,
        doing: &str,
        shows: impl Fn() -> F,
    ) -> Result<(), CloudError> {
        let mut pauses = PropagationBackoff::new(self.settings().speed);
        loop {
            match shows().await {
                Ok(false) => return Ok(()),
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind,
                        ErrorKind::PermissionDenied | ErrorKind::Rejected
                    ) =>
                {
                    return Err(error);
                }
                _ => {}
            }
            if !pauses.wait().await {
                tracing::warn!(doing, "removed, and still visible after two minutes");
                return Ok(());
            }
        }
    }

    /// Makes a role, and returns when reading shows it. One of this name that is there already is a conflict.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_role(&self, new: &NewRole<'_>) -> Result<(), CloudError> {
        let NewRole {
            name,
            path,
            trust_policy: trust,
            description,
            max_session_duration: max_session,
            permissions_boundary: boundary,
            tags,
        } = new;
        let doing = format!("make role {name}");
        let tags = iam_tags_to_sdk(&doing, tags)?;
        self.retry_iam(&doing, RETRYABLE_ON_IAM_WRITE, || {
            let asked = self
                .account
                .iam()
                .create_role()
                .role_name(*name)
                .path(*path);
            asked
                .assume_role_policy_document(trust)
                .set_description((!description.is_empty()).then(|| (*description).to_owned()))
                .max_session_duration(*max_session)
                .set_permissions_boundary(boundary.map(str::to_owned))
                .set_tags(Some(tags.clone()))
                .send()
        })
        .await?;
        let mut pauses = PropagationBackoff::new(self.settings().speed);
        while self.read_role(name).await?.is_none() {
            if !pauses.wait().await {
                let what = "it was made, and does not show after two minutes";
                return Err(CloudError::new_aws(&doing, ErrorKind::Ambiguous, what));
            }
        }
        Ok(())
    }

    /// Reads a role until it is as it shall be. After two minutes a change counts all the same: the next plan tells
    /// whether it was lost.
    ///
    /// # Errors
    /// As every request.
    pub async fn wait_for_role(
        &self,
        role: &str,
        shows: impl Fn(&RoleDescription) -> bool,
    ) -> Result<(), CloudError> {
        let mut pauses = PropagationBackoff::new(self.settings().speed);
        loop {
            match self.read_role(role).await {
                Ok(Some(there)) if shows(&there) => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind,
                        ErrorKind::PermissionDenied | ErrorKind::Rejected
                    ) =>
                {
                    return Err(error);
                }
                _ => {}
            }
            if !pauses.wait().await {
                tracing::warn!(role, "changed, and not visible after two minutes");
                return Ok(());
            }
        }
    }

    /// Sets who may take a role.
    ///
    /// # Errors
    /// As every request.
    pub async fn update_trust_policy(&self, role: &str, document: &str) -> Result<(), CloudError> {
        let doing = format!("set who may take role {role}");
        self.retry_iam(&doing, RETRYABLE_ON_NEW_ROLE, || {
            let asked = self
                .account
                .iam()
                .update_assume_role_policy()
                .role_name(role);
            asked.policy_document(document).send()
        })
        .await
        .map(drop)
    }

    /// Sets what a role is for and how long a session may last, in seconds.
    ///
    /// # Errors
    /// As every request.
    pub async fn update_role(
        &self,
        role: &str,
        description: &str,
        max_session: i32,
    ) -> Result<(), CloudError> {
        let doing = format!("set the session of role {role}");
        self.retry_iam(&doing, RETRYABLE_ON_NEW_ROLE, || {
            let asked = self.account.iam().update_role().role_name(role);
            asked
                .description(description)
                .max_session_duration(max_session)
                .send()
        })
        .await
        .map(drop)
    }

    /// Sets the permissions boundary of a role, or takes it away.
    ///
    /// # Errors
    /// As every request.
    pub async fn put_permissions_boundary(
        &self,
        role: &str,
        boundary: Option<&str>,
    ) -> Result<(), CloudError> {
        let doing = format!("set the permissions boundary of role {role}");
        let Some(arn) = boundary else {
            let gone = self.retry_iam(&doing, RETRYABLE_ON_IAM_WRITE, || {
                self.account
                    .iam()
                    .delete_role_permissions_boundary()
                    .role_name(role)
                    .send()
            });
            return ignore_not_found(gone.await.map(drop));
        };
        self.retry_iam(&doing, RETRYABLE_ON_POLICY_ATTACHMENT, || {
            let asked = self
                .account
                .iam()
                .put_role_permissions_boundary()
                .role_name(role);
            asked.permissions_boundary(arn).send()
        })
        .await
        .map(drop)
    }

    /// Sets tags of a role, and takes others away.
    ///
    /// # Errors
    /// As every request.
    pub async fn update_role_tags(
        &self,
        role: &str,
        set: &BTreeMap<String, String>,
        gone: &[String],
    ) -> Result<(), CloudError> {
        let doing = format!("set the tags of role {role}");
        let tags = iam_tags_to_sdk(&doing, set)?;
        // First what goes: to IAM a key is the same in another case, and one that is renamed so would go again.
        if !gone.is_empty() {
            self.retry_iam(&doing, RETRYABLE_ON_NEW_ROLE, || {
                self.account
                    .iam()
                    .untag_role()
                    .role_name(role)
                    .set_tag_keys(Some(gone.to_vec()))
                    .send()
            })
            .await?;
        }
        if !tags.is_empty() {
            self.retry_iam(&doing, RETRYABLE_ON_NEW_ROLE, || {
                self.account
                    .iam()
                    .tag_role()
                    .role_name(role)
                    .set_tags(Some(tags.clone()))
                    .send()
            })
            .await?;
        }
        Ok(())
    }

    /// Sets one of a role's own policies, or takes it away.
    ///
    /// # Errors
    /// As every request.
    pub async fn set_role_policy(
        &self,
        role: &str,
        policy: &str,
        document: Option<&str>,
    ) -> Result<(), CloudError> {
        let doing = format!("set the policy {policy} of role {role}");
        let Some(document) = document else {
            let gone = self.retry_iam(&doing, RETRYABLE_ON_IAM_WRITE, || {
                self.account
                    .iam()
                    .delete_role_policy()
                    .role_name(role)
                    .policy_name(policy)
                    .send()
            });
            return ignore_not_found(gone.await.map(drop));
        };
        self.retry_iam(&doing, RETRYABLE_ON_NEW_ROLE, || {
            let asked = self
                .account
                .iam()
                .put_role_policy()
                .role_name(role)
                .policy_name(policy);
            asked.policy_document(document).send()
        })
        .await
        .map(drop)
    }

    /// Attaches a managed policy to a role, or detaches it.
    ///
    /// # Errors
    /// As every request.
    pub async fn set_policy_attachment(
        &self,
        role: &str,
        arn: &str,
        attached: bool,
    ) -> Result<(), CloudError> {
        if attached {
            let doing = format!("attach {arn} to role {role}");
            let done = self.retry_iam(&doing, RETRYABLE_ON_POLICY_ATTACHMENT, || {
                self.account
                    .iam()
                    .attach_role_policy()
                    .role_name(role)
                    .policy_arn(arn)
                    .send()
            });
            return done.await.map(drop);
        }
        let doing = format!("detach {arn} from role {role}");
        let gone = self.retry_iam(&doing, RETRYABLE_ON_IAM_WRITE, || {
            self.account
                .iam()
                .detach_role_policy()
                .role_name(role)
                .policy_arn(arn)
                .send()
        });
        ignore_not_found(gone.await.map(drop))
    }

    /// Removes a role below a path that has no policies any more; it is no error when it is gone already.
    ///
    /// # Errors
    /// As every request; one that still holds something is a conflict.
    pub async fn delete_role(&self, role: &str, path: &str) -> Result<(), CloudError> {
        let doing = format!("remove role {role}");
        let gone = self.retry_iam(&doing, RETRYABLE_ON_ROLE_DELETION, || {
            self.account.iam().delete_role().role_name(role).send()
        });
        ignore_not_found(gone.await.map(drop))?;
        let shows = async || {
            let (there, listed) = tokio::join!(self.read_role(role), self.list_roles(path));
            Ok(there?.is_some() || listed?.iter().any(|one| one.name == role))
        };
        self.wait_until_gone(&doing, shows).await
    }
}
