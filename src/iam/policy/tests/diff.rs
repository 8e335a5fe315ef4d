//! Differences between policies.

use super::{PolicyDocument, parse_or_panic, policy_with_statement};
use crate::model::{DiffLine, DisplayValue};

/// Formats a line like the text output.
fn format_line(line: &DiffLine) -> String {
    let side = |side: &Option<DisplayValue>| match side {
        Some(DisplayValue::Value(value)) => Some(value.to_string()),
        None => None,
        other => panic!("{other:?} in a policy"),
    };
    let note = line
        .note
        .as_ref()
        .map(|note| format!(" ({note})"))
        .unwrap_or_default();
    match (side(&line.from), side(&line.to)) {
        (Some(from), Some(to)) => format!("~ {} {from} → {to}{note}", line.path),
        (None, Some(to)) => format!("+ {} {to}{note}", line.path),
        (Some(from), None) => format!("- {} {from}{note}", line.path),
        (None, None) => panic!("{} says nothing", line.path),
    }
}

fn diff_text(from: Option<&PolicyDocument>, to: Option<&PolicyDocument>) -> Vec<String> {
    PolicyDocument::diff_lines("policy", from, to)
        .iter()
        .map(format_line)
        .collect()
}

const WRITE_STATEMENT: &str =
    r#""Sid":"Write","Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::b/db/*""#;
const TRUST_STATEMENT: &str =
    r#""Principal":{"AWS":"arn:aws:iam::123456789012:role/a"},"Action":"sts:AssumeRole""#;

/// One statement before and after, and the lines of the difference.
const CHANGES: &[(&str, &str, &[&str])] = &[
    (WRITE_STATEMENT, WRITE_STATEMENT, &[]),
    (
        WRITE_STATEMENT,
        r#""Sid":"Write","Action":["s3:PutObject","s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::b/db/*""#,
        &[r#"+ policy.Write.Action "s3:DeleteObject""#],
    ),
    (
        WRITE_STATEMENT,
        r#""Sid":"Write","Action":"s3:getobject","Resource":"arn:aws:s3:::b/db/*""#,
        &[r#"- policy.Write.Action "s3:PutObject""#],
    ),
    (
        WRITE_STATEMENT,
        r#""Sid":"Write","Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::b/*""#,
        &[r#"~ policy.Write.Resource "arn:aws:s3:::b/db/*" → "arn:aws:s3:::b/*""#],
    ),
    (
        WRITE_STATEMENT,
        r#""Sid":"Save","Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::b/db/*""#,
        &[r#"~ policy.Save.Sid "Write" → "Save""#],
    ),
    (
        WRITE_STATEMENT,
        r#""Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::b/db/*""#,
        &[r#"- policy[0].Sid "Write""#],
    ),
    (
        WRITE_STATEMENT,
        r#""Sid":"Write","Effect":"Deny","Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::b/db/*""#,
        &[r#"~ policy.Write.Effect "Allow" → "Deny""#],
    ),
    (
        WRITE_STATEMENT,
        r#""Sid":"Write","NotAction":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::b/db/*""#,
        &[
            r#"- policy.Write.Action "s3:GetObject""#,
            r#"- policy.Write.Action "s3:PutObject""#,
            r#"+ policy.Write.NotAction "s3:GetObject""#,
            r#"+ policy.Write.NotAction "s3:PutObject""#,
        ],
    ),
    (
        WRITE_STATEMENT,
        r#""Sid":"Write","Action":["s3:PutObject","s3:GetObject"],"Resource":[]"#,
        &[r#"- policy.Write.Resource "arn:aws:s3:::b/db/*""#],
    ),
    (
        r#""Sid":"A","Action":"a:B","Resource":[]"#,
        r#""Sid":"A","Action":"a:B""#,
        &["- policy.A.Resource []"],
    ),
    (
        r#""Sid":"A","Action":"a:B""#,
        r#""Sid":"A","Action":"a:B","Principal":{}"#,
        &["+ policy.A.Principal []"],
    ),
    (
        r#""Sid":"A","Action":"a:B","Future":{"x":1}"#,
        r#""Sid":"A","Action":"a:B","Future":{"x":2},"Past":0"#,
        &[
            r#"~ policy.A.Future {"x":1} → {"x":2}"#,
            "+ policy.A.Past 0",
        ],
    ),
    (
        r#""Action":"a:B","Condition":{"StringEquals":{"aws:sub":"a","aws:aud":"x"}}"#,
        r#""Action":"A:b","Condition":{"stringequals":{"AWS:SUB":"b","aws:aud":["x"]}}"#,
        &[r#"~ policy[0].Condition.stringequals.AWS:SUB "a" → "b""#],
    ),
    (
        r#""Action":"a:B","Condition":{"StringEquals":{"k":["a","b"]}}"#,
        r#""Action":"a:B","Condition":{"StringLike":{"k":["a*"]},"StringEquals":{"k":"a"}}"#,
        &[
            r#"- policy[0].Condition.StringEquals.k "b""#,
            r#"+ policy[0].Condition.StringLike.k "a*""#,
        ],
    ),
    (
        TRUST_STATEMENT,
        r#""Principal":"*","Action":"sts:AssumeRole""#,
        &[
            r#"+ policy[0].Principal "*""#,
            r#"- policy[0].Principal.AWS "arn:aws:iam::123456789012:role/a""#,
        ],
    ),
    (
        TRUST_STATEMENT,
        r#""Principal":{"AWS":"AROAJQABLZS4A3QDU576Q"},"Action":"sts:AssumeRole""#,
        &[
            r#"~ policy[0].Principal.AWS "arn:aws:iam::123456789012:role/a" → "AROAJQABLZS4A3QDU576Q""#,
        ],
    ),
    (
        r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#,
        r#""Effect":"Deny","Action":"iam:PassRole","Resource":"*""#,
        &[
            r#"+ policy[0] {"Action":"iam:PassRole","Effect":"Deny","Resource":"*"} (may never call iam:PassRole on any resource)"#,
            r#"- policy[0] {"Action":"s3:GetObject","Effect":"Allow","Resource":"arn:aws:s3:::b/*"} (may read objects anywhere in bucket b)"#,
        ],
    ),
    (
        r#""Sid":"Version","Action":"a:B""#,
        r#""Sid":"Version","Action":"a:C""#,
        &[r#"~ policy[0].Action "a:B" → "a:C""#],
    ),
    (
        r#""Sid":"with space","Action":"a:B""#,
        r#""Sid":"with space","Action":"a:C""#,
        &[r#"~ policy[0].Action "a:B" → "a:C""#],
    ),
];

#[test]
fn a_changed_value_is_one_line() {
    for (from, to, expected) in CHANGES {
        assert_eq!(
            diff_text(
                Some(&policy_with_statement(from)),
                Some(&policy_with_statement(to))
            ),
            *expected,
            "{from} to {to}"
        );
    }
}

#[test]
fn moved_statements_are_matched() {
    let from = parse_or_panic(
        r#"{"Version":"2012-10-17","Statement":[
            {"Sid":"A","Effect":"Allow","Action":"a:A","Resource":"x"},
            {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::b/*"},
            {"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b"},
            {"Sid":"Same","Effect":"Deny","Action":"*","Resource":"*"}]}"#,
    );
    let to = parse_or_panic(
        r#"{"Version":"2012-10-17","Statement":[
            {"Sid":"Same","Effect":"Deny","Action":["*"],"Resource":["*"]},
            {"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::c"},
            {"Sid":"New","Effect":"Allow","Action":"a:New","Resource":"new"},
            {"Effect":"Allow","Action":["s3:GetObject"],"Resource":"arn:aws:s3:::b/*"},
            {"Sid":"A","Effect":"Allow","Action":"a:Z","Resource":"z"}]}"#,
    );
    assert_eq!(
        diff_text(Some(&from), Some(&to)),
        [
            r#"~ policy[1].Resource "arn:aws:s3:::b" → "arn:aws:s3:::c""#,
            r#"+ policy.New {"Action":"a:New","Effect":"Allow","Resource":"new","Sid":"New"} (may call a:New on new)"#,
            r#"- policy[3].Action "s3:PutObject""#,
            r#"~ policy.A.Action "a:A" → "a:Z""#,
            r#"~ policy.A.Resource "x" → "z""#,
        ]
    );
}

#[test]
fn duplicate_sids_are_not_used_as_names() {
    let document = |action: &str| {
        parse_or_panic(&format!(
            r#"{{"Statement":[{{"Sid":"A","Effect":"Allow","Action":"a:B"}},{{"Sid":"A","Effect":"Allow","Action":"{action}"}}]}}"#
        ))
    };
    assert_eq!(
        diff_text(Some(&document("a:C")), Some(&document("a:D"))),
        [r#"~ policy[1].Action "a:C" → "a:D""#]
    );
}

#[test]
fn a_new_document_is_one_line_per_statement() {
    let policy = policy_with_statement(WRITE_STATEMENT);
    let expected = r#"policy.Write {"Action":["s3:GetObject","s3:PutObject"],"Effect":"Allow","Resource":"arn:aws:s3:::b/db/*","Sid":"Write"} (may read and write objects under db/ of bucket b)"#;
    assert_eq!(diff_text(None, Some(&policy)), [format!("+ {expected}")]);
    assert_eq!(diff_text(Some(&policy), None), [format!("- {expected}")]);
    assert!(diff_text(None, None).is_empty());
    let old = parse_or_panic(r#"{"Id":"i","Statement":{"Effect":"Allow","Action":"a:B"}}"#);
    assert_eq!(
        diff_text(None, Some(&old)),
        [
            r#"+ policy.Version "2008-10-17""#,
            r#"+ policy.Id "i""#,
            r#"+ policy[0] {"Action":"a:B","Effect":"Allow"} (may call a:B)"#,
        ]
    );
    let empty = parse_or_panic(r#"{"Version":"2012-10-17","Statement":[]}"#);
    assert_eq!(
        diff_text(None, Some(&empty)),
        [r#"+ policy {"Statement":[],"Version":"2012-10-17"}"#]
    );
    assert_eq!(
        diff_text(Some(&parse_or_panic(r#"{"Statement":[]}"#)), Some(&empty)),
        [r#"~ policy.Version "2008-10-17" → "2012-10-17""#]
    );
}
