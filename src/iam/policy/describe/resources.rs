//! Resources in words: buckets and objects by name, everything else by its ARN.

use super::{
    super::{policy_string::strip_partition, statement::ElementValues},
    join_list,
};

/// What a resource's ARN names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PolicyResource<'a> {
    /// A bucket.
    Bucket(&'a str),
    /// Objects of a bucket, told by what follows its name.
    Objects { bucket: &'a str, key: &'a str },
    /// Anything else, or a pattern of which no more can be said.
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

    /// Behind a word such as `objects`.
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

    /// By itself. `any` is the word for all that there is: `every`, or `any` in a denial.
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

/// Whether it stands for itself: no wildcard, no variable, and not empty.
pub(super) fn is_literal(text: &str) -> bool {
    !text.is_empty() && !text.contains(['*', '?']) && !text.contains("${")
}

/// Whether an ARN names one bucket.
pub(super) fn is_bucket_arn(arn: &str) -> bool {
    matches!(PolicyResource::parse(arn), PolicyResource::Bucket(_))
}

/// Every place that is listed.
pub(super) fn parse_resources(listed: &ElementValues) -> Vec<PolicyResource<'_>> {
    listed
        .values
        .iter()
        .map(|word| PolicyResource::parse(word.original()))
        .collect()
}

/// ` on …`, or nothing when a statement has no resources.
pub(super) fn describe_resources(listed: Option<&ElementValues>, denies: bool) -> String {
    let Some(listed) = listed else {
        return String::new();
    };
    let every = match (denies, listed.negated) {
        (false, true) => "EVERY",
        (false, false) => "every",
        (true, _) => "any",
    };
    let names: Vec<String> = parse_resources(listed)
        .iter()
        .map(|place| place.name_phrase(every))
        .collect();
    match (listed.negated, names.is_empty()) {
        (false, true) => " on no resource at all".to_owned(),
        (false, false) => format!(
            " on {}",
            join_list(&names, if denies { "or" } else { "and" })
        ),
        (true, true) => format!(" on {every} resource"),
        (true, false) => format!(" on {every} resource except {}", join_list(&names, "and")),
    }
}
