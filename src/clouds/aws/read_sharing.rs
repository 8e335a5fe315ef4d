//! Reads the settings of a bucket that let data out or others in: replication and the ACL. No
//! manifest has them, so they are only shown. Both are requested together with the other settings.

use aws_sdk_s3::types as sdk;

use super::{
    AwsReader,
    read::absent_as_none,
    retry::{SdkServiceError, error_code, http_status},
    types::BucketSharing,
};
use crate::clouds::CloudError;

/// The group of everybody, with or without an account (S3 User Guide, "Access control list (ACL)
/// overview", "Amazon S3 predefined groups").
const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
/// The group of everybody with an account on AWS, whoever they are.
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// A setting that was read, or the permission that is missing for it.
type Readable<T> = Result<T, &'static str>;

impl AwsReader {
    /// Who else gets at the content of a bucket. A missing permission is no error: rights that were
    /// granted before trimtab read these settings must stay enough.
    pub(super) async fn read_bucket_sharing(
        &self,
        name: &str,
        region: &str,
    ) -> Result<BucketSharing, CloudError> {
        let (replication, acl) = tokio::try_join!(
            self.read_replication_targets(name, region),
            self.read_acl_grants(name, region)
        )?;
        let missing = [replication.as_ref().err(), acl.as_ref().err()];
        Ok(BucketSharing {
            missing_permissions: missing.into_iter().flatten().copied().collect(),
            replicates_to: replication.unwrap_or_default(),
            acl_grants: acl.unwrap_or_default(),
        })
    }

    async fn read_replication_targets(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Readable<Vec<String>>, CloudError> {
        let response = self
            .account
            .s3(region)
            .get_bucket_replication()
            .bucket(name)
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        if is_denied(&response) {
            return Ok(Err("s3:GetReplicationConfiguration"));
        }
        let operation = format!("read the replication of bucket {name}");
        let codes = ["ReplicationConfigurationNotFoundError", "NotImplemented"];
        let response = absent_as_none(&operation, response, &codes)?;
        let config = response.and_then(|response| response.replication_configuration);
        let rules = config.map(|config| config.rules).unwrap_or_default();
        let enabled = rules
            .into_iter()
            .filter(|rule| rule.status == sdk::ReplicationRuleStatus::Enabled);
        let mut targets: Vec<String> = enabled
            .filter_map(|rule| rule.destination)
            .map(|destination| destination.bucket)
            .collect();
        targets.sort();
        targets.dedup();
        Ok(Ok(targets))
    }

    async fn read_acl_grants(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Readable<Vec<String>>, CloudError> {
        let response = self
            .account
            .s3(region)
            .get_bucket_acl()
            .bucket(name)
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        if is_denied(&response) {
            return Ok(Err("s3:GetBucketAcl"));
        }
        let operation = format!("read the ACL of bucket {name}");
        let response = absent_as_none(&operation, response, &["NotImplemented"])?;
        let Some(response) = response else {
            return Ok(Ok(Vec::new()));
        };
        let owner = response.owner.and_then(|owner| owner.id);
        Ok(Ok(describe_grants(
            owner.as_deref(),
            response.grants.unwrap_or_default(),
        )))
    }
}

/// Whether a request was refused for want of a permission. Other stores answer 403 as well.
fn is_denied<T, E: SdkServiceError>(
    response: &Result<T, aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>>,
) -> bool {
    response.as_ref().is_err_and(|error| {
        http_status(error) == Some(403) && error_code(error) == Some("AccessDenied")
    })
}

/// What an ACL grants to anybody but the bucket's owner, in words, sorted.
fn describe_grants(owner: Option<&str>, grants: Vec<sdk::Grant>) -> Vec<String> {
    let mut described: Vec<String> = grants
        .into_iter()
        .filter_map(|grant| {
            let grantee = grant.grantee?;
            if grantee.id.is_some() && grantee.id.as_deref() == owner {
                return None;
            }
            let who = match grantee.uri.as_deref() {
                Some(ALL_USERS) => "everyone".to_owned(),
                Some(AUTHENTICATED_USERS) => "everyone with an account on AWS".to_owned(),
                Some(group) => group.to_owned(),
                None => grantee
                    .id
                    .map(|id| format!("the canonical user {id}"))
                    .or(grantee.email_address)
                    .unwrap_or_else(|| "somebody".to_owned()),
            };
            let what = grant.permission.map_or_else(
                || "something".to_owned(),
                |permission| permission.as_str().to_owned(),
            );
            Some(format!("{what} to {who}"))
        })
        .collect();
    described.sort();
    described.dedup();
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantee: sdk::Grantee, permission: sdk::Permission) -> sdk::Grant {
        sdk::Grant::builder()
            .grantee(grantee)
            .permission(permission)
            .build()
    }

    fn user(id: &str) -> sdk::Grantee {
        let grantee = sdk::Grantee::builder().r#type(sdk::Type::CanonicalUser);
        grantee.id(id).build().unwrap()
    }

    fn group(uri: &str) -> sdk::Grantee {
        let grantee = sdk::Grantee::builder().r#type(sdk::Type::Group);
        grantee.uri(uri).build().unwrap()
    }

    #[test]
    fn names_everybody_but_the_owner() {
        let grants = vec![
            grant(user("0wner"), sdk::Permission::FullControl),
            grant(user("0ther"), sdk::Permission::Read),
            grant(group(ALL_USERS), sdk::Permission::Write),
            grant(group(AUTHENTICATED_USERS), sdk::Permission::ReadAcp),
        ];
        assert_eq!(
            describe_grants(Some("0wner"), grants),
            [
                "READ to the canonical user 0ther",
                "READ_ACP to everyone with an account on AWS",
                "WRITE to everyone",
            ]
        );
    }
}
