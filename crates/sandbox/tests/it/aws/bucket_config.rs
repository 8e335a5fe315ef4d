//! Bucket configuration: what is accepted, what is rejected, and how it reads afterwards.

use aws_sdk_s3::types::builders::LifecycleRuleBuilder;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BlockedEncryptionTypes, BucketLifecycleConfiguration,
    BucketVersioningStatus, EncryptionType, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleFilter, NoncurrentVersionExpiration, NoncurrentVersionTransition,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tag, Tagging, Transition,
    TransitionStorageClass, VersioningConfiguration,
};
use serde_json::{Value, json};

use super::support::{ACCOUNT, OTHER_ACCOUNT, US_EAST, admin_clients, assert_error, error_parts};
use crate::support::TestSandbox;

async fn sandbox_with_bucket() -> (TestSandbox, aws_sdk_s3::Client) {
    let sandbox = TestSandbox::scripted().await;
    let s3 = admin_clients(&sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    (sandbox, s3)
}

fn tagging(tags: impl IntoIterator<Item = (String, String)>) -> Tagging {
    let one = |(key, value)| Tag::builder().key(key).value(value).build().unwrap();
    Tagging::builder()
        .set_tag_set(Some(tags.into_iter().map(one).collect()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn tags_are_replaced_and_limited() {
    let (_sandbox, s3) = sandbox_with_bucket().await;
    let put = |tags: Vec<(&str, &str)>| {
        let tags = tags
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        s3.put_bucket_tagging()
            .bucket("box")
            .tagging(tagging(tags))
            .send()
    };
    assert_error(
        s3.get_bucket_tagging().bucket("box").send().await,
        404,
        "NoSuchTagSet",
    );
    put(vec![("a", "1"), ("b", "2")]).await.unwrap();
    put(vec![("c", "3")]).await.unwrap();
    let tags = s3.get_bucket_tagging().bucket("box").send().await.unwrap();
    assert_eq!(
        tags.tag_set().iter().map(Tag::key).collect::<Vec<_>>(),
        ["c"]
    );
    assert_error(put(vec![("aws:x", "1")]).await, 400, "InvalidTag");
    assert_error(put(vec![("a", "1"), ("a", "2")]).await, 400, "InvalidTag");
    assert_error(put(vec![(&"k".repeat(129), "1")]).await, 400, "InvalidTag");
    let many = tagging((0..51).map(|at| (format!("k{at}"), String::new())));
    assert_error(
        s3.put_bucket_tagging()
            .bucket("box")
            .tagging(many)
            .send()
            .await,
        400,
        "BadRequest",
    );
    s3.delete_bucket_tagging()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_error(
        s3.get_bucket_tagging().bucket("box").send().await,
        404,
        "NoSuchTagSet",
    );
}

#[tokio::test]
async fn deleted_settings_return_to_default() {
    let (_sandbox, s3) = sandbox_with_bucket().await;
    s3.delete_public_access_block()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_error(
        s3.get_public_access_block().bucket("box").send().await,
        404,
        "NoSuchPublicAccessBlockConfiguration",
    );
    s3.delete_bucket_ownership_controls()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_error(
        s3.get_bucket_ownership_controls()
            .bucket("box")
            .send()
            .await,
        404,
        "OwnershipControlsNotFoundError",
    );
    let rule = |algorithm: &str, key: Option<&str>| {
        let by_default = ServerSideEncryptionByDefault::builder()
            .sse_algorithm(ServerSideEncryption::from(algorithm));
        let by_default = by_default
            .set_kms_master_key_id(key.map(str::to_owned))
            .build()
            .unwrap();
        let blocked = BlockedEncryptionTypes::builder()
            .encryption_type(EncryptionType::None)
            .build();
        let rule =
            ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(by_default);
        let rule = rule.blocked_encryption_types(blocked).build();
        let config = ServerSideEncryptionConfiguration::builder()
            .rules(rule)
            .build()
            .unwrap();
        s3.put_bucket_encryption()
            .bucket("box")
            .server_side_encryption_configuration(config)
            .send()
    };
    assert_error(
        rule("AES256", Some("alias/x")).await,
        400,
        "InvalidArgument",
    );
    assert_error(rule("rot13", None).await, 400, "MalformedXML");
    rule("aws:kms", Some("alias/x")).await.unwrap();
    let put = s3.put_object().bucket("box").key("a").send().await.unwrap();
    assert_eq!(
        put.server_side_encryption(),
        Some(&ServerSideEncryption::AwsKms)
    );
    s3.delete_bucket_encryption()
        .bucket("box")
        .send()
        .await
        .unwrap();
    let put = s3.put_object().bucket("box").key("a").send().await.unwrap();
    assert_eq!(
        put.server_side_encryption(),
        Some(&ServerSideEncryption::Aes256)
    );
    let versions = |status| {
        let config = VersioningConfiguration::builder()
            .set_status(status)
            .build();
        s3.put_bucket_versioning()
            .bucket("box")
            .versioning_configuration(config)
            .send()
    };
    assert_error(
        versions(None).await,
        400,
        "IllegalVersioningConfigurationException",
    );
    versions(Some(BucketVersioningStatus::Enabled))
        .await
        .unwrap();
    let status = s3
        .get_bucket_versioning()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_eq!(status.status(), Some(&BucketVersioningStatus::Enabled));
}

fn expiration_rule(id: Option<&str>, days: i32) -> LifecycleRuleBuilder {
    let expiration = LifecycleExpiration::builder().days(days).build();
    let filter = LifecycleRuleFilter::builder().prefix("").build();
    let rule = LifecycleRule::builder()
        .set_id(id.map(str::to_owned))
        .status(ExpirationStatus::Enabled);
    rule.filter(filter).expiration(expiration)
}

#[tokio::test]
async fn lifecycle_rules_are_unordered_and_named() {
    let (_sandbox, s3) = sandbox_with_bucket().await;
    let put = |rules: Vec<LifecycleRule>| {
        let config = BucketLifecycleConfiguration::builder()
            .set_rules(Some(rules))
            .build()
            .unwrap();
        s3.put_bucket_lifecycle_configuration()
            .bucket("box")
            .lifecycle_configuration(config)
            .send()
    };
    let ids = ["one", "two", "three", "four"];
    let mut rules: Vec<LifecycleRule> = ids
        .iter()
        .map(|id| expiration_rule(Some(id), 3).build().unwrap())
        .collect();
    #[expect(deprecated, reason = "the legacy form is what is under test")]
    let legacy = LifecycleRule::builder()
        .status(ExpirationStatus::Enabled)
        .prefix("old/");
    let abort = AbortIncompleteMultipartUpload::builder()
        .days_after_initiation(1)
        .build();
    rules.push(
        legacy
            .abort_incomplete_multipart_upload(abort)
            .build()
            .unwrap(),
    );
    put(rules).await.unwrap();
    let read = || s3.get_bucket_lifecycle_configuration().bucket("box").send();
    let first = read().await.unwrap();
    let got: Vec<&str> = first.rules().iter().filter_map(LifecycleRule::id).collect();
    assert_eq!(got.len(), 5);
    assert_ne!(got[..4], ids);
    assert!(ids.iter().all(|id| got.contains(id)));
    let unnamed = first
        .rules()
        .iter()
        .find(|rule| !ids.contains(&rule.id().unwrap()))
        .unwrap();
    #[expect(deprecated, reason = "the legacy form is what is under test")]
    let prefix = unnamed.prefix();
    assert_eq!((prefix, unnamed.filter()), (Some("old/"), None));
    assert_eq!(
        first
            .transition_default_minimum_object_size()
            .unwrap()
            .as_str(),
        "all_storage_classes_128K"
    );
    assert_eq!(read().await.unwrap().rules(), first.rules());
    assert_error(
        put(vec![expiration_rule(Some("a"), 0).build().unwrap()]).await,
        400,
        "InvalidArgument",
    );
    let twice = vec![
        expiration_rule(Some("a"), 1).build().unwrap(),
        expiration_rule(Some("a"), 2).build().unwrap(),
    ];
    assert_error(put(twice).await, 400, "InvalidArgument");
    let nothing = expiration_rule(Some("a"), 1)
        .set_expiration(None)
        .build()
        .unwrap();
    assert_error(put(vec![nothing]).await, 400, "InvalidRequest");
    let both = LifecycleExpiration::builder()
        .days(1)
        .expired_object_delete_marker(true)
        .build();
    let both = expiration_rule(Some("a"), 1)
        .set_expiration(Some(both))
        .build()
        .unwrap();
    assert_error(put(vec![both]).await, 400, "MalformedXML");
    s3.delete_bucket_lifecycle()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_error(read().await, 404, "NoSuchLifecycleConfiguration");
}

#[tokio::test]
async fn transitions_are_validated() {
    use TransitionStorageClass::{DeepArchive, Glacier, GlacierIr, StandardIa};
    let (_sandbox, s3) = sandbox_with_bucket().await;
    let put = |rule: LifecycleRuleBuilder| {
        let config = BucketLifecycleConfiguration::builder()
            .rules(rule.build().unwrap())
            .build()
            .unwrap();
        s3.put_bucket_lifecycle_configuration()
            .bucket("box")
            .lifecycle_configuration(config)
            .send()
    };
    let to = |class: TransitionStorageClass, days: i32| {
        Transition::builder()
            .days(days)
            .storage_class(class)
            .build()
    };
    let expires = || expiration_rule(Some("a"), 100);
    put(expires()
        .transitions(to(StandardIa, 30))
        .transitions(to(Glacier, 99)))
    .await
    .unwrap();
    put(expires()
        .transitions(to(GlacierIr, 0))
        .transitions(to(DeepArchive, 50)))
    .await
    .unwrap();
    let date = aws_sdk_s3::primitives::DateTime::from_secs(1_798_761_600);
    let dated = Transition::builder()
        .date(date)
        .storage_class(Glacier)
        .build();
    let later = |newer: i32| {
        NoncurrentVersionExpiration::builder()
            .noncurrent_days(40)
            .newer_noncurrent_versions(newer)
            .build()
    };
    let earlier = |days: i32| {
        NoncurrentVersionTransition::builder()
            .noncurrent_days(days)
            .storage_class(StandardIa)
            .build()
    };
    let unused = || expires().set_expiration(None);
    put(unused()
        .noncurrent_version_expiration(later(100))
        .noncurrent_version_transitions(earlier(39)))
    .await
    .unwrap();
    for (rule, code) in [
        (expires().transitions(to(StandardIa, 29)), "InvalidArgument"),
        (expires().transitions(to(Glacier, 100)), "InvalidArgument"),
        (
            expires()
                .transitions(to(Glacier, 1))
                .transitions(to(Glacier, 2)),
            "InvalidArgument",
        ),
        (expires().transitions(to("WARM".into(), 40)), "MalformedXML"),
        (
            expires().transitions(Transition::builder().storage_class(Glacier).build()),
            "MalformedXML",
        ),
        (expires().transitions(dated), "InvalidRequest"),
        (
            unused().noncurrent_version_transitions(earlier(29)),
            "InvalidArgument",
        ),
        (
            unused()
                .noncurrent_version_expiration(later(1))
                .noncurrent_version_transitions(earlier(40)),
            "InvalidArgument",
        ),
        (
            unused().noncurrent_version_expiration(later(101)),
            "InvalidArgument",
        ),
    ] {
        assert_error(put(rule).await, 400, code);
    }
}

#[tokio::test]
async fn wrong_content_md5_is_rejected() {
    let (_sandbox, s3) = sandbox_with_bucket().await;
    let policy = policy_with_statement(
        "Deny",
        json!("*"),
        json!({ "Bool": { "aws:SecureTransport": false } }),
    )
    .to_string();
    let put = s3
        .put_bucket_policy()
        .bucket("box")
        .policy(policy)
        .content_md5("AAAAAAAAAAAAAAAAAAAAAA==");
    assert_error(put.send().await, 400, "BadDigest");
    assert_error(
        s3.get_bucket_policy().bucket("box").send().await,
        404,
        "NoSuchBucketPolicy",
    );
}

fn policy_with_statement(effect: &str, principal: Value, condition: Value) -> Value {
    let resources = ["arn:aws:s3:::box", "arn:aws:s3:::box/*"];
    let mut statement = json!({ "Effect": effect, "Action": ["s3:*"], "Resource": resources });
    statement["Principal"] = principal;
    statement["Condition"] = condition;
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

#[tokio::test]
async fn bucket_policy_is_validated() {
    let (_sandbox, s3) = sandbox_with_bucket().await;
    let put = |policy: Value| {
        s3.put_bucket_policy()
            .bucket("box")
            .policy(policy.to_string())
            .send()
    };
    let insecure = json!({ "Bool": { "aws:SecureTransport": false } });
    put(policy_with_statement("Deny", json!("*"), insecure))
        .await
        .unwrap();
    let text = s3.get_bucket_policy().bucket("box").send().await.unwrap();
    let stored: Value = serde_json::from_str(text.policy().unwrap()).unwrap();
    assert_eq!(
        stored["Statement"][0]["Condition"]["Bool"]["aws:SecureTransport"],
        "false"
    );
    assert_eq!(stored["Statement"][0]["Action"], "s3:*");
    let status = s3
        .get_bucket_policy_status()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_eq!(status.policy_status().unwrap().is_public(), Some(false));
    put(policy_with_statement(
        "Allow",
        json!({ "AWS": [OTHER_ACCOUNT] }),
        json!({}),
    ))
    .await
    .unwrap();
    let text = s3.get_bucket_policy().bucket("box").send().await.unwrap();
    assert!(
        text.policy()
            .unwrap()
            .contains(&format!("arn:aws:iam::{OTHER_ACCOUNT}:root"))
    );
    for (policy, message) in [
        (
            policy_with_statement("Maybe", json!("*"), json!({})),
            "Invalid effect: Maybe",
        ),
        (
            policy_with_statement(
                "Allow",
                json!({ "AWS": "arn:aws:iam::1:role/x" }),
                json!({}),
            ),
            "Invalid principal in policy",
        ),
        (
            policy_with_statement("Allow", json!("*"), json!({ "Huh": { "a": "b" } })),
            "Invalid Condition type : Huh.",
        ),
        (
            json!({ "Statement": [] }),
            "Missing required field Statement",
        ),
        (
            json!("x"),
            "Policies must be valid JSON and the first byte must be '{'",
        ),
    ] {
        let (status, code, message_text) = error_parts(put(policy).await);
        assert_eq!(
            (status, code.as_str(), message_text.as_str()),
            (400, "MalformedPolicy", message)
        );
    }
    let mut foreign = policy_with_statement("Allow", json!({ "AWS": OTHER_ACCOUNT }), json!({}));
    foreign["Statement"][0]["Resource"] = json!("arn:aws:s3:::other/*");
    assert_error(put(foreign).await, 400, "MalformedPolicy");
    let mut useless = policy_with_statement("Allow", json!({ "AWS": OTHER_ACCOUNT }), json!({}));
    useless["Statement"][0]["Action"] = json!("s3:ListBucket");
    useless["Statement"][0]["Resource"] = json!("arn:aws:s3:::box/*");
    assert_error(put(useless).await, 400, "MalformedPolicy");
    let open = policy_with_statement("Allow", json!("*"), json!({}));
    let (status, code, message_text) = error_parts(put(open.clone()).await);
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert!(message_text.contains("BlockPublicPolicy"), "{message_text}");
    let none = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .build();
    let none = s3
        .put_public_access_block()
        .bucket("box")
        .public_access_block_configuration(none);
    none.send().await.unwrap();
    put(open).await.unwrap();
    let status = s3
        .get_bucket_policy_status()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_eq!(status.policy_status().unwrap().is_public(), Some(true));
    s3.delete_bucket_policy()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_error(
        s3.get_bucket_policy().bucket("box").send().await,
        404,
        "NoSuchBucketPolicy",
    );
}
