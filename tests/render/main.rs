//! Plans drawn by hand, rendered, and compared with what is stored beside this file. `SNAPSHOTS=overwrite` rewrites it.

mod fixture;
mod graph;
mod machine_readable;
mod markdown;
mod rollout;
mod run;
mod secrets;
mod status;
mod text;
