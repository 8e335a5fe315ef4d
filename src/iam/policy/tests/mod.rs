//! Policy documents as AWS and people write them: which are equal, how they differ, what they mean,
//! and which are invalid.

mod descriptions;
mod diff;
mod equality;
mod equality_cases;
mod invalid;
mod properties;

use serde_json::{Value, json};

use super::PolicyDocument;

/// A policy with one statement, given without braces. The effect is `Allow` unless `fields` has
/// one.
fn policy_with_statement(fields: &str) -> PolicyDocument {
    let effect = if fields.contains("\"Effect\"") {
        ""
    } else {
        r#""Effect":"Allow","#
    };
    parse_or_panic(&format!(
        r#"{{"Version":"2012-10-17","Statement":[{{{effect}{fields}}}]}}"#
    ))
}

fn parse_or_panic(text: &str) -> PolicyDocument {
    PolicyDocument::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn is_written_in_the_usual_order() {
    let policy = parse_or_panic(
        r#"{"Statement": [{"Resource": ["arn:aws:s3:::b/*"], "Condition": {"Bool": {"aws:SecureTransport": false}},
            "Action": ["s3:PutObject", "s3:GetObject", "s3:getobject"], "Effect": "Deny", "Principal": {"AWS": ["*"]},
            "Sid": "A"}], "Id": "x", "Version": "2012-10-17"}"#,
    );
    assert_eq!(
        policy.to_json_string(),
        r#"{"Version":"2012-10-17","Id":"x","Statement":{"Sid":"A","Effect":"Deny","Principal":"*","#
            .to_owned()
            + r#""Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::b/*","#
            + r#""Condition":{"Bool":{"aws:SecureTransport":"false"}}}}"#
    );
    assert_eq!(
        serde_json::from_str::<Value>(&policy.to_json_string()).unwrap(),
        policy.to_json()
    );
    assert_eq!(policy.to_json()["Statement"]["Principal"], json!("*"));
}
