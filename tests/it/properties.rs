//! Any environment, any edits of it, any meddling: what must hold of all plans and applies. The generator writes every
//! key that the schema knows. A property that fails shows the smallest case that it could find, as a shell script.
//!
//! `PROPTEST_CASES=1000 cargo test properties` takes more cases.

mod applies;
mod aws;
mod consistency;
mod desired_from_live;
mod generator;
mod manual_requests;
mod plans;
mod scenario;
mod schema_keys;
mod service;
mod shuffling_proxy;
mod strategies;
mod toml_files;

use proptest::test_runner::{Config, RngSeed};

/// For how long, in milliseconds, a failing case is made smaller: each try is a whole run.
const MAX_SHRINK_MS: u32 = 20_000;
/// What every secret begins with in these tests; it must never be seen again. (A rollout may be a canary.)
const CANARY: &str = "canary-";

/// So many cases, the same on every machine; `PROPTEST_CASES` and `PROPTEST_RNG_SEED` ask for others.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says so, nobody could pass it down"
)]
fn proptest_config(n: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let usual = Config::default();
    // Whoever asks for more cases wants to see new ones.
    let fixed = asked.is_none() && usual.rng_seed == RngSeed::Random;
    Config {
        cases: asked.unwrap_or(n),
        rng_seed: if fixed {
            RngSeed::Fixed(5)
        } else {
            usual.rng_seed
        },
        failure_persistence: None,
        max_shrink_time: MAX_SHRINK_MS,
        max_shrink_iters: 1000,
        ..usual
    }
}
