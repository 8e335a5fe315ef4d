//! What AWS refuses of a document that reads well: each use of the language has elements that it needs and others that
//! it forbids. What a manifest says is held to this before any request.
//!
//! Facts are from the IAM User Guide ("Grammar of the IAM JSON policy language", "Sid") and from the errors that IAM and
//! S3 give. What only AWS knows, such as whether a principal exists, is left to it.

use std::collections::BTreeSet;

use super::{
    DEFAULT_VERSION, PolicyDocument, Statement,
    policy_string::PolicyString,
    statement::{Effect, ElementValues, PrincipalSet},
};

/// Today's version of the language.
const CURRENT_VERSION: &str = "2012-10-17";
/// The types of principals that there are.
const PRINCIPAL_TYPES: [&str; 4] = [PrincipalSet::AWS, "Federated", "Service", "CanonicalUser"];
/// The keys of conditions that make `Principal: "*"` somebody in particular (S3 User Guide, "The meaning of public").
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
/// Where the tokens of all of GitHub come from.
const GITHUB_ISSUER: &str = "token.actions.githubusercontent.com";
/// What Fly calls every personal organization; tokens are never issued under it.
const FLY_PERSONAL_ISSUER: &str = "oidc.fly.io/personal";
/// What undoes a policy: who is denied these can no longer take the denial back.
const POLICY_CHANGE_ACTIONS: [&str; 2] = ["s3:putbucketpolicy", "s3:deletebucketpolicy"];

/// What a document is for.
#[derive(Clone, Copy, Debug)]
pub enum PolicyUse<'a> {
    /// A role's own policy.
    Role,
    /// Who may take a role.
    Trust,
    /// The policy of a bucket.
    Bucket {
        /// Its name.
        name: &'a str,
        /// Whether `BlockPublicPolicy` is on.
        blocks_public: bool,
    },
}

impl PolicyDocument {
    /// How long it is as IAM counts, which leaves out white space.
    #[must_use]
    pub fn len_without_whitespace(&self) -> usize {
        self.to_json_string()
            .chars()
            .filter(|c| !c.is_whitespace())
            .count()
    }

    /// Everything that AWS would refuse: the statement's place, counted from 0, or none where it is about the whole.
    #[must_use]
    pub fn validate(&self, used: PolicyUse<'_>) -> Vec<(Option<usize>, String)> {
        let Self {
            version,
            statements,
            other_elements: rest,
        } = self;
        let mut out = Vec::new();
        if version != CURRENT_VERSION && version != DEFAULT_VERSION {
            out.push((
                None,
                format!("there is no version `{version}` of policies: say \"{CURRENT_VERSION}\""),
            ));
        }
        let odd = rest.keys().filter(|key| *key != "Id");
        out.extend(odd.map(|key| (None, format!("policies have no element `{key}`"))));
        if statements.is_empty() {
            out.push((
                None,
                "a policy without a statement: AWS takes none".to_owned(),
            ));
        }
        let mut sids = BTreeSet::new();
        for (at, statement) in statements.iter().enumerate() {
            let again = statement.sid().filter(|sid| !sids.insert(*sid));
            let again = again.map(|sid| format!("another statement has the Sid `{sid}`"));
            out.extend(
                again
                    .into_iter()
                    .chain(statement.validate(used))
                    .map(|why| (Some(at), why)),
            );
        }
        out
    }
}

impl Statement {
    fn validate(&self, used: PolicyUse<'_>) -> Vec<String> {
        let mut out: Vec<String> = self
            .other_elements
            .keys()
            .map(|key| format!("statements have no element `{key}`"))
            .collect();
        let bare = self
            .actions
            .values
            .iter()
            .map(PolicyString::original)
            .find(|name| *name != "*" && !name.contains(':'));
        out.extend(
            bare.map(|name| {
                format!("the action `{name}` names no service, as `s3:GetObject` does")
            }),
        );
        let kinds = self.principals.iter().flat_map(|who| who.by_type.keys());
        let odd = kinds.filter(|kind| !PRINCIPAL_TYPES.contains(&kind.as_str()));
        out.extend(odd.map(|kind| format!("there are no principals of type `{kind}`")));
        let named = self
            .principals
            .iter()
            .filter_map(|who| who.by_type.get(PrincipalSet::AWS))
            .flatten()
            .map(PolicyString::original);
        let odd = named.filter(|name| !is_aws_principal(name));
        out.extend(odd.map(|name| {
            format!("the principal `{name}` is neither an ARN, nor an account, nor `*`")
        }));
        match used {
            PolicyUse::Role => self.validate_role_policy(&mut out),
            PolicyUse::Trust => self.validate_trust_policy(&mut out),
            PolicyUse::Bucket {
                name,
                blocks_public,
            } => self.validate_bucket_policy(name, blocks_public, &mut out),
        }
        out
    }

    fn validate_role_policy(&self, out: &mut Vec<String>) {
        self.check_sid(out);
        if self.principals.is_some() {
            out.push("a role's own policy names no Principal: it is about the role".to_owned());
        }
        self.require_element("Resource", self.resources.is_some(), out);
        let arn = |name: &&str| *name == "*" || name.starts_with("arn:");
        let odd = value_texts(self.resources.as_ref()).find(|name| !arn(name));
        out.extend(odd.map(|name| format!("the resource `{name}` is neither an ARN nor `*`")));
    }

    fn validate_trust_policy(&self, out: &mut Vec<String>) {
        self.check_sid(out);
        self.require_element("Principal", self.principals.is_some(), out);
        if self.resources.is_some() {
            out.push("a trust policy has no Resource: it is about its role".to_owned());
        }
        let odd = self
            .actions
            .values
            .iter()
            .find(|word| word.normalized() != "*" && !word.normalized().starts_with("sts:"));
        out.extend(
            odd.map(|word| format!("`{}` takes no role: actions of `sts` do", word.original())),
        );
        let providers = self
            .principals
            .iter()
            .filter_map(|who| who.by_type.get("Federated"))
            .flatten();
        for host in providers
            .filter_map(|word| word.original().split_once(":oidc-provider/"))
            .map(|(_, host)| host)
        {
            if host == FLY_PERSONAL_ISSUER {
                out.push(format!(
                    "no token comes from {host}: a personal organization's have its own slug"
                ));
            } else if host == GITHUB_ISSUER && !self.restricts_token(host) {
                out.push(format!(
                    "every repository on GitHub could take this role: say `{host}:sub` in a Condition"
                ));
            }
        }
    }

    /// Whether a condition asks for more of a token than what it is for.
    fn restricts_token(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let claim = |word: &PolicyString| {
            Some(
                word.normalized()
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

    fn validate_bucket_policy(&self, bucket: &str, blocks_public: bool, out: &mut Vec<String>) {
        self.require_element("Principal", self.principals.is_some(), out);
        self.require_element("Resource", self.resources.is_some(), out);
        let others = |word: &&PolicyString| {
            word.normalized().contains(':') && !word.normalized().starts_with("s3:")
        };
        let odd = self.actions.values.iter().find(others);
        out.extend(odd.map(|word| format!("`{}` is no action of S3", word.original())));
        let arn = format!("arn:aws:s3:::{bucket}");
        let inside = |name: &str| {
            name.strip_prefix(&arn)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '*']))
        };
        let odd = value_texts(self.resources.as_ref()).find(|name| !inside(name));
        out.extend(odd.map(|name| format!("the resource `{name}` is not in this bucket, {arn}")));
        if blocks_public && self.is_public() {
            out.push(
                "this lets everybody in, which the bucket's public access block refuses".to_owned(),
            );
        }
        if self.locks_everyone_out(&arn) {
            out.push(
                "this locks everybody out, so that only the account's root could undo it"
                    .to_owned(),
            );
        }
    }

    /// IAM takes letters and digits in a `Sid`; S3 more.
    fn check_sid(&self, out: &mut Vec<String>) {
        let odd = self
            .sid()
            .filter(|sid| !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        out.extend(
            odd.map(|sid| format!("the Sid `{sid}` has other characters than letters and digits")),
        );
    }

    fn require_element(&self, name: &str, there: bool, out: &mut Vec<String>) {
        if !there {
            out.push(format!("this statement has no `{name}`"));
        }
    }

    fn names_everyone(&self) -> bool {
        self.principals.as_ref().is_some_and(|who| {
            who.negated
                || who
                    .by_type
                    .values()
                    .flatten()
                    .any(|one| one.normalized() == "*")
        })
    }

    fn is_public(&self) -> bool {
        let pinned = self
            .conditions
            .values()
            .flat_map(|keys| keys.keys())
            .any(|key| RESTRICTING_CONDITION_KEYS.contains(&key.normalized()));
        self.effect == Effect::Allow && self.names_everyone() && !pinned
    }

    /// Whether nobody could change the bucket's policy any more.
    fn locks_everyone_out(&self, arn: &str) -> bool {
        let covers = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => pattern == name,
        };
        let undo = POLICY_CHANGE_ACTIONS.iter().all(|undo| {
            self.actions
                .values
                .iter()
                .any(|word| covers(word.normalized(), undo))
                != self.actions.negated
        });
        let bucket = self.resources.as_ref().is_some_and(|listed| {
            listed
                .values
                .iter()
                .any(|word| covers(word.original(), arn))
                != listed.negated
        });
        let everybody =
            self.principals.as_ref().is_some_and(|who| !who.negated) && self.names_everyone();
        self.effect == Effect::Deny && everybody && undo && bucket && self.conditions.is_empty()
    }
}

/// Whether it can stand for somebody in AWS: everybody, an account, an ARN, or what AWS makes of the ARN of somebody who is
/// gone, such as `AROA…`.
fn is_aws_principal(name: &str) -> bool {
    let gone = name.len() > 15
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
    name == "*" || account || gone || name.starts_with("arn:")
}

fn value_texts(listed: Option<&ElementValues>) -> impl Iterator<Item = &str> {
    listed
        .into_iter()
        .flat_map(|listed| &listed.values)
        .map(PolicyString::original)
}
