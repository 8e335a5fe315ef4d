//! Describes resources: buckets and objects by name, everything else by ARN.

use super::{
    super::{policy_string::strip_partition, statement::ElementValues},
    join_list,
};

/// What the ARN of a resource refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PolicyResource<'a> {
    /// A bucket.
    Bucket(&'a str),
    /// Objects of a bucket: one key, or all keys with a prefix if it ends in `*`.
    Objects { bucket: &'a str, key: &'a str },
    /// Anything else, or a pattern that cannot be expressed in words.
    Other(&'a str),
}

impl<'a> PolicyResource<'a> {
    pub(super) fn parse(arn: &'a str) -> Self {
        let path = strip_partition(arn).and_then(|rest| rest.strip_prefix("s3:::"));
        match path.map(|path| {
            path.split_once('/')
                .map_or((path, None), |(bucket, key)| (bucket, Some(key)))
        }) {
            Some((bucket, None)) if is_literal(bucket) => Self::Bucket(bucket),
            Some((bucket, Some(key)))
                if is_literal(bucket) && is_literal(key.strip_suffix('*').unwrap_or(key)) =>
            {
                Self::Objects { bucket, key }
            }
            Some((bucket, Some("*"))) if is_literal(bucket) => Self::Objects { bucket, key: "*" },
            _ => Self::Other(arn),
        }
    }

    /// The location, to follow a word such as `objects`.
    pub(super) fn location_phrase(&self) -> String {
        match self {
            Self::Bucket(bucket) => format!("in bucket {bucket}"),
            Self::Objects { bucket, key: "*" } => format!("anywhere in bucket {bucket}"),
            Self::Objects { bucket, key } => match key.strip_suffix('*') {
                Some(folder) if folder.ends_with('/') => {
                    format!("under {folder} of bucket {bucket}")
                }
                Some(start) => format!("that begin with {start} in bucket {bucket}"),
                None => format!("at {key} of bucket {bucket}"),
            },
            Self::Other(arn) => format!("at {arn}"),
        }
    }

    /// The name, to stand alone. `any` is the word for everything: `every`, or `any` in a denial.
    fn name_phrase(&self, any: &str) -> String {
        match self {
            Self::Bucket(bucket) => format!("bucket {bucket}"),
            Self::Objects { .. } => format!("objects {}", self.location_phrase()),
            Self::Other("*") => format!("{any} resource"),
            Self::Other(pattern) if !is_literal(pattern) => format!("everything like {pattern}"),
            Self::Other(arn) => (*arn).to_owned(),
        }
    }
}

/// Whether the text contains no wildcard and no policy variable, and is not empty.
pub(super) fn is_literal(text: &str) -> bool {
    !text.is_empty() && !text.contains(['*', '?']) && !text.contains("${")
}

/// Whether an ARN refers to exactly one bucket.
pub(super) fn is_bucket_arn(arn: &str) -> bool {
    matches!(PolicyResource::parse(arn), PolicyResource::Bucket(_))
}

/// All resources of an element.
pub(super) fn parse_resources(values: &ElementValues) -> Vec<PolicyResource<'_>> {
    values
        .values
        .iter()
        .map(|word| PolicyResource::parse(word.original()))
        .collect()
}

/// ` on …`, or an empty string if the statement has no resources.
pub(super) fn describe_resources(values: Option<&ElementValues>, denies: bool) -> String {
    let Some(values) = values else {
        return String::new();
    };
    let quantifier = match (denies, values.negated) {
        (false, true) => "EVERY",
        (false, false) => "every",
        (true, _) => "any",
    };
    let names: Vec<String> = parse_resources(values)
        .iter()
        .map(|place| place.name_phrase(quantifier))
        .collect();
    match (values.negated, names.is_empty()) {
        (false, true) => " on no resource at all".to_owned(),
        (false, false) => format!(
            " on {}",
            join_list(&names, if denies { "or" } else { "and" })
        ),
        (true, true) => format!(" on {quantifier} resource"),
        (true, false) => format!(
            " on {quantifier} resource except {}",
            join_list(&names, "and")
        ),
    }
}
