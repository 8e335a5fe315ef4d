//! Plans drawn by hand, rendered, and compared with what is stored beside this file. `SNAPSHOTS=overwrite` rewrites it.

mod fixture;
mod fleet;
mod graph;
mod machine;
mod markdown;
mod rollout;
mod run;
mod secrets;
mod text;
