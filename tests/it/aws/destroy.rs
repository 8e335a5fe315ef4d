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

/// IAM shows for a while what it has lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_removed_slowly_is_waited_for() {
    let team = Team::kept(HARBOR, vec!["late-removal:15000".parse().unwrap()]).await;
    team.apply().await;
    let iam = Clients::of(&team).iam;
    let roles = iam.list_roles().send().await.unwrap();
    let role = roles.roles()[0].role_name();
    let grant = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    iam.put_role_policy().role_name(role).policy_name("theirs").policy_document(grant).send().await.unwrap();
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    iam.attach_role_policy().role_name(role).policy_arn(arn).send().await.unwrap();
    let report = team.try_apply(None).await.unwrap();
    assert!(report.is_complete(), "{report:#?}");
    team.sandbox.advance(std::time::Duration::from_secs(60)).unwrap();
    let left = iam.list_role_policies().role_name(role).send().await.unwrap();
    assert!(!left.policy_names().contains(&"theirs".to_owned()));
}
