//! Write operations on roles and identity providers. IAM spreads changes over the regions within
//! seconds, so requests that name something new are retried, and every write returns only when
//! reading shows it.

use std::collections::BTreeMap;

use aws_sdk_iam::types::Tag;

use super::{
    AwsWriter,
    retry::{
        PropagationBackoff, RETRYABLE_ON_IAM_WRITE, RETRYABLE_ON_NEW_ROLE,
        RETRYABLE_ON_POLICY_ATTACHMENT, RETRYABLE_ON_ROLE_DELETION, retry, wait_until,
    },
    types::RoleDescription,
};
use crate::clouds::{CloudError, ErrorKind};

/// A role to create.
#[derive(Clone, Debug)]
pub struct NewRole<'a> {
    /// The name, unique in the account regardless of case.
    pub name: &'a str,
    /// The path, with a slash at both ends.
    pub path: &'a str,
    /// The trust policy: a JSON document.
    pub trust_policy: String,
    /// The description; may be empty.
    pub description: &'a str,
    /// The longest session, in seconds: 3600 to 43200.
    pub max_session_duration: i32,
    /// The ARN of the permissions boundary.
    pub permissions_boundary: Option<&'a str>,
    /// The tags.
    pub tags: &'a BTreeMap<String, String>,
}

/// Converts tags for the IAM SDK.
fn iam_tags_to_sdk(
    operation: &str,
    tags: &BTreeMap<String, String>,
) -> Result<Vec<Tag>, CloudError> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let all: Result<_, _> = tags.iter().map(tag).collect();
    all.map_err(|error| CloudError::new_aws(operation, ErrorKind::Rejected, error.to_string()))
}

/// Deleting what does not exist is a success.
fn ignore_not_found(result: Result<(), CloudError>) -> Result<(), CloudError> {
    match result {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

impl AwsWriter {
    async fn retry_iam<T, E: super::retry::SdkServiceError, F>(
        &self,
        operation: &str,
        retryable_errors: &[&str],
        call: impl Fn() -> F,
    ) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, aws_sdk_s3::error::SdkError<E>>>,
    {
        retry(self.settings().speed, operation, retryable_errors, call).await
    }

    /// Creates a provider. If it exists already, that is not an error.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn create_oidc_provider(
        &self,
        url: &str,
        audience: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), CloudError> {
        let operation = format!("make the identity provider {url}");
        let tags = iam_tags_to_sdk(&operation, tags)?;
        let result = self.retry_iam(&operation, RETRYABLE_ON_IAM_WRITE, || {
            let request = self
                .account
                .iam()
                .create_open_id_connect_provider()
                .url(url);
            request
                .client_id_list(audience)
                .set_tags(Some(tags.clone()))
                .send()
        });
        match result.await {
            Err(error) if !error.message.contains("EntityAlreadyExists") => Err(error),
            _ => Ok(()),
        }
    }

    /// Adds an audience (client ID) to a provider.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn add_audience(&self, arn: &str, audience: &str) -> Result<(), CloudError> {
        let operation = format!("add the audience {audience} to {arn}");
        self.retry_iam(&operation, RETRYABLE_ON_NEW_ROLE, || {
            let request = self
                .account
                .iam()
                .add_client_id_to_open_id_connect_provider();
            request
                .open_id_connect_provider_arn(arn)
                .client_id(audience)
                .send()
        })
        .await
        .map(drop)
    }

    /// The name of a role that trusts a provider. `ListRoles` still shows roles for some seconds
    /// after they were deleted, so a role counts only if it is listed until the timeout.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn find_role_trusting(&self, provider: &str) -> Result<Option<String>, CloudError> {
        let mut backoff = PropagationBackoff::new(self.settings().speed);
        loop {
            let role = self
                .list_roles("/")
                .await?
                .into_iter()
                .find(|role| role.trusts(provider));
            let Some(role) = role else {
                return Ok(None);
            };
            if !backoff.wait().await {
                return Ok(Some(role.name));
            }
        }
    }

    /// Deletes a provider. If it does not exist, that is not an error.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn delete_oidc_provider(&self, arn: &str) -> Result<(), CloudError> {
        let operation = format!("remove the identity provider {arn}");
        let result = self.retry_iam(&operation, RETRYABLE_ON_IAM_WRITE, || {
            self.account
                .iam()
                .delete_open_id_connect_provider()
                .open_id_connect_provider_arn(arn)
                .send()
        });
        ignore_not_found(result.await.map(drop))?;
        self.wait_until_gone(&operation, async || {
            Ok(self.read_oidc_provider(arn).await?.is_some())
        })
        .await
    }

    /// Waits until something that was deleted is no longer visible; otherwise the next plan would
    /// still find it. See [`super::retry::wait_until`].
    async fn wait_until_gone<F: Future<Output = Result<bool, CloudError>>>(
        &self,
        operation: &str,
        is_visible: impl Fn() -> F,
    ) -> Result<(), CloudError> {
        let is_visible = &is_visible;
        let is_gone = || async move {
            match is_visible().await {
                Err(error) if error.is_not_found() => Ok(true),
                visible => visible.map(|visible| !visible),
            }
        };
        wait_until(self.settings().speed, operation, is_gone).await
    }

    /// Creates a role, and returns when reading shows it. If the name is taken, that is an error.
    ///
    /// # Errors
    /// When a request fails.
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
        let operation = format!("make role {name}");
        let tags = iam_tags_to_sdk(&operation, tags)?;
        self.retry_iam(&operation, RETRYABLE_ON_IAM_WRITE, || {
            let request = self
                .account
                .iam()
                .create_role()
                .role_name(*name)
                .path(*path);
            request
                .assume_role_policy_document(trust)
                .set_description((!description.is_empty()).then(|| (*description).to_owned()))
                .max_session_duration(*max_session)
                .set_permissions_boundary(boundary.map(str::to_owned))
                .set_tags(Some(tags.clone()))
                .send()
        })
        .await?;
        let mut backoff = PropagationBackoff::new(self.settings().speed);
        while self.read_role(name).await?.is_none() {
            if !backoff.wait().await {
                let message = "it was made, and does not show after two minutes";
                return Err(CloudError::new_aws(
                    &operation,
                    ErrorKind::Ambiguous,
                    message,
                ));
            }
        }
        Ok(())
    }

    /// Waits until a change of a role is visible, see `retry::wait_until`.
    ///
    /// # Errors
    /// When a request fails for good.
    pub async fn wait_for_role(
        &self,
        role: &str,
        is_changed: impl Fn(&RoleDescription) -> bool,
    ) -> Result<(), CloudError> {
        let is_changed = &is_changed;
        let is_visible = || async move {
            Ok::<_, CloudError>(
                self.read_role(role)
                    .await?
                    .is_some_and(|role| is_changed(&role)),
            )
        };
        wait_until(
            self.settings().speed,
            &format!("change role {role}"),
            is_visible,
        )
        .await
    }

    /// Replaces the trust policy of a role.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn update_trust_policy(&self, role: &str, document: &str) -> Result<(), CloudError> {
        let operation = format!("set who may take role {role}");
        self.retry_iam(&operation, RETRYABLE_ON_NEW_ROLE, || {
            let request = self
                .account
                .iam()
                .update_assume_role_policy()
                .role_name(role);
            request.policy_document(document).send()
        })
        .await
        .map(drop)
    }

    /// Sets the description and the longest session (in seconds) of a role.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn update_role(
        &self,
        role: &str,
        description: &str,
        max_session: i32,
    ) -> Result<(), CloudError> {
        let operation = format!("set the session of role {role}");
        self.retry_iam(&operation, RETRYABLE_ON_NEW_ROLE, || {
            let request = self.account.iam().update_role().role_name(role);
            request
                .description(description)
                .max_session_duration(max_session)
                .send()
        })
        .await
        .map(drop)
    }

    /// Sets the permissions boundary of a role, or removes it if `boundary` is `None`.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn put_permissions_boundary(
        &self,
        role: &str,
        boundary: Option<&str>,
    ) -> Result<(), CloudError> {
        let operation = format!("set the permissions boundary of role {role}");
        let Some(arn) = boundary else {
            let result = self.retry_iam(&operation, RETRYABLE_ON_IAM_WRITE, || {
                self.account
                    .iam()
                    .delete_role_permissions_boundary()
                    .role_name(role)
                    .send()
            });
            return ignore_not_found(result.await.map(drop));
        };
        self.retry_iam(&operation, RETRYABLE_ON_POLICY_ATTACHMENT, || {
            let request = self
                .account
                .iam()
                .put_role_permissions_boundary()
                .role_name(role);
            request.permissions_boundary(arn).send()
        })
        .await
        .map(drop)
    }

    /// Sets some tags of a role and removes others.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn update_role_tags(
        &self,
        role: &str,
        set: &BTreeMap<String, String>,
        result: &[String],
    ) -> Result<(), CloudError> {
        let operation = format!("set the tags of role {role}");
        let tags = iam_tags_to_sdk(&operation, set)?;
        // Remove first: IAM compares keys without regard to case, so if only the case of a key
        // changes, removing the old spelling afterwards would remove the new one as well.
        if !result.is_empty() {
            self.retry_iam(&operation, RETRYABLE_ON_NEW_ROLE, || {
                self.account
                    .iam()
                    .untag_role()
                    .role_name(role)
                    .set_tag_keys(Some(result.to_vec()))
                    .send()
            })
            .await?;
        }
        if !tags.is_empty() {
            self.retry_iam(&operation, RETRYABLE_ON_NEW_ROLE, || {
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

    /// Sets an inline policy of a role, or removes it if `document` is `None`.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn set_role_policy(
        &self,
        role: &str,
        policy: &str,
        document: Option<&str>,
    ) -> Result<(), CloudError> {
        let operation = format!("set the policy {policy} of role {role}");
        let Some(document) = document else {
            let result = self.retry_iam(&operation, RETRYABLE_ON_IAM_WRITE, || {
                self.account
                    .iam()
                    .delete_role_policy()
                    .role_name(role)
                    .policy_name(policy)
                    .send()
            });
            return ignore_not_found(result.await.map(drop));
        };
        self.retry_iam(&operation, RETRYABLE_ON_NEW_ROLE, || {
            let request = self
                .account
                .iam()
                .put_role_policy()
                .role_name(role)
                .policy_name(policy);
            request.policy_document(document).send()
        })
        .await
        .map(drop)
    }

    /// Attaches a managed policy to a role, or detaches it.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn set_policy_attachment(
        &self,
        role: &str,
        arn: &str,
        attached: bool,
    ) -> Result<(), CloudError> {
        if attached {
            let operation = format!("attach {arn} to role {role}");
            let result = self.retry_iam(&operation, RETRYABLE_ON_POLICY_ATTACHMENT, || {
                self.account
                    .iam()
                    .attach_role_policy()
                    .role_name(role)
                    .policy_arn(arn)
                    .send()
            });
            return result.await.map(drop);
        }
        let operation = format!("detach {arn} from role {role}");
        let result = self.retry_iam(&operation, RETRYABLE_ON_IAM_WRITE, || {
            self.account
                .iam()
                .detach_role_policy()
                .role_name(role)
                .policy_arn(arn)
                .send()
        });
        ignore_not_found(result.await.map(drop))
    }

    /// Deletes a role that has no policies left. If it does not exist, that is not an error. `path`
    /// is the role's path.
    ///
    /// # Errors
    /// When a request fails; a role that still has policies is an error.
    pub async fn delete_role(&self, role: &str, path: &str) -> Result<(), CloudError> {
        let operation = format!("remove role {role}");
        let result = self.retry_iam(&operation, RETRYABLE_ON_ROLE_DELETION, || {
            self.account.iam().delete_role().role_name(role).send()
        });
        ignore_not_found(result.await.map(drop))?;
        // `GetRole` and `ListRoles` may be answered by different servers, and the next plan uses
        // both.
        let is_visible = async || {
            let (current, roles) = tokio::join!(self.read_role(role), self.list_roles(path));
            Ok(current?.is_some() || roles?.iter().any(|one| one.name == role))
        };
        self.wait_until_gone(&operation, is_visible).await
    }
}
