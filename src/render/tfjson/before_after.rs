//! What a resource is before and after its change, as plain values, in one vocabulary for what is asked for and what is
//! there: otherwise every attribute would seem to change.

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    kinds::{
        AnyOp, Kind, NoEdit, Op,
        fly::{
            app::AppEdit,
            release::ReleaseEdit,
            secrets::SecretsEdit,
            volume::VolumeEdit,
            workload::{ConfigUpdate, WorkloadEdit},
        },
    },
    model::{Address, OwnershipMark, contains_secret},
    plan::{CascadeDelete, Step},
};

/// How a [`Secret`](crate::model::Secret) serialises.
const SENSITIVE_PLACEHOLDER: &str = "(sensitive)";

/// Before, after, and what of the latter is not known yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BeforeAfter {
    pub(super) before: Value,
    pub(super) after: Value,
    pub(super) unknown: Value,
}

impl Default for BeforeAfter {
    fn default() -> Self {
        Self {
            before: Value::Null,
            after: Value::Null,
            unknown: json!({}),
        }
    }
}

impl BeforeAfter {
    /// Adds what one step does. A replacement has two.
    pub(super) fn apply_step(&mut self, step: &Step) {
        match &step.op {
            AnyOp::AwsProvider(op) => self.apply_op(op),
            AnyOp::AwsRole(op) => self.apply_op(op),
            AnyOp::AwsBucket(op) => self.apply_op(op),
            AnyOp::FlyApp(op) => self.apply_op(op),
            AnyOp::FlyIp(op) => self.apply_op(op),
            AnyOp::FlyCertificate(op) => self.apply_op(op),
            AnyOp::FlySecrets(op) => self.apply_op(op),
            AnyOp::FlyVolume(op) => self.apply_op(op),
            AnyOp::FlyMachine(op) => self.apply_op(op),
            AnyOp::FlyCron(op) => self.apply_op(op),
            AnyOp::FlyRelease(op) => self.apply_op(op),
        }
    }

    fn apply_op<K: Kind<Edit: ApplyEdit>>(&mut self, op: &Op<K>) {
        match op {
            Op::Retire(_) | Op::HandOver(_) | Op::Verify(_) => {}
            Op::CreateSuccessor(spec, live) => {
                self.before = normalize(live);
                self.after = normalize(spec);
                self.unknown = unknown_after_create(K::NAME);
            }
            Op::Create(spec) => {
                self.after = normalize(spec);
                self.unknown = unknown_after_create(K::NAME);
            }
            Op::Delete(live) => self.before = normalize(live),
            Op::Edit(live, edits) => {
                self.before = normalize(live);
                self.after = self.before.clone();
                for edit in edits {
                    edit.apply_edit(self);
                }
            }
        }
    }

    /// What vanishes with its container. Of that a plan knows no more than its description.
    pub(super) fn set_cascade_delete(&mut self, folded: &CascadeDelete) {
        self.before = json!({ "description": folded.what, "deleted_with": folded.with });
    }

    /// Writes our own address into both sides.
    pub(super) fn set_address(&mut self, address: &Address) {
        for side in [&mut self.before, &mut self.after] {
            if let Some(side) = side.as_object_mut() {
                side.insert("trimtab_address".to_owned(), json!(address));
            }
        }
    }

    /// Where the later side is sensitive: a secret that is set is so although its value is not there.
    pub(super) fn after_sensitive(&self) -> Value {
        let mut shape = sensitive_mask(&self.after);
        if let (Some(shape), Some(Value::Object(secrets))) =
            (shape.as_object_mut(), self.unknown.get("values"))
        {
            let values = shape.entry("values").or_insert_with(|| json!({}));
            if let Some(values) = values.as_object_mut() {
                values.extend(secrets.clone());
            }
        }
        shape
    }

    /// A value of the later side.
    pub(super) fn get_after(&self, key: &str) -> Option<Value> {
        self.after.get(key).cloned()
    }

    pub(super) fn set_after(&mut self, key: &str, value: impl Serialize) {
        if let Some(after) = self.after.as_object_mut() {
            after.insert(
                key.to_owned(),
                serde_json::to_value(value).unwrap_or_default(),
            );
        }
    }
}

/// What only the cloud can say of a new object.
fn unknown_after_create(kind: &str) -> Value {
    match kind {
        "fly.ip" => json!({ "address": true }),
        // What AWS calls them follows from the manifest.
        "fly.secrets" | "fly.certificate" | "aws.bucket" | "aws.role" | "aws.oidc_provider" => {
            json!({})
        }
        _ => json!({ "id": true }),
    }
}

/// Where a value is sensitive, in the value's own shape.
pub(super) fn sensitive_mask(value: &Value) -> Value {
    fn walk(value: &Value) -> Option<Value> {
        match value {
            Value::String(text) => (text == SENSITIVE_PLACEHOLDER).then_some(Value::Bool(true)),
            Value::Object(map) => {
                let inside = map
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), walk(value)?)));
                let inside: Map<String, Value> = inside.collect();
                (!inside.is_empty()).then_some(Value::Object(inside))
            }
            Value::Array(list) => {
                let inside: Vec<Option<Value>> = list.iter().map(walk).collect();
                let any = inside.iter().any(Option::is_some);
                any.then(|| {
                    inside
                        .into_iter()
                        .map(|one| one.unwrap_or(Value::Bool(false)))
                        .collect()
                })
            }
            _ => None,
        }
    }
    match value {
        Value::Null => Value::Bool(false),
        value => walk(value).unwrap_or_else(|| json!({})),
    }
}

/// A spec or a live record as values: the machine's own keys lifted up, secrets by name only, nothing that changes by
/// itself.
fn normalize(record: &impl Serialize) -> Value {
    let Ok(Value::Object(mut map)) = serde_json::to_value(record) else {
        return json!({});
    };
    if let Some(Value::Object(workload)) = map.remove("workload") {
        map.extend(workload);
        for volatile in [
            "version",
            "health",
            "ownership",
            "digest",
            "needs",
            "mark",
            "wait_secs",
            "secrets",
        ] {
            map.remove(volatile);
        }
    }
    for (live, spec) in [("labels", "metadata"), ("present", "values")] {
        if let Some(value) = map.remove(live) {
            map.insert(spec.to_owned(), value);
        }
    }
    for own in ["stated", "grows", "left_alone", "has_machines", "own_image"] {
        map.remove(own);
    }
    // A live machine tells its volume by id and by name; a spec by name.
    if let Some(Value::Array(volume)) = map.get("volume") {
        let name = volume.iter().rev().find(|part| !part.is_null()).cloned();
        map.insert("volume".to_owned(), name.unwrap_or_default());
    }
    if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
        // What we note down about ourselves changes with every apply.
        for noted in [
            OwnershipMark::SECRET_FINGERPRINTS_KEY,
            OwnershipMark::APPLIED_HASH_KEY,
        ] {
            metadata.remove(noted);
        }
    }
    if let Some(Value::Object(secrets)) = map.get_mut("values") {
        secrets
            .values_mut()
            .for_each(|secret| *secret = json!(SENSITIVE_PLACEHOLDER));
    }
    if let Some(config) = map.get_mut("config") {
        normalize_config(config);
    }
    Value::Object(map)
}

/// The content of files by size and hash: it may be long, and it may be a key. Of variables, what is known as a secret
/// goes: it stood in the open before it became one.
fn normalize_config(config: &mut Value) {
    let env = config.get_mut("env").and_then(Value::as_object_mut);
    for value in env.into_iter().flat_map(Map::values_mut) {
        if value.as_str().is_some_and(contains_secret) {
            *value = json!(SENSITIVE_PLACEHOLDER);
        }
    }
    let files = config.get_mut("files").and_then(Value::as_array_mut);
    for file in files.into_iter().flatten() {
        let Some(content) = file.get("raw_value").and_then(Value::as_str) else {
            continue;
        };
        let hash = Sha256::digest(content);
        let hash: String = hash
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let summary = format!("{} bytes of base64, sha256 {hash}…", content.len());
        file["raw_value"] = json!(summary);
    }
}

/// An edit says what the object will be: each kind's edits know that of themselves.
pub(super) trait ApplyEdit {
    fn apply_edit(&self, sides: &mut BeforeAfter);
}

impl ApplyEdit for AppEdit {
    fn apply_edit(&self, sides: &mut BeforeAfter) {
        let Self { owner, protect } = self;
        if let Value::Object(after) = &mut sides.after {
            after.extend(owner.as_ref().map(|mark| ("mark".to_owned(), json!(mark))));
            after.extend(protect.map(|protect| ("protected".to_owned(), json!(protect))));
        }
    }
}

impl ApplyEdit for NoEdit {
    fn apply_edit(&self, _: &mut BeforeAfter) {
        match *self {}
    }
}

impl ApplyEdit for SecretsEdit {
    /// A value that is set is unknown rather than equal, so that a reader sees that it changes.
    fn apply_edit(&self, sides: &mut BeforeAfter) {
        let Self { set, unset } = self;
        if let Some(Value::Object(values)) = sides.after.get_mut("values") {
            values.retain(|name, _| !set.contains_key(name) && !unset.contains(name));
        }
        let unknown: Map<String, Value> = set
            .keys()
            .map(|name| (name.clone(), Value::Bool(true)))
            .collect();
        if !unknown.is_empty() {
            sides.unknown = json!({ "values": unknown });
        }
    }
}

impl ApplyEdit for VolumeEdit {
    fn apply_edit(&self, sides: &mut BeforeAfter) {
        match self {
            Self::Extend {
                from: _,
                to,
                attached: _,
            } => sides.set_after("size", to),
            Self::Snapshots {
                retention,
                scheduled,
            } => {
                if let Some((_, days)) = retention {
                    sides.set_after("snapshot_retention", days);
                }
                if let Some((_, wanted)) = scheduled {
                    sides.set_after("scheduled_snapshots", wanted);
                }
            }
        }
    }
}

impl ApplyEdit for WorkloadEdit {
    fn apply_edit(&self, sides: &mut BeforeAfter) {
        match self {
            Self::Update(update) => update.apply_edit(sides),
            Self::Metadata { labels, lines: _ } => merge_metadata(sides, json!(labels)),
            Self::ConfirmStart(_) => {
                merge_metadata(sides, json!({ OwnershipMark::STARTING_KEY: "" }));
            }
            Self::Uncordon => sides.set_after("cordoned", false),
            Self::DiscardSuccessor { .. } => sides.set_after("successor", Value::Null),
        }
    }
}

impl ApplyEdit for ConfigUpdate {
    /// What the manifest leaves open stays as it is.
    fn apply_edit(&self, sides: &mut BeforeAfter) {
        let mut config = serde_json::to_value(&self.spec.config).unwrap_or_default();
        normalize_config(&mut config);
        let there = sides.before.get("config").cloned().unwrap_or_default();
        for kept in ["image", "restart", "mounts"] {
            if let (None, Some(value)) = (config.get(kept), there.get(kept)) {
                config[kept] = value.clone();
            }
        }
        sides.set_after("config", config);
        let mut marks = self.spec.base_metadata();
        marks.remove(OwnershipMark::APPLIED_HASH_KEY);
        marks.remove(OwnershipMark::RELEASE_KEY);
        merge_metadata(sides, json!(marks));
    }
}

fn merge_metadata(sides: &mut BeforeAfter, labels: Value) {
    let there = sides
        .after
        .get_mut("metadata")
        .and_then(Value::as_object_mut);
    if let (Some(there), Value::Object(labels)) = (there, labels) {
        there.extend(labels);
    }
}

impl ApplyEdit for ReleaseEdit {
    /// A command that ran leaves nothing but the memory of it.
    fn apply_edit(&self, sides: &mut BeforeAfter) {
        match self {
            Self::Run(spec) => sides.set_after("done", spec.release.iter().collect::<Vec<_>>()),
            Self::RemoveLeftovers(_) => sides.set_after("leftovers", json!([])),
        }
    }
}
