//! What goes wrong on AWS on purpose.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::json;
use trimtab_sandbox::ClockMode;

use super::kit::{ACCOUNT, EAST, clients, fails};
use crate::kit::Box;

async fn faulty(faults: &[&str]) -> (Box, Client) {
    let sandbox = Box::with(|options| {
        options.clock = ClockMode::Scripted;
        options.faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    })
    .await;
    let s3 = clients(&sandbox, ACCOUNT, EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    (sandbox, s3)
}

async fn versions(
    s3: &Client,
) -> Result<
    (),
    aws_sdk_s3::error::SdkError<
        aws_sdk_s3::operation::put_bucket_versioning::PutBucketVersioningError,
    >,
> {
    let config = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning()
        .bucket("box")
        .versioning_configuration(config)
        .send()
        .await
        .map(drop)
}

#[tokio::test]
async fn another_write_of_the_configuration_is_in_progress() {
    let (_sandbox, s3) = faulty(&["operation-aborted:2:1"]).await;
    versions(&s3).await.unwrap();
    s3.put_object().bucket("box").key("a").send().await.unwrap();
    fails(versions(&s3).await, 409, "OperationAborted");
    versions(&s3).await.unwrap();
}

#[tokio::test]
async fn another_conditional_write_is_in_progress() {
    let (_sandbox, s3) = faulty(&["conditional-conflict:1:1"]).await;
    s3.put_object().bucket("box").key("a").send().await.unwrap();
    let put = || s3.put_object().bucket("box").key("b").if_none_match("*");
    fails(put().send().await, 409, "ConditionalRequestConflict");
    put().send().await.unwrap();
}

#[tokio::test]
async fn a_store_can_ignore_conditions() {
    let (_sandbox, s3) = faulty(&["no-conditions"]).await;
    let put = || s3.put_object().bucket("box").key("b").if_none_match("*");
    put().send().await.unwrap();
    put().send().await.unwrap();
}

#[tokio::test]
async fn a_new_bucket_is_not_everywhere_yet() {
    let (sandbox, s3) = faulty(&["late-bucket:2000"]).await;
    fails(versions(&s3).await, 404, "NoSuchBucket");
    sandbox.pass(2000);
    versions(&s3).await.unwrap();
}

#[tokio::test]
async fn configuration_can_read_as_it_was() {
    let (sandbox, s3) = faulty(&["stale-config:1000"]).await;
    let read = async || {
        s3.get_bucket_versioning()
            .bucket("box")
            .send()
            .await
            .unwrap()
            .status()
            .cloned()
    };
    versions(&s3).await.unwrap();
    assert_eq!(read().await, None);
    sandbox.pass(1000);
    assert_eq!(read().await, Some(BucketVersioningStatus::Enabled));
}

#[tokio::test]
async fn what_iam_lost_still_shows_and_stands_in_the_way() {
    let (sandbox, _) = faulty(&["late-removal:1000"]).await;
    let iam = clients(&sandbox, ACCOUNT, EAST).iam;
    let trust = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } }] });
    let create = || {
        iam.create_role()
            .role_name("r")
            .assume_role_policy_document(trust.to_string())
            .send()
    };
    create().await.unwrap();
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    iam.attach_role_policy()
        .role_name("r")
        .policy_arn(arn)
        .send()
        .await
        .unwrap();
    let grant = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] });
    let put = iam
        .put_role_policy()
        .role_name("r")
        .policy_name("p")
        .policy_document(grant.to_string());
    put.send().await.unwrap();
    let inline = async || {
        iam.get_role_policy()
            .role_name("r")
            .policy_name("p")
            .send()
            .await
            .is_ok()
    };
    let listed = async || {
        let inline = iam
            .list_role_policies()
            .role_name("r")
            .send()
            .await
            .unwrap();
        let attached = iam
            .list_attached_role_policies()
            .role_name("r")
            .send()
            .await
            .unwrap();
        (
            inline.policy_names().len(),
            attached.attached_policies().len(),
        )
    };
    let delete = || iam.delete_role().role_name("r").send();
    let remove = || {
        iam.delete_role_policy()
            .role_name("r")
            .policy_name("p")
            .send()
    };
    let detach = || {
        iam.detach_role_policy()
            .role_name("r")
            .policy_arn(arn)
            .send()
    };
    remove().await.unwrap();
    // It is gone all the same: it cannot be removed again.
    fails(remove().await, 404, "NoSuchEntity");
    detach().await.unwrap();
    fails(detach().await, 404, "NoSuchEntity");
    assert_eq!((inline().await, listed().await), (true, (1, 1)));
    fails(delete().await, 409, "DeleteConflict");
    sandbox.pass(1000);
    assert_eq!((inline().await, listed().await), (false, (0, 0)));
    delete().await.unwrap();
    fails(delete().await, 404, "NoSuchEntity");
    iam.get_role().role_name("r").send().await.unwrap();
    assert_eq!(iam.list_roles().send().await.unwrap().roles().len(), 1);
    fails(create().await, 409, "EntityAlreadyExists");
    let url = "https://oidc.fly.io/acme";
    let made = iam
        .create_open_id_connect_provider()
        .url(url)
        .send()
        .await
        .unwrap();
    let provider = made.open_id_connect_provider_arn().unwrap();
    let gone = iam
        .delete_open_id_connect_provider()
        .open_id_connect_provider_arn(provider);
    gone.send().await.unwrap();
    let get = || {
        iam.get_open_id_connect_provider()
            .open_id_connect_provider_arn(provider)
            .send()
    };
    let list = async || iam.list_open_id_connect_providers().send().await.unwrap();
    get().await.unwrap();
    assert_eq!(list().await.open_id_connect_provider_list().len(), 1);
    sandbox.pass(1000);
    fails(get().await, 404, "NoSuchEntity");
    assert!(list().await.open_id_connect_provider_list().is_empty());
    fails(
        iam.get_role().role_name("r").send().await,
        404,
        "NoSuchEntity",
    );
    create().await.unwrap();
    assert_eq!(
        listed().await,
        (0, 0),
        "a new role of the same name has not the old one's policies"
    );
}

#[tokio::test]
async fn the_faults_of_all_requests_strike_these_as_well() {
    let (sandbox, s3) = faulty(&[
        "status:2:503",
        "429:3:1",
        "drop-after:w2",
        "truncate:5",
        "status:w3:403",
    ])
    .await;
    fails(
        s3.get_bucket_tagging().bucket("box").send().await,
        503,
        "SlowDown",
    );
    fails(s3.list_buckets().send().await, 503, "SlowDown");
    let lost = s3
        .put_object()
        .bucket("box")
        .key("a")
        .send()
        .await
        .unwrap_err();
    assert!(lost.raw_response().is_none());
    let cut = s3.get_object().bucket("box").key("a").send().await;
    assert!(cut.is_err() || cut.unwrap().body.collect().await.is_err());
    assert_eq!(
        s3.list_objects_v2()
            .bucket("box")
            .send()
            .await
            .unwrap()
            .key_count(),
        Some(1)
    );
    let iam = clients(&sandbox, ACCOUNT, EAST).iam;
    let role = iam
        .create_role()
        .role_name("x")
        .assume_role_policy_document("{}")
        .send()
        .await;
    fails(role, 403, "AccessDenied");
    let statuses: Vec<u16> = sandbox
        .running
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [200, 503, 503, 0, 200, 200, 403]);
    assert_eq!(sandbox.running.requests()[6].path, "iam:CreateRole");
}
