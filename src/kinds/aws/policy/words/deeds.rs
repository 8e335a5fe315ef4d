//! Actions in words: the well-known ones of S3 as verbs, everything else by its name.

use super::{
    super::{
        statement::{Condition, Listed},
        word::Word,
    },
    joined, only,
    places::{self, Place},
    when,
};

/// What a statement is about.
pub(super) enum Deeds {
    /// Everything, or everything with exceptions, as a noun.
    Everything(String),
    /// Some deeds, as one or more verbs with their objects.
    Named(String),
}

/// What an action of S3 is done to, and so which resources it can be granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// `read`: a verb for objects.
    Object,
    /// `abort`: a verb for uploads that are not finished.
    Upload,
    /// `list`: a verb for a bucket that `s3:prefix` narrows.
    Listing,
    /// A verb for a bucket as a whole.
    Bucket,
}

/// The actions that have a verb (S3's "Actions, resources, and condition keys" in the Service Authorization Reference).
const VERBS: [(&str, Sort, &str); 10] = [
    ("s3:getobject", Sort::Object, "read"),
    ("s3:putobject", Sort::Object, "write"),
    ("s3:deleteobject", Sort::Object, "delete"),
    ("s3:getobjectversion", Sort::Object, "read old versions of"),
    (
        "s3:deleteobjectversion",
        Sort::Object,
        "delete old versions of",
    ),
    ("s3:abortmultipartupload", Sort::Upload, "abort"),
    ("s3:listbucket", Sort::Listing, "list"),
    (
        "s3:listbucketversions",
        Sort::Listing,
        "list old versions in",
    ),
    (
        "s3:listbucketmultipartuploads",
        Sort::Listing,
        "list unfinished uploads in",
    ),
    ("s3:getbucketlocation", Sort::Bucket, "see the region of"),
];

/// What the actions do to the resources. Conditions that are part of the words are taken out of `open`.
pub(super) fn of(
    action: &Listed,
    resource: Option<&Listed>,
    denies: bool,
    open: &mut Condition,
) -> Deeds {
    let names: Vec<&str> = action.members.iter().map(Word::text).collect();
    let all = if denies { "everything" } else { "EVERYTHING" };
    let on = || places::on(resource, denies);
    if action.but {
        let except = if names.is_empty() {
            "nothing".to_owned()
        } else {
            joined(&names, "and")
        };
        let on = resource.map(|_| format!("{} ", on())).unwrap_or_default();
        // Before the exceptions: behind them it would seem to be theirs.
        return Deeds::Everything(format!("{}{all} except {except}", on.trim_start()));
    }
    if let Some(what) = only(action).and_then(|action| everything(action.text(), all)) {
        return Deeds::Everything(format!("{what}{}", on()));
    }
    let known = resource
        .filter(|listed| !listed.but)
        .and_then(|listed| in_s3(action, listed, denies, open));
    Deeds::Named(known.unwrap_or_else(|| format!("{}{}", calls(&names, denies), on())))
}

/// `EVERYTHING (*)`, for a wildcard that stands for all actions, or for all of one service.
fn everything(action: &str, all: &str) -> Option<String> {
    match action.strip_suffix('*')? {
        "" => Some(format!("{all} (*)")),
        service if service.ends_with(':') && places::is_plain(service) => Some(format!(
            "{all} in {} ({action})",
            service.trim_end_matches(':')
        )),
        _ => None,
    }
}

/// Actions by their names: `call s3:GetObject and everything like s3:List*`.
fn calls(actions: &[&str], denies: bool) -> String {
    let (and, every, all) = if denies {
        ("or", "anything", "anything")
    } else {
        ("and", "everything", "EVERYTHING")
    };
    let name = |action: &&str| match everything(action, all) {
        Some(all) => all,
        None if places::is_plain(action) => (*action).to_owned(),
        None => format!("{every} like {action}"),
    };
    match actions {
        [] => "do nothing".to_owned(),
        some => format!(
            "call {}",
            joined(&some.iter().map(name).collect::<Vec<_>>(), and)
        ),
    }
}

/// One action, with its verb when it has one.
type Deed<'a> = (&'a str, Option<(Sort, &'static str)>);

/// The words for S3, when every resource can be said and no action stands beside resources that it is never done to.
fn in_s3(action: &Listed, resource: &Listed, denies: bool, open: &mut Condition) -> Option<String> {
    let verb = |word: &Word| {
        VERBS
            .iter()
            .find(|(name, ..)| *name == word.key())
            .map(|(_, sort, verb)| (*sort, *verb))
    };
    let deeds: Vec<Deed<'_>> = action
        .members
        .iter()
        .map(|word| (word.text(), verb(word)))
        .collect();
    let places = places::all(resource);
    let (buckets, objects): (Vec<_>, Vec<_>) = places
        .into_iter()
        .partition(|place| matches!(place, Place::Bucket(_)));
    if objects.iter().any(|place| matches!(place, Place::Other(_))) {
        return None;
    }
    let is_inside = |deed: &Deed<'_>| matches!(deed.1, Some((Sort::Object | Sort::Upload, _)));
    let is_whole = |deed: &Deed<'_>| matches!(deed.1, Some((Sort::Listing | Sort::Bucket, _)));
    match (buckets.is_empty(), objects.is_empty()) {
        (true, false) if deeds.iter().any(is_inside) => Some(to_objects(&deeds, &objects, denies)),
        (false, true) if deeds.iter().any(is_whole) => {
            Some(to_buckets(&deeds, &buckets, denies, open))
        }
        (false, false) => {
            let (inside, whole): (Vec<_>, Vec<_>) =
                deeds.into_iter().partition(|deed| is_inside(deed));
            let each_has_its_own =
                !inside.is_empty() && !whole.is_empty() && whole.iter().all(is_whole);
            // A prefix narrows both halves, so it is said once, behind them.
            let mut kept = Condition::new();
            each_has_its_own.then(|| {
                let (whole, inside) = (
                    to_buckets(&whole, &buckets, denies, &mut kept),
                    to_objects(&inside, &objects, denies),
                );
                joined(&[whole, inside], if denies { "or" } else { "and" })
            })
        }
        _ => None,
    }
}

/// `read and write objects and abort uploads under db/ of bucket b`.
fn to_objects(deeds: &[Deed<'_>], places: &[Place<'_>], denies: bool) -> String {
    let and = if denies { "or" } else { "and" };
    let verbs = |wanted: Sort| -> Vec<&str> {
        // In the order of the table: reading comes before writing.
        let has = |verb: &&str| {
            deeds
                .iter()
                .any(|(_, known)| *known == Some((wanted, *verb)))
        };
        VERBS
            .iter()
            .filter(|(_, sort, _)| *sort == wanted)
            .map(|(.., verb)| *verb)
            .filter(has)
            .collect()
    };
    let noun = |sort: Sort, noun: &str| {
        let verbs = verbs(sort);
        (!verbs.is_empty()).then(|| format!("{} {noun}", joined(&verbs, and)))
    };
    let unknown: Vec<&str> = deeds
        .iter()
        .filter(|(_, known)| !matches!(known, Some((Sort::Object | Sort::Upload, _))))
        .map(|(name, _)| *name)
        .collect();
    let mut parts: Vec<String> = noun(Sort::Object, "objects")
        .into_iter()
        .chain(noun(Sort::Upload, "uploads"))
        .collect();
    if !unknown.is_empty() {
        parts.push(format!("{} on objects", calls(&unknown, denies)));
    }
    let places: Vec<String> = places.iter().map(Place::within).collect();
    format!("{} {}", joined(&parts, and), joined(&places, and))
}

/// `list bucket b under db/`.
fn to_buckets(
    deeds: &[Deed<'_>],
    places: &[Place<'_>],
    denies: bool,
    open: &mut Condition,
) -> String {
    let and = if denies { "or" } else { "and" };
    let name = |place: &Place<'_>| match place {
        Place::Bucket(bucket) => format!("bucket {bucket}"),
        other => other.within(),
    };
    let places = joined(&places.iter().map(name).collect::<Vec<_>>(), and);
    let has = |verb: &&str| {
        deeds
            .iter()
            .any(|(_, known)| known.is_some_and(|(_, found)| found == *verb))
    };
    let whole = VERBS
        .iter()
        .filter(|(_, sort, _)| matches!(sort, Sort::Listing | Sort::Bucket));
    let verbs: Vec<&str> = whole.map(|(.., verb)| *verb).filter(has).collect();
    let is_verb =
        |known: &Option<(Sort, &str)>| matches!(known, Some((Sort::Listing | Sort::Bucket, _)));
    let unknown: Vec<&str> = deeds
        .iter()
        .filter(|(_, known)| !is_verb(known))
        .map(|(name, _)| *name)
        .collect();
    let mut parts = vec![joined(&verbs, and)];
    if !unknown.is_empty() {
        parts.push(format!("{} on", calls(&unknown, denies)));
    }
    let narrowed = deeds
        .iter()
        .all(|(_, known)| matches!(known, Some((Sort::Listing, _))));
    let under = narrowed
        .then(|| when::take_prefix(open))
        .flatten()
        .unwrap_or_default();
    format!("{} {places}{under}", joined(&parts, and))
}
