//! Actions in words: the well-known ones of S3 as verbs, everything else by its name.

use super::{
    super::{
        policy_string::PolicyString,
        statement::{Conditions, ElementValues},
    },
    conditions, join_list,
    resources::{self, PolicyResource},
    single_value,
};

/// What a statement is about.
pub(super) enum ActionPhrases {
    /// Everything, or everything with exceptions, as a noun.
    Everything(String),
    /// Some deeds, as one or more verbs with their objects.
    Specific(String),
}

/// What an action of S3 is done to, and so which resources it can be granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ActionTarget {
    /// `read`: a verb for objects.
    Object,
    /// `abort`: a verb for uploads that are not finished.
    Upload,
    /// `list`: a verb for a bucket that `s3:prefix` narrows.
    BucketListing,
    /// A verb for a bucket as a whole.
    Bucket,
}

/// The actions that have a verb (S3's "Actions, resources, and condition keys" in the Service Authorization Reference).
const S3_VERBS: [(&str, ActionTarget, &str); 10] = [
    ("s3:getobject", ActionTarget::Object, "read"),
    ("s3:putobject", ActionTarget::Object, "write"),
    ("s3:deleteobject", ActionTarget::Object, "delete"),
    (
        "s3:getobjectversion",
        ActionTarget::Object,
        "read old versions of",
    ),
    (
        "s3:deleteobjectversion",
        ActionTarget::Object,
        "delete old versions of",
    ),
    ("s3:abortmultipartupload", ActionTarget::Upload, "abort"),
    ("s3:listbucket", ActionTarget::BucketListing, "list"),
    (
        "s3:listbucketversions",
        ActionTarget::BucketListing,
        "list old versions in",
    ),
    (
        "s3:listbucketmultipartuploads",
        ActionTarget::BucketListing,
        "list unfinished uploads in",
    ),
    (
        "s3:getbucketlocation",
        ActionTarget::Bucket,
        "see the region of",
    ),
];

/// What the actions do to the resources. Conditions that are part of the words are taken out of `open`.
pub(super) fn describe_actions(
    action: &ElementValues,
    resource: Option<&ElementValues>,
    denies: bool,
    open: &mut Conditions,
) -> ActionPhrases {
    let names: Vec<&str> = action.values.iter().map(PolicyString::original).collect();
    let all = if denies { "everything" } else { "EVERYTHING" };
    let on = || resources::describe_resources(resource, denies);
    if action.negated {
        let except = if names.is_empty() {
            "nothing".to_owned()
        } else {
            join_list(&names, "and")
        };
        let on = resource.map(|_| format!("{} ", on())).unwrap_or_default();
        // Before the exceptions: behind them it would seem to be theirs.
        return ActionPhrases::Everything(format!("{}{all} except {except}", on.trim_start()));
    }
    if let Some(what) =
        single_value(action).and_then(|action| describe_wildcard(action.original(), all))
    {
        return ActionPhrases::Everything(format!("{what}{}", on()));
    }
    let known = resource
        .filter(|listed| !listed.negated)
        .and_then(|listed| describe_s3_actions(action, listed, denies, open));
    ActionPhrases::Specific(
        known.unwrap_or_else(|| format!("{}{}", describe_calls(&names, denies), on())),
    )
}

/// `EVERYTHING (*)`, for a wildcard that stands for all actions, or for all of one service.
fn describe_wildcard(action: &str, all: &str) -> Option<String> {
    match action.strip_suffix('*')? {
        "" => Some(format!("{all} (*)")),
        service if service.ends_with(':') && resources::is_literal(service) => Some(format!(
            "{all} in {} ({action})",
            service.trim_end_matches(':')
        )),
        _ => None,
    }
}

/// Actions by their names: `call s3:GetObject and everything like s3:List*`.
fn describe_calls(actions: &[&str], denies: bool) -> String {
    let (and, every, all) = if denies {
        ("or", "anything", "anything")
    } else {
        ("and", "everything", "EVERYTHING")
    };
    let name = |action: &&str| match describe_wildcard(action, all) {
        Some(all) => all,
        None if resources::is_literal(action) => (*action).to_owned(),
        None => format!("{every} like {action}"),
    };
    match actions {
        [] => "do nothing".to_owned(),
        some => format!(
            "call {}",
            join_list(&some.iter().map(name).collect::<Vec<_>>(), and)
        ),
    }
}

/// One action, with its verb when it has one.
type ActionPhrase<'a> = (&'a str, Option<(ActionTarget, &'static str)>);

/// The words for S3, when every resource can be said and no action stands beside resources that it is never done to.
fn describe_s3_actions(
    action: &ElementValues,
    resource: &ElementValues,
    denies: bool,
    open: &mut Conditions,
) -> Option<String> {
    let verb = |word: &PolicyString| {
        S3_VERBS
            .iter()
            .find(|(name, ..)| *name == word.normalized())
            .map(|(_, sort, verb)| (*sort, *verb))
    };
    let deeds: Vec<ActionPhrase<'_>> = action
        .values
        .iter()
        .map(|word| (word.original(), verb(word)))
        .collect();
    let places = resources::parse_resources(resource);
    let (buckets, objects): (Vec<_>, Vec<_>) = places
        .into_iter()
        .partition(|place| matches!(place, PolicyResource::Bucket(_)));
    if objects
        .iter()
        .any(|place| matches!(place, PolicyResource::Other(_)))
    {
        return None;
    }
    let is_inside = |deed: &ActionPhrase<'_>| {
        matches!(
            deed.1,
            Some((ActionTarget::Object | ActionTarget::Upload, _))
        )
    };
    let is_whole = |deed: &ActionPhrase<'_>| {
        matches!(
            deed.1,
            Some((ActionTarget::BucketListing | ActionTarget::Bucket, _))
        )
    };
    match (buckets.is_empty(), objects.is_empty()) {
        (true, false) if deeds.iter().any(is_inside) => {
            Some(describe_object_actions(&deeds, &objects, denies))
        }
        (false, true) if deeds.iter().any(is_whole) => {
            Some(describe_bucket_actions(&deeds, &buckets, denies, open))
        }
        (false, false) => {
            let (inside, whole): (Vec<_>, Vec<_>) =
                deeds.into_iter().partition(|deed| is_inside(deed));
            let each_has_its_own =
                !inside.is_empty() && !whole.is_empty() && whole.iter().all(is_whole);
            // A prefix narrows both halves, so it is said once, behind them.
            let mut kept = Conditions::new();
            each_has_its_own.then(|| {
                let (whole, inside) = (
                    describe_bucket_actions(&whole, &buckets, denies, &mut kept),
                    describe_object_actions(&inside, &objects, denies),
                );
                join_list(&[whole, inside], if denies { "or" } else { "and" })
            })
        }
        _ => None,
    }
}

/// `read and write objects and abort uploads under db/ of bucket b`.
fn describe_object_actions(
    deeds: &[ActionPhrase<'_>],
    places: &[PolicyResource<'_>],
    denies: bool,
) -> String {
    let and = if denies { "or" } else { "and" };
    let verbs = |wanted: ActionTarget| -> Vec<&str> {
        // In the order of the table: reading comes before writing.
        let has = |verb: &&str| {
            deeds
                .iter()
                .any(|(_, known)| *known == Some((wanted, *verb)))
        };
        S3_VERBS
            .iter()
            .filter(|(_, sort, _)| *sort == wanted)
            .map(|(.., verb)| *verb)
            .filter(has)
            .collect()
    };
    let noun = |sort: ActionTarget, noun: &str| {
        let verbs = verbs(sort);
        (!verbs.is_empty()).then(|| format!("{} {noun}", join_list(&verbs, and)))
    };
    let unknown: Vec<&str> = deeds
        .iter()
        .filter(|(_, known)| {
            !matches!(
                known,
                Some((ActionTarget::Object | ActionTarget::Upload, _))
            )
        })
        .map(|(name, _)| *name)
        .collect();
    let mut parts: Vec<String> = noun(ActionTarget::Object, "objects")
        .into_iter()
        .chain(noun(ActionTarget::Upload, "uploads"))
        .collect();
    if !unknown.is_empty() {
        parts.push(format!("{} on objects", describe_calls(&unknown, denies)));
    }
    let places: Vec<String> = places.iter().map(PolicyResource::location_phrase).collect();
    format!("{} {}", join_list(&parts, and), join_list(&places, and))
}

/// `list bucket b under db/`.
fn describe_bucket_actions(
    deeds: &[ActionPhrase<'_>],
    places: &[PolicyResource<'_>],
    denies: bool,
    open: &mut Conditions,
) -> String {
    let and = if denies { "or" } else { "and" };
    let name = |place: &PolicyResource<'_>| match place {
        PolicyResource::Bucket(bucket) => format!("bucket {bucket}"),
        other => other.location_phrase(),
    };
    let places = join_list(&places.iter().map(name).collect::<Vec<_>>(), and);
    let has = |verb: &&str| {
        deeds
            .iter()
            .any(|(_, known)| known.is_some_and(|(_, found)| found == *verb))
    };
    let whole = S3_VERBS
        .iter()
        .filter(|(_, sort, _)| matches!(sort, ActionTarget::BucketListing | ActionTarget::Bucket));
    let verbs: Vec<&str> = whole.map(|(.., verb)| *verb).filter(has).collect();
    let is_verb = |known: &Option<(ActionTarget, &str)>| {
        matches!(
            known,
            Some((ActionTarget::BucketListing | ActionTarget::Bucket, _))
        )
    };
    let unknown: Vec<&str> = deeds
        .iter()
        .filter(|(_, known)| !is_verb(known))
        .map(|(name, _)| *name)
        .collect();
    let mut parts = vec![join_list(&verbs, and)];
    if !unknown.is_empty() {
        parts.push(format!("{} on", describe_calls(&unknown, denies)));
    }
    let narrowed = deeds
        .iter()
        .all(|(_, known)| matches!(known, Some((ActionTarget::BucketListing, _))));
    let under = narrowed
        .then(|| conditions::take_prefix_phrase(open))
        .flatten()
        .unwrap_or_default();
    format!("{} {places}{under}", join_list(&parts, and))
}
