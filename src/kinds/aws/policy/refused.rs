//! What AWS refuses of a document that reads well: each use of the language has elements that it needs and others that
//! it forbids. What a manifest says is held to this before any request.
//!
//! Facts are from the IAM User Guide ("Grammar of the IAM JSON policy language", "Sid") and from the errors that IAM and
//! S3 give. What only AWS knows, such as whether a principal exists, is left to it.

use std::collections::BTreeSet;

use super::{
    FIRST_VERSION, Policy, Statement,
    statement::{Effect, Listed, Who},
    word::Word,
};

/// Today's version of the language.
const VERSION: &str = "2012-10-17";
/// The types of principals that there are.
const KINDS: [&str; 4] = [Who::AWS, "Federated", "Service", "CanonicalUser"];
/// The keys of conditions that make `Principal: "*"` somebody in particular (S3 User Guide, "The meaning of public").
const PINS: [&str; 15] = [
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
const GITHUB: &str = "token.actions.githubusercontent.com";
/// What Fly calls every personal organization; tokens are never issued under it.
const NOBODYS: &str = "oidc.fly.io/personal";
/// What undoes a policy: who is denied these can no longer take the denial back.
const UNDO: [&str; 2] = ["s3:putbucketpolicy", "s3:deletebucketpolicy"];

/// What a document is for.
#[derive(Clone, Copy, Debug)]
pub enum Use<'a> {
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

impl Policy {
    /// How long it is as IAM counts, which leaves out white space.
    #[must_use]
    pub fn length(&self) -> usize {
        self.text().chars().filter(|c| !c.is_whitespace()).count()
    }

    /// Everything that AWS would refuse: the statement's place, counted from 0, or none where it is about the whole.
    #[must_use]
    pub fn refused(&self, used: Use<'_>) -> Vec<(Option<usize>, String)> {
        let Self {
            version,
            statements,
            rest,
        } = self;
        let mut out = Vec::new();
        if version != VERSION && version != FIRST_VERSION {
            out.push((
                None,
                format!("there is no version `{version}` of policies: say \"{VERSION}\""),
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
                    .chain(statement.refused(used))
                    .map(|why| (Some(at), why)),
            );
        }
        out
    }
}

impl Statement {
    fn refused(&self, used: Use<'_>) -> Vec<String> {
        let mut out: Vec<String> = self
            .rest
            .keys()
            .map(|key| format!("statements have no element `{key}`"))
            .collect();
        let bare = self
            .action
            .members
            .iter()
            .map(Word::text)
            .find(|name| *name != "*" && !name.contains(':'));
        out.extend(
            bare.map(|name| {
                format!("the action `{name}` names no service, as `s3:GetObject` does")
            }),
        );
        let kinds = self.principal.iter().flat_map(|who| who.kinds.keys());
        let odd = kinds.filter(|kind| !KINDS.contains(&kind.as_str()));
        out.extend(odd.map(|kind| format!("there are no principals of type `{kind}`")));
        let named = self
            .principal
            .iter()
            .filter_map(|who| who.kinds.get(Who::AWS))
            .flatten()
            .map(Word::text);
        let odd = named.filter(|name| !is_principal(name));
        out.extend(odd.map(|name| {
            format!("the principal `{name}` is neither an ARN, nor an account, nor `*`")
        }));
        match used {
            Use::Role => self.as_role(&mut out),
            Use::Trust => self.as_trust(&mut out),
            Use::Bucket {
                name,
                blocks_public,
            } => self.as_bucket(name, blocks_public, &mut out),
        }
        out
    }

    fn as_role(&self, out: &mut Vec<String>) {
        self.plain_sid(out);
        if self.principal.is_some() {
            out.push("a role's own policy names no Principal: it is about the role".to_owned());
        }
        self.needs("Resource", self.resource.is_some(), out);
        let arn = |name: &&str| *name == "*" || name.starts_with("arn:");
        let odd = members(self.resource.as_ref()).find(|name| !arn(name));
        out.extend(odd.map(|name| format!("the resource `{name}` is neither an ARN nor `*`")));
    }

    fn as_trust(&self, out: &mut Vec<String>) {
        self.plain_sid(out);
        self.needs("Principal", self.principal.is_some(), out);
        if self.resource.is_some() {
            out.push("a trust policy has no Resource: it is about its role".to_owned());
        }
        let odd = self
            .action
            .members
            .iter()
            .find(|word| word.key() != "*" && !word.key().starts_with("sts:"));
        out.extend(odd.map(|word| format!("`{}` takes no role: actions of `sts` do", word.text())));
        let providers = self
            .principal
            .iter()
            .filter_map(|who| who.kinds.get("Federated"))
            .flatten();
        for host in providers
            .filter_map(|word| word.text().split_once(":oidc-provider/"))
            .map(|(_, host)| host)
        {
            if host == NOBODYS {
                out.push(format!(
                    "no token comes from {host}: a personal organization's have its own slug"
                ));
            } else if host == GITHUB && !self.pins(host) {
                out.push(format!(
                    "every repository on GitHub could take this role: say `{host}:sub` in a Condition"
                ));
            }
        }
    }

    /// Whether a condition asks for more of a token than what it is for.
    fn pins(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let claim = |word: &Word| {
            Some(
                word.key()
                    .strip_prefix(&host)?
                    .strip_prefix(':')?
                    .to_owned(),
            )
        };
        let claims = self
            .condition
            .values()
            .flat_map(|keys| keys.keys())
            .filter_map(claim);
        self.effect == Effect::Deny || claims.into_iter().any(|claim| claim != "aud")
    }

    fn as_bucket(&self, bucket: &str, blocks_public: bool, out: &mut Vec<String>) {
        self.needs("Principal", self.principal.is_some(), out);
        self.needs("Resource", self.resource.is_some(), out);
        let others = |word: &&Word| word.key().contains(':') && !word.key().starts_with("s3:");
        let odd = self.action.members.iter().find(others);
        out.extend(odd.map(|word| format!("`{}` is no action of S3", word.text())));
        let arn = format!("arn:aws:s3:::{bucket}");
        let inside = |name: &str| {
            name.strip_prefix(&arn)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '*']))
        };
        let odd = members(self.resource.as_ref()).find(|name| !inside(name));
        out.extend(odd.map(|name| format!("the resource `{name}` is not in this bucket, {arn}")));
        if blocks_public && self.is_public() {
            out.push(
                "this lets everybody in, which the bucket's public access block refuses".to_owned(),
            );
        }
        if self.locks_out(&arn) {
            out.push(
                "this locks everybody out, so that only the account's root could undo it"
                    .to_owned(),
            );
        }
    }

    /// IAM takes letters and digits in a `Sid`; S3 more.
    fn plain_sid(&self, out: &mut Vec<String>) {
        let odd = self
            .sid()
            .filter(|sid| !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        out.extend(
            odd.map(|sid| format!("the Sid `{sid}` has other characters than letters and digits")),
        );
    }

    fn needs(&self, name: &str, there: bool, out: &mut Vec<String>) {
        if !there {
            out.push(format!("this statement has no `{name}`"));
        }
    }

    fn names_everybody(&self) -> bool {
        self.principal
            .as_ref()
            .is_some_and(|who| who.but || who.kinds.values().flatten().any(|one| one.key() == "*"))
    }

    fn is_public(&self) -> bool {
        let pinned = self
            .condition
            .values()
            .flat_map(|keys| keys.keys())
            .any(|key| PINS.contains(&key.key()));
        self.effect == Effect::Allow && self.names_everybody() && !pinned
    }

    /// Whether nobody could change the bucket's policy any more.
    fn locks_out(&self, arn: &str) -> bool {
        let covers = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => pattern == name,
        };
        let undo = UNDO.iter().all(|undo| {
            self.action
                .members
                .iter()
                .any(|word| covers(word.key(), undo))
                != self.action.but
        });
        let bucket = self.resource.as_ref().is_some_and(|listed| {
            listed.members.iter().any(|word| covers(word.text(), arn)) != listed.but
        });
        let everybody =
            self.principal.as_ref().is_some_and(|who| !who.but) && self.names_everybody();
        self.effect == Effect::Deny && everybody && undo && bucket && self.condition.is_empty()
    }
}

/// Whether it can stand for somebody in AWS: everybody, an account, an ARN, or what AWS makes of the ARN of somebody who is
/// gone, such as `AROA…`.
fn is_principal(name: &str) -> bool {
    let gone = name.len() > 15
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
    name == "*" || account || gone || name.starts_with("arn:")
}

fn members(listed: Option<&Listed>) -> impl Iterator<Item = &str> {
    listed
        .into_iter()
        .flat_map(|listed| &listed.members)
        .map(Word::text)
}
