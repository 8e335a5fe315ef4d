//! Resources in words: buckets and objects by name, everything else by its ARN.

use super::{
    super::{statement::Listed, word::within_partition},
    joined,
};

/// What a resource's ARN names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// A bucket.
    Bucket(&'a str),
    /// Objects of a bucket, told by what follows its name.
    Objects { bucket: &'a str, key: &'a str },
    /// Anything else, or a pattern of which no more can be said.
    Other(&'a str),
}

impl<'a> Place<'a> {
    pub(super) fn of(arn: &'a str) -> Self {
        let path = within_partition(arn).and_then(|rest| rest.strip_prefix("s3:::"));
        match path.map(|path| {
            path.split_once('/')
                .map_or((path, None), |(bucket, key)| (bucket, Some(key)))
        }) {
            Some((bucket, None)) if is_plain(bucket) => Self::Bucket(bucket),
            Some((bucket, Some(key)))
                if is_plain(bucket) && is_plain(key.strip_suffix('*').unwrap_or(key)) =>
            {
                Self::Objects { bucket, key }
            }
            Some((bucket, Some("*"))) if is_plain(bucket) => Self::Objects { bucket, key: "*" },
            _ => Self::Other(arn),
        }
    }

    /// Behind a word such as `objects`.
    pub(super) fn within(&self) -> String {
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
    fn name(&self, any: &str) -> String {
        match self {
            Self::Bucket(bucket) => format!("bucket {bucket}"),
            Self::Objects { .. } => format!("objects {}", self.within()),
            Self::Other("*") => format!("{any} resource"),
            Self::Other(pattern) if !is_plain(pattern) => format!("everything like {pattern}"),
            Self::Other(arn) => (*arn).to_owned(),
        }
    }
}

/// Whether it stands for itself: no wildcard, no variable, and not empty.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(['*', '?']) && !text.contains("${")
}

/// Whether an ARN names one bucket.
pub(super) fn is_bucket(arn: &str) -> bool {
    matches!(Place::of(arn), Place::Bucket(_))
}

/// Every place that is listed.
pub(super) fn all(listed: &Listed) -> Vec<Place<'_>> {
    listed
        .members
        .iter()
        .map(|word| Place::of(word.text()))
        .collect()
}

/// ` on …`, or nothing when a statement has no resources.
pub(super) fn on(listed: Option<&Listed>, denies: bool) -> String {
    let Some(listed) = listed else {
        return String::new();
    };
    let every = match (denies, listed.but) {
        (false, true) => "EVERY",
        (false, false) => "every",
        (true, _) => "any",
    };
    let names: Vec<String> = all(listed).iter().map(|place| place.name(every)).collect();
    match (listed.but, names.is_empty()) {
        (false, true) => " on no resource at all".to_owned(),
        (false, false) => format!(" on {}", joined(&names, if denies { "or" } else { "and" })),
        (true, true) => format!(" on {every} resource"),
        (true, false) => format!(" on {every} resource except {}", joined(&names, "and")),
    }
}
