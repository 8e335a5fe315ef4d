//! Properties that must hold of any environment, any edit of it and any manual change of the clouds.
//! The generator writes every key of the schema. A failing property shows the smallest case that it
//! finds, as a shell script.
//!
//! `TRIMTAB_PROPTEST` and `PROPTEST_CASES` ask for more cases; see `support::proptest_config`.

mod applies;
mod aws;
mod consistency;
mod desired_from_live;
mod generator;
mod manual_requests;
mod plans;
mod policies;
mod postgres;
mod scenario;
mod schema_keys;
mod service;
mod shuffling_proxy;
mod strategies;
mod toml_files;

/// What every secret value begins with in these tests. No output may contain it.
const CANARY: &str = "canary-";
