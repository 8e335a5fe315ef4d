//! Input that is not a policy, or that would be expensive to process: all of it is rejected with a
//! message.

use serde_json::{Value, json};

use super::PolicyDocument;

/// The text, and what the error message must contain.
const INVALID_DOCUMENTS: &[(&str, &str)] = &[
    ("", "EOF"),
    ("   ", "EOF"),
    ("null", "it is null"),
    ("[]", "it is a list"),
    ("\"{}\"", "it is a string"),
    ("{", "EOF"),
    ("{}", "it has no Statement"),
    ("%7B%7D", "it has no Statement"),
    ("%7", "neither JSON nor percent-encoded"),
    ("%zz", "neither JSON nor percent-encoded"),
    ("%+1", "neither JSON nor percent-encoded"),
    ("%", "neither JSON nor percent-encoded"),
    ("%FF", "not UTF-8"),
    ("%257B%257D", "expected value"),
    (r#"{"Statement":1}"#, "Statement[0]: it is a number"),
    (r#"{"Statement":[[]]}"#, "Statement[0]: it is a list"),
    (r#"{"Version":1,"Statement":[]}"#, "Version is a number"),
    (
        r#"{"Statement":[],"Statement":[]}"#,
        "`Statement` appears twice",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Effect":"Deny","Action":"a:B"}}"#,
        "`Effect` appears twice",
    ),
    (r#"{"Statement":{"Action":"a:B"}}"#, "it has no Effect"),
    (
        r#"{"Statement":{"Effect":"Maybe","Action":"a:B"}}"#,
        "Effect is \"Maybe\"",
    ),
    (
        r#"{"Statement":{"Effect":"allow","Action":"a:B"}}"#,
        "Effect is \"allow\"",
    ),
    (
        r#"{"Statement":{"Effect":"Allow"}}"#,
        "neither Action nor NotAction",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","action":"a:B"}}"#,
        "neither Action nor NotAction",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","NotAction":"a:C"}}"#,
        "both Action and NotAction",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":1}}"#,
        "Action holds a number",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":[["a:B"]]}}"#,
        "Action holds a list",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Resource":null}}"#,
        "Resource holds null",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Resource":"r","NotResource":"s"}}"#,
        "both Resource",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Sid":7}}"#,
        "Sid is a number",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Principal":"me"}}"#,
        "Principal is \"me\"",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Principal":["*"]}}"#,
        "Principal is [\"*\"]",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Principal":{"AWS":{}}}}"#,
        "Principal.AWS holds an object",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Condition":[]}}"#,
        "Condition is a list",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Condition":{"Bool":true}}}"#,
        "Condition.Bool is a boolean",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Condition":{"Bool":{"k":null}}}}"#,
        "Bool.k holds null",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Condition":{"Bool":{"k":"a"},"bool":{"k":"b"}}}}"#,
        "Condition.bool appears twice",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Condition":{"Bool":{"k":"a","K":"b"}}}}"#,
        "Condition.Bool.k appears twice",
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Condition":{"StringEquals":{"k":123456789012345678901}}}}"#,
        "too many digits",
    ),
];

#[test]
fn invalid_documents_are_rejected_with_their_location() {
    for (text, why) in INVALID_DOCUMENTS {
        let error = PolicyDocument::parse(text).expect_err(text).to_string();
        assert!(
            error.starts_with("not a policy document: ") && error.contains(why),
            "{text}: {error}"
        );
    }
}

#[test]
fn deep_nesting_is_rejected() {
    let lists = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let within = format!(r#"{{"Statement":{{"Effect":"Allow","Action":"a:B","Future":{lists}}}}}"#);
    for text in [lists, objects, within] {
        assert!(PolicyDocument::parse(&text).is_err());
    }
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let document = json!({"Statement": {"Effect": "Allow", "Action": "a:B", "Future": deep}});
    let error = PolicyDocument::from_json(&document).expect_err("it is too deep");
    assert!(error.to_string().contains("deeper than 32"), "{error}");
}

#[test]
fn size_is_limited() {
    let statement = |action: Value| json!({"Effect": "Allow", "Action": action});
    let long = json!({"Statement": statement("x".repeat(1 << 20).into())});
    let many_values = json!({"Statement": statement(vec!["x"; 40_000].into())});
    let many = json!({"Statement": vec![statement("a:B".into()); 1001]});
    let other = json!({"Statement": statement("a:B".into()), "x".repeat(1 << 20): 1});
    for document in [long, many_values, many, other] {
        assert!(PolicyDocument::from_json(&document).is_err());
        assert!(PolicyDocument::parse(&document.to_string()).is_err());
    }
    assert!(PolicyDocument::parse(&"%".repeat(1 << 20)).is_err());
    assert!(PolicyDocument::parse(&"\u{0}".repeat(100_000)).is_err());
}

#[test]
fn the_largest_documents_are_compared_quickly() {
    // The worst case for matching: nothing is equal, no `Sid`, and everything is somewhat similar.
    let statement = |at: usize, salt: &str| json!({"Effect": "Allow", "Action": [format!("a:{salt}{at}"), "a:B"], "Resource": "r"});
    let document = |salt: &str| {
        let all: Vec<Value> = (0..1000).map(|at| statement(at, salt)).collect();
        PolicyDocument::from_json(&json!({"Statement": all})).unwrap()
    };
    let lines = PolicyDocument::diff_lines("policy", Some(&document("x")), Some(&document("y")));
    assert_eq!(lines.len(), 1000, "each is a change of one action");
}
