//! Finds what AWS would reject in a well-formed policy. Each use of the language requires some
//! elements and forbids others. Policies from a manifest are checked before any request is sent.
//!
//! Sources: IAM User Guide ("Grammar of the IAM JSON policy language", "Sid"), and the errors that
//! IAM and S3 return. What only AWS can know, such as whether a principal exists, is not checked.

use std::collections::BTreeSet;

use super::{
    DEFAULT_VERSION, PolicyDocument, Statement,
    policy_string::PolicyString,
    statement::{Effect, ElementValues, PrincipalSet},
};

/// The current version of the policy language.
const CURRENT_VERSION: &str = "2012-10-17";
/// The types of principals.
const PRINCIPAL_TYPES: [&str; 4] = [PrincipalSet::AWS, "Federated", "Service", "CanonicalUser"];
/// Condition keys that restrict `Principal: "*"` enough for the policy not to be public (S3 User
/// Guide, "The meaning of public").
const RESTRICTING_CONDITION_KEYS: [&str; 15] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "aws:vpcsourceip",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];
/// The issuer of the tokens of all GitHub Actions jobs.
const GITHUB_ISSUER: &str = "token.actions.githubusercontent.com";
/// The issuer under Fly's alias for every personal organization. Fly never issues tokens under it.
const FLY_PERSONAL_ISSUER: &str = "oidc.fly.io/personal";
/// The actions that can change a bucket policy. Whoever is denied both can never lift the denial.
const POLICY_CHANGE_ACTIONS: [&str; 2] = ["s3:putbucketpolicy", "s3:deletebucketpolicy"];

/// Where a policy document is used.
#[derive(Clone, Copy, Debug)]
pub enum PolicyUse<'a> {
    /// An inline policy of a role.
    Role,
    /// The trust policy of a role.
    Trust,
    /// A bucket policy.
    Bucket {
        /// The name of the bucket.
        name: &'a str,
        /// Whether the bucket's `BlockPublicPolicy` is on.
        blocks_public: bool,
    },
}

impl PolicyDocument {
    /// The length that IAM checks against its quotas, in characters: white space does not count.
    #[must_use]
    pub fn len_without_whitespace(&self) -> usize {
        self.to_json_string()
            .chars()
            .filter(|c| !c.is_whitespace())
            .count()
    }

    /// Everything that AWS would reject, each with the index of the statement (from 0), or `None`
    /// if it concerns the whole document.
    #[must_use]
    pub fn validate(&self, policy_use: PolicyUse<'_>) -> Vec<(Option<usize>, String)> {
        let Self {
            version,
            statements,
            other_elements,
        } = self;
        let mut problems = Vec::new();
        if version != CURRENT_VERSION && version != DEFAULT_VERSION {
            problems.push((
                None,
                format!("there is no version `{version}` of policies: say \"{CURRENT_VERSION}\""),
            ));
        }
        let invalid = other_elements.keys().filter(|key| *key != "Id");
        problems.extend(invalid.map(|key| (None, format!("policies have no element `{key}`"))));
        if statements.is_empty() {
            problems.push((None, "a policy needs at least one statement".to_owned()));
        }
        let mut sids = BTreeSet::new();
        for (index, statement) in statements.iter().enumerate() {
            let duplicate = statement.sid().filter(|sid| !sids.insert(*sid));
            let duplicate =
                duplicate.map(|sid| format!("another statement has the same Sid `{sid}`"));
            problems.extend(
                duplicate
                    .into_iter()
                    .chain(statement.validate(policy_use))
                    .map(|problem| (Some(index), problem)),
            );
        }
        problems
    }
}

impl Statement {
    fn validate(&self, policy_use: PolicyUse<'_>) -> Vec<String> {
        let mut problems: Vec<String> = self
            .other_elements
            .keys()
            .map(|key| format!("statements have no element `{key}`"))
            .collect();
        let without_service = self
            .actions
            .values
            .iter()
            .map(PolicyString::original)
            .find(|name| *name != "*" && !name.contains(':'));
        problems.extend(
            without_service.map(|name| {
                format!("the action `{name}` names no service, as `s3:GetObject` does")
            }),
        );
        let types = self
            .principals
            .iter()
            .flat_map(|principals| principals.by_type.keys());
        let invalid =
            types.filter(|principal_type| !PRINCIPAL_TYPES.contains(&principal_type.as_str()));
        problems.extend(
            invalid.map(|principal_type| {
                format!("there are no principals of type `{principal_type}`")
            }),
        );
        let names = self
            .principals
            .iter()
            .filter_map(|principals| principals.by_type.get(PrincipalSet::AWS))
            .flatten()
            .map(PolicyString::original);
        let invalid = names.filter(|name| !is_aws_principal(name));
        problems.extend(invalid.map(|name| {
            format!("the principal `{name}` is neither an ARN, nor an account, nor `*`")
        }));
        match policy_use {
            PolicyUse::Role => self.validate_role_policy(&mut problems),
            PolicyUse::Trust => self.validate_trust_policy(&mut problems),
            PolicyUse::Bucket {
                name,
                blocks_public,
            } => self.validate_bucket_policy(name, blocks_public, &mut problems),
        }
        problems
    }

    fn validate_role_policy(&self, problems: &mut Vec<String>) {
        self.check_sid(problems);
        if self.principals.is_some() {
            problems.push(
                "an inline policy of a role has no Principal: it applies to the role".to_owned(),
            );
        }
        self.require_element("Resource", self.resources.is_some(), problems);
        let is_arn = |name: &&str| *name == "*" || name.starts_with("arn:");
        let invalid = value_texts(self.resources.as_ref()).find(|name| !is_arn(name));
        problems
            .extend(invalid.map(|name| format!("the resource `{name}` is neither an ARN nor `*`")));
    }

    fn validate_trust_policy(&self, problems: &mut Vec<String>) {
        self.check_sid(problems);
        self.require_element("Principal", self.principals.is_some(), problems);
        if self.resources.is_some() {
            problems.push("a trust policy has no Resource: it applies to its role".to_owned());
        }
        let invalid = self
            .actions
            .values
            .iter()
            .find(|value| value.normalized() != "*" && !value.normalized().starts_with("sts:"));
        problems.extend(invalid.map(|value| {
            format!(
                "`{}` does not assume a role: only actions of `sts` do",
                value.original()
            )
        }));
        let providers = self
            .principals
            .iter()
            .filter_map(|principals| principals.by_type.get("Federated"))
            .flatten();
        for host in providers
            .filter_map(|value| value.original().split_once(":oidc-provider/"))
            .map(|(_, host)| host)
        {
            if host == FLY_PERSONAL_ISSUER {
                problems.push(format!(
                    "no token is issued by {host}: tokens of a personal organization use its own slug"
                ));
            } else if host == GITHUB_ISSUER && !self.restricts_token(host) {
                problems.push(format!(
                    "every repository on GitHub could assume this role: restrict `{host}:sub` in a Condition"
                ));
            }
        }
    }

    /// Whether a condition restricts any claim of the token besides its audience.
    fn restricts_token(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let claim = |value: &PolicyString| {
            Some(
                value
                    .normalized()
                    .strip_prefix(&host)?
                    .strip_prefix(':')?
                    .to_owned(),
            )
        };
        let claims = self
            .conditions
            .values()
            .flat_map(|keys| keys.keys())
            .filter_map(claim);
        self.effect == Effect::Deny || claims.into_iter().any(|claim| claim != "aud")
    }

    fn validate_bucket_policy(
        &self,
        bucket: &str,
        blocks_public: bool,
        problems: &mut Vec<String>,
    ) {
        self.require_element("Principal", self.principals.is_some(), problems);
        self.require_element("Resource", self.resources.is_some(), problems);
        let is_other_service = |value: &&PolicyString| {
            value.normalized().contains(':') && !value.normalized().starts_with("s3:")
        };
        let invalid = self.actions.values.iter().find(is_other_service);
        problems.extend(invalid.map(|value| format!("`{}` is no action of S3", value.original())));
        let bucket_arn = format!("arn:aws:s3:::{bucket}");
        let is_inside_bucket = |name: &str| {
            name.strip_prefix(&bucket_arn)
                .is_some_and(|suffix| suffix.is_empty() || suffix.starts_with(['/', '*']))
        };
        let invalid = value_texts(self.resources.as_ref()).find(|name| !is_inside_bucket(name));
        problems.extend(
            invalid
                .map(|name| format!("the resource `{name}` is not in this bucket, {bucket_arn}")),
        );
        if blocks_public && self.is_public() {
            problems.push(
                "this grants access to everyone, which the bucket's public access block forbids"
                    .to_owned(),
            );
        }
        if self.locks_everyone_out(&bucket_arn) {
            problems.push(
                "this locks everyone out, so only the account's root user could undo it".to_owned(),
            );
        }
    }

    /// IAM accepts only letters and digits in a `Sid`; S3 accepts more.
    fn check_sid(&self, problems: &mut Vec<String>) {
        let invalid = self
            .sid()
            .filter(|sid| !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        problems.extend(
            invalid.map(|sid| format!("the Sid `{sid}` may contain only letters and digits")),
        );
    }

    fn require_element(&self, name: &str, is_present: bool, problems: &mut Vec<String>) {
        if !is_present {
            problems.push(format!("this statement has no `{name}`"));
        }
    }

    fn names_everyone(&self) -> bool {
        self.principals.as_ref().is_some_and(|principals| {
            principals.negated
                || principals
                    .by_type
                    .values()
                    .flatten()
                    .any(|value| value.normalized() == "*")
        })
    }

    fn is_public(&self) -> bool {
        let is_restricted = self
            .conditions
            .values()
            .flat_map(|keys| keys.keys())
            .any(|key| RESTRICTING_CONDITION_KEYS.contains(&key.normalized()));
        self.effect == Effect::Allow && self.names_everyone() && !is_restricted
    }

    /// Whether this statement would prevent everyone from ever changing the bucket's policy again.
    fn locks_everyone_out(&self, bucket_arn: &str) -> bool {
        let covers = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => pattern == name,
        };
        let denies_change = POLICY_CHANGE_ACTIONS.iter().all(|denies_change| {
            self.actions
                .values
                .iter()
                .any(|value| covers(value.normalized(), denies_change))
                != self.actions.negated
        });
        let bucket = self.resources.as_ref().is_some_and(|element| {
            element
                .values
                .iter()
                .any(|value| covers(value.original(), bucket_arn))
                != element.negated
        });
        let is_everyone = self
            .principals
            .as_ref()
            .is_some_and(|principals| !principals.negated)
            && self.names_everyone();
        self.effect == Effect::Deny
            && is_everyone
            && denies_change
            && bucket
            && self.conditions.is_empty()
    }
}

/// Whether this is a possible AWS principal: everyone, an account, an ARN, or the unique ID that
/// AWS puts in place of the ARN of a deleted principal, such as `AROA…`.
fn is_aws_principal(name: &str) -> bool {
    let is_deleted_id = name.len() > 15
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let is_account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
    name == "*" || is_account || is_deleted_id || name.starts_with("arn:")
}

fn value_texts(element: Option<&ElementValues>) -> impl Iterator<Item = &str> {
    element
        .into_iter()
        .flat_map(|element| &element.values)
        .map(PolicyString::original)
}
