//! Destroying an environment takes what is its own, and leaves what it shares.

use super::{Clients, HARBOR, ended, program, said};
use crate::support::Team;

const DESTROY: [&str; 5] = ["destroy", "test", "--yes", "--allow-destroy", "aws.bucket/backups"];

/// Destroys, and demands that nothing of ours is left but what is expected of the provider.
async fn destroyed(team: &Team, providers: usize) {
    let run = ended(team, program(team, &DESTROY, None)).await;
    let (code, text) = (run.status.code(), said(&run));
    assert_eq!(code, Some(0), "{}{text}", String::from_utf8_lossy(&run.stdout));
    let Clients { s3, iam, .. } = Clients::of(team);
    assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());
    let left = iam.list_open_id_connect_providers().send().await.unwrap();
    assert_eq!(left.open_id_connect_provider_list().len(), providers);
    let again = ended(team, program(team, &DESTROY, None)).await;
    assert_eq!(again.status.code(), Some(0), "there is nothing left to do: {}", said(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_environment_takes_the_provider_along() {
    let team = Team::kept(HARBOR, Vec::new()).await;
    team.apply().await;
    destroyed(&team, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_another_s_role_trusts_stays() {
    let team = Team::kept(HARBOR, Vec::new()).await;
    team.apply().await;
    let iam = Clients::of(&team).iam;
    let trust = team.world().await.aws_role["backup"].trust.text();
    iam.create_role().role_name("theirs").assume_role_policy_document(trust).send().await.unwrap();
    destroyed(&team, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_somebody_else_made_stays() {
    let team = Team::kept(HARBOR, Vec::new()).await;
    let iam = Clients::of(&team).iam;
    let url = "https://oidc.fly.io/acme";
    iam.create_open_id_connect_provider().url(url).client_id_list("sts.amazonaws.com").send().await.unwrap();
    team.apply().await;
    destroyed(&team, 1).await;
}
