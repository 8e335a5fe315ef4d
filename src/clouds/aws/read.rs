//! The reads. What AWS calls absent by an error of its own is a value here; whatever else fails is an error, because a
//! look that is unfinished would read as "this is gone".

use std::collections::BTreeMap;

use aws_sdk_s3::{
    config::http::HttpResponse, error::SdkError,
    operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationOutput,
    types::TransitionDefaultMinimumObjectSize,
};

use super::{
    Settings,
    account::Account,
    again::{Failed, Pauses, code, failed, status},
    shape,
    wire::{Bucket, BucketLook, Caller, Provider, Role, RoleBrief},
};
use crate::{
    clouds::{CloudError, Trouble, gauge::Gauge},
    model::s3::{Encryption, LifecycleRule, PublicAccessBlock},
};

/// A client of AWS that cannot write.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) account: Account,
}

/// The value of an answer, or nothing where AWS says by one of these codes that there is none.
fn absent<T, E: Failed>(
    doing: &str,
    answer: Result<T, SdkError<E, HttpResponse>>,
    codes: &[&str],
) -> Result<Option<T>, CloudError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if code(&error).is_some_and(|code| codes.contains(&code)) => Ok(None),
        Err(error) => Err(failed(doing, &error)),
    }
}

impl Reader {
    /// A client with these settings, which counts its requests with those of `fly`.
    ///
    /// # Errors
    /// When TLS cannot be set up. Whether the credentials are good shows at the first request.
    pub async fn new(
        settings: Settings,
        fly: &crate::clouds::fly::Reader,
    ) -> Result<Self, CloudError> {
        Self::counted(settings, fly.gauge()).await
    }

    async fn counted(settings: Settings, gauge: &Gauge) -> Result<Self, CloudError> {
        Ok(Self {
            account: Account::new(settings, gauge).await?,
        })
    }

    /// What it was set up with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        self.account.settings()
    }

    /// How many requests the run has sent, to whichever cloud.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.account.watch().sent()
    }

    /// The account that is expected to own every bucket.
    pub(super) fn owner(&self) -> &str {
        &self.account.settings().account
    }

    /// Whose the credentials are (`sts:GetCallerIdentity`, which every one may call).
    ///
    /// # Errors
    /// As every request.
    pub async fn caller(&self) -> Result<Caller, CloudError> {
        let doing = "look up whose the AWS credentials are";
        let answer = self.account.sts().get_caller_identity().send().await;
        let answer = answer.map_err(|error| failed(doing, &error))?;
        let (account, arn) = (
            answer.account.unwrap_or_default(),
            answer.arn.unwrap_or_default(),
        );
        Ok(Caller { account, arn })
    }

    /// Looks again while the answer is that a part is not there: of a bucket that is being made or removed just now, one
    /// request finds it and the next does not.
    ///
    /// # Errors
    /// As every request, and when the answers do not agree within two minutes.
    pub async fn agreeing<T, F: Future<Output = Result<T, CloudError>>>(
        &self,
        look: impl Fn() -> F,
    ) -> Result<T, CloudError> {
        let mut pauses = Pauses::new(self.settings().speed);
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
    pub async fn bucket(&self, name: &str, region: &str) -> Result<BucketLook, CloudError> {
        let (region, settings) =
            tokio::join!(self.region(name, region), self.settings_of(name, region));
        match region? {
            Where::Nowhere => Ok(BucketLook::Free),
            Where::Hidden => Ok(BucketLook::Denied),
            Where::Here => settings.map(|bucket| BucketLook::Here(Box::new(bucket))),
            Where::In(other) => self
                .settings_of(name, &other)
                .await
                .map(|bucket| BucketLook::Here(Box::new(bucket))),
        }
    }

    async fn region(&self, name: &str, region: &str) -> Result<Where, CloudError> {
        let doing = format!("look up bucket {name}");
        let asked = self
            .account
            .s3(region)
            .head_bucket()
            .bucket(name)
            .expected_bucket_owner(self.owner());
        match asked.send().await {
            Ok(answer) => Ok(match answer.bucket_region {
                Some(other) if other != region && !other.is_empty() => Where::In(other),
                _ => Where::Here,
            }),
            Err(error) => {
                let elsewhere = error
                    .raw_response()
                    .and_then(|answer| answer.headers().get("x-amz-bucket-region"));
                match (status(&error), elsewhere) {
                    (Some(404), _) => Ok(Where::Nowhere),
                    (Some(301 | 400), Some(other)) if other != region => {
                        Ok(Where::In(other.to_owned()))
                    }
                    (Some(403), _) => Ok(Where::Hidden),
                    _ => Err(failed(&doing, &error)),
                }
            }
        }
    }

    async fn settings_of(&self, name: &str, region: &str) -> Result<Bucket, CloudError> {
        let (encryption, public_access, ownership, versioning, lifecycle, policy, tags) = tokio::try_join!(
            self.encryption(name, region),
            self.public_access(name, region),
            self.ownership(name, region),
            self.versioning(name, region),
            self.lifecycle(name, region),
            self.policy(name, region),
            self.tags(name, region),
        )?;
        let (encryption, blocked_encryption) = encryption;
        Ok(Bucket {
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
    pub async fn encryption(
        &self,
        name: &str,
        region: &str,
    ) -> Result<(Option<Encryption>, Vec<String>), CloudError> {
        let asked = self.account.s3(region).get_bucket_encryption().bucket(name);
        let answer = asked.expected_bucket_owner(self.owner()).send().await;
        let codes = ["ServerSideEncryptionConfigurationNotFoundError"];
        let answer = absent(
            &format!("read the encryption of bucket {name}"),
            answer,
            &codes,
        )?;
        let config = answer.and_then(|answer| answer.server_side_encryption_configuration);
        Ok(config.map(shape::encryption).unwrap_or_default())
    }

    /// A bucket's public access block.
    pub(super) async fn public_access(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<PublicAccessBlock>, CloudError> {
        let asked = self
            .account
            .s3(region)
            .get_public_access_block()
            .bucket(name);
        let answer = asked.expected_bucket_owner(self.owner()).send().await;
        let codes = ["NoSuchPublicAccessBlockConfiguration"];
        let answer = absent(
            &format!("read the public access block of bucket {name}"),
            answer,
            &codes,
        )?;
        let config = answer.and_then(|answer| answer.public_access_block_configuration);
        Ok(config.as_ref().map(shape::public_access))
    }

    /// Who owns what others write into a bucket.
    pub(super) async fn ownership(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<String>, CloudError> {
        let asked = self
            .account
            .s3(region)
            .get_bucket_ownership_controls()
            .bucket(name);
        let answer = asked.expected_bucket_owner(self.owner()).send().await;
        let doing = format!("read the ownership of bucket {name}");
        let answer = absent(&doing, answer, &["OwnershipControlsNotFoundError"])?;
        let rules = answer
            .and_then(|answer| answer.ownership_controls)
            .map(|controls| controls.rules);
        let rule = rules.unwrap_or_default().into_iter().next();
        Ok(rule.map(|rule| rule.object_ownership.as_str().to_owned()))
    }

    /// Whether a bucket keeps versions: `Enabled`, `Suspended`, or nothing.
    pub(super) async fn versioning(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<String>, CloudError> {
        let asked = self.account.s3(region).get_bucket_versioning().bucket(name);
        let answer = asked.expected_bucket_owner(self.owner()).send().await;
        let answer = answer
            .map_err(|error| failed(&format!("read the versioning of bucket {name}"), &error))?;
        Ok(answer.status.map(|status| status.as_str().to_owned()))
    }

    /// A bucket's lifecycle rules.
    pub(super) async fn lifecycle(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Vec<LifecycleRule>, CloudError> {
        let rules = self
            .lifecycle_answer(name, region)
            .await?
            .and_then(|answer| answer.rules);
        Ok(rules
            .unwrap_or_default()
            .into_iter()
            .map(shape::rule)
            .collect())
    }

    /// From which size on objects move to another storage class, where a bucket has lifecycle rules.
    pub(super) async fn least_transition(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<TransitionDefaultMinimumObjectSize>, CloudError> {
        let answer = self.lifecycle_answer(name, region).await?;
        Ok(answer.and_then(|answer| answer.transition_default_minimum_object_size))
    }

    async fn lifecycle_answer(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<GetBucketLifecycleConfigurationOutput>, CloudError> {
        let asked = self
            .account
            .s3(region)
            .get_bucket_lifecycle_configuration()
            .bucket(name);
        let answer = asked.expected_bucket_owner(self.owner()).send().await;
        let doing = format!("read the lifecycle of bucket {name}");
        absent(&doing, answer, &["NoSuchLifecycleConfiguration"])
    }

    /// A bucket's policy.
    pub(super) async fn policy(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<String>, CloudError> {
        let asked = self.account.s3(region).get_bucket_policy().bucket(name);
        let answer = asked.expected_bucket_owner(self.owner()).send().await;
        let doing = format!("read the policy of bucket {name}");
        Ok(absent(&doing, answer, &["NoSuchBucketPolicy"])?.and_then(|answer| answer.policy))
    }

    /// A bucket's tags.
    ///
    /// # Errors
    /// As every request.
    pub async fn tags(
        &self,
        name: &str,
        region: &str,
    ) -> Result<BTreeMap<String, String>, CloudError> {
        let asked = self.account.s3(region).get_bucket_tagging().bucket(name);
        let answer = asked.expected_bucket_owner(self.owner()).send().await;
        let doing = format!("read the tags of bucket {name}");
        let answer = absent(&doing, answer, &["NoSuchTagSet"])?;
        Ok(answer
            .map(|answer| shape::tags(answer.tag_set))
            .unwrap_or_default())
    }

    /// The account's buckets whose names begin so, with their regions; a store that does not tell the region leaves it
    /// empty.
    ///
    /// # Errors
    /// As every request; `None` when these credentials may not list.
    pub async fn bucket_names(
        &self,
        prefix: &str,
    ) -> Result<Option<Vec<(String, String)>>, CloudError> {
        let client = self.account.s3(&self.account.settings().region);
        let mut pages = client.list_buckets().prefix(prefix).into_paginator().send();
        let mut out = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Err(error) if status(&error) == Some(403) => return Ok(None),
                other => {
                    other.map_err(|error| failed("list the buckets of the account", &error))?
                }
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
    pub async fn first_key(
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
                .expected_bucket_owner(self.owner())
                .set_key_marker(marker);
            let answer = asked.send().await.map_err(|error| failed(&doing, &error))?;
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
    pub async fn provider(&self, arn: &str) -> Result<Option<Provider>, CloudError> {
        let answer = self
            .account
            .iam()
            .get_open_id_connect_provider()
            .open_id_connect_provider_arn(arn)
            .send();
        let doing = format!("look up the identity provider {arn}");
        let answer = absent(&doing, answer.await, &["NoSuchEntity"])?;
        Ok(answer.map(|answer| Provider {
            arn: arn.to_owned(),
            audiences: answer.client_id_list.unwrap_or_default(),
            tags: role_tags(answer.tags.unwrap_or_default()),
        }))
    }

    /// A role with its own policies and what is attached to it: three requests at once, and one for each policy.
    ///
    /// # Errors
    /// As every request.
    pub async fn role(&self, name: &str) -> Result<Option<Role>, CloudError> {
        let doing = format!("look up role {name}");
        let (role, inline, attached) = tokio::join!(
            self.account.iam().get_role().role_name(name).send(),
            self.inline(name),
            self.attached(name),
        );
        let Some(role) = absent(&doing, role, &["NoSuchEntity"])?.and_then(|answer| answer.role)
        else {
            return Ok(None);
        };
        Ok(Some(Role {
            name: role.role_name,
            arn: role.arn,
            path: role.path,
            trust: role.assume_role_policy_document.unwrap_or_default(),
            description: role.description.unwrap_or_default(),
            max_session: role.max_session_duration.unwrap_or(3600),
            boundary: role
                .permissions_boundary
                .and_then(|boundary| boundary.permissions_boundary_arn),
            tags: role_tags(role.tags.unwrap_or_default()),
            inline: inline?,
            attached: attached?,
        }))
    }

    async fn inline(&self, role: &str) -> Result<BTreeMap<String, String>, CloudError> {
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
            match absent(&doing, page, &["NoSuchEntity"])? {
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
            let answer = absent(&doing, asked.send().await, &["NoSuchEntity"])?;
            Ok::<_, CloudError>(answer.map(|answer| (policy, answer.policy_document)))
        };
        let all = futures_util::future::try_join_all(names.into_iter().map(read)).await?;
        Ok(all.into_iter().flatten().collect())
    }

    async fn attached(&self, role: &str) -> Result<Vec<String>, CloudError> {
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
            let Some(page) = absent(&doing, page, &["NoSuchEntity"])? else {
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
    pub async fn roles(&self, path: &str) -> Result<Vec<RoleBrief>, CloudError> {
        let mut pages = self
            .account
            .iam()
            .list_roles()
            .path_prefix(path)
            .into_paginator()
            .send();
        let mut out = Vec::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| failed(&format!("list the roles below {path}"), &error))?;
            out.extend(page.roles.into_iter().map(|role| RoleBrief {
                name: role.role_name,
                path: role.path,
                trust: role.assume_role_policy_document.unwrap_or_default(),
            }));
        }
        Ok(out)
    }

    /// That the credentials are those of the manifest's account.
    ///
    /// # Errors
    /// When they are for another account, with both.
    pub async fn check_account(&self) -> Result<Caller, CloudError> {
        let caller = self.caller().await?;
        if caller.account == self.owner() {
            return Ok(caller);
        }
        let (doing, Caller { account, arn }) = ("check the AWS account", &caller);
        let answer = format!(
            "the manifest says {}, and the credentials are for {account} ({arn}); nothing was changed",
            self.owner()
        );
        Err(CloudError::aws(doing, Trouble::Denied, answer))
    }
}

/// Where a bucket is.
enum Where {
    Nowhere,
    Hidden,
    Here,
    In(String),
}

fn role_tags(tags: Vec<aws_sdk_iam::types::Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}
