//! Describes actions: the common S3 actions as verbs, everything else by name.

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
    /// Certain actions, as one or more verbs with their objects.
    Specific(String),
}

/// What an S3 action acts on, and so which resources it can be granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ActionTarget {
    /// Objects, such as `read`.
    Object,
    /// Multipart uploads that are not finished: `abort`.
    Upload,
    /// The contents of a bucket, which `s3:prefix` can restrict: `list`.
    BucketListing,
    /// A bucket as a whole.
    Bucket,
}

/// The actions that are described by a verb (Service Authorization Reference, "Actions, resources,
/// and condition keys for Amazon S3").
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

/// Describes the actions on the resources. Conditions that the words already express are removed
/// from `remaining`.
pub(super) fn describe_actions(
    actions: &ElementValues,
    resources: Option<&ElementValues>,
    denies: bool,
    remaining: &mut Conditions,
) -> ActionPhrases {
    let action_names: Vec<&str> = actions.values.iter().map(PolicyString::original).collect();
    let all = if denies { "everything" } else { "EVERYTHING" };
    let on = || resources::describe_resources(resources, denies);
    if actions.negated {
        let except = if action_names.is_empty() {
            "nothing".to_owned()
        } else {
            join_list(&action_names, "and")
        };
        let on = resources.map(|_| format!("{} ", on())).unwrap_or_default();
        // The resources come before the exceptions; after them they would seem to belong to them.
        return ActionPhrases::Everything(format!("{}{all} except {except}", on.trim_start()));
    }
    if let Some(what) =
        single_value(actions).and_then(|action| describe_wildcard(action.original(), all))
    {
        return ActionPhrases::Everything(format!("{what}{}", on()));
    }
    let described = resources
        .filter(|resource_values| !resource_values.negated)
        .and_then(|resource_values| {
            describe_s3_actions(actions, resource_values, denies, remaining)
        });
    ActionPhrases::Specific(
        described.unwrap_or_else(|| format!("{}{}", describe_calls(&action_names, denies), on())),
    )
}

/// `EVERYTHING (*)`, for a wildcard that covers all actions, or all of one service.
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

/// Actions by name: `call s3:GetObject and everything like s3:List*`.
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

/// An action, with its verb if it has one.
type ActionPhrase<'a> = (&'a str, Option<(ActionTarget, &'static str)>);

/// Describes S3 actions by verbs. Only if every resource is understood, and no action is listed
/// together with resources that it never acts on.
fn describe_s3_actions(
    actions: &ElementValues,
    resources: &ElementValues,
    denies: bool,
    remaining: &mut Conditions,
) -> Option<String> {
    let verb = |value: &PolicyString| {
        S3_VERBS
            .iter()
            .find(|(name, ..)| *name == value.normalized())
            .map(|(_, target, verb)| (*target, *verb))
    };
    let phrases: Vec<ActionPhrase<'_>> = actions
        .values
        .iter()
        .map(|value| (value.original(), verb(value)))
        .collect();
    let resource_list = resources::parse_resources(resources);
    let (buckets, objects): (Vec<_>, Vec<_>) = resource_list
        .into_iter()
        .partition(|target| matches!(target, PolicyResource::Bucket(_)));
    if objects
        .iter()
        .any(|target| matches!(target, PolicyResource::Other(_)))
    {
        return None;
    }
    let is_object_action = |phrase: &ActionPhrase<'_>| {
        matches!(
            phrase.1,
            Some((ActionTarget::Object | ActionTarget::Upload, _))
        )
    };
    let is_bucket_action = |phrase: &ActionPhrase<'_>| {
        matches!(
            phrase.1,
            Some((ActionTarget::BucketListing | ActionTarget::Bucket, _))
        )
    };
    match (buckets.is_empty(), objects.is_empty()) {
        (true, false) if phrases.iter().any(is_object_action) => {
            Some(describe_object_actions(&phrases, &objects, denies))
        }
        (false, true) if phrases.iter().any(is_bucket_action) => Some(describe_bucket_actions(
            &phrases, &buckets, denies, remaining,
        )),
        (false, false) => {
            let (on_objects, on_bucket): (Vec<_>, Vec<_>) = phrases
                .into_iter()
                .partition(|phrase| is_object_action(phrase));
            let is_split_cleanly = !on_objects.is_empty()
                && !on_bucket.is_empty()
                && on_bucket.iter().all(is_bucket_action);
            // A prefix condition restricts both halves, so it is described once, after them.
            let mut no_conditions = Conditions::new();
            is_split_cleanly.then(|| {
                let (on_bucket, on_objects) = (
                    describe_bucket_actions(&on_bucket, &buckets, denies, &mut no_conditions),
                    describe_object_actions(&on_objects, &objects, denies),
                );
                join_list(&[on_bucket, on_objects], if denies { "or" } else { "and" })
            })
        }
        _ => None,
    }
}

/// `read and write objects and abort uploads under db/ of bucket b`.
fn describe_object_actions(
    phrases: &[ActionPhrase<'_>],
    resource_list: &[PolicyResource<'_>],
    denies: bool,
) -> String {
    let and = if denies { "or" } else { "and" };
    let verbs = |wanted: ActionTarget| -> Vec<&str> {
        // In the order of the table, so that reading comes before writing.
        let is_used = |verb: &&str| {
            phrases
                .iter()
                .any(|(_, verb_entry)| *verb_entry == Some((wanted, *verb)))
        };
        S3_VERBS
            .iter()
            .filter(|(_, target, _)| *target == wanted)
            .map(|(.., verb)| *verb)
            .filter(is_used)
            .collect()
    };
    let noun = |target: ActionTarget, noun: &str| {
        let verbs = verbs(target);
        (!verbs.is_empty()).then(|| format!("{} {noun}", join_list(&verbs, and)))
    };
    let without_verb: Vec<&str> = phrases
        .iter()
        .filter(|(_, verb_entry)| {
            !matches!(
                verb_entry,
                Some((ActionTarget::Object | ActionTarget::Upload, _))
            )
        })
        .map(|(name, _)| *name)
        .collect();
    let mut parts: Vec<String> = noun(ActionTarget::Object, "objects")
        .into_iter()
        .chain(noun(ActionTarget::Upload, "uploads"))
        .collect();
    if !without_verb.is_empty() {
        parts.push(format!(
            "{} on objects",
            describe_calls(&without_verb, denies)
        ));
    }
    let resource_list: Vec<String> = resource_list
        .iter()
        .map(PolicyResource::location_phrase)
        .collect();
    format!(
        "{} {}",
        join_list(&parts, and),
        join_list(&resource_list, and)
    )
}

/// `list bucket b under db/`.
fn describe_bucket_actions(
    phrases: &[ActionPhrase<'_>],
    resource_list: &[PolicyResource<'_>],
    denies: bool,
    remaining: &mut Conditions,
) -> String {
    let and = if denies { "or" } else { "and" };
    let name = |target: &PolicyResource<'_>| match target {
        PolicyResource::Bucket(bucket) => format!("bucket {bucket}"),
        other => other.location_phrase(),
    };
    let resource_list = join_list(&resource_list.iter().map(name).collect::<Vec<_>>(), and);
    let is_used = |verb: &&str| {
        phrases
            .iter()
            .any(|(_, verb_entry)| verb_entry.is_some_and(|(_, found)| found == *verb))
    };
    let on_bucket = S3_VERBS.iter().filter(|(_, target, _)| {
        matches!(target, ActionTarget::BucketListing | ActionTarget::Bucket)
    });
    let verbs: Vec<&str> = on_bucket.map(|(.., verb)| *verb).filter(is_used).collect();
    let is_verb = |verb_entry: &Option<(ActionTarget, &str)>| {
        matches!(
            verb_entry,
            Some((ActionTarget::BucketListing | ActionTarget::Bucket, _))
        )
    };
    let without_verb: Vec<&str> = phrases
        .iter()
        .filter(|(_, verb_entry)| !is_verb(verb_entry))
        .map(|(name, _)| *name)
        .collect();
    let mut parts = vec![join_list(&verbs, and)];
    if !without_verb.is_empty() {
        parts.push(format!("{} on", describe_calls(&without_verb, denies)));
    }
    let all_list = phrases
        .iter()
        .all(|(_, verb_entry)| matches!(verb_entry, Some((ActionTarget::BucketListing, _))));
    let under = all_list
        .then(|| conditions::take_prefix_phrase(remaining))
        .flatten()
        .unwrap_or_default();
    format!("{} {resource_list}{under}", join_list(&parts, and))
}
