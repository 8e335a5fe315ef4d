//! Length limits of IAM and S3 policies, to the character: the longest policy is accepted, and one
//! more character is an error at its position.

use crate::manifest::support::{load_text, messages, unchecked_inputs};

const HEAD: &str = "project = \"p\"\nfly.org = \"o\"\n[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n\
    [apps.web]\nprimary_region = \"ewr\"\n";

fn messages_of(sections: &str) -> Vec<String> {
    messages(load_text(&format!("{HEAD}{sections}"), &unchecked_inputs()))
}

/// The message for a text of this length, if there is one.
fn message_for_length(manifest: impl Fn(&str) -> String, letters: usize) -> Option<String> {
    let text = messages_of(&manifest(&"x".repeat(letters)));
    assert!(text.len() <= 1, "{text:?}");
    text.into_iter().next()
}

/// The length of the longest text that is accepted. A longer one is an error that contains these
/// words.
fn longest_accepted(manifest: impl Fn(&str) -> String, phrase: &str) -> usize {
    let (mut passes, mut fails) = (1, 40_000);
    while passes + 1 < fails {
        let middle = usize::midpoint(passes, fails);
        if message_for_length(&manifest, middle).is_none() {
            passes = middle;
        } else {
            fails = middle;
        }
    }
    let why = message_for_length(&manifest, fails).unwrap();
    assert!(why.contains(phrase), "{why}");
    passes
}

#[test]
fn trust_policy_is_limited_to_2048_characters() {
    let trust = |text: &str| {
        format!(
            "[roles.a]\ntrust = {{ Version = \"2012-10-17\", Statement = [{{ Effect = \"Allow\", Principal = {{ AWS = \
             \"123456789012\" }}, Action = \"sts:AssumeRole\", Condition = {{ StringEquals = {{ \"sts:ExternalId\" = \
             \"a b {text}\" }} }} }}] }}\n"
        )
    };
    let sections = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"ab"}}}}"#;
    assert_eq!(
        longest_accepted(
            trust,
            "this trust policy is 2049 characters long, but IAM accepts at most 2048"
        ) + sections.len(),
        2048
    );
}

#[test]
fn raised_quotas_are_respected() {
    let arns: String = (0..12)
        .map(|n| format!("\"arn:aws:iam::aws:policy/P{n}\","))
        .collect();
    let text = "x".repeat(2500);
    let role = format!(
        "[roles.a]\nmanaged_policies = [{arns}]\ntrust = {{ Version = \"2012-10-17\", Statement = [{{ Effect = \"Allow\", \
         Principal = {{ AWS = \"123456789012\" }}, Action = \"sts:AssumeRole\", Condition = {{ StringEquals = {{ \
         \"sts:ExternalId\" = \"{text}\" }} }} }}] }}\n"
    );
    assert_eq!(messages_of(&role).len(), 2);
    assert!(
        messages_of(&format!(
            "[aws.quotas]\ntrust_policy = 4096\nmanaged_policies = 20\n{role}"
        ))
        .is_empty()
    );
    assert_eq!(
        messages_of("[aws.quotas]\ntrust_policy = 5000\n"),
        ["`5000` is out of range"]
    );
}

#[test]
fn role_policies_are_limited_to_10240_characters() {
    let two = |text: &str| {
        let policy = |name: &str, resource: &str| {
            format!(
                "policies.{name} = {{ Version = \"2012-10-17\", Statement = [{{ Effect = \"Allow\", Action = \"s3:*\", \
                 Resource = \"arn:aws:s3:::{resource}\" }}] }}\n"
            )
        };
        format!(
            "[roles.a]\napp = \"web\"\n{}{}",
            policy("one", "a"),
            policy("two", text)
        )
    };
    let rest = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::"}}"#;
    let words = "the policy of this role is 10241 characters long, but IAM accepts at most 10240";
    assert_eq!(longest_accepted(two, words) + 2 * rest.len() + 1, 10_240);
}

#[test]
fn identity_policy_counts_towards_limit() {
    let prefixes = |letters: usize| {
        let prefix = "x".repeat(letters);
        let buckets: String = (0..20).map(|n| format!("[buckets.b{n}]\n")).collect();
        let grants: String = (0..20)
            .map(|n| format!("buckets.b{n} = {{ prefix = \"{prefix}\" }}\n"))
            .collect();
        let lock = HEAD.replace("[aws]\n", "[aws]\nlock = \"b0\"\n");
        messages(load_text(
            &format!("{lock}{buckets}[identities.a]\napp = \"web\"\n{grants}"),
            &unchecked_inputs(),
        ))
    };
    assert!(prefixes(8).is_empty(), "{:?}", prefixes(8));
    let text = prefixes(300);
    assert!(
        text.len() == 1 && text[0].starts_with("the policy of this role is "),
        "{text:?}"
    );
}

#[test]
fn bucket_policy_is_limited_to_20_kilobytes() {
    let statement = |text: &str| {
        format!(
            "[[buckets.a.statements]]\nEffect = \"Deny\"\nPrincipal = \"*\"\nAction = \"s3:DeleteObject\"\nResource = \
             \"arn:aws:s3:::p-x-a-123456789012/{text}\"\n"
        )
    };
    let most = longest_accepted(
        statement,
        "the bucket's policy has 20481 bytes, but S3 accepts at most 20480",
    );
    assert!((19_000..20_480).contains(&most), "{most}");
}

#[test]
fn description_is_limited_to_1000_characters() {
    let role = |text: &str| format!("[roles.a]\napp = \"web\"\ndescription = \"ö~\\t{text}\"\n");
    assert_eq!(
        longest_accepted(role, "this description has 1001 characters"),
        997
    );
}

#[test]
fn tags_are_counted_in_characters() {
    let bucket = |value: &str| format!("[buckets.a]\ntags = {{ \"größe\" = \"ö{value}\" }}\n");
    assert_eq!(longest_accepted(bucket, "`größe` cannot be this tag"), 255);
    let many: String = (0..41).map(|n| format!("t{n} = \"1\"\n")).collect();
    assert_eq!(
        messages_of(&format!("[buckets.a.tags]\n{many}")),
        ["these are too many tags"]
    );
}
