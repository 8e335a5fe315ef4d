//! Which documents mean the same: one row for each rule, and beside each what must not be taken for it.

use super::{Policy, one, read};

const SAME: bool = true;
const OTHER: bool = false;

/// Two statements, without braces.
const STATEMENTS: &[(&str, bool, &str, &str)] = &[
    (
        "one action is a list of one",
        SAME,
        r#""Action":"s3:GetObject""#,
        r#""Action":["s3:GetObject"]"#,
    ),
    (
        "the order of actions",
        SAME,
        r#""Action":["a:B","a:C"]"#,
        r#""Action":["a:C","a:B"]"#,
    ),
    (
        "an action twice",
        SAME,
        r#""Action":["a:B","a:B"]"#,
        r#""Action":"a:B""#,
    ),
    (
        "an action twice in other letters",
        SAME,
        r#""Action":["a:B","A:b"]"#,
        r#""Action":"a:B""#,
    ),
    (
        "an action in other letters",
        SAME,
        r#""Action":"s3:GetObject""#,
        r#""Action":"S3:getobject""#,
    ),
    (
        "another action",
        OTHER,
        r#""Action":"s3:GetObject""#,
        r#""Action":"s3:PutObject""#,
    ),
    (
        "one action more",
        OTHER,
        r#""Action":["a:B","a:C"]"#,
        r#""Action":"a:B""#,
    ),
    (
        "a wildcard is not what it covers",
        OTHER,
        r#""Action":"s3:*""#,
        r#""Action":["s3:*","s3:GetObject"]"#,
    ),
    (
        "all but an action",
        OTHER,
        r#""Action":"a:B""#,
        r#""NotAction":"a:B""#,
    ),
    (
        "not-action in other letters",
        SAME,
        r#""NotAction":"a:B""#,
        r#""NotAction":["A:B"]"#,
    ),
    (
        "no action and no such list",
        OTHER,
        r#""Action":"a:B""#,
        r#""Action":[]"#,
    ),
    (
        "one resource is a list of one",
        SAME,
        r#""Action":"a:B","Resource":"r""#,
        r#""Action":"a:B","Resource":["r"]"#,
    ),
    (
        "the order of resources",
        SAME,
        r#""Action":"a:B","Resource":["r","s"]"#,
        r#""Action":"a:B","Resource":["s","r","s"]"#,
    ),
    (
        "a resource in other letters",
        OTHER,
        r#""Action":"a:B","Resource":"arn:aws:s3:::b/K""#,
        r#""Action":"a:B","Resource":"arn:aws:s3:::b/k""#,
    ),
    (
        "a resource in another partition",
        OTHER,
        r#""Action":"a:B","Resource":"arn:aws:s3:::b""#,
        r#""Action":"a:B","Resource":"arn:aws-cn:s3:::b""#,
    ),
    (
        "all but a resource",
        OTHER,
        r#""Action":"a:B","Resource":"r""#,
        r#""Action":"a:B","NotResource":"r""#,
    ),
    (
        "no resources",
        OTHER,
        r#""Action":"a:B""#,
        r#""Action":"a:B","Resource":[]"#,
    ),
    (
        "another effect",
        OTHER,
        r#""Action":"a:B""#,
        r#""Effect":"Deny","Action":"a:B""#,
    ),
    (
        "an empty name",
        SAME,
        r#""Action":"a:B""#,
        r#""Sid":"","Action":"a:B""#,
    ),
    (
        "a name",
        OTHER,
        r#""Action":"a:B""#,
        r#""Sid":"A","Action":"a:B""#,
    ),
    (
        "a name in other letters",
        OTHER,
        r#""Sid":"a","Action":"a:B""#,
        r#""Sid":"A","Action":"a:B""#,
    ),
    (
        "what we do not know, missing",
        OTHER,
        r#""Action":"a:B""#,
        r#""Action":"a:B","Future":1"#,
    ),
    (
        "what we do not know, other",
        OTHER,
        r#""Action":"a:B","Future":[1]"#,
        r#""Action":"a:B","Future":1"#,
    ),
    (
        "what we do not know, the same",
        SAME,
        r#""Action":"a:B","Future":{"a":1,"b":2}"#,
        r#""Future":{"b":2,"a":1},"Action":"a:B""#,
    ),
];

/// Two principals, or with a comma whatever else.
const PRINCIPALS: &[(&str, bool, &str, &str)] = &[
    ("everyone, told twice", SAME, r#""*""#, r#"{"AWS":"*"}"#),
    ("everyone in a list", SAME, r#""*""#, r#"{"AWS":["*"]}"#),
    (
        "everyone and every service",
        OTHER,
        r#""*""#,
        r#"{"AWS":"*","Service":"*"}"#,
    ),
    (
        "everyone of another type",
        OTHER,
        r#""*""#,
        r#"{"Federated":"*"}"#,
    ),
    ("everyone and nobody", OTHER, r#""*""#, "{}"),
    (
        "an account by its root",
        SAME,
        r#"{"AWS":"123456789012"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:root"}"#,
    ),
    (
        "an account in China",
        SAME,
        r#"{"AWS":"123456789012"}"#,
        r#"{"AWS":"arn:aws-cn:iam::123456789012:root"}"#,
    ),
    (
        "an account of the US government",
        SAME,
        r#"{"AWS":"arn:aws-us-gov:iam::123456789012:root"}"#,
        r#"{"AWS":["123456789012"]}"#,
    ),
    (
        "an account, told twice",
        SAME,
        r#"{"AWS":"123456789012"}"#,
        r#"{"AWS":["123456789012","arn:aws:iam::123456789012:root"]}"#,
    ),
    (
        "an unknown partition",
        OTHER,
        r#"{"AWS":"123456789012"}"#,
        r#"{"AWS":"arn:moon:iam::123456789012:root"}"#,
    ),
    (
        "a root of no account",
        OTHER,
        r#"{"AWS":"1234"}"#,
        r#"{"AWS":"arn:aws:iam::1234:root"}"#,
    ),
    (
        "another account",
        OTHER,
        r#"{"AWS":"123456789012"}"#,
        r#"{"AWS":"123456789013"}"#,
    ),
    (
        "an account of another type",
        OTHER,
        r#"{"Federated":"123456789012"}"#,
        r#"{"Federated":"arn:aws:iam::123456789012:root"}"#,
    ),
    (
        "a role in another partition",
        OTHER,
        r#"{"AWS":"arn:aws:iam::123456789012:role/r"}"#,
        r#"{"AWS":"arn:aws-cn:iam::123456789012:role/r"}"#,
    ),
    (
        "a role that was deleted",
        OTHER,
        r#"{"AWS":"arn:aws:iam::123456789012:role/r"}"#,
        r#"{"AWS":"AROAJQABLZS4A3QDU576Q"}"#,
    ),
    (
        "a user that was deleted",
        OTHER,
        r#"{"AWS":"arn:aws:iam::123456789012:user/u"}"#,
        r#"{"AWS":"AIDAJQABLZS4A3QDU576Q"}"#,
    ),
    (
        "the same deleted role",
        SAME,
        r#"{"AWS":"AROAJQABLZS4A3QDU576Q"}"#,
        r#"{"AWS":["AROAJQABLZS4A3QDU576Q"]}"#,
    ),
    (
        "a service in a list",
        SAME,
        r#"{"Service":"ec2.amazonaws.com"}"#,
        r#"{"Service":["ec2.amazonaws.com"]}"#,
    ),
    (
        "a service as an account",
        OTHER,
        r#"{"Service":"x"}"#,
        r#"{"AWS":"x"}"#,
    ),
];

/// Two conditions.
const CONDITIONS: &[(&str, bool, &str, &str)] = &[
    (
        "one value is a list of one",
        SAME,
        r#"{"StringEquals":{"k":"a"}}"#,
        r#"{"StringEquals":{"k":["a"]}}"#,
    ),
    (
        "the order of values",
        SAME,
        r#"{"StringEquals":{"k":["a","b"]}}"#,
        r#"{"StringEquals":{"k":["b","a","b"]}}"#,
    ),
    (
        "an operator in other letters",
        SAME,
        r#"{"StringEquals":{"k":"a"}}"#,
        r#"{"stringequals":{"k":"a"}}"#,
    ),
    (
        "a set operator in other letters",
        SAME,
        r#"{"ForAllValues:StringLike":{"k":"a"}}"#,
        r#"{"forallvalues:stringlike":{"k":"a"}}"#,
    ),
    (
        "a key in other letters",
        SAME,
        r#"{"Bool":{"aws:SecureTransport":"false"}}"#,
        r#"{"Bool":{"AWS:securetransport":"false"}}"#,
    ),
    (
        "a value in other letters",
        OTHER,
        r#"{"StringEquals":{"k":"a"}}"#,
        r#"{"StringEquals":{"k":"A"}}"#,
    ),
    (
        "a boolean",
        SAME,
        r#"{"Bool":{"k":false}}"#,
        r#"{"Bool":{"k":"false"}}"#,
    ),
    (
        "the other boolean",
        OTHER,
        r#"{"Bool":{"k":false}}"#,
        r#"{"Bool":{"k":"true"}}"#,
    ),
    (
        "a number",
        SAME,
        r#"{"NumericLessThan":{"k":[300]}}"#,
        r#"{"NumericLessThan":{"k":"300"}}"#,
    ),
    (
        "an account as a number",
        SAME,
        r#"{"StringEquals":{"k":123456789012}}"#,
        r#"{"StringEquals":{"k":"123456789012"}}"#,
    ),
    (
        "another operator",
        OTHER,
        r#"{"StringEquals":{"k":"a"}}"#,
        r#"{"StringLike":{"k":"a"}}"#,
    ),
    (
        "where it may be missing",
        OTHER,
        r#"{"StringEquals":{"k":"a"}}"#,
        r#"{"StringEqualsIfExists":{"k":"a"}}"#,
    ),
    (
        "one key more",
        OTHER,
        r#"{"StringEquals":{"k":"a"}}"#,
        r#"{"StringEquals":{"k":"a","l":"a"}}"#,
    ),
    ("no operator", SAME, "{}", r#"{"StringEquals":{}}"#),
    (
        "no value never holds",
        OTHER,
        "{}",
        r#"{"StringEquals":{"k":[]}}"#,
    ),
    (
        "dots in names",
        OTHER,
        r#"{"a.b":{"c":"v"}}"#,
        r#"{"a":{"b.c":"v"}}"#,
    ),
];

/// Two whole documents.
const DOCUMENTS: &[(&str, bool, &str, &str)] = &[
    (
        "one statement is a list of one",
        SAME,
        r#"{"Statement":{"Effect":"Allow","Action":"a:B"}}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":"a:B"}]}"#,
    ),
    (
        "the order of statements",
        SAME,
        r#"{"Statement":[{"Effect":"Allow","Action":"a:B"},{"Effect":"Deny","Action":"a:C"}]}"#,
        r#"{"Statement":[{"Effect":"Deny","Action":"a:C"},{"Effect":"Allow","Action":"a:B"}]}"#,
    ),
    (
        "a statement twice",
        OTHER,
        r#"{"Statement":[{"Effect":"Allow","Action":"a:B"},{"Effect":"Allow","Action":"A:B"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":"a:B"}]}"#,
    ),
    (
        "two statements are not one with both",
        OTHER,
        r#"{"Statement":[{"Effect":"Allow","Action":"a:B"},{"Effect":"Allow","Action":"a:C"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":["a:B","a:C"]}]}"#,
    ),
    (
        "no version is the first",
        SAME,
        r#"{"Statement":[]}"#,
        r#"{"Version":"2008-10-17","Statement":[]}"#,
    ),
    (
        "no version is not today's",
        OTHER,
        r#"{"Statement":[]}"#,
        r#"{"Version":"2012-10-17","Statement":[]}"#,
    ),
    (
        "a document's id",
        OTHER,
        r#"{"Id":"a","Statement":[]}"#,
        r#"{"Statement":[]}"#,
    ),
    (
        "percent-encoded",
        SAME,
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Resource":"r/*"}}"#,
        "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22a%3AB%22%2C%22Resource%22%3A%22r/%2a%22%7D%7D",
    ),
    (
        "a plus is not a space",
        SAME,
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Resource":"a+b"}}"#,
        "%7B%22Statement%22:%7B%22Effect%22:%22Allow%22,%22Action%22:%22a:B%22,%22Resource%22:%22a+b%22%7D%7D",
    ),
    (
        "an encoded plus is a plus",
        SAME,
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Resource":"a+b"}}"#,
        "%7B%22Statement%22:%7B%22Effect%22:%22Allow%22,%22Action%22:%22a:B%22,%22Resource%22:%22a%2Bb%22%7D%7D",
    ),
    (
        "an encoded space is a space",
        SAME,
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Resource":"a b"}}"#,
        "%7B%22Statement%22:%7B%22Effect%22:%22Allow%22,%22Action%22:%22a:B%22,%22Resource%22:%22a%20b%22%7D%7D",
    ),
    (
        "plain text is not decoded",
        OTHER,
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Resource":"a%20b"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Resource":"a b"}}"#,
    ),
    (
        "letters beyond ASCII",
        SAME,
        r#"{"Statement":{"Effect":"Allow","Action":"a:B","Resource":"ü"}}"#,
        "%7B%22Statement%22:%7B%22Effect%22:%22Allow%22,%22Action%22:%22a:B%22,%22Resource%22:%22%C3%BC%22%7D%7D",
    ),
];

fn check(name: &str, same: bool, a: &Policy, b: &Policy) {
    assert_eq!(a == b, same, "{name}: {a:?} and {b:?}");
    let lines = Policy::lines("policy", Some(a), Some(b));
    assert_eq!(lines.is_empty(), same, "{name}: {lines:#?}");
    for policy in [a, b] {
        assert_eq!(
            &read(&policy.text()),
            policy,
            "{name}: it is not what was written"
        );
        assert_eq!(Policy::of(&policy.json()).as_ref(), Ok(policy), "{name}");
    }
}

#[test]
fn statements() {
    for (name, same, a, b) in STATEMENTS {
        check(name, *same, &one(a), &one(b));
    }
}

#[test]
fn principals() {
    for (name, same, a, b) in PRINCIPALS {
        for element in ["Principal", "NotPrincipal"] {
            let [a, b] = [a, b].map(|who| one(&format!(r#""Action":"a:B","{element}":{who}"#)));
            check(name, *same, &a, &b);
        }
        let [a, b] = [a, b].map(|who| format!(r#""Action":"a:B","Principal":{who}"#));
        check(
            "all but them",
            OTHER,
            &one(&a),
            &one(&b.replace("Principal", "NotPrincipal")),
        );
    }
}

#[test]
fn conditions() {
    for (name, same, a, b) in CONDITIONS {
        let [a, b] =
            [a, b].map(|condition| one(&format!(r#""Action":"a:B","Condition":{condition}"#)));
        check(name, *same, &a, &b);
    }
    check(
        "an empty condition is none",
        SAME,
        &one(r#""Action":"a:B","Condition":{}"#),
        &one(r#""Action":"a:B""#),
    );
}

#[test]
fn documents() {
    for (name, same, a, b) in DOCUMENTS {
        check(name, *same, &read(a), &read(b));
    }
}
