//! Closed sets of words that are not Rust enums: region codes, signals, presets. The schema lists them, so editors
//! complete them and a typing error gets the nearest one.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::model::KNOWN_REGIONS;

/// Makes a text type whose schema is a list of words.
macro_rules! words {
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

words!(
    /// A region by its code.
    RegionCode,
    KNOWN_REGIONS.iter().map(|(code, _)| (*code).to_owned()).collect()
);

words!(
    /// A signal that ends a process.
    Signal,
    SIGNALS.map(str::to_owned).to_vec()
);

words!(
    /// A preset of CPUs and memory.
    Preset,
    presets()
);

/// The signals that Fly takes.
const SIGNALS: [&str; 9] = [
    "SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP", "SIGABRT", "SIGHUP",
];

/// CPU counts that shared presets come with.
pub const SHARED: [u32; 5] = [1, 2, 4, 6, 8];
/// CPU counts that performance presets come with.
pub const PERFORMANCE: [u32; 9] = [1, 2, 4, 6, 8, 10, 12, 14, 16];

fn presets() -> Vec<String> {
    let shared = SHARED.iter().map(|cpus| format!("shared-cpu-{cpus}x"));
    let performance = PERFORMANCE
        .iter()
        .map(|cpus| format!("performance-{cpus}x"));
    shared.chain(performance).collect()
}
