//! Plans drawn by hand, rendered, and compared with what is stored beside this file. `SNAPSHOTS=overwrite` rewrites it.

#![expect(clippy::unwrap_used, reason = "a fixture that does not build is a failed test")]

mod fixture;
mod graph;
mod machine;
mod markdown;
mod run;
mod secrets;
mod text;
