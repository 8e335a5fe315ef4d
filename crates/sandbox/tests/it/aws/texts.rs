//! Which texts IAM takes.

use aws_sdk_iam::Client;
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_iam::types::Tag;
use serde_json::json;

use super::kit::{ACCOUNT, EAST, clients, fails, refused};
use crate::kit::Box;

fn trust() -> String {
    let statement =
        json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

fn create(
    iam: &Client,
    name: &str,
) -> aws_sdk_iam::operation::create_role::builders::CreateRoleFluentBuilder {
    iam.create_role()
        .role_name(name)
        .assume_role_policy_document(trust())
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

/// A request that must have failed with a validation error in these words.
#[track_caller]
fn says<T: std::fmt::Debug, E>(result: Result<T, SdkError<E>>, words: &str)
where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    let (status, code, message) = refused(result);
    assert_eq!(
        (status, code.as_str()),
        (400, "ValidationError"),
        "{message}"
    );
    assert!(message.contains(words), "{message}");
}

#[tokio::test]
async fn descriptions_have_latin_letters_alone() {
    let sandbox = Box::scripted().await;
    let iam = clients(&sandbox, ACCOUNT, EAST).iam;
    let pattern = "1 validation error detected: Value at 'description' failed to satisfy constraint: Member must satisfy \
                   regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*";
    for wrong in ["an em dash \u{2014}", "\u{a0}", "\u{7f}", "日本", "\u{b}"] {
        says(create(&iam, "r").description(wrong).send().await, pattern);
    }
    let (fits, long) = ("é".repeat(1000), "é".repeat(1001));
    says(
        create(&iam, "r").description(long).send().await,
        "length less than or equal to 1000",
    );
    create(&iam, "r").description(fits).send().await.unwrap();
    create(&iam, "s")
        .description("tab\tnew\r\nline ~ ¡ÿ")
        .send()
        .await
        .unwrap();
    says(
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
    says(policy.send().await, pattern);
}

#[tokio::test]
async fn names_paths_and_documents_are_held_to_their_patterns() {
    let sandbox = Box::scripted().await;
    let iam = clients(&sandbox, ACCOUNT, EAST).iam;
    let letters = "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the \
                   following: +=,.@_-";
    for wrong in ["a b", "ä", "a/b", "a:b"] {
        says(create(&iam, wrong).send().await, letters);
        says(iam.get_role().role_name(wrong).send().await, letters);
    }
    create(&iam, &"n".repeat(64)).send().await.unwrap();
    create(&iam, "a_+=,.@-Z9").send().await.unwrap();
    for wrong in [
        "a/",
        "/a",
        "//",
        "/ä/",
        "/a b/",
        &format!("/{}/", "a".repeat(511)),
    ] {
        says(
            create(&iam, "r").path(wrong).send().await,
            "The specified value for path is invalid.",
        );
    }
    create(&iam, "r").path("/a/b!~/").send().await.unwrap();
    says(
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
    says(
        put("p/q", &grant("a")).await,
        "The specified value for policyName is invalid.",
    );
    says(
        put(&"p".repeat(129), &grant("a")).await,
        "length less than or equal to 128",
    );
    says(put("p", &grant("日本")).await, "at 'policyDocument'");
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
        let (status, code, message) = refused(put("p", &text).await);
        assert_eq!((status, code.as_str()), (400, "MalformedPolicyDocument"));
        assert!(message.starts_with(words), "{message}");
    }
    let trust = trust().replace("sts:AssumeRole", "sts:GetCallerIdentity");
    let role = iam
        .create_role()
        .role_name("t")
        .assume_role_policy_document(trust);
    fails(role.send().await, 400, "MalformedPolicyDocument");
}

#[tokio::test]
async fn a_tag_has_letters_of_any_script_and_a_role_one_key_in_any_case() {
    let sandbox = Box::scripted().await;
    let iam = clients(&sandbox, ACCOUNT, EAST).iam;
    for (key, value, place) in [
        ("a#", "", "tags.2.member.key"),
        ("a\tb", "", "tags.2.member.key"),
        // A letter and a mark on it are two characters, and marks are no letters.
        ("e\u{301}", "", "tags.2.member.key"),
        ("", "", "tags.2.member.key"),
        ("k", "a,b", "tags.2.member.value"),
        (&"k".repeat(129), "", "tags.2.member.key"),
        ("k", &"v".repeat(257), "tags.2.member.value"),
    ] {
        says(
            create(&iam, "r")
                .tags(tag("fine", ""))
                .tags(tag(key, value))
                .send()
                .await,
            place,
        );
    }
    let twice = create(&iam, "r")
        .tags(tag("Team", "a"))
        .tags(tag("team", "b"))
        .send()
        .await;
    let (status, code, message) = refused(twice);
    assert_eq!((status, code.as_str()), (400, "InvalidInput"));
    assert_eq!(
        message,
        "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    );
    fails(
        create(&iam, "r").tags(tag("AWS:x", "b")).send().await,
        400,
        "InvalidInput",
    );
    create(&iam, "r")
        .tags(tag("Straße", "日本 _.:/=+-@"))
        .tags(tag("ÄB", ""))
        .send()
        .await
        .unwrap();
    iam.tag_role()
        .role_name("r")
        .tags(tag("äb", "2"))
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
    assert_eq!(tags.tags(), [tag("äb", "2")]);
    says(
        iam.untag_role().role_name("r").tag_keys("#").send().await,
        "tagKeys.1.member",
    );
    let many = (0..50).map(|at| tag(&format!("k{at}"), ""));
    let all = |tags: Vec<Tag>| iam.tag_role().role_name("r").set_tags(Some(tags)).send();
    fails(all(many.clone().collect()).await, 409, "LimitExceeded");
    all(many.skip(1).collect()).await.unwrap();
}

#[tokio::test]
async fn a_provider_can_have_a_key_in_two_cases() {
    let sandbox = Box::scripted().await;
    let iam = clients(&sandbox, ACCOUNT, EAST).iam;
    let create = || {
        iam.create_open_id_connect_provider()
            .url("https://oidc.fly.io/acme")
    };
    let twice = create()
        .tags(tag("team", "a"))
        .tags(tag("team", "b"))
        .send()
        .await;
    fails(twice, 400, "InvalidInput");
    let made = create()
        .tags(tag("Team", "a"))
        .tags(tag("team", "b"))
        .send()
        .await
        .unwrap();
    let arn = made.open_id_connect_provider_arn().unwrap();
    let tagged = iam
        .tag_open_id_connect_provider()
        .open_id_connect_provider_arn(arn)
        .tags(tag("TEAM", "c"));
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
    assert_eq!(tags.tags(), [tag("team", "b"), tag("TEAM", "c")]);
}
