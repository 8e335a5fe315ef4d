//! A text as its author spelt it, beside what AWS takes it for: one is shown and sent, the other compared.

use std::{cmp::Ordering, collections::BTreeSet};

use serde_json::Value;

/// A text that is equal to every other spelling of the same.
#[derive(Clone, Debug)]
pub(super) struct Word {
    text: String,
    key: String,
}

impl Word {
    /// A text in which every character counts.
    pub(super) fn exact(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            key: text.to_owned(),
        }
    }

    /// A text in which upper and lower case are the same.
    pub(super) fn caseless(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            key: text.to_ascii_lowercase(),
        }
    }

    /// A principal of the type `AWS`: an account by its id is the same as by the ARN of its root. An id that IAM put in
    /// the place of somebody deleted (`AROA…`, `AIDA…`) is equal to itself only.
    pub(super) fn principal(text: &str) -> Self {
        let key = account(text).unwrap_or(text).to_owned();
        Self {
            text: text.to_owned(),
            key,
        }
    }

    /// As the author spelt it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What it is compared by.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Word {}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Word {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

/// The partitions of AWS whose ARNs are read; in any other an ARN is a text.
const PARTITIONS: [&str; 3] = ["aws", "aws-cn", "aws-us-gov"];

/// What follows the partition of an ARN.
pub(super) fn within_partition(arn: &str) -> Option<&str> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(':')?;
    PARTITIONS.contains(&partition).then_some(rest)
}

/// The id of an account that a principal names as a whole.
pub(super) fn account(principal: &str) -> Option<&str> {
    let root = || {
        within_partition(principal)?
            .strip_prefix("iam::")?
            .strip_suffix(":root")
    };
    Some(root().unwrap_or(principal)).filter(|id| is_account(id))
}

/// Whether it is the id of an account: twelve digits.
pub(super) fn is_account(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// Which side of a [`Word`] is wanted.
pub(super) type Side = fn(&Word) -> &str;

/// One value as itself, any other number as a list.
pub(super) fn value(members: &BTreeSet<Word>, side: Side) -> Value {
    let mut all: Vec<Value> = members.iter().map(|word| side(word).into()).collect();
    if all.len() == 1 {
        all.remove(0)
    } else {
        Value::Array(all)
    }
}
