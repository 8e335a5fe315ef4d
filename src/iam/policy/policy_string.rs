//! A string in the author's spelling, together with the normalized spelling by which AWS would
//! compare it. The first is shown and sent, the second compared.

use std::{cmp::Ordering, collections::BTreeSet};

use serde_json::Value;

/// A string that is equal to every equivalent spelling.
#[derive(Clone, Debug)]
pub(super) struct PolicyString {
    original: String,
    normalized: String,
}

impl PolicyString {
    /// A string that is compared exactly.
    pub(super) fn case_sensitive(text: &str) -> Self {
        Self {
            original: text.to_owned(),
            normalized: text.to_owned(),
        }
    }

    /// A string that is compared without regard to (ASCII) case.
    pub(super) fn case_insensitive(text: &str) -> Self {
        Self {
            original: text.to_owned(),
            normalized: text.to_ascii_lowercase(),
        }
    }

    /// A principal of the type `AWS`: an account ID equals the ARN of the account's root. A unique
    /// ID that IAM put in place of a deleted principal (`AROA…`, `AIDA…`) equals only itself.
    pub(super) fn aws_principal(text: &str) -> Self {
        let normalized = principal_account(text).unwrap_or(text).to_owned();
        Self {
            original: text.to_owned(),
            normalized,
        }
    }

    /// The author's spelling.
    pub(super) fn original(&self) -> &str {
        &self.original
    }

    /// The spelling that is compared.
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

/// The partitions whose ARNs are understood. An ARN of any other partition is just a string.
const KNOWN_PARTITIONS: [&str; 3] = ["aws", "aws-cn", "aws-us-gov"];

/// What follows the partition of an ARN, if the partition is known.
pub(super) fn strip_partition(arn: &str) -> Option<&str> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(':')?;
    KNOWN_PARTITIONS.contains(&partition).then_some(rest)
}

/// The account ID, if the principal stands for a whole account.
pub(super) fn principal_account(principal: &str) -> Option<&str> {
    let root = || {
        strip_partition(principal)?
            .strip_prefix("iam::")?
            .strip_suffix(":root")
    };
    Some(root().unwrap_or(principal)).filter(|id| is_account_id(id))
}

/// Whether this is an account ID: twelve digits.
pub(super) fn is_account_id(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// Selects the original or the normalized spelling.
pub(super) type SelectSpelling = fn(&PolicyString) -> &str;

/// A single value as a scalar, any other number of values as a list.
pub(super) fn values_to_json(
    values: &BTreeSet<PolicyString>,
    select_spelling: SelectSpelling,
) -> Value {
    let mut all: Vec<Value> = values
        .iter()
        .map(|value| select_spelling(value).into())
        .collect();
    if all.len() == 1 {
        all.remove(0)
    } else {
        Value::Array(all)
    }
}
