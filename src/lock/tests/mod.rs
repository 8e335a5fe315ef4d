//! The protocol against a store in memory whose answers are scripted, and a clock that moves only when told: whatever a
//! network can do to two requests, no two runs have the lock at once.

mod acquisition;
mod properties;
mod record;
mod release;
mod renewal;
mod simulation;

use std::time::Duration;

use simulation::{RequestFault, SimulatedClient, Simulation};

use super::{
    LockError, LockErrorKind, LockHolder, LockLocation, LockLoss, LockRecord, LockTimings,
    lease::HeldLock,
};
use crate::model::OwnershipMark;

type TestLease = HeldLock<SimulatedClient, SimulatedClient>;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn test_location() -> LockLocation {
    let [bucket, region, project, environment] =
        ["harbor-locks", "eu-west-1", "harbor", "production"].map(str::to_owned);
    LockLocation {
        bucket,
        region,
        mark: OwnershipMark {
            project,
            environment,
        },
    }
}

fn test_holder(name: &str) -> LockHolder {
    LockHolder {
        nonce: format!("{name}-0123456789abcdef"),
        holder: name.to_owned(),
        host: format!("host-of-{name}"),
        pid: 42,
        run_url: Some(format!("https://ci.example/{name}")),
        command: "trimtab apply production".to_owned(),
    }
}

/// Terms with this patience.
fn timings_with_timeout(secs: u64) -> LockTimings {
    LockTimings {
        acquire_timeout: Duration::from_secs(secs),
        ..LockTimings::AWS
    }
}

/// Takes the lock, with as much time as it wants.
async fn acquire(
    node: &SimulatedClient,
    name: &str,
    terms: LockTimings,
) -> Result<TestLease, LockError> {
    node.simulation()
        .run_to_completion(
            node.clone()
                .acquirer(test_holder(name), terms)
                .acquire(|_, _| {}),
        )
        .await
}

async fn acquire_or_panic(node: &SimulatedClient, name: &str) -> TestLease {
    acquire(node, name, timings_with_timeout(0))
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Why somebody else does not get it, when they ask once.
async fn acquire_error(node: &SimulatedClient, name: &str) -> LockErrorKind {
    acquire(node, name, timings_with_timeout(0))
        .await
        .err()
        .unwrap_or_else(|| panic!("{name} got it"))
        .kind
}

fn expect_loss(why: LockErrorKind) -> LockLoss {
    match why {
        LockErrorKind::Lost(loss) => loss,
        other => panic!("{other}"),
    }
}
