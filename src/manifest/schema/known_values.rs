//! Fixed sets of strings that are not Rust enums: region codes, signals, presets. The schema lists
//! them, so that editors complete them and a typo gets a suggestion.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::model::KNOWN_REGIONS;

/// Defines a string type whose schema lists the allowed values.
macro_rules! string_enum {
    ($(#[$doc:meta])* $Name:ident, $words:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(transparent)]
        pub struct $Name(pub String);

        impl JsonSchema for $Name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($Name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let words: Vec<String> = $words;
                json_schema!({ "type": "string", "enum": words })
            }
        }
    };
}

string_enum!(
    /// A region by its code.
    RegionCode,
    KNOWN_REGIONS.iter().map(|(code, _)| (*code).to_owned()).collect()
);

string_enum!(
    /// A signal that ends a process.
    Signal,
    SIGNALS.map(str::to_owned).to_vec()
);

string_enum!(
    /// A preset of CPUs and memory.
    Preset,
    preset_names()
);

/// The signals that Fly accepts.
const SIGNALS: [&str; 9] = [
    "SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP", "SIGABRT", "SIGHUP",
];

/// CPU counts of the shared presets.
pub const SHARED_CPU_COUNTS: [u32; 5] = [1, 2, 4, 6, 8];
/// CPU counts of the performance presets.
pub const PERFORMANCE_CPU_COUNTS: [u32; 9] = [1, 2, 4, 6, 8, 10, 12, 14, 16];

fn preset_names() -> Vec<String> {
    let shared = SHARED_CPU_COUNTS
        .iter()
        .map(|cpus| format!("shared-cpu-{cpus}x"));
    let performance = PERFORMANCE_CPU_COUNTS
        .iter()
        .map(|cpus| format!("performance-{cpus}x"));
    shared.chain(performance).collect()
}
