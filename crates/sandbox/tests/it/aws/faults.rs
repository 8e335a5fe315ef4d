//! Faults that the sandbox injects into its AWS APIs.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::json;
use trimtab_sandbox::ClockMode;

use super::support::{ACCOUNT, US_EAST, admin_clients, assert_error};
use crate::support::TestSandbox;

async fn sandbox_with_faults(faults: &[&str]) -> (TestSandbox, Client) {
    let sandbox = TestSandbox::with_options(|options| {
        options.clock = ClockMode::Manual;
        options.faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    })
    .await;
    let s3 = admin_clients(&sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    (sandbox, s3)
}

async fn enable_versioning(
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
async fn operation_aborted_fault() {
    let (_sandbox, s3) = sandbox_with_faults(&["operation-aborted:2:1"]).await;
    enable_versioning(&s3).await.unwrap();
    s3.put_object().bucket("box").key("a").send().await.unwrap();
    assert_error(enable_versioning(&s3).await, 409, "OperationAborted");
    enable_versioning(&s3).await.unwrap();
}

#[tokio::test]
async fn conditional_conflict_fault() {
    let (_sandbox, s3) = sandbox_with_faults(&["conditional-conflict:1:1"]).await;
    s3.put_object().bucket("box").key("a").send().await.unwrap();
    let put = || s3.put_object().bucket("box").key("b").if_none_match("*");
    assert_error(put().send().await, 409, "ConditionalRequestConflict");
    put().send().await.unwrap();
}

#[tokio::test]
async fn no_conditions_fault() {
    let (_sandbox, s3) = sandbox_with_faults(&["no-conditions"]).await;
    let put = || s3.put_object().bucket("box").key("b").if_none_match("*");
    put().send().await.unwrap();
    put().send().await.unwrap();
}

#[tokio::test]
async fn late_bucket_fault() {
    let (sandbox, s3) = sandbox_with_faults(&["late-bucket:2000"]).await;
    assert_error(enable_versioning(&s3).await, 404, "NoSuchBucket");
    sandbox.advance_ms(2000);
    enable_versioning(&s3).await.unwrap();
}

#[tokio::test]
async fn stale_config_fault() {
    let (sandbox, s3) = sandbox_with_faults(&["stale-config:1000"]).await;
    let read = async || {
        s3.get_bucket_versioning()
            .bucket("box")
            .send()
            .await
            .unwrap()
            .status()
            .cloned()
    };
    enable_versioning(&s3).await.unwrap();
    assert_eq!(read().await, None);
    sandbox.advance_ms(1000);
    assert_eq!(read().await, Some(BucketVersioningStatus::Enabled));
}

#[tokio::test]
async fn late_removal_fault() {
    let (sandbox, _) = sandbox_with_faults(&["late-removal:1000"]).await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
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
    // Lists still show it, but it is gone: it cannot be removed again.
    assert_error(remove().await, 404, "NoSuchEntity");
    detach().await.unwrap();
    assert_error(detach().await, 404, "NoSuchEntity");
    assert_eq!((inline().await, listed().await), (true, (1, 1)));
    assert_error(delete().await, 409, "DeleteConflict");
    sandbox.advance_ms(1000);
    assert_eq!((inline().await, listed().await), (false, (0, 0)));
    delete().await.unwrap();
    assert_error(delete().await, 404, "NoSuchEntity");
    iam.get_role().role_name("r").send().await.unwrap();
    assert_eq!(iam.list_roles().send().await.unwrap().roles().len(), 1);
    assert_error(create().await, 409, "EntityAlreadyExists");
    let url = "https://oidc.fly.io/acme";
    let created = iam
        .create_open_id_connect_provider()
        .url(url)
        .send()
        .await
        .unwrap();
    let provider = created.open_id_connect_provider_arn().unwrap();
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
    sandbox.advance_ms(1000);
    assert_error(get().await, 404, "NoSuchEntity");
    assert!(list().await.open_id_connect_provider_list().is_empty());
    assert_error(
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
async fn general_faults_apply_to_aws_requests() {
    let (sandbox, s3) = sandbox_with_faults(&[
        "status:2:503",
        "429:3:1",
        "drop-after:w2",
        "truncate:5",
        "status:w3:403",
    ])
    .await;
    assert_error(
        s3.get_bucket_tagging().bucket("box").send().await,
        503,
        "SlowDown",
    );
    assert_error(s3.list_buckets().send().await, 503, "SlowDown");
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
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    let role = iam
        .create_role()
        .role_name("x")
        .assume_role_policy_document("{}")
        .send()
        .await;
    assert_error(role, 403, "AccessDenied");
    let statuses: Vec<u16> = sandbox
        .running
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [200, 503, 503, 0, 200, 200, 403]);
    assert_eq!(sandbox.running.requests()[6].path, "iam:CreateRole");
}
