//! The protocol against a store in memory whose answers are scripted, and a clock that moves only when told: whatever a
//! network can do to two requests, no two runs have the lock at once.

mod any;
mod judging;
mod keeping;
mod releasing;
mod taking;
mod world;

use std::time::Duration;

use world::{Fault, Node, World};

use super::{LockError, Loss, Place, Record, Terms, Who, Why, lease::Kept};
use crate::model::Mark;

type Lease = Kept<Node, Node>;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn place() -> Place {
    let [bucket, region, project, environment] =
        ["harbor-locks", "eu-west-1", "harbor", "production"].map(str::to_owned);
    Place {
        bucket,
        region,
        mark: Mark {
            project,
            environment,
        },
    }
}

fn who(name: &str) -> Who {
    Who {
        nonce: format!("{name}-0123456789abcdef"),
        holder: name.to_owned(),
        host: format!("host-of-{name}"),
        pid: 42,
        run_url: Some(format!("https://ci.example/{name}")),
        command: "trimtab apply production".to_owned(),
    }
}

/// Terms with this patience.
fn patient(secs: u64) -> Terms {
    Terms {
        patience: Duration::from_secs(secs),
        ..Terms::AWS
    }
}

/// Takes the lock, with as much time as it wants.
async fn take(node: &Node, name: &str, terms: Terms) -> Result<Lease, LockError> {
    node.world()
        .run(node.clone().taker(who(name), terms).take(|_, _| {}))
        .await
}

async fn taken(node: &Node, name: &str) -> Lease {
    take(node, name, patient(0))
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Why somebody else does not get it, when they ask once.
async fn refusal(node: &Node, name: &str) -> Why {
    take(node, name, patient(0))
        .await
        .err()
        .unwrap_or_else(|| panic!("{name} got it"))
        .why
}

fn loss(why: Why) -> Loss {
    match why {
        Why::Lost(loss) => loss,
        other => panic!("{other}"),
    }
}
