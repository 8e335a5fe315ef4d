//! Read operations of IAM: OpenID Connect providers and roles. IAM is one service for the whole account, without regions.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AwsReader,
    read::absent_as_none,
    retry::to_cloud_error,
    types::{OidcProviderDescription, RoleDescription, RoleSummary},
};
use crate::clouds::{CloudError, CloudProvider, ErrorKind, pages::PageLimit};

impl AwsReader {
    /// The OpenID Connect provider with this ARN, if it exists.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn read_oidc_provider(
        &self,
        arn: &str,
    ) -> Result<Option<OidcProviderDescription>, CloudError> {
        let response = self
            .account
            .iam()
            .get_open_id_connect_provider()
            .open_id_connect_provider_arn(arn)
            .send();
        let operation = format!("look up the identity provider {arn}");
        let response = absent_as_none(&operation, response.await, &["NoSuchEntity"])?;
        Ok(response.map(|response| OidcProviderDescription {
            arn: arn.to_owned(),
            audiences: response.client_id_list.unwrap_or_default(),
            tags: iam_tags_from_sdk(response.tags.unwrap_or_default()),
        }))
    }

    /// A role with its inline policies and attached policies. Sends three requests at once, and
    /// then one for each inline policy.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn read_role(&self, name: &str) -> Result<Option<RoleDescription>, CloudError> {
        let operation = format!("look up role {name}");
        let (role, inline, attached) = tokio::join!(
            self.account.iam().get_role().role_name(name).send(),
            self.read_inline_policies(name),
            self.list_attached_policies(name),
        );
        let Some(role) =
            absent_as_none(&operation, role, &["NoSuchEntity"])?.and_then(|response| response.role)
        else {
            return Ok(None);
        };
        Ok(Some(RoleDescription {
            name: role.role_name,
            arn: role.arn,
            path: role.path,
            trust_policy: role.assume_role_policy_document.unwrap_or_default(),
            description: role.description.unwrap_or_default(),
            max_session_duration: role.max_session_duration.unwrap_or(3600),
            permissions_boundary: role
                .permissions_boundary
                .and_then(|boundary| boundary.permissions_boundary_arn),
            tags: iam_tags_from_sdk(role.tags.unwrap_or_default()),
            inline_policies: inline?,
            attached_policies: attached?,
            instance_profiles: Vec::new(),
        }))
    }

    /// A role that may be deleted: with the instance profiles that it is in. They count as none where
    /// these credentials may not list them; a deletion asks again.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn read_role_with_profiles(
        &self,
        name: &str,
    ) -> Result<Option<RoleDescription>, CloudError> {
        let (role, profiles) =
            tokio::join!(self.read_role(name), self.list_instance_profiles(name));
        let instance_profiles = match profiles {
            Err(error) if error.kind == ErrorKind::PermissionDenied => Vec::new(),
            profiles => profiles?,
        };
        Ok(role?.map(|role| RoleDescription {
            instance_profiles,
            ..role
        }))
    }

    /// The names of the instance profiles that a role is in. IAM deletes no role that is in one.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn list_instance_profiles(&self, role: &str) -> Result<Vec<String>, CloudError> {
        let operation = format!("list the instance profiles of role {role}");
        let mut pages = self
            .account
            .iam()
            .list_instance_profiles_for_role()
            .role_name(role)
            .into_paginator()
            .send();
        let mut names = Vec::new();
        let mut limit = PageLimit::new(CloudProvider::Aws);
        while let Some(page) = pages.next().await {
            limit.begin_page(&operation)?;
            let Some(page) = absent_as_none(&operation, page, &["NoSuchEntity"])? else {
                break;
            };
            let profiles = page.instance_profiles.into_iter();
            names.extend(profiles.map(|profile| profile.instance_profile_name));
        }
        names.sort();
        Ok(names)
    }

    async fn read_inline_policies(
        &self,
        role: &str,
    ) -> Result<BTreeMap<String, String>, CloudError> {
        let operation = format!("list the policies of role {role}");
        let mut pages = self
            .account
            .iam()
            .list_role_policies()
            .role_name(role)
            .into_paginator()
            .send();
        let mut names = Vec::new();
        let mut limit = PageLimit::new(CloudProvider::Aws);
        while let Some(page) = pages.next().await {
            limit.begin_page(&operation)?;
            match absent_as_none(&operation, page, &["NoSuchEntity"])? {
                Some(page) => names.extend(page.policy_names),
                None => return Ok(BTreeMap::new()),
            }
        }
        let read = async |policy: String| {
            let operation = format!("read the policy {policy} of role {role}");
            let request = self
                .account
                .iam()
                .get_role_policy()
                .role_name(role)
                .policy_name(&policy);
            let response = absent_as_none(&operation, request.send().await, &["NoSuchEntity"])?;
            Ok::<_, CloudError>(response.map(|response| (policy, response.policy_document)))
        };
        let all = futures_util::future::try_join_all(names.into_iter().map(read)).await?;
        Ok(all.into_iter().flatten().collect())
    }

    async fn list_attached_policies(&self, role: &str) -> Result<Vec<String>, CloudError> {
        let operation = format!("list what is attached to role {role}");
        let mut pages = self
            .account
            .iam()
            .list_attached_role_policies()
            .role_name(role)
            .into_paginator()
            .send();
        let mut arns = Vec::new();
        let mut limit = PageLimit::new(CloudProvider::Aws);
        while let Some(page) = pages.next().await {
            limit.begin_page(&operation)?;
            let Some(page) = absent_as_none(&operation, page, &["NoSuchEntity"])? else {
                break;
            };
            arns.extend(
                page.attached_policies
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|bucket| bucket.policy_arn),
            );
        }
        arns.sort();
        Ok(arns)
    }

    /// The roles of the account under a path; `/` lists all.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn list_roles(&self, path: &str) -> Result<Vec<RoleSummary>, CloudError> {
        let operation = format!("list the roles below {path}");
        let mut pages = self
            .account
            .iam()
            .list_roles()
            .path_prefix(path)
            .into_paginator()
            .send();
        let mut results = Vec::new();
        let mut limit = PageLimit::new(CloudProvider::Aws);
        while let Some(page) = pages.next().await {
            limit.begin_page(&operation)?;
            let page = page.map_err(|error| to_cloud_error(&operation, &error))?;
            results.extend(page.roles.into_iter().map(|role| RoleSummary {
                name: role.role_name,
                path: role.path,
                trust_policy: role.assume_role_policy_document.unwrap_or_default(),
            }));
        }
        Ok(results)
    }

    /// The actions, of those that are given, that the policies of a caller do not allow on these resources
    /// (`iam:SimulatePrincipalPolicy`). What depends on a condition that only a real request can meet counts as allowed.
    ///
    /// # Errors
    /// When a request fails, such as because these credentials may not ask.
    pub async fn find_denied_actions(
        &self,
        caller_arn: &str,
        actions: &[String],
        resources: &[String],
    ) -> Result<BTreeSet<String>, CloudError> {
        let operation = format!("ask IAM what {caller_arn} may do");
        let source = self.policy_source(caller_arn).await;
        let mut denied = BTreeSet::new();
        let mut pages = self
            .account
            .iam()
            .simulate_principal_policy()
            .policy_source_arn(source)
            .set_action_names(Some(actions.to_vec()))
            .set_resource_arns(Some(resources.to_vec()))
            .into_paginator()
            .send();
        let mut limit = PageLimit::new(CloudProvider::Aws);
        while let Some(page) = pages.next().await {
            limit.begin_page(&operation)?;
            let page = page.map_err(|error| to_cloud_error(&operation, &error))?;
            for result in page.evaluation_results.unwrap_or_default() {
                if is_denied(&result) {
                    denied.insert(result.eval_action_name);
                }
            }
        }
        Ok(denied)
    }

    /// The user or the role whose policies a caller has. The ARN of a session does not say the path of its role.
    async fn policy_source(&self, caller_arn: &str) -> String {
        let session = caller_arn.split_once(":assumed-role/");
        let Some((_, session)) = session else {
            return caller_arn.to_owned();
        };
        let name = session.split('/').next().unwrap_or_default();
        let role = self.account.iam().get_role().role_name(name).send().await;
        let known = role.ok().and_then(|response| response.role);
        known.map_or_else(
            || format!("arn:aws:iam::{}:role/{name}", self.settings().account),
            |role| role.arn,
        )
    }
}

/// Whether a result says no, whatever else a request has. With several resources each has its own decision.
fn is_denied(result: &aws_sdk_iam::types::EvaluationResult) -> bool {
    use aws_sdk_iam::types::PolicyEvaluationDecisionType::Allowed;
    let specific = result.resource_specific_results();
    if specific.is_empty() {
        return result.eval_decision != Allowed && result.missing_context_values().is_empty();
    }
    specific.iter().any(|result| {
        result.eval_resource_decision != Allowed && result.missing_context_values().is_empty()
    })
}

fn iam_tags_from_sdk(tags: Vec<aws_sdk_iam::types::Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}
