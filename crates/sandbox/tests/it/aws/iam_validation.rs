//! Validation of names, paths, descriptions, tags and policy documents by IAM.

use aws_sdk_iam::Client;
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_iam::types::Tag;
use serde_json::json;

use super::support::{ACCOUNT, US_EAST, admin_clients, assert_error, error_parts, iam_tag};
use crate::support::TestSandbox;

fn trust_policy() -> String {
    let statement =
        json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

fn create_role(
    iam: &Client,
    name: &str,
) -> aws_sdk_iam::operation::create_role::builders::CreateRoleFluentBuilder {
    iam.create_role()
        .role_name(name)
        .assume_role_policy_document(trust_policy())
}

/// Asserts a validation error whose message contains these words.
#[track_caller]
fn assert_validation_error<T: std::fmt::Debug, E>(result: Result<T, SdkError<E>>, words: &str)
where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    let (status, code, message) = error_parts(result);
    assert_eq!(
        (status, code.as_str()),
        (400, "ValidationError"),
        "{message}"
    );
    assert!(message.contains(words), "{message}");
}

#[tokio::test]
async fn descriptions_are_latin_1() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    let pattern = "1 validation error detected: Value at 'description' failed to satisfy constraint: Member must satisfy \
                   regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*";
    for wrong in ["an em dash \u{2014}", "\u{a0}", "\u{7f}", "日本", "\u{b}"] {
        assert_validation_error(
            create_role(&iam, "r").description(wrong).send().await,
            pattern,
        );
    }
    let (fits, long) = ("é".repeat(1000), "é".repeat(1001));
    assert_validation_error(
        create_role(&iam, "r").description(long).send().await,
        "length less than or equal to 1000",
    );
    create_role(&iam, "r")
        .description(fits)
        .send()
        .await
        .unwrap();
    create_role(&iam, "s")
        .description("tab\tnew\r\nline ~ ¡ÿ")
        .send()
        .await
        .unwrap();
    assert_validation_error(
        iam.update_role()
            .role_name("r")
            .description("\u{2014}")
            .send()
            .await,
        pattern,
    );
    let policy = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] })
    .to_string();
    let policy = iam
        .create_policy()
        .policy_name("p")
        .policy_document(policy)
        .description("\u{2014}");
    assert_validation_error(policy.send().await, pattern);
}

#[tokio::test]
async fn names_paths_and_documents_match_patterns() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    let letters = "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the \
                   following: +=,.@_-";
    for wrong in ["a b", "ä", "a/b", "a:b"] {
        assert_validation_error(create_role(&iam, wrong).send().await, letters);
        assert_validation_error(iam.get_role().role_name(wrong).send().await, letters);
    }
    create_role(&iam, &"n".repeat(64)).send().await.unwrap();
    create_role(&iam, "a_+=,.@-Z9").send().await.unwrap();
    for wrong in [
        "a/",
        "/a",
        "//",
        "/ä/",
        "/a b/",
        &format!("/{}/", "a".repeat(511)),
    ] {
        assert_validation_error(
            create_role(&iam, "r").path(wrong).send().await,
            "The specified value for path is invalid.",
        );
    }
    create_role(&iam, "r").path("/a/b!~/").send().await.unwrap();
    assert_validation_error(
        iam.list_roles().path_prefix("a").send().await,
        "at 'pathPrefix'",
    );
    let put = |name: &str, text: &str| {
        iam.put_role_policy()
            .role_name("r")
            .policy_name(name)
            .policy_document(text)
            .send()
    };
    let grant = |sid: &str| {
        json!({ "Version": "2012-10-17", "Statement":
            [{ "Sid": sid, "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] })
        .to_string()
    };
    assert_validation_error(
        put("p/q", &grant("a")).await,
        "The specified value for policyName is invalid.",
    );
    assert_validation_error(
        put(&"p".repeat(129), &grant("a")).await,
        "length less than or equal to 128",
    );
    assert_validation_error(put("p", &grant("日本")).await, "at 'policyDocument'");
    put(&"p".repeat(128), &grant("a")).await.unwrap();
    for (statement, words) in [
        (
            json!({ "Sid": "a b" }),
            "Statement IDs (SID) must be alpha-numeric.",
        ),
        (
            json!({ "Action": [] }),
            "Policy statement must contain actions.",
        ),
        (
            json!({ "Resource": [] }),
            "Policy statement must contain resources.",
        ),
        (
            json!({ "Resource": "arn:aws:s3" }),
            "Resource arn:aws:s3 must be in ARN format or \"*\".",
        ),
        (
            json!({ "Resource": "arn:asw:s3:::box" }),
            "Partition \"asw\" is not valid",
        ),
    ] {
        let mut whole = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" });
        whole
            .as_object_mut()
            .unwrap()
            .extend(statement.as_object().unwrap().clone());
        let text = json!({ "Version": "2012-10-17", "Statement": [whole] }).to_string();
        let (status, code, message) = error_parts(put("p", &text).await);
        assert_eq!((status, code.as_str()), (400, "MalformedPolicyDocument"));
        assert!(message.starts_with(words), "{message}");
    }
    let trust = trust_policy().replace("sts:AssumeRole", "sts:GetCallerIdentity");
    let role = iam
        .create_role()
        .role_name("t")
        .assume_role_policy_document(trust);
    assert_error(role.send().await, 400, "MalformedPolicyDocument");
}

#[tokio::test]
async fn role_tag_keys_are_case_insensitive() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    for (key, value, place) in [
        ("a#", "", "tags.2.member.key"),
        ("a\tb", "", "tags.2.member.key"),
        // A letter and a combining mark are two characters, and IAM does not accept combining
        // marks.
        ("e\u{301}", "", "tags.2.member.key"),
        ("", "", "tags.2.member.key"),
        ("k", "a,b", "tags.2.member.value"),
        (&"k".repeat(129), "", "tags.2.member.key"),
        ("k", &"v".repeat(257), "tags.2.member.value"),
    ] {
        assert_validation_error(
            create_role(&iam, "r")
                .tags(iam_tag("fine", ""))
                .tags(iam_tag(key, value))
                .send()
                .await,
            place,
        );
    }
    let twice = create_role(&iam, "r")
        .tags(iam_tag("Team", "a"))
        .tags(iam_tag("team", "b"))
        .send()
        .await;
    let (status, code, message) = error_parts(twice);
    assert_eq!((status, code.as_str()), (400, "InvalidInput"));
    assert_eq!(
        message,
        "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    );
    assert_error(
        create_role(&iam, "r")
            .tags(iam_tag("AWS:x", "b"))
            .send()
            .await,
        400,
        "InvalidInput",
    );
    create_role(&iam, "r")
        .tags(iam_tag("Straße", "日本 _.:/=+-@"))
        .tags(iam_tag("ÄB", ""))
        .send()
        .await
        .unwrap();
    iam.tag_role()
        .role_name("r")
        .tags(iam_tag("äb", "2"))
        .send()
        .await
        .unwrap();
    iam.untag_role()
        .role_name("r")
        .tag_keys("STRAßE")
        .send()
        .await
        .unwrap();
    let tags = iam.list_role_tags().role_name("r").send().await.unwrap();
    assert_eq!(tags.tags(), [iam_tag("äb", "2")]);
    assert_validation_error(
        iam.untag_role().role_name("r").tag_keys("#").send().await,
        "tagKeys.1.member",
    );
    let many = (0..50).map(|at| iam_tag(&format!("k{at}"), ""));
    let all = |tags: Vec<Tag>| iam.tag_role().role_name("r").set_tags(Some(tags)).send();
    assert_error(all(many.clone().collect()).await, 409, "LimitExceeded");
    all(many.skip(1).collect()).await.unwrap();
}

#[tokio::test]
async fn provider_tag_keys_are_case_sensitive() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    let create = || {
        iam.create_open_id_connect_provider()
            .url("https://oidc.fly.io/acme")
    };
    let twice = create()
        .tags(iam_tag("team", "a"))
        .tags(iam_tag("team", "b"))
        .send()
        .await;
    assert_error(twice, 400, "InvalidInput");
    let created = create()
        .tags(iam_tag("Team", "a"))
        .tags(iam_tag("team", "b"))
        .send()
        .await
        .unwrap();
    let arn = created.open_id_connect_provider_arn().unwrap();
    let tagged = iam
        .tag_open_id_connect_provider()
        .open_id_connect_provider_arn(arn)
        .tags(iam_tag("TEAM", "c"));
    tagged.send().await.unwrap();
    let untag = iam
        .untag_open_id_connect_provider()
        .open_id_connect_provider_arn(arn)
        .tag_keys("Team");
    untag.send().await.unwrap();
    let tags = iam
        .list_open_id_connect_provider_tags()
        .open_id_connect_provider_arn(arn)
        .send()
        .await
        .unwrap();
    assert_eq!(tags.tags(), [iam_tag("team", "b"), iam_tag("TEAM", "c")]);
}
