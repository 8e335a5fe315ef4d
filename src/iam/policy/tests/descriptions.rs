//! The description of statements in words.

use super::policy_with_statement;

const FLY: &str = r#""Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.fly.io/harbor"},"Action":"sts:AssumeRoleWithWebIdentity""#;
const GITHUB: &str = r#""Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"},"Action":"sts:AssumeRoleWithWebIdentity""#;

/// A statement without braces, and its sentence.
const PERMISSIONS: &[(&str, &str)] = &[
    (
        r#""Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::harbor-backups/db/*""#,
        "may read and write objects under db/ of bucket harbor-backups",
    ),
    (
        r#""Action":"s3:ListBucket","Resource":"arn:aws:s3:::harbor-backups","Condition":{"StringLike":{"s3:prefix":"db/*"}}"#,
        "may list bucket harbor-backups under db/",
    ),
    (
        r#""Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringLike":{"s3:prefix":["a/*","b/*"]}}"#,
        "may list bucket b under a/ or b/",
    ),
    (
        r#""Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringLike":{"s3:prefix":["","db*"]}}"#,
        r#"may list bucket b, only when s3:prefix is like "" or "db*""#,
    ),
    (
        r#""Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"s3:prefix":"db/"}}"#,
        r#"may list bucket b, only when s3:prefix is "db/""#,
    ),
    (
        r#""Action":["s3:ListBucket","s3:GetBucketLocation"],"Resource":"arn:aws:s3:::b","Condition":{"StringLike":{"s3:prefix":"db/*"}}"#,
        r#"may list and see the region of bucket b, only when s3:prefix is like "db/*""#,
    ),
    (
        r#""Action":"s3:AbortMultipartUpload","Resource":"arn:aws:s3:::b/db/*""#,
        "may abort uploads under db/ of bucket b",
    ),
    (
        r#""Action":["s3:DeleteObject","s3:AbortMultipartUpload","s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::b/*","arn:aws:s3:::c/k"]"#,
        "may read, write and delete objects and abort uploads anywhere in bucket b and at k of bucket c",
    ),
    (
        r#""Action":["s3:GetObject","s3:GetObjectTagging"],"Resource":"arn:aws:s3:::b/pre*""#,
        "may read objects and call s3:GetObjectTagging on objects that begin with pre in bucket b",
    ),
    (
        r#""Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]"#,
        "may list bucket b and read objects anywhere in bucket b",
    ),
    (
        r#""Action":["s3:ListBucket","s3:PutLifecycleConfiguration"],"Resource":"arn:aws:s3:::b""#,
        "may list and call s3:PutLifecycleConfiguration on bucket b",
    ),
    // An action with resources that it never acts on is not described by a verb.
    (
        r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::b""#,
        "may call s3:GetObject on bucket b",
    ),
    (
        r#""Action":"s3:GetObject","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]"#,
        "may call s3:GetObject on bucket b and objects anywhere in bucket b",
    ),
    (
        r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::b*/db/*""#,
        "may call s3:GetObject on everything like arn:aws:s3:::b*/db/*",
    ),
    (
        r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*""#,
        "may call s3:GetObject on everything like arn:aws:s3:::b/${aws:username}/*",
    ),
    (
        r#""Action":"*","Resource":"*""#,
        "may do EVERYTHING (*) on every resource",
    ),
    (
        r#""Action":"s3:*","Resource":"*""#,
        "may do EVERYTHING in s3 (s3:*) on every resource",
    ),
    (
        r#""Action":"s3:Get*","Resource":"*""#,
        "may call everything like s3:Get* on every resource",
    ),
    (
        r#""Action":["*","s3:GetObject"],"Resource":"*""#,
        "may call EVERYTHING (*) and s3:GetObject on every resource",
    ),
    (
        r#""Action":"*:*","Resource":"*""#,
        "may call everything like *:* on every resource",
    ),
    (
        r#""Action":[],"Resource":"*""#,
        "may do nothing on every resource",
    ),
    (
        r#""Action":"s3:GetObject","Resource":[]"#,
        "may call s3:GetObject on no resource at all",
    ),
    (
        r#""Action":"sqs:SendMessage","Resource":"arn:aws:sqs:eu-west-1:1:q""#,
        "may call sqs:SendMessage on arn:aws:sqs:eu-west-1:1:q",
    ),
    (
        r#""NotAction":["iam:*","sts:AssumeRole"],"Resource":"*""#,
        "may do on every resource EVERYTHING except iam:* and sts:AssumeRole",
    ),
    (
        r#""NotAction":"s3:DeleteObject","Resource":"arn:aws:s3:::b""#,
        "may do on bucket b EVERYTHING except s3:DeleteObject",
    ),
    (
        r#""Action":"s3:GetObject","NotResource":"arn:aws:s3:::b/*""#,
        "may call s3:GetObject on EVERY resource except objects anywhere in bucket b",
    ),
    (
        r#""Action":"*","NotResource":"arn:aws:s3:::b""#,
        "may do EVERYTHING (*) on EVERY resource except bucket b",
    ),
    (
        r#""Action":"a:B","Resource":"*","Future":{"x":1}"#,
        r#"may call a:B on every resource, with "Future": {"x":1}"#,
    ),
    // Denials.
    (
        r#""Effect":"Deny","Action":"*","Resource":"*""#,
        "is denied everything (*) on any resource",
    ),
    (
        r#""Effect":"Deny","Action":["s3:DeleteObject","s3:DeleteObjectVersion"],"Resource":"arn:aws:s3:::b/*""#,
        "may never delete or delete old versions of objects anywhere in bucket b",
    ),
    (
        r#""Effect":"Deny","NotAction":"s3:GetObject","Resource":"*""#,
        "is denied on any resource everything except s3:GetObject",
    ),
    (
        r#""Effect":"Deny","Action":"s3:GetObject","NotResource":"arn:aws:s3:::b/*""#,
        "may never call s3:GetObject on any resource except objects anywhere in bucket b",
    ),
    (
        r#""Effect":"Deny","Action":["s3:Get*","iam:*"],"Resource":"*""#,
        "may never call anything in iam (iam:*) or anything like s3:Get* on any resource",
    ),
    (
        r#""Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1","eu-central-1"]}}"#,
        r#"is denied everything (*) on any resource, when aws:RequestedRegion is not "eu-central-1" nor "eu-west-1" (or is absent)"#,
    ),
];

/// Statements with principals.
const SUBJECTS: &[(&str, &str)] = &[
    (
        r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
        "everyone is denied everything without TLS",
    ),
    (
        r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b","Condition":{"Bool":{"aws:SecureTransport":false}}"#,
        "everyone is denied everything in s3 (s3:*) on bucket b without TLS",
    ),
    (
        r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::c/*"]"#,
        "everyone is denied everything in s3 (s3:*) on bucket b or objects anywhere in bucket c",
    ),
    (
        r#""Effect":"Deny","Principal":{"AWS":"*"},"Action":"s3:DeleteObject","Resource":"arn:aws:s3:::b/*""#,
        "nobody may ever delete objects anywhere in bucket b",
    ),
    (
        r#""Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:role/x/deploy"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*""#,
        "everyone except role x/deploy of account 123456789012 may never write objects anywhere in bucket b",
    ),
    (
        r#""NotPrincipal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#,
        "EVERYONE except whoever account 123456789012 lets may read objects anywhere in bucket b",
    ),
    (
        r#""Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#,
        "EVERYONE may read objects anywhere in bucket b",
    ),
    (
        r#""Principal":{"AWS":"*"},"Action":"*","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#,
        "EVERYONE may do EVERYTHING (*) on objects anywhere in bucket b, only with TLS",
    ),
    (
        r#""Principal":{"AWS":["arn:aws-cn:iam::123456789012:user/u","AROAJQABLZS4A3QDU576Q"],"Service":"s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws-cn:s3:::b/*""#,
        "a deleted role that had the id AROAJQABLZS4A3QDU576Q, user u of account 123456789012 and the AWS service s3.amazonaws.com may write objects anywhere in bucket b",
    ),
    (
        r#""Principal":{"CanonicalUser":"79a5"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*""#,
        "CanonicalUser 79a5 may write objects anywhere in bucket b",
    ),
    (r#""Principal":{},"Action":"a:B""#, "nobody may call a:B"),
    (
        r#""Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/r/s"},"Action":"a:B""#,
        "AWS arn:aws:sts::123456789012:assumed-role/r/s may call a:B",
    ),
    (
        r#""Principal":{"AWS":"arn:aws:iam::123456789012:role/ci"},"Action":"sts:AssumeRole""#,
        "may be assumed by role ci of account 123456789012",
    ),
    (
        r#""Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]"#,
        "may be assumed by the AWS service ecs-tasks.amazonaws.com (by sts:AssumeRole and sts:TagSession)",
    ),
    (
        r#""Principal":"*","Action":"sts:AssumeRole""#,
        "may be assumed by EVERYONE",
    ),
    (
        r#""Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x"}}"#,
        r#"may be assumed by whoever account 123456789012 lets, only when sts:ExternalId is "x""#,
    ),
    (
        r#""Effect":"Deny","NotPrincipal":{"AWS":"123456789012"},"Action":"sts:AssumeRole""#,
        "may never be assumed by everyone except whoever account 123456789012 lets",
    ),
    (
        r#""Principal":{"Federated":"arn:aws:iam::123456789012:saml-provider/okta"},"Action":"sts:AssumeRoleWithSAML""#,
        "may be assumed by Federated arn:aws:iam::123456789012:saml-provider/okta",
    ),
    (
        r#""Principal":{"AWS":"123456789012"},"Action":"sts:*""#,
        "whoever account 123456789012 lets may do EVERYTHING in sts (sts:*)",
    ),
];

/// The provider, conditions on what tokens say (with `$` for the issuer), and the sentence.
const TOKENS: &[(&str, &str, &str)] = &[
    (
        FLY,
        r#"{"StringEquals":{"$:aud":"sts.amazonaws.com"},"StringLike":{"$:sub":"harbor:harbor-web:*"}}"#,
        "may be assumed by machines of the Fly app harbor-web (org harbor), with a token for sts.amazonaws.com",
    ),
    (
        FLY,
        r#"{"StringLike":{"$:sub":["harbor:a:*","harbor:b:m1"]}}"#,
        "may be assumed by machines of the Fly app a (org harbor) or the machine m1 of the Fly app b (org harbor)",
    ),
    (
        FLY,
        r#"{"StringLike":{"$:sub":"harbor:*"}}"#,
        "may be assumed by EVERY machine of the Fly org harbor",
    ),
    (
        FLY,
        "{}",
        "may be assumed by EVERY machine of the Fly org harbor",
    ),
    (
        FLY,
        r#"{"StringLike":{"$:sub":"harbor:web*"}}"#,
        r#"may be assumed by whoever has a token of oidc.fly.io/harbor, only when oidc.fly.io/harbor:sub is like "harbor:web*""#,
    ),
    (
        FLY,
        r#"{"StringEquals":{"$:sub":"harbor:web:*"}}"#,
        r#"may be assumed by whoever has a token of oidc.fly.io/harbor, only when oidc.fly.io/harbor:sub is "harbor:web:*""#,
    ),
    (
        FLY,
        r#"{"StringLike":{"$:sub":"personal:web:*"}}"#,
        r#"may be assumed by whoever has a token of oidc.fly.io/harbor, only when oidc.fly.io/harbor:sub is like "personal:web:*""#,
    ),
    (
        FLY,
        r#"{"StringNotLike":{"$:sub":"harbor:web:*"}}"#,
        r#"may be assumed by whoever has a token of oidc.fly.io/harbor, only when oidc.fly.io/harbor:sub is not like "harbor:web:*" (or is absent)"#,
    ),
    (
        FLY,
        r#"{"StringLike":{"$:sub":"harbor:web:*"},"StringEquals":{"$:sub":"harbor:web:a"}}"#,
        r#"may be assumed by whoever has a token of oidc.fly.io/harbor, only when oidc.fly.io/harbor:sub is "harbor:web:a" and oidc.fly.io/harbor:sub is like "harbor:web:*""#,
    ),
    (
        FLY,
        r#"{"StringLike":{"$:sub":"harbor:web:*","$:aud":"*"}}"#,
        r#"may be assumed by machines of the Fly app web (org harbor), only when oidc.fly.io/harbor:aud is like "*""#,
    ),
    (
        GITHUB,
        r#"{"StringEquals":{"$:sub":"repo:acme/shop:ref:refs/heads/main"}}"#,
        "may be assumed by GitHub Actions of acme/shop on refs/heads/main",
    ),
    (
        GITHUB,
        r#"{"StringEquals":{"$:sub":["repo:acme@1/shop@2:environment:production"],"$:aud":"sts.amazonaws.com"}}"#,
        "may be assumed by GitHub Actions of acme@1/shop@2 in the environment production, with a token for sts.amazonaws.com",
    ),
    (
        GITHUB,
        r#"{"StringLike":{"$:sub":["repo:acme/shop:pull_request","repo:acme/shop:ref:refs/tags/v*"]}}"#,
        "may be assumed by GitHub Actions of acme/shop on ANY pull request or GitHub Actions of acme/shop on every ref like refs/tags/v*",
    ),
    (
        GITHUB,
        r#"{"StringLike":{"$:sub":"repo:acme/shop:*"}}"#,
        "may be assumed by GitHub Actions of acme/shop on ANY branch, tag, pull request and environment",
    ),
    (
        GITHUB,
        r#"{"StringEquals":{"$:sub":"repo:acme/shop:*"}}"#,
        r#"may be assumed by whoever has a token of token.actions.githubusercontent.com, only when token.actions.githubusercontent.com:sub is "repo:acme/shop:*""#,
    ),
    (
        GITHUB,
        r#"{"StringLike":{"$:sub":"repo:acme*/shop*:*"}}"#,
        r#"may be assumed by whoever has a token of token.actions.githubusercontent.com, only when token.actions.githubusercontent.com:sub is like "repo:acme*/shop*:*""#,
    ),
    (
        GITHUB,
        r#"{"StringEquals":{"$:aud":"sts.amazonaws.com"}}"#,
        "may be assumed by GitHub Actions of ANY repository on GitHub, with a token for sts.amazonaws.com",
    ),
];

/// Conditions of a simple statement.
const CONDITIONS: &[(&str, &str)] = &[
    (
        r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::1"]}}"#,
        r#"aws:SourceIp is in "10.0.0.0/8" or "::1""#,
    ),
    (
        r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
        r#"aws:SourceIp is not in "10.0.0.0/8" (or is absent)"#,
    ),
    (
        r#"{"NumericLessThanEquals":{"k":7}}"#,
        r#"k is at most "7""#,
    ),
    (
        r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
        r#"aws:CurrentTime is after "2026-01-01T00:00:00Z""#,
    ),
    (
        r#"{"StringEqualsIfExists":{"k":"a"}}"#,
        r#"k is "a" (or is absent)"#,
    ),
    (r#"{"Null":{"k":true}}"#, "k is absent"),
    (r#"{"Null":{"k":"false"}}"#, "k is present"),
    (
        r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#,
        r#"aws:TagKeys passes ForAllValues:StringEquals of "a" or "b""#,
    ),
    (
        r#"{"StringMatchesMoon":{"k":"a"}}"#,
        r#"k passes StringMatchesMoon of "a""#,
    ),
    (
        r#"{"StringEquals":{"k":[]}}"#,
        "k passes StringEquals of no value",
    ),
    (
        r#"{"Bool":{"aws:SecureTransport":"maybe"}}"#,
        r#"aws:SecureTransport is "maybe""#,
    ),
    (
        r#"{"BoolIfExists":{"aws:SecureTransport":"true"}}"#,
        r#"aws:SecureTransport is "true" (or is absent)"#,
    ),
];

#[test]
fn permissions() {
    for (fields, expected) in PERMISSIONS.iter().chain(SUBJECTS) {
        assert_eq!(
            policy_with_statement(fields).describe(),
            [*expected],
            "{fields}"
        );
    }
}

#[test]
fn tokens() {
    for (provider, condition, expected) in TOKENS {
        let issuer = if *provider == FLY {
            "oidc.fly.io/harbor"
        } else {
            "token.actions.githubusercontent.com"
        };
        let condition = condition.replace('$', issuer);
        let words =
            policy_with_statement(&format!(r#"{provider},"Condition":{condition}"#)).describe();
        assert_eq!(words, [*expected], "{condition}");
    }
}

#[test]
fn conditions() {
    for (condition, expected) in CONDITIONS {
        for (effect, when) in [
            ("Allow", "may call a:B, only when"),
            ("Deny", "may never call a:B, when"),
        ] {
            let fields = format!(r#""Effect":"{effect}","Action":"a:B","Condition":{condition}"#);
            assert_eq!(
                policy_with_statement(&fields).describe(),
                [format!("{when} {expected}")],
                "{condition}"
            );
        }
    }
}
