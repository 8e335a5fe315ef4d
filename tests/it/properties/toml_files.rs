//! Writes a manifest as TOML files, with its blocks and keys in any order.

use serde_json::{Map, Value};

use super::{consistency, generator::GeneratedManifest};

/// A random number generator (SplitMix64) that gives the same numbers for the same seed.
pub(super) struct SeededRng(pub(super) u64);

impl SeededRng {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}

/// Files that some keys of the manifest name.
pub(super) const COMPANION_FILES: [(&str, &str); 5] = [
    ("content.txt", "some content\n"),
    ("secret.txt", "canary-three\n"),
    (
        "values.env",
        "FIRST=canary-four\nDATABASE_URL=canary-five\nELSEWHERE=canary-six\n",
    ),
    ("machine.json", consistency::MACHINE_CONFIG),
    (
        "fly.part.toml",
        "kill_signal = \"SIGUSR1\"\n[env]\nFROM_FLY_TOML = \"1\"\n",
    ),
];

/// The manifest's own files: the environment, and the file that it extends. Seed 0 keeps the order.
pub(super) fn manifest_files(
    manifest: &GeneratedManifest,
    seed: u64,
) -> Vec<(&'static str, String)> {
    let mut writer = TomlWriter {
        rng: (seed != 0).then_some(SeededRng(seed)),
    };
    let mut own = manifest.0.as_object().unwrap().clone();
    let mut files = Vec::new();
    if own.contains_key("extends") {
        let base = ["project", "fly", "vars"]
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), own.remove(*key)?)));
        let base: Map<String, Value> = base.collect();
        files.push(("_base.toml", writer.document(&base)));
    }
    files.push(("test.toml", writer.document(&own)));
    files
}

struct TomlWriter {
    rng: Option<SeededRng>,
}

impl TomlWriter {
    fn ordered<T>(&mut self, list: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut list: Vec<T> = list.into_iter().collect();
        if let Some(rng) = &mut self.rng {
            rng.shuffle(&mut list);
        }
        list
    }

    /// Plain keys first, then a block for each table, and one for each app, bucket, identity and
    /// role.
    fn document(&mut self, whole: &Map<String, Value>) -> String {
        let mut lines = Vec::new();
        let mut blocks = Vec::new();
        for (key, value) in whole {
            match (key.as_str(), value) {
                ("apps" | "buckets" | "identities" | "roles", Value::Object(entries)) => {
                    for (name, entry) in entries {
                        blocks.push((
                            format!("{key}.{}", toml_key(name)),
                            entry.as_object().unwrap(),
                        ));
                    }
                }
                (_, Value::Object(table)) => blocks.push((key.clone(), table)),
                _ => lines.push(format!("{key} = {}\n", self.inline(value))),
            }
        }
        let mut text = self.ordered(lines).concat();
        for (name, block) in self.ordered(blocks) {
            let keys: Vec<String> = block
                .iter()
                .map(|(key, value)| format!("{} = {}\n", toml_key(key), self.inline(value)))
                .collect();
            text.push_str(&format!("[{name}]\n{}", self.ordered(keys).concat()));
        }
        text
    }

    fn inline(&mut self, value: &Value) -> String {
        match value {
            Value::Array(list) => {
                let items: Vec<String> = list.iter().map(|item| self.inline(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Object(table) => {
                let keys: Vec<String> = table
                    .iter()
                    .map(|(key, value)| format!("{} = {}", toml_key(key), self.inline(value)))
                    .collect();
                format!("{{ {} }}", self.ordered(keys).join(", "))
            }
            // The escapes of JSON strings are valid in TOML too.
            scalar => scalar.to_string(),
        }
    }
}

/// A key, quoted if necessary.
fn toml_key(key: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if key.chars().all(fits) {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}
