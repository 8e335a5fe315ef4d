//! The protocol against a simulated store with scripted failures and a simulated clock: whatever a
//! network does to the requests, two runs never hold the lock at the same time.

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

/// The usual timings with another acquire timeout, in seconds.
fn timings_with_timeout(secs: u64) -> LockTimings {
    LockTimings {
        acquire_timeout: Duration::from_secs(secs),
        ..LockTimings::AWS
    }
}

/// Acquires the lock, and lets simulated time pass as long as it takes.
async fn acquire(
    client: &SimulatedClient,
    name: &str,
    terms: LockTimings,
) -> Result<TestLease, LockError> {
    client
        .simulation()
        .run_to_completion(
            client
                .clone()
                .acquirer(test_holder(name), terms)
                .acquire(|_, _| {}),
        )
        .await
}

async fn acquire_or_panic(client: &SimulatedClient, name: &str) -> TestLease {
    acquire(client, name, timings_with_timeout(0))
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Why another run does not acquire the lock in one attempt.
async fn acquire_error(client: &SimulatedClient, name: &str) -> LockErrorKind {
    acquire(client, name, timings_with_timeout(0))
        .await
        .err()
        .unwrap_or_else(|| panic!("{name} got it"))
        .kind
}

fn expect_loss(kind: LockErrorKind) -> LockLoss {
    match kind {
        LockErrorKind::Lost(loss) => loss,
        other => panic!("{other}"),
    }
}
