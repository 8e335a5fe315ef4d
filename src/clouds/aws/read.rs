//! The reads. What AWS calls absent by an error of its own is a value here; whatever else fails is an error, because a
//! look that is unfinished would read as "this is gone".

use std::collections::BTreeMap;

use aws_sdk_s3::{
    config::http::HttpResponse, error::SdkError,
    operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationOutput,
    types::TransitionDefaultMinimumObjectSize,
};

use super::{
    AwsSettings,
    clients::AwsClients,
    convert,
    retry::{OperationError, PropagationBackoff, error_code, http_status, to_cloud_error},
    types::{
        BucketDescription, BucketLookup, CallerIdentity, OidcProviderDescription, RoleDescription,
        RoleSummary,
    },
};
use crate::{
    clouds::{CloudError, ErrorKind, request_counter::RequestCounter},
    model::s3::{Encryption, LifecycleRule, PublicAccessBlock},
};

/// A client of AWS that cannot write.
#[derive(Clone, Debug)]
pub struct AwsReader {
    pub(super) account: AwsClients,
}

/// The value of an answer, or nothing where AWS says by one of these codes that there is none.
fn absent_as_none<T, E: OperationError>(
    doing: &str,
    answer: Result<T, SdkError<E, HttpResponse>>,
    codes: &[&str],
) -> Result<Option<T>, CloudError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error_code(&error).is_some_and(|code| codes.contains(&code)) => Ok(None),
        Err(error) => Err(to_cloud_error(doing, &error)),
    }
}

impl AwsReader {
    /// A client with these settings, which counts its requests with those of `fly`.
    ///
    /// # Errors
    /// When TLS cannot be set up. Whether the credentials are good shows at the first request.
    pub async fn new(
        settings: AwsSettings,
        fly: &crate::clouds::fly::FlyReader,
    ) -> Result<Self, CloudError> {
        Self::with_request_counter(settings, fly.request_counter()).await
    }

    async fn with_request_counter(
        settings: AwsSettings,
        gauge: &RequestCounter,
    ) -> Result<Self, CloudError> {
        Ok(Self {
            account: AwsClients::new(settings, gauge).await?,
        })
    }

    /// What it was set up with.
    #[must_use]
    pub fn settings(&self) -> &AwsSettings {
        self.account.settings()
    }

    /// How many requests the run has sent, to whichever cloud.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.account.interceptor().request_count()
    }

    /// The S3 client of a region, for the environment lock.
    pub(crate) fn s3_client(&self, region: &str) -> aws_sdk_s3::Client {
        self.account.s3(region)
    }

    /// The newest `Date` header that AWS sent in a response to a request sent at or after `sent`.
    pub(crate) fn server_date_since(&self, sent: std::time::Instant) -> Option<jiff::Timestamp> {
        self.account.interceptor().server_date_since(sent)
    }

    /// The account that is expected to own every bucket.
    pub(crate) fn expected_bucket_owner(&self) -> &str {
        &self.account.settings().account
    }

    /// Whose the credentials are (`sts:GetCallerIdentity`, which every one may call).
    ///
    /// # Errors
    /// As every request.
    pub async fn caller_identity(&self) -> Result<CallerIdentity, CloudError> {
        let doing = "look up whose the AWS credentials are";
        let answer = self.account.sts().get_caller_identity().send().await;
        let answer = answer.map_err(|error| to_cloud_error(doing, &error))?;
        let (account, arn) = (
            answer.account.unwrap_or_default(),
            answer.arn.unwrap_or_default(),
        );
        Ok(CallerIdentity { account, arn })
    }

    /// Looks again while the answer is that a part is not there: of a bucket that is being made or removed just now, one
    /// request finds it and the next does not.
    ///
    /// # Errors
    /// As every request, and when the answers do not agree within two minutes.
    pub async fn retry_while_not_found<T, F: Future<Output = Result<T, CloudError>>>(
        &self,
        look: impl Fn() -> F,
    ) -> Result<T, CloudError> {
        let mut pauses = PropagationBackoff::new(self.settings().speed);
        loop {
            match look().await {
                Err(error) if error.is_not_found() && pauses.wait().await => {}
                settled => return settled,
            }
        }
    }

    /// A bucket with all its settings: nine requests at once, in the region where it is expected; one that is elsewhere
    /// takes a second look.
    ///
    /// # Errors
    /// As every request.
    pub async fn read_bucket(&self, name: &str, region: &str) -> Result<BucketLookup, CloudError> {
        let (region, settings) = tokio::join!(
            self.locate_bucket(name, region),
            self.read_bucket_settings(name, region)
        );
        match region? {
            BucketLocation::NotFound => Ok(BucketLookup::NotFound),
            BucketLocation::AccessDenied => Ok(BucketLookup::AccessDenied),
            BucketLocation::SameRegion => {
                settings.map(|bucket| BucketLookup::Found(Box::new(bucket)))
            }
            BucketLocation::OtherRegion(other) => self
                .read_bucket_settings(name, &other)
                .await
                .map(|bucket| BucketLookup::Found(Box::new(bucket))),
        }
    }

    async fn locate_bucket(&self, name: &str, region: &str) -> Result<BucketLocation, CloudError> {
        let doing = format!("look up bucket {name}");
        let asked = self
            .account
            .s3(region)
            .head_bucket()
            .bucket(name)
            .expected_bucket_owner(self.expected_bucket_owner());
        match asked.send().await {
            Ok(answer) => Ok(match answer.bucket_region {
                Some(other) if other != region && !other.is_empty() => {
                    BucketLocation::OtherRegion(other)
                }
                _ => BucketLocation::SameRegion,
            }),
            Err(error) => {
                let elsewhere = error
                    .raw_response()
                    .and_then(|answer| answer.headers().get("x-amz-bucket-region"));
                match (http_status(&error), elsewhere) {
                    (Some(404), _) => Ok(BucketLocation::NotFound),
                    (Some(301 | 400), Some(other)) if other != region => {
                        Ok(BucketLocation::OtherRegion(other.to_owned()))
                    }
                    (Some(403), _) => Ok(BucketLocation::AccessDenied),
                    _ => Err(to_cloud_error(&doing, &error)),
                }
            }
        }
    }

    async fn read_bucket_settings(
        &self,
        name: &str,
        region: &str,
    ) -> Result<BucketDescription, CloudError> {
        let (encryption, public_access, ownership, versioning, lifecycle, policy, tags) = tokio::try_join!(
            self.read_bucket_encryption(name, region),
            self.read_public_access_block(name, region),
            self.read_bucket_ownership(name, region),
            self.read_bucket_versioning(name, region),
            self.read_lifecycle_rules(name, region),
            self.read_bucket_policy(name, region),
            self.read_bucket_tags(name, region),
        )?;
        let (encryption, blocked_encryption) = encryption;
        Ok(BucketDescription {
            region: region.to_owned(),
            encryption,
            blocked_encryption,
            public_access,
            ownership,
            versioning,
            lifecycle,
            policy,
            tags,
        })
    }

    /// A bucket's default encryption, and the ways of encryption that are blocked.
    ///
    /// # Errors
    /// As every request.
    pub async fn read_bucket_encryption(
        &self,
        name: &str,
        region: &str,
    ) -> Result<(Option<Encryption>, Vec<String>), CloudError> {
        let asked = self.account.s3(region).get_bucket_encryption().bucket(name);
        let answer = asked
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let codes = ["ServerSideEncryptionConfigurationNotFoundError"];
        let answer = absent_as_none(
            &format!("read the encryption of bucket {name}"),
            answer,
            &codes,
        )?;
        let config = answer.and_then(|answer| answer.server_side_encryption_configuration);
        Ok(config.map(convert::encryption_from_sdk).unwrap_or_default())
    }

    /// A bucket's public access block.
    pub(super) async fn read_public_access_block(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<PublicAccessBlock>, CloudError> {
        let asked = self
            .account
            .s3(region)
            .get_public_access_block()
            .bucket(name);
        let answer = asked
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let codes = ["NoSuchPublicAccessBlockConfiguration"];
        let answer = absent_as_none(
            &format!("read the public access block of bucket {name}"),
            answer,
            &codes,
        )?;
        let config = answer.and_then(|answer| answer.public_access_block_configuration);
        Ok(config.as_ref().map(convert::public_access_block_from_sdk))
    }

    /// Who owns what others write into a bucket.
    pub(super) async fn read_bucket_ownership(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<String>, CloudError> {
        let asked = self
            .account
            .s3(region)
            .get_bucket_ownership_controls()
            .bucket(name);
        let answer = asked
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let doing = format!("read the ownership of bucket {name}");
        let answer = absent_as_none(&doing, answer, &["OwnershipControlsNotFoundError"])?;
        let rules = answer
            .and_then(|answer| answer.ownership_controls)
            .map(|controls| controls.rules);
        let rule = rules.unwrap_or_default().into_iter().next();
        Ok(rule.map(|rule| rule.object_ownership.as_str().to_owned()))
    }

    /// Whether a bucket keeps versions: `Enabled`, `Suspended`, or nothing.
    pub(super) async fn read_bucket_versioning(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<String>, CloudError> {
        let asked = self.account.s3(region).get_bucket_versioning().bucket(name);
        let answer = asked
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let answer = answer.map_err(|error| {
            to_cloud_error(&format!("read the versioning of bucket {name}"), &error)
        })?;
        Ok(answer.status.map(|status| status.as_str().to_owned()))
    }

    /// A bucket's lifecycle rules.
    pub(super) async fn read_lifecycle_rules(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Vec<LifecycleRule>, CloudError> {
        let rules = self
            .get_lifecycle_configuration(name, region)
            .await?
            .and_then(|answer| answer.rules);
        Ok(rules
            .unwrap_or_default()
            .into_iter()
            .map(convert::lifecycle_rule_from_sdk)
            .collect())
    }

    /// From which size on objects move to another storage class, where a bucket has lifecycle rules.
    pub(super) async fn read_transition_minimum_size(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<TransitionDefaultMinimumObjectSize>, CloudError> {
        let answer = self.get_lifecycle_configuration(name, region).await?;
        Ok(answer.and_then(|answer| answer.transition_default_minimum_object_size))
    }

    async fn get_lifecycle_configuration(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<GetBucketLifecycleConfigurationOutput>, CloudError> {
        let asked = self
            .account
            .s3(region)
            .get_bucket_lifecycle_configuration()
            .bucket(name);
        let answer = asked
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let doing = format!("read the lifecycle of bucket {name}");
        absent_as_none(&doing, answer, &["NoSuchLifecycleConfiguration"])
    }

    /// A bucket's policy.
    pub(super) async fn read_bucket_policy(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<String>, CloudError> {
        let asked = self.account.s3(region).get_bucket_policy().bucket(name);
        let answer = asked
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let doing = format!("read the policy of bucket {name}");
        Ok(absent_as_none(&doing, answer, &["NoSuchBucketPolicy"])?
            .and_then(|answer| answer.policy))
    }

    /// A bucket's tags.
    ///
    /// # Errors
    /// As every request.
    pub async fn read_bucket_tags(
        &self,
        name: &str,
        region: &str,
    ) -> Result<BTreeMap<String, String>, CloudError> {
        let asked = self.account.s3(region).get_bucket_tagging().bucket(name);
        let answer = asked
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let doing = format!("read the tags of bucket {name}");
        let answer = absent_as_none(&doing, answer, &["NoSuchTagSet"])?;
        Ok(answer
            .map(|answer| convert::tags_from_sdk(answer.tag_set))
            .unwrap_or_default())
    }

    /// The account's buckets whose names begin so, with their regions; a store that does not tell the region leaves it
    /// empty.
    ///
    /// # Errors
    /// As every request; `None` when these credentials may not list.
    pub async fn list_buckets(
        &self,
        prefix: &str,
    ) -> Result<Option<Vec<(String, String)>>, CloudError> {
        let client = self.account.s3(&self.account.settings().region);
        let mut pages = client.list_buckets().prefix(prefix).into_paginator().send();
        let mut out = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Err(error) if http_status(&error) == Some(403) => return Ok(None),
                other => other
                    .map_err(|error| to_cloud_error("list the buckets of the account", &error))?,
            };
            let named = page.buckets.unwrap_or_default().into_iter();
            let named = named.map(|one| {
                (
                    one.name.unwrap_or_default(),
                    one.bucket_region.unwrap_or_default(),
                )
            });
            // A store that does not know the prefix gives all.
            out.extend(named.filter(|(name, _)| name.starts_with(prefix)));
        }
        Ok(Some(out))
    }

    /// The first key of a bucket, or version of one, beside `own`; nothing when there is none.
    ///
    /// # Errors
    /// As every request.
    pub async fn find_other_key(
        &self,
        name: &str,
        region: &str,
        own: &str,
    ) -> Result<Option<String>, CloudError> {
        let doing = format!("look whether bucket {name} holds anything");
        // A list begins after its marker.
        for marker in [None, Some(own.to_owned())] {
            let asked = self
                .account
                .s3(region)
                .list_object_versions()
                .bucket(name)
                .max_keys(1);
            let asked = asked
                .expected_bucket_owner(self.expected_bucket_owner())
                .set_key_marker(marker);
            let answer = asked
                .send()
                .await
                .map_err(|error| to_cloud_error(&doing, &error))?;
            let versions = answer
                .versions
                .unwrap_or_default()
                .into_iter()
                .map(|version| version.key);
            let markers = answer
                .delete_markers
                .unwrap_or_default()
                .into_iter()
                .map(|marker| marker.key);
            match versions.chain(markers).flatten().next() {
                None => return Ok(None),
                Some(key) if key != own => return Ok(Some(key)),
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// An OpenID Connect provider.
    ///
    /// # Errors
    /// As every request.
    pub async fn read_oidc_provider(
        &self,
        arn: &str,
    ) -> Result<Option<OidcProviderDescription>, CloudError> {
        let answer = self
            .account
            .iam()
            .get_open_id_connect_provider()
            .open_id_connect_provider_arn(arn)
            .send();
        let doing = format!("look up the identity provider {arn}");
        let answer = absent_as_none(&doing, answer.await, &["NoSuchEntity"])?;
        Ok(answer.map(|answer| OidcProviderDescription {
            arn: arn.to_owned(),
            audiences: answer.client_id_list.unwrap_or_default(),
            tags: iam_tags_from_sdk(answer.tags.unwrap_or_default()),
        }))
    }

    /// A role with its own policies and what is attached to it: three requests at once, and one for each policy.
    ///
    /// # Errors
    /// As every request.
    pub async fn read_role(&self, name: &str) -> Result<Option<RoleDescription>, CloudError> {
        let doing = format!("look up role {name}");
        let (role, inline, attached) = tokio::join!(
            self.account.iam().get_role().role_name(name).send(),
            self.read_inline_policies(name),
            self.list_attached_policies(name),
        );
        let Some(role) =
            absent_as_none(&doing, role, &["NoSuchEntity"])?.and_then(|answer| answer.role)
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
        }))
    }

    async fn read_inline_policies(
        &self,
        role: &str,
    ) -> Result<BTreeMap<String, String>, CloudError> {
        let doing = format!("list the policies of role {role}");
        let mut pages = self
            .account
            .iam()
            .list_role_policies()
            .role_name(role)
            .into_paginator()
            .send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            match absent_as_none(&doing, page, &["NoSuchEntity"])? {
                Some(page) => names.extend(page.policy_names),
                None => return Ok(BTreeMap::new()),
            }
        }
        let read = async |policy: String| {
            let doing = format!("read the policy {policy} of role {role}");
            let asked = self
                .account
                .iam()
                .get_role_policy()
                .role_name(role)
                .policy_name(&policy);
            let answer = absent_as_none(&doing, asked.send().await, &["NoSuchEntity"])?;
            Ok::<_, CloudError>(answer.map(|answer| (policy, answer.policy_document)))
        };
        let all = futures_util::future::try_join_all(names.into_iter().map(read)).await?;
        Ok(all.into_iter().flatten().collect())
    }

    async fn list_attached_policies(&self, role: &str) -> Result<Vec<String>, CloudError> {
        let doing = format!("list what is attached to role {role}");
        let mut pages = self
            .account
            .iam()
            .list_attached_role_policies()
            .role_name(role)
            .into_paginator()
            .send();
        let mut arns = Vec::new();
        while let Some(page) = pages.next().await {
            let Some(page) = absent_as_none(&doing, page, &["NoSuchEntity"])? else {
                break;
            };
            arns.extend(
                page.attached_policies
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|one| one.policy_arn),
            );
        }
        arns.sort();
        Ok(arns)
    }

    /// The account's roles below a path; `/` is all of them.
    ///
    /// # Errors
    /// As every request.
    pub async fn list_roles(&self, path: &str) -> Result<Vec<RoleSummary>, CloudError> {
        let mut pages = self
            .account
            .iam()
            .list_roles()
            .path_prefix(path)
            .into_paginator()
            .send();
        let mut out = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page
                .map_err(|error| to_cloud_error(&format!("list the roles below {path}"), &error))?;
            out.extend(page.roles.into_iter().map(|role| RoleSummary {
                name: role.role_name,
                path: role.path,
                trust_policy: role.assume_role_policy_document.unwrap_or_default(),
            }));
        }
        Ok(out)
    }

    /// That the credentials are those of the manifest's account.
    ///
    /// # Errors
    /// When they are for another account, with both.
    pub async fn check_account(&self) -> Result<CallerIdentity, CloudError> {
        let caller = self.caller_identity().await?;
        if caller.account == self.expected_bucket_owner() {
            return Ok(caller);
        }
        let (doing, CallerIdentity { account, arn }) = ("check the AWS account", &caller);
        let answer = format!(
            "the manifest says {}, and the credentials are for {account} ({arn}); nothing was changed",
            self.expected_bucket_owner()
        );
        Err(CloudError::new_aws(
            doing,
            ErrorKind::PermissionDenied,
            answer,
        ))
    }
}

/// Where a bucket is.
enum BucketLocation {
    NotFound,
    AccessDenied,
    SameRegion,
    OtherRegion(String),
}

fn iam_tags_from_sdk(tags: Vec<aws_sdk_iam::types::Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}
