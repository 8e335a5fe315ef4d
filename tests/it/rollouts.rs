//! What a rollout promises, proven against the sandbox's own history of its machines: how many are unavailable at once,
//! that two versions never serve beside each other, that what sleeps sleeps on, and that a run that is killed anywhere
//! can be repeated.

mod crashes;
mod fleet;
mod history;
mod ordering;
mod random_rollouts;

use proptest::test_runner::{Config, RngSeed};

/// The same cases on every machine; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` ask for others.
fn proptest_config(cases: u32) -> Config {
    let asked = Config::default();
    Config {
        cases: if asked.cases == 256 {
            cases
        } else {
            asked.cases
        },
        rng_seed: if asked.rng_seed == RngSeed::Random {
            RngSeed::Fixed(5)
        } else {
            asked.rng_seed
        },
        failure_persistence: None,
        ..asked
    }
}
