//! Which documents are equal: a row for each rule, next to similar documents that differ.

use super::{
    PolicyDocument,
    equality_cases::{CONDITIONS, DIFFERENT, DOCUMENTS, PRINCIPALS, SAME, STATEMENTS},
    parse_or_panic, policy_with_statement,
};

fn check_equality(name: &str, same: bool, a: &PolicyDocument, b: &PolicyDocument) {
    assert_eq!(a == b, same, "{name}: {a:?} and {b:?}");
    let lines = PolicyDocument::diff_lines("policy", Some(a), Some(b));
    assert_eq!(lines.is_empty(), same, "{name}: {lines:#?}");
    for policy in [a, b] {
        assert_eq!(
            &parse_or_panic(&policy.to_json_string()),
            policy,
            "{name}: it is not what was written"
        );
        assert_eq!(
            PolicyDocument::from_json(&policy.to_json()).as_ref(),
            Ok(policy),
            "{name}"
        );
    }
}

#[test]
fn statements() {
    for (name, same, a, b) in STATEMENTS {
        check_equality(
            name,
            *same,
            &policy_with_statement(a),
            &policy_with_statement(b),
        );
    }
}

#[test]
fn principals() {
    for (name, same, a, b) in PRINCIPALS {
        for element in ["Principal", "NotPrincipal"] {
            let [a, b] = [a, b]
                .map(|who| policy_with_statement(&format!(r#""Action":"a:B","{element}":{who}"#)));
            check_equality(name, *same, &a, &b);
        }
        let [a, b] = [a, b].map(|who| format!(r#""Action":"a:B","Principal":{who}"#));
        check_equality(
            "all but them",
            DIFFERENT,
            &policy_with_statement(&a),
            &policy_with_statement(&b.replace("Principal", "NotPrincipal")),
        );
    }
}

#[test]
fn conditions() {
    for (name, same, a, b) in CONDITIONS {
        let [a, b] = [a, b].map(|condition| {
            policy_with_statement(&format!(r#""Action":"a:B","Condition":{condition}"#))
        });
        check_equality(name, *same, &a, &b);
    }
    check_equality(
        "an empty condition is none",
        SAME,
        &policy_with_statement(r#""Action":"a:B","Condition":{}"#),
        &policy_with_statement(r#""Action":"a:B""#),
    );
}

#[test]
fn documents() {
    for (name, same, a, b) in DOCUMENTS {
        check_equality(name, *same, &parse_or_panic(a), &parse_or_panic(b));
    }
}
