//! Attaching, rotating and removing a database, with the program killed at every write: the next apply ends with one role, one
//! database and a URL that logs in.

use std::collections::BTreeSet;

use trimtab::clouds::{CrashMode, CrashPoint, RequestOrdinal};

use super::{DATABASE, assert_one_database, contents, manifest};
use crate::support::{TestEnv, sample};

/// What is done while the program is killed.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Attach,
    Rotate,
    Remove,
}

impl Deed {
    const ALL: [Self; 3] = [Self::Attach, Self::Rotate, Self::Remove];

    /// An environment in which only the deed is left to do.
    async fn prepare(self) -> TestEnv {
        let without = without_database();
        let (before, after) = match self {
            Self::Attach => (without, manifest()),
            Self::Rotate => (manifest(), manifest()),
            Self::Remove => (manifest(), without),
        };
        let env = TestEnv::new(&before).await;
        env.apply().await;
        env.write_manifest(&after);
        if matches!(self, Self::Rotate) {
            env.rotate(DATABASE);
        }
        env
    }

    async fn check(self, env: &TestEnv) {
        match self {
            Self::Attach | Self::Rotate => assert_one_database(env).await,
            Self::Remove => assert_eq!(
                contents(env, "harbor-db").await,
                (BTreeSet::new(), BTreeSet::new())
            ),
        }
    }
}

fn without_database() -> String {
    let text = manifest();
    let (head, tail) = text.split_once("[apps.web.databases.main]").unwrap();
    format!(
        "{head}{}",
        &tail[tail.find("[apps.web.secrets]").unwrap()..]
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_write_and_repeated() {
    for (index, deed) in Deed::ALL.into_iter().enumerate() {
        let writes = {
            let env = deed.prepare().await;
            let before = env.sandbox.write_count();
            env.apply().await;
            env.sandbox.write_count() - before
        };
        assert!(writes >= 3, "{deed:?} takes {writes} writes");
        let points = (1..=writes).flat_map(|number| [false, true].map(|after| (number, after)));
        for (number, after_response) in sample(points, index, 4) {
            let env = deed.prepare().await;
            let crash = CrashPoint {
                request: RequestOrdinal::Write(number),
                after_response,
                mode: CrashMode::Simulate,
            };
            // It may also be killed before it has a report.
            drop(env.try_apply(Some(crash)).await);
            env.stop_rotating();
            env.apply().await;
            assert_eq!(
                env.summary().await,
                Vec::<String>::new(),
                "{deed:?} {number} {after_response}"
            );
            deed.check(&env).await;
        }
    }
}

/// Two applies at once, as of two jobs without a lock: at most one more apply, and they agree.
#[tokio::test(flavor = "multi_thread")]
async fn two_applies_at_once() {
    let env = Deed::Attach.prepare().await;
    let (first, second) = tokio::join!(env.try_apply(None), env.try_apply(None));
    drop((first, second));
    env.expire_leases();
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_one_database(&env).await;
}
