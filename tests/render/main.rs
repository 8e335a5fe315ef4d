//! Plans of a fixture, rendered and compared with the stored output next to this file.
//! `SNAPSHOTS=overwrite` rewrites it.

mod fixture;
mod graph;
mod machine_readable;
mod markdown;
mod rollout;
mod run;
mod secrets;
mod status;
mod text;
