//! Finds what AWS would reject in a well-formed policy. Each use of the language requires some
//! elements and forbids others. Policies from a manifest are checked before any request is sent.
//!
//! Sources: IAM User Guide ("Grammar of the IAM JSON policy language", "Sid"), and the errors that
//! IAM and S3 return. What only AWS can know, such as whether a principal exists, is not checked.

use std::collections::BTreeSet;

use super::{
    DEFAULT_VERSION, KnownRequest, PolicyDocument, Statement,
    operators::Operator,
    policy_string::PolicyString,
    statement::{Effect, ElementValues, PrincipalSet},
};

/// The current version of the policy language.
const CURRENT_VERSION: &str = "2012-10-17";
/// The issuer of the tokens of all GitHub Actions jobs.
const GITHUB_ISSUER: &str = "token.actions.githubusercontent.com";
/// The issuer under Fly's alias for every personal organization. Fly never issues tokens under it.
const FLY_PERSONAL_ISSUER: &str = "oidc.fly.io/personal";
/// The actions that can change a bucket policy. Whoever is denied both can never lift the denial.
const POLICY_CHANGE_ACTIONS: [&str; 2] = ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// Actions on objects whose name does not say so.
const OBJECT_ACTIONS: [&str; 5] = [
    "abortmultipartupload",
    "bypassgovernanceretention",
    "listmultipartuploadparts",
    "replicatedelete",
    "replicatetags",
];

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
        /// The account that owns it.
        account: &'a str,
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
    /// Whether the statement of a trust policy lets everyone in all of AWS assume the role.
    #[must_use]
    pub fn lets_everyone_assume(&self) -> bool {
        self.effect == Effect::Allow && self.names_everyone() && self.conditions.is_empty()
    }

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
        self.check_not_empty(&mut problems);
        if let Some(principals) = &self.principals {
            check_principals(principals, &mut problems);
        }
        self.check_conditions(&mut problems);
        match policy_use {
            PolicyUse::Role => self.validate_role_policy(&mut problems),
            PolicyUse::Trust => self.validate_trust_policy(&mut problems),
            PolicyUse::Bucket {
                name,
                account,
                blocks_public,
            } => {
                self.validate_bucket_policy(name, &mut problems);
                if blocks_public && self.is_public() {
                    problems.push(
                        "this grants access to everyone, which the bucket's public access block forbids"
                            .to_owned(),
                    );
                }
                if self.locks_everyone_out(name, account) {
                    problems.push(
                        "this locks everyone out, so only the account's root user could undo it"
                            .to_owned(),
                    );
                }
            }
        }
        problems
    }

    /// An empty list matches nothing. IAM refuses it ("Policy statement must contain actions"), and it
    /// is never what was meant.
    fn check_not_empty(&self, problems: &mut Vec<String>) {
        let resources = self.resources.as_ref();
        let mut elements = vec![(
            "Action",
            self.actions.negated,
            self.actions.values.is_empty(),
        )];
        elements.extend(
            resources.map(|element| ("Resource", element.negated, element.values.is_empty())),
        );
        elements.extend(self.principals.as_ref().map(|principals| {
            let is_empty = principals.by_type.is_empty()
                || principals.by_type.values().any(BTreeSet::is_empty);
            ("Principal", principals.negated, is_empty)
        }));
        for (name, negated, _) in elements.into_iter().filter(|(.., is_empty)| *is_empty) {
            let not = if negated { "Not" } else { "" };
            problems.push(format!(
                "`{not}{name}` is empty, so AWS refuses the statement"
            ));
        }
    }

    fn check_conditions(&self, problems: &mut Vec<String>) {
        for (operator, keys) in &self.conditions {
            if Operator::parse(operator.normalized()).is_none() {
                problems.push(format!(
                    "there is no condition operator `{}`",
                    operator.original()
                ));
            }
            let without_service = keys.keys().find(|key| !key.original().contains(':'));
            problems.extend(without_service.map(|key| {
                format!(
                    "the condition key `{}` names no service, as `aws:SourceIp` does",
                    key.original()
                )
            }));
        }
    }

    fn validate_role_policy(&self, problems: &mut Vec<String>) {
        self.check_sid(problems);
        if self.principals.is_some() {
            problems.push(
                "an inline policy of a role has no Principal: it applies to the role".to_owned(),
            );
        }
        self.require_element("Resource", self.resources.is_some(), problems);
        let invalid = value_texts(self.resources.as_ref()).find(|name| !is_resource(name));
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
            .find(|value| !is_assume_role_action(value.normalized()));
        problems.extend(invalid.map(|value| {
            format!(
                "`{}` does not assume a role: only `sts:AssumeRole` and its like do",
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
            } else if host == GITHUB_ISSUER && !self.fixes_repository(host) {
                problems.push(if self.tests_claim(host, "sub") {
                    format!(
                        "repositories of strangers could assume this role: `{host}:sub` must begin with the owner and the \
                         repository, such as `repo:OWNER/NAME:*`, in every value of StringEquals or StringLike"
                    )
                } else {
                    format!(
                        "every repository on GitHub could assume this role: restrict `{host}:sub` in a Condition"
                    )
                });
            }
        }
    }

    /// Whether a condition asks for this claim of the token.
    fn tests_claim(&self, host: &str, claim: &str) -> bool {
        let key = PolicyString::case_insensitive(&format!("{host}:{claim}"));
        self.conditions.values().any(|keys| keys.contains_key(&key))
    }

    /// Whether a condition admits only tokens of jobs of certain repositories, or of all repositories of a certain owner. GitHub
    /// issues tokens to everyone, and whoever asks chooses the name of the repository, the branch and the environment.
    fn fixes_repository(&self, host: &str) -> bool {
        let prefix = format!("{}:", host.to_ascii_lowercase());
        let fixes =
            |operator: &PolicyString, key: &PolicyString, values: &BTreeSet<PolicyString>| {
                let operator = Operator::parse(operator.normalized());
                let compares = ["stringequals", "stringequalsignorecase", "stringlike"];
                let Some(operator) = operator.filter(|operator| compares.contains(&operator.name))
                else {
                    return false;
                };
                let Some(claim) = key.normalized().strip_prefix(&prefix) else {
                    return false;
                };
                let is_pattern = operator.name == "stringlike";
                !values.is_empty()
                    && values.iter().all(|value| {
                        github_claim_fixes_repository(claim, value.original(), is_pattern)
                    })
            };
        let mut conditions = self.conditions.iter().flat_map(|(operator, keys)| {
            keys.iter()
                .map(move |(key, values)| (operator, key, values))
        });
        self.effect == Effect::Deny
            || conditions.any(|(operator, key, values)| fixes(operator, key, values))
    }

    fn validate_bucket_policy(&self, bucket: &str, problems: &mut Vec<String>) {
        self.require_element("Principal", self.principals.is_some(), problems);
        self.require_element("Resource", self.resources.is_some(), problems);
        let is_other_service = |value: &&PolicyString| {
            value.normalized().contains(':') && !value.normalized().starts_with("s3:")
        };
        let invalid = self.actions.values.iter().find(is_other_service);
        problems.extend(invalid.map(|value| format!("`{}` is no action of S3", value.original())));
        let bucket_arn = format!("arn:aws:s3:::{bucket}");
        let rest_of = |name: &str| {
            let rest = name.strip_prefix(&bucket_arn)?;
            (rest.is_empty() || rest.starts_with(['/', '*'])).then(|| rest.to_owned())
        };
        let mut outside =
            value_texts(self.resources.as_ref()).filter(|name| rest_of(name).is_none());
        if let Some(name) = outside.next() {
            problems.push(format!(
                "the resource `{name}` is not in this bucket, {bucket_arn}"
            ));
            return;
        }
        let rests: Vec<String> = value_texts(self.resources.as_ref())
            .filter_map(rest_of)
            .collect();
        let applies = |action: &str| {
            action.contains(['*', '?'])
                || rests.iter().any(|rest| {
                    rest.starts_with('*') || rest.starts_with('/') == is_object_action(action)
                })
        };
        let mut actions = self.actions.values.iter();
        let idle = actions
            .find(|value| !applies(value.normalized()))
            .filter(|_| !self.actions.negated && !rests.is_empty());
        problems.extend(idle.map(|value| {
            let right = if is_object_action(value.normalized()) {
                format!("objects: {bucket_arn}/*")
            } else {
                format!("the bucket itself: {bucket_arn}")
            };
            format!(
                "`{}` applies to none of these resources, so S3 refuses the statement: it is an action on {right}",
                value.original()
            )
        }));
    }

    /// Whether this statement would prevent everyone in the account from ever changing the bucket's
    /// policy again.
    fn locks_everyone_out(&self, bucket: &str, account: &str) -> bool {
        let resource = format!("arn:aws:s3:::{bucket}");
        POLICY_CHANGE_ACTIONS.iter().all(|action| {
            self.certainly_denies(&KnownRequest::of_run(action, &resource, account, None))
        })
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
}

/// Finds principals of unknown types, and names that cannot be one.
fn check_principals(principals: &PrincipalSet, problems: &mut Vec<String>) {
    for (principal_type, names) in &principals.by_type {
        let mut texts = names.iter().map(PolicyString::original);
        match principal_type.as_str() {
            PrincipalSet::AWS => {
                let invalid = texts.find(|name| !is_aws_principal(name));
                problems.extend(invalid.map(|name| {
                    format!("the principal `{name}` is neither an ARN, nor an account, nor `*`")
                }));
                let pattern =
                    names.iter().map(PolicyString::original).find(|name| {
                        name.starts_with("arn:") && name.contains(['*', '?'])
                    });
                problems.extend(pattern.map(|name| {
                    format!(
                        "the principal `{name}` is a pattern, and principals have none: name the account, and restrict \
                         `aws:PrincipalArn` in a Condition"
                    )
                }));
            }
            "Service" => {
                let invalid = texts.find(|name| !name.ends_with(".amazonaws.com"));
                problems.extend(invalid.map(|name| {
                    format!("the service `{name}` has no name such as `ec2.amazonaws.com`")
                }));
            }
            "Federated" => {}
            // S3 gives it back as the ARN of an account or of an origin access identity (S3 User Guide,
            // "Principals for bucket policies"), so a plan would show a change for ever.
            "CanonicalUser" => problems.push(
                "S3 replaces a `CanonicalUser` by the ARN that it stands for, so every plan would show a change: write that \
                 ARN, as `{ AWS = \"arn:aws:iam::…\" }`"
                    .to_owned(),
            ),
            other => problems.push(format!("there are no principals of type `{other}`")),
        }
    }
}

/// Whether a value of a claim fixes the repository or its owner (GitHub, "OpenID Connect reference").
fn github_claim_fixes_repository(claim: &str, value: &str, is_pattern: bool) -> bool {
    let wildcard = value.find(['*', '?']).filter(|_| is_pattern);
    // A policy variable stands for what the token itself says.
    if value.contains("${") {
        return false;
    }
    let fixed = &value[..wildcard.unwrap_or(value.len())];
    // What is fixed must end where a name ends, or it is the beginning of other names too.
    let names_owner = |text: &str, end: &[char]| {
        text.split_once('/').is_some_and(|(owner, rest)| {
            let repository = rest.split(end).next().unwrap_or_default();
            let is_whole = wildcard.is_none() || rest.contains(end) || rest.is_empty();
            !owner.is_empty() && is_whole && (!repository.is_empty() || wildcard.is_some())
        })
    };
    match claim {
        "sub" => match fixed.split_once(':') {
            Some(("repo" | "repository", rest)) => names_owner(rest, &[':']),
            // A subject of another form, as an organization can choose it: its first claim must be one that fixes it.
            Some((claim, rest)) => {
                let (value, is_whole) = match rest.split_once(':') {
                    Some((value, _)) => (value, true),
                    None => (rest, wildcard.is_none()),
                };
                is_whole && claim != "sub" && github_claim_fixes_repository(claim, value, false)
            }
            None => false,
        },
        "repository" => names_owner(fixed, &[]),
        "job_workflow_ref" => names_owner(fixed, &['/']),
        "repository_id" | "repository_owner" | "repository_owner_id" | "enterprise_id" => {
            wildcard.is_none() && !value.is_empty()
        }
        _ => false,
    }
}

/// Whether this is the resource of an identity-based policy: `*`, or an ARN with all six parts.
fn is_resource(name: &str) -> bool {
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    match *parts.as_slice() {
        ["*"] => true,
        ["arn", partition, _, _, _, _] => {
            partition.starts_with("aws") || partition.contains(['*', '?'])
        }
        _ => false,
    }
}

/// Whether an action, in lower case, may stand in a trust policy.
fn is_assume_role_action(action: &str) -> bool {
    let Some(name) = action.strip_prefix("sts:") else {
        return action == "*";
    };
    name.starts_with("assumerole")
        || ["tagsession", "setsourceidentity", "setcontext"].contains(&name)
        || name.contains(['*', '?'])
}

/// Whether an action of S3, in lower case, is one on objects rather than on the bucket (Service
/// Authorization Reference, "Actions defined by Amazon S3").
fn is_object_action(action: &str) -> bool {
    let name = action.strip_prefix("s3:").unwrap_or(action);
    (name.contains("object") && !name.contains("bucketobjectlock"))
        || OBJECT_ACTIONS.contains(&name)
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
