//! The values of a resource before and after its change. Specs and live objects serialize differently, so both are
//! normalized to the same keys; otherwise every attribute would seem to change.

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
        postgres::database::DatabaseEdit,
    },
    model::{Address, OwnershipMark, contains_secret},
    plan::{CascadeDelete, Step},
};

/// What a [`Secret`](crate::model::Secret) serializes to.
const SENSITIVE_PLACEHOLDER: &str = "(sensitive)";

/// The values before and after a change, `null` if the resource does not exist, and which of the latter are unknown.
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
    /// Applies a step. A replacement consists of two.
    pub(super) fn apply_step(&mut self, step: &Step) {
        match &step.op {
            AnyOp::AwsProvider(op) => self.apply_op(op),
            AnyOp::AwsRole(op) => self.apply_op(op),
            AnyOp::AwsBucket(op) => self.apply_op(op),
            AnyOp::FlyApp(op) => self.apply_op(op),
            AnyOp::FlyIp(op) => self.apply_op(op),
            AnyOp::FlyCertificate(op) => self.apply_op(op),
            AnyOp::PostgresManagedCluster(op) => self.apply_op(op),
            AnyOp::PostgresDatabase(op) => self.apply_op(op),
            AnyOp::FlySecrets(op) => self.apply_op(op),
            AnyOp::FlyVolume(op) => self.apply_op(op),
            AnyOp::FlyMachine(op) => self.apply_op(op),
            AnyOp::FlyCron(op) => self.apply_op(op),
            AnyOp::FlyRelease(op) => self.apply_op(op),
        }
    }

    fn apply_op<K: Kind<Edit: ApplyEdit>>(&mut self, op: &Op<K>) {
        match op {
            // Intermediate steps change no value.
            Op::Retire(_) | Op::HandOver(_) | Op::Verify(_) => {}
            Op::CreateSuccessor(spec, live) => {
                self.before = normalize(live);
                self.after = normalize(spec);
                self.unknown = unknown_after_create::<K>();
            }
            Op::Create(spec) => {
                self.after = normalize(spec);
                self.unknown = unknown_after_create::<K>();
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

    /// Records the deletion of a resource together with the one that contains it. The plan knows only its description.
    pub(super) fn set_cascade_delete(&mut self, deletion: &CascadeDelete) {
        self.before = json!({ "description": deletion.description, "deleted_with": deletion.with });
    }

    /// Adds trimtab's own address to both values.
    pub(super) fn set_address(&mut self, address: &Address) {
        for side in [&mut self.before, &mut self.after] {
            if let Some(side) = side.as_object_mut() {
                side.insert("trimtab_address".to_owned(), json!(address));
            }
        }
    }

    /// Marks every string that contains a known secret as sensitive, whichever attribute it is.
    pub(super) fn hide_secrets(&mut self) {
        for side in [&mut self.before, &mut self.after] {
            hide_secrets(side);
        }
    }

    /// Terraform's `after_sensitive`: marks sensitive values, including secrets that are set, whose value is unknown.
    pub(super) fn after_sensitive(&self) -> Value {
        let mut mask = sensitive_mask(&self.after);
        if let (Some(mask), Some(Value::Object(secrets))) =
            (mask.as_object_mut(), self.unknown.get("values"))
        {
            let secret_masks = mask.entry("values").or_insert_with(|| json!({}));
            if let Some(secret_masks) = secret_masks.as_object_mut() {
                secret_masks.extend(secrets.clone());
            }
        }
        mask
    }

    /// An attribute of the value after the change.
    pub(super) fn get_after(&self, key: &str) -> Option<Value> {
        self.after.get(key).cloned()
    }

    /// Sets an attribute of the value after the change, unless the resource does not exist then.
    pub(super) fn set_after(&mut self, key: &str, value: impl Serialize) {
        if let Some(after) = self.after.as_object_mut() {
            after.insert(
                key.to_owned(),
                serde_json::to_value(value).unwrap_or_default(),
            );
        }
    }
}

/// Terraform's `after_unknown` of a new object: the attributes that only the cloud assigns.
fn unknown_after_create<K: Kind>() -> Value {
    let attributes = K::KNOWN_AFTER_CREATE.iter();
    attributes
        .map(|name| ((*name).to_owned(), Value::Bool(true)))
        .collect()
}

/// Terraform's marking of sensitive values: `true` for each, in objects and arrays of the same structure.
pub(super) fn sensitive_mask(value: &Value) -> Value {
    fn walk(value: &Value) -> Option<Value> {
        match value {
            Value::String(text) => (text == SENSITIVE_PLACEHOLDER).then_some(Value::Bool(true)),
            Value::Object(map) => {
                let marked = map
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), walk(value)?)));
                let marked: Map<String, Value> = marked.collect();
                (!marked.is_empty()).then_some(Value::Object(marked))
            }
            Value::Array(list) => {
                let marked: Vec<Option<Value>> = list.iter().map(walk).collect();
                let has_sensitive = marked.iter().any(Option::is_some);
                has_sensitive.then(|| {
                    marked
                        .into_iter()
                        .map(|mask| mask.unwrap_or(Value::Bool(false)))
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

/// Serializes a spec or live object with common keys: attributes of the workload at the top level, secrets without
/// values, and nothing that changes by itself.
fn normalize(record: &impl Serialize) -> Value {
    let Ok(Value::Object(mut map)) = serde_json::to_value(record) else {
        return json!({});
    };
    if let Some(Value::Object(workload)) = map.remove("workload") {
        map.extend(workload);
        for key in [
            "version",
            "health",
            "ownership",
            "digest",
            "needs",
            "mark",
            "wait_secs",
            "secrets",
        ] {
            map.remove(key);
        }
    }
    // What a live object has under another key than its spec.
    for (live, spec) in [("labels", "metadata"), ("present", "values")] {
        if let Some(value) = map.remove(live) {
            map.insert(spec.to_owned(), value);
        }
    }
    // Bookkeeping that only one of the two has.
    for key in ["stated", "grows", "left_alone", "has_machines", "own_image"] {
        map.remove(key);
    }
    // A live machine has its volume as (id, name), a spec by name only.
    if let Some(Value::Array(volume)) = map.get("volume") {
        let name = volume.iter().rev().find(|part| !part.is_null()).cloned();
        map.insert("volume".to_owned(), name.unwrap_or_default());
    }
    if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
        // Bookkeeping in the metadata changes with every apply.
        for key in [
            OwnershipMark::SECRET_FINGERPRINTS_KEY,
            OwnershipMark::APPLIED_HASH_KEY,
        ] {
            metadata.remove(key);
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

/// Replaces every string that contains a known secret.
fn hide_secrets(value: &mut Value) {
    match value {
        Value::String(text) if contains_secret(text) => *value = json!(SENSITIVE_PLACEHOLDER),
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        Value::Object(entries) => entries.values_mut().for_each(hide_secrets),
        _ => {}
    }
}

/// Replaces file contents by size and hash, as they may be long or contain keys.
fn normalize_config(config: &mut Value) {
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

/// Applies an edit to the values after a change. Implemented by the edits of each kind.
pub(super) trait ApplyEdit {
    /// Updates the values.
    fn apply_edit(&self, values: &mut BeforeAfter);
}

impl ApplyEdit for AppEdit {
    fn apply_edit(&self, values: &mut BeforeAfter) {
        let Self { owner, protect } = self;
        if let Value::Object(after) = &mut values.after {
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
    /// Marks secrets that are set as unknown. With their placeholders on both sides, no change would be visible.
    fn apply_edit(&self, values: &mut BeforeAfter) {
        let Self { set, unset } = self;
        if let Some(Value::Object(secrets)) = values.after.get_mut("values") {
            secrets.retain(|name, _| !set.contains_key(name) && !unset.contains(name));
        }
        let unknown: Map<String, Value> = set
            .keys()
            .map(|name| (name.clone(), Value::Bool(true)))
            .collect();
        if !unknown.is_empty() {
            values.unknown = json!({ "values": unknown });
        }
    }
}

impl ApplyEdit for DatabaseEdit {
    fn apply_edit(&self, values: &mut BeforeAfter) {
        let Self {
            spec, new_password, ..
        } = self;
        values.set_after("variable", &spec.variable);
        values.set_after("url", spec.display_url());
        values.set_after("extensions", &spec.extensions);
        values.set_after("ephemeral", spec.ephemeral);
        if *new_password {
            values.unknown = json!({ "verifier": true });
            if let Some(after) = values.after.as_object_mut() {
                after.remove("verifier");
            }
        }
    }
}

impl ApplyEdit for VolumeEdit {
    fn apply_edit(&self, values: &mut BeforeAfter) {
        match self {
            Self::Extend {
                from: _,
                to,
                attached: _,
            } => values.set_after("size", to),
            Self::Snapshots {
                retention,
                scheduled,
            } => {
                if let Some((_, days)) = retention {
                    values.set_after("snapshot_retention", days);
                }
                if let Some((_, wanted)) = scheduled {
                    values.set_after("scheduled_snapshots", wanted);
                }
            }
        }
    }
}

impl ApplyEdit for WorkloadEdit {
    fn apply_edit(&self, values: &mut BeforeAfter) {
        match self {
            Self::Update(update) => update.apply_edit(values),
            Self::Metadata { labels, lines: _ } => merge_metadata(values, json!(labels)),
            Self::ConfirmStart(_) => {
                merge_metadata(values, json!({ OwnershipMark::STARTING_KEY: "" }));
            }
            Self::Uncordon { .. } => values.set_after("cordoned", false),
            Self::DiscardSuccessor { .. } => values.set_after("successor", Value::Null),
        }
    }
}

impl ApplyEdit for ConfigUpdate {
    /// Attributes that the manifest does not specify keep their live values.
    fn apply_edit(&self, values: &mut BeforeAfter) {
        let mut config = serde_json::to_value(&self.spec.config).unwrap_or_default();
        normalize_config(&mut config);
        let current = values.before.get("config").cloned().unwrap_or_default();
        // The update sends the size and the restart policy that the manifest leaves open.
        for key in ["guest", "restart"] {
            if let Some(value) = self.body.get(key) {
                config[key] = value.clone();
            }
        }
        for key in ["image", "mounts"] {
            if let (None, Some(value)) = (config.get(key), current.get(key)) {
                config[key] = value.clone();
            }
        }
        values.set_after("config", config);
        let mut marks = self.spec.base_metadata();
        marks.remove(OwnershipMark::APPLIED_HASH_KEY);
        marks.remove(OwnershipMark::RELEASE_KEY);
        merge_metadata(values, json!(marks));
    }
}

/// Adds entries to the metadata.
fn merge_metadata(values: &mut BeforeAfter, labels: Value) {
    let current = values
        .after
        .get_mut("metadata")
        .and_then(Value::as_object_mut);
    if let (Some(current), Value::Object(labels)) = (current, labels) {
        current.extend(labels);
    }
}

impl ApplyEdit for ReleaseEdit {
    /// All that remains of a release command is the record that it ran.
    fn apply_edit(&self, values: &mut BeforeAfter) {
        match self {
            Self::Run(spec) => values.set_after("done", spec.release.iter().collect::<Vec<_>>()),
            Self::RemoveLeftovers(_) => values.set_after("leftovers", json!([])),
        }
    }
}
