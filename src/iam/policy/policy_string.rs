//! A text as its author spelt it, beside what AWS takes it for: one is shown and sent, the other compared.

use std::{cmp::Ordering, collections::BTreeSet};

use serde_json::Value;

/// A text that is equal to every other spelling of the same.
#[derive(Clone, Debug)]
pub(super) struct PolicyString {
    original: String,
    normalized: String,
}

impl PolicyString {
    /// A text in which every character counts.
    pub(super) fn case_sensitive(text: &str) -> Self {
        Self {
            original: text.to_owned(),
            normalized: text.to_owned(),
        }
    }

    /// A text in which upper and lower case are the same.
    pub(super) fn case_insensitive(text: &str) -> Self {
        Self {
            original: text.to_owned(),
            normalized: text.to_ascii_lowercase(),
        }
    }

    /// A principal of the type `AWS`: an account by its id is the same as by the ARN of its root. An id that IAM put in
    /// the place of somebody deleted (`AROA…`, `AIDA…`) is equal to itself only.
    pub(super) fn aws_principal(text: &str) -> Self {
        let key = principal_account(text).unwrap_or(text).to_owned();
        Self {
            original: text.to_owned(),
            normalized: key,
        }
    }

    /// As the author spelt it.
    pub(super) fn original(&self) -> &str {
        &self.original
    }

    /// What it is compared by.
    pub(super) fn normalized(&self) -> &str {
        &self.normalized
    }
}

impl PartialEq for PolicyString {
    fn eq(&self, other: &Self) -> bool {
        self.normalized == other.normalized
    }
}

impl Eq for PolicyString {}

impl PartialOrd for PolicyString {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PolicyString {
    fn cmp(&self, other: &Self) -> Ordering {
        self.normalized.cmp(&other.normalized)
    }
}

/// The partitions of AWS whose ARNs are read; in any other an ARN is a text.
const KNOWN_PARTITIONS: [&str; 3] = ["aws", "aws-cn", "aws-us-gov"];

/// What follows the partition of an ARN.
pub(super) fn strip_partition(arn: &str) -> Option<&str> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(':')?;
    KNOWN_PARTITIONS.contains(&partition).then_some(rest)
}

/// The id of an account that a principal names as a whole.
pub(super) fn principal_account(principal: &str) -> Option<&str> {
    let root = || {
        strip_partition(principal)?
            .strip_prefix("iam::")?
            .strip_suffix(":root")
    };
    Some(root().unwrap_or(principal)).filter(|id| is_account_id(id))
}

/// Whether it is the id of an account: twelve digits.
pub(super) fn is_account_id(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// Which side of a [`Word`] is wanted.
pub(super) type SelectSpelling = fn(&PolicyString) -> &str;

/// One value as itself, any other number as a list.
pub(super) fn values_to_json(members: &BTreeSet<PolicyString>, side: SelectSpelling) -> Value {
    let mut all: Vec<Value> = members.iter().map(|word| side(word).into()).collect();
    if all.len() == 1 {
        all.remove(0)
    } else {
        Value::Array(all)
    }
}
