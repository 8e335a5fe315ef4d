//! Pairs of policy parts, and whether they mean the same.

pub(super) const SAME: bool = true;
pub(super) const DIFFERENT: bool = false;

/// Two statements, without braces.
pub(super) const STATEMENTS: &[(&str, bool, &str, &str)] = &[
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
        DIFFERENT,
        r#""Action":"s3:GetObject""#,
        r#""Action":"s3:PutObject""#,
    ),
    (
        "one action more",
        DIFFERENT,
        r#""Action":["a:B","a:C"]"#,
        r#""Action":"a:B""#,
    ),
    (
        "a wildcard is not what it covers",
        DIFFERENT,
        r#""Action":"s3:*""#,
        r#""Action":["s3:*","s3:GetObject"]"#,
    ),
    (
        "all but an action",
        DIFFERENT,
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
        DIFFERENT,
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
        DIFFERENT,
        r#""Action":"a:B","Resource":"arn:aws:s3:::b/K""#,
        r#""Action":"a:B","Resource":"arn:aws:s3:::b/k""#,
    ),
    (
        "a resource in another partition",
        DIFFERENT,
        r#""Action":"a:B","Resource":"arn:aws:s3:::b""#,
        r#""Action":"a:B","Resource":"arn:aws-cn:s3:::b""#,
    ),
    (
        "all but a resource",
        DIFFERENT,
        r#""Action":"a:B","Resource":"r""#,
        r#""Action":"a:B","NotResource":"r""#,
    ),
    (
        "no resources",
        DIFFERENT,
        r#""Action":"a:B""#,
        r#""Action":"a:B","Resource":[]"#,
    ),
    (
        "another effect",
        DIFFERENT,
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
        DIFFERENT,
        r#""Action":"a:B""#,
        r#""Sid":"A","Action":"a:B""#,
    ),
    (
        "a name in other letters",
        DIFFERENT,
        r#""Sid":"a","Action":"a:B""#,
        r#""Sid":"A","Action":"a:B""#,
    ),
    (
        "what we do not know, missing",
        DIFFERENT,
        r#""Action":"a:B""#,
        r#""Action":"a:B","Future":1"#,
    ),
    (
        "what we do not know, other",
        DIFFERENT,
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

/// Two principals.
pub(super) const PRINCIPALS: &[(&str, bool, &str, &str)] = &[
    ("everyone, told twice", SAME, r#""*""#, r#"{"AWS":"*"}"#),
    ("everyone in a list", SAME, r#""*""#, r#"{"AWS":["*"]}"#),
    (
        "everyone and every service",
        DIFFERENT,
        r#""*""#,
        r#"{"AWS":"*","Service":"*"}"#,
    ),
    (
        "everyone of another type",
        DIFFERENT,
        r#""*""#,
        r#"{"Federated":"*"}"#,
    ),
    ("everyone and nobody", DIFFERENT, r#""*""#, "{}"),
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
        DIFFERENT,
        r#"{"AWS":"123456789012"}"#,
        r#"{"AWS":"arn:moon:iam::123456789012:root"}"#,
    ),
    (
        "a root of no account",
        DIFFERENT,
        r#"{"AWS":"1234"}"#,
        r#"{"AWS":"arn:aws:iam::1234:root"}"#,
    ),
    (
        "another account",
        DIFFERENT,
        r#"{"AWS":"123456789012"}"#,
        r#"{"AWS":"123456789013"}"#,
    ),
    (
        "an account of another type",
        DIFFERENT,
        r#"{"Federated":"123456789012"}"#,
        r#"{"Federated":"arn:aws:iam::123456789012:root"}"#,
    ),
    (
        "a role in another partition",
        DIFFERENT,
        r#"{"AWS":"arn:aws:iam::123456789012:role/r"}"#,
        r#"{"AWS":"arn:aws-cn:iam::123456789012:role/r"}"#,
    ),
    (
        "a role that was deleted",
        DIFFERENT,
        r#"{"AWS":"arn:aws:iam::123456789012:role/r"}"#,
        r#"{"AWS":"AROAJQABLZS4A3QDU576Q"}"#,
    ),
    (
        "a user that was deleted",
        DIFFERENT,
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
        DIFFERENT,
        r#"{"Service":"x"}"#,
        r#"{"AWS":"x"}"#,
    ),
];

/// Two conditions.
pub(super) const CONDITIONS: &[(&str, bool, &str, &str)] = &[
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
        DIFFERENT,
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
        DIFFERENT,
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
        DIFFERENT,
        r#"{"StringEquals":{"k":"a"}}"#,
        r#"{"StringLike":{"k":"a"}}"#,
    ),
    (
        "where it may be missing",
        DIFFERENT,
        r#"{"StringEquals":{"k":"a"}}"#,
        r#"{"StringEqualsIfExists":{"k":"a"}}"#,
    ),
    (
        "one key more",
        DIFFERENT,
        r#"{"StringEquals":{"k":"a"}}"#,
        r#"{"StringEquals":{"k":"a","l":"a"}}"#,
    ),
    ("no operator", SAME, "{}", r#"{"StringEquals":{}}"#),
    (
        "no value never holds",
        DIFFERENT,
        "{}",
        r#"{"StringEquals":{"k":[]}}"#,
    ),
    (
        "dots in names",
        DIFFERENT,
        r#"{"a.b":{"c":"v"}}"#,
        r#"{"a":{"b.c":"v"}}"#,
    ),
];

/// Two whole documents.
pub(super) const DOCUMENTS: &[(&str, bool, &str, &str)] = &[
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
        DIFFERENT,
        r#"{"Statement":[{"Effect":"Allow","Action":"a:B"},{"Effect":"Allow","Action":"A:B"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":"a:B"}]}"#,
    ),
    (
        "two statements are not one with both",
        DIFFERENT,
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
        DIFFERENT,
        r#"{"Statement":[]}"#,
        r#"{"Version":"2012-10-17","Statement":[]}"#,
    ),
    (
        "a document's id",
        DIFFERENT,
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
        DIFFERENT,
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
