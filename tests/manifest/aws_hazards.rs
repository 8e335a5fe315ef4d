//! What AWS would refuse in the middle of an apply, or what would lock an environment, is refused in the
//! manifest; and what follows from several buckets and roles together.

use trimtab::kinds::Desired;

use crate::manifest::support::{load_text, messages, unchecked_inputs};

const HEAD: &str = "project = \"p\"\nfly.org = \"o\"\n[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n";
const APP: &str = "[apps.web]\nprimary_region = \"ewr\"\n";
const BUCKET_ARN: &str = "arn:aws:s3:::p-x-b-123456789012";

fn messages_of(sections: &str) -> Vec<String> {
    messages(load_text(&format!("{HEAD}{sections}"), &unchecked_inputs()))
}

fn desired(sections: &str) -> Desired {
    let loaded = load_text(&format!("{HEAD}{sections}"), &unchecked_inputs());
    loaded
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false, 100)))
        .desired
}

/// A bucket with one statement in its policy.
fn bucket_with(statement: &str) -> String {
    format!("[buckets.b]\n[[buckets.b.statements]]\n{statement}\n")
}

/// A role that may do one thing.
fn role_with(statement: &str) -> String {
    format!(
        "{APP}[roles.r]\napp = \"web\"\n[roles.r.policies.one]\nVersion = \"2012-10-17\"\n[[roles.r.policies.one.Statement]]\n\
         {statement}\n"
    )
}

/// A role with one statement in its trust policy.
fn trust_with(statement: &str) -> String {
    format!("[roles.r.trust]\nVersion = \"2012-10-17\"\n[[roles.r.trust.Statement]]\n{statement}\n")
}

#[track_caller]
fn assert_refused(sections: &str, expected: &str) {
    let messages = messages_of(sections);
    assert!(
        messages.len() == 1 && messages[0].contains(expected),
        "{sections}\n{messages:?}"
    );
}

#[test]
fn statements_that_iam_would_refuse() {
    for (statement, expected) in [
        (
            "Effect = \"Allow\"\nAction = []\nResource = \"*\"",
            "`Action` is empty",
        ),
        (
            "Effect = \"Allow\"\nAction = \"s3:GetObject\"\nResource = []",
            "`Resource` is empty",
        ),
        (
            "Effect = \"Allow\"\nAction = \"s3:GetObject\"\nResource = \"arn:aws:s3\"",
            "the resource `arn:aws:s3` is neither an ARN nor `*`",
        ),
        (
            "Effect = \"Allow\"\nAction = \"s3:GetObject\"\nResource = \"*\"\nCondition.StringMatches.\"aws:PrincipalArn\" = \"x\"",
            "there is no condition operator `StringMatches`",
        ),
        (
            "Effect = \"Allow\"\nAction = \"s3:GetObject\"\nResource = \"*\"\nCondition.StringEquals.prefix = \"x\"",
            "the condition key `prefix` names no service",
        ),
    ] {
        assert_refused(&role_with(statement), expected);
    }
    for (statement, expected) in [
        (
            "Effect = \"Allow\"\nPrincipal = { AWS = \"123456789012\" }\nAction = \"sts:GetCallerIdentity\"",
            "`sts:GetCallerIdentity` does not assume a role",
        ),
        (
            "Effect = \"Allow\"\nPrincipal = { AWS = [] }\nAction = \"sts:AssumeRole\"",
            "`Principal` is empty",
        ),
        (
            "Effect = \"Allow\"\nPrincipal = { Service = \"ec2\" }\nAction = \"sts:AssumeRole\"",
            "the service `ec2`",
        ),
        (
            "Effect = \"Allow\"\nPrincipal = { AWS = \"arn:aws:iam::123456789012:role/*\" }\nAction = \"sts:AssumeRole\"",
            "is a pattern, and principals have none",
        ),
    ] {
        assert_refused(&trust_with(statement), expected);
    }
}

/// GitHub issues tokens to everyone, and whoever asks chooses the name of the repository.
#[test]
fn trusts_that_admit_repositories_of_strangers() {
    let trust = |conditions: &str| {
        trust_with(&format!(
            "Effect = \"Allow\"\nAction = \"sts:AssumeRoleWithWebIdentity\"\nPrincipal.Federated = \
             \"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com\"\n\
             Condition.StringEquals.\"token.actions.githubusercontent.com:aud\" = \"sts.amazonaws.com\"\n{conditions}"
        ))
    };
    let claim = |operator: &str, claim: &str, value: &str| {
        trust(&format!(
            "Condition.{operator}.\"token.actions.githubusercontent.com:{claim}\" = {value}"
        ))
    };
    for (operator, value) in [
        ("StringLike", "\"*\""),
        ("StringLike", "\"repo:*\""),
        ("StringLike", "\"repo:?*/?*:*\""),
        ("StringLike", "\"*:ref:refs/heads/main\""),
        ("StringLike", "\"repo:*/r:ref:refs/heads/main\""),
        ("StringLike", "\"repo:o*\""),
        ("StringLike", "\"repo:o/r*\""),
        ("StringLike", "[\"repo:o/r:ref:refs/heads/main\", \"*\"]"),
        ("StringNotEquals", "\"repo:evil/x:y\""),
        ("StringNotLike", "\"repo:evil/*\""),
        ("Null", "\"false\""),
        ("\"ForAnyValue:StringLike\"", "\"*\""),
        (
            "StringLike",
            "\"$${token.actions.githubusercontent.com:sub}\"",
        ),
    ] {
        assert_refused(
            &claim(operator, "sub", value),
            "repositories of strangers could assume this role",
        );
    }
    for claim in [
        trust(""),
        claim("StringEquals", "actor", "\"me\""),
        claim("StringEquals", "environment", "\"prod\""),
        claim("StringLike", "repository", "\"o*\""),
        claim("StringLike", "job_workflow_ref", "\"o*\""),
    ] {
        assert_refused(&claim, "every repository on GitHub could assume this role");
    }
    for claim in [
        claim("StringEquals", "sub", "\"repo:o/r:ref:refs/heads/main\""),
        claim("StringEquals", "SUB", "\"repo:o/r:pull_request\""),
        claim("StringLike", "sub", "\"repo:o/r:*\""),
        // Every repository of one owner.
        claim("StringLike", "sub", "\"repo:o/*\""),
        claim(
            "StringLike",
            "sub",
            "[\"repo:o/r:*\", \"repo:o/s:environment:?\"]",
        ),
        claim("StringLike", "sub", "\"repository_id:123:*\""),
        claim("StringEquals", "repository", "\"o/r\""),
        claim("StringEquals", "repository_owner", "\"o\""),
        claim(
            "StringLike",
            "job_workflow_ref",
            "\"o/r/.github/workflows/*\"",
        ),
    ] {
        assert_eq!(messages_of(&claim), Vec::<String>::new(), "{claim}");
    }
}

#[test]
fn trust_in_everyone_is_a_warning() {
    let trust = |condition: &str| {
        desired(&trust_with(&format!(
            "Effect = \"Allow\"\nAction = \"sts:AssumeRole\"\nPrincipal.AWS = \"*\"\n{condition}"
        )))
        .meta
        .warnings
        .join("\n")
    };
    let open = trust("");
    assert!(
        open.contains("everyone who has an account of AWS"),
        "{open}"
    );
    let organization = "Condition.StringEquals.\"aws:PrincipalOrgID\" = \"o-1234567890\"";
    let limited = trust(organization);
    assert!(!limited.contains("everyone"), "{limited}");
}

#[test]
fn statements_that_s3_would_refuse() {
    let everyone = "Effect = \"Allow\"\nPrincipal = \"*\"\nAction = \"s3:GetObject\"\nResource = \"${buckets.b.arn}/*\"\n";
    for (statement, expected) in [
        (
            "Effect = \"Allow\"\nPrincipal = { AWS = \"123456789012\" }\nAction = [\"s3:GetObject\", \"s3:ListBucket\"]\n\
             Resource = \"${buckets.b.arn}/*\"",
            "`s3:ListBucket` applies to none of these resources",
        ),
        (
            "Effect = \"Allow\"\nPrincipal = { AWS = \"123456789012\" }\nAction = \"s3:PutObject\"\nResource = \"${buckets.b.arn}\"",
            "it is an action on objects: arn:aws:s3:::p-x-b-123456789012/*",
        ),
        (
            &format!("{everyone}Condition.IpAddress.\"aws:SourceIp\" = \"0.0.0.0/0\""),
            "this grants access to everyone",
        ),
        (
            &format!(
                "{everyone}Condition.StringNotEquals.\"aws:PrincipalAccount\" = \"999999999999\""
            ),
            "this grants access to everyone",
        ),
        (
            "Effect = \"Allow\"\nPrincipal = { CanonicalUser = \"79a59df900b949e55d96a1e698fbaced\" }\nAction = \"s3:GetObject\"\n\
             Resource = \"${buckets.b.arn}/*\"",
            "S3 replaces a `CanonicalUser` by the ARN",
        ),
    ] {
        assert_refused(&bucket_with(statement), expected);
    }
    let both = "Effect = \"Allow\"\nPrincipal = { AWS = \"123456789012\" }\nAction = [\"s3:GetObject\", \"s3:ListBucket\"]\n\
                Resource = [\"${buckets.b.arn}\", \"${buckets.b.arn}/*\"]";
    assert_eq!(messages_of(&bucket_with(both)), Vec::<String>::new());
}

#[test]
fn statements_that_would_shut_every_run_out() {
    let deny = "Effect = \"Deny\"\nPrincipal = \"*\"\n";
    for (statement, expected) in [
        (
            "Action = \"s3:PutObject\"\nResource = \"${buckets.b.arn}/*\"\nCondition.Bool.\"aws:SecureTransport\" = true",
            "this denies everyone s3:PutObject on the lock's object",
        ),
        (
            "Action = \"s3:Get*\"\nResource = \"${buckets.b.arn}/.trimtab/*\"",
            "this denies everyone s3:GetObject on the lock's object",
        ),
        (
            "Action = \"s3:ListBucket\"\nResource = \"${buckets.b.arn}\"",
            "this denies everyone s3:ListBucket on the bucket",
        ),
        (
            "Action = \"s3:*\"\nResource = \"${buckets.b.arn}\"\nCondition.StringEquals.\"aws:PrincipalAccount\" = \"123456789012\"",
            "this locks everyone out",
        ),
        // The lock is made with If-None-Match, and renewed and released with If-Match.
        (
            "Action = \"s3:PutObject\"\nResource = \"${buckets.b.arn}/*\"\nCondition.Null.\"s3:if-none-match\" = \"true\"",
            "this denies everyone s3:PutObject on the lock's object",
        ),
    ] {
        assert_refused(&bucket_with(&format!("{deny}{statement}")), expected);
    }
    for condition in [
        "DateGreaterThan.\"aws:CurrentTime\" = \"2020-01-01T00:00:00Z\"",
        "DateGreaterThan.\"aws:EpochTime\" = \"1577836800\"",
        "DateLessThan.\"aws:CurrentTime\" = \"2999-01-01T00:00:00Z\"",
        "StringNotEquals.\"s3:ResourceAccount\" = \"210987654321\"",
        "Bool.\"aws:ViaAWSService\" = \"false\"",
        "\"ForAllValues:StringEquals\".\"aws:TagKeys\" = \"team\"",
    ] {
        let everything =
            "Action = \"s3:*\"\nResource = [\"${buckets.b.arn}\", \"${buckets.b.arn}/*\"]";
        let sections = bucket_with(&format!("{deny}{everything}\nCondition.{condition}"));
        assert_refused(&sections, "this locks everyone out");
    }
    for statement in [
        // The lock is written with the first encryption that the policy admits.
        "Action = \"s3:PutObject\"\nResource = \"${buckets.b.arn}/*\"\n\
         Condition.StringNotEquals.\"s3:x-amz-server-side-encryption\" = \"aws:kms\"",
        "Action = \"s3:PutObject\"\nResource = \"${buckets.b.arn}/*\"\nCondition.Null.\"s3:x-amz-server-side-encryption\" = \"true\"",
        "Action = \"s3:PutObject\"\nResource = \"${buckets.b.arn}/db/*\"",
        "Action = \"s3:*\"\nResource = \"${buckets.b.arn}\"\nCondition.DateLessThan.\"aws:CurrentTime\" = \"2020-01-01T00:00:00Z\"",
        "Action = \"s3:*\"\nResource = \"${buckets.b.arn}\"\nCondition.DateLessThan.\"aws:CurrentTime\" = \"2030-01-01T00:00:00Z\"",
        "Action = \"s3:*\"\nResource = \"${buckets.b.arn}\"\nCondition.Bool.\"aws:ViaAWSService\" = \"true\"",
        "Action = \"s3:*\"\nResource = \"${buckets.b.arn}\"\nCondition.\"ForAnyValue:StringEquals\".\"aws:TagKeys\" = \"team\"",
        "Action = \"s3:*\"\nResource = \"${buckets.b.arn}/*\"\nCondition.ArnNotLike.\"aws:PrincipalArn\" = \"arn:aws:iam::123456789012:role/ci\"",
    ] {
        let sections = bucket_with(&format!("{deny}{statement}"));
        assert_eq!(messages_of(&sections), Vec::<String>::new(), "{sections}");
    }
    let elsewhere = format!(
        "[buckets.lock]\n{}",
        bucket_with(&format!(
            "{deny}Action = \"s3:PutObject\"\nResource = \"${{buckets.b.arn}}/*\""
        ))
    );
    let text = format!("{HEAD}lock = \"lock\"\n{elsewhere}");
    assert_eq!(
        messages(load_text(&text, &unchecked_inputs())),
        Vec::<String>::new(),
        "only the bucket with the lock must admit it"
    );
}

const TWO_REGIONS: &str = "[buckets.archive]\nregion = \"us-west-2\"\n[buckets.data]\n\
    [identities.backup]\napp = \"web\"\nbuckets = { archive = {}, data = {} }\n";

#[test]
fn region_of_an_app_does_not_follow_the_order_of_buckets() {
    let text = format!("{HEAD}lock = \"data\"\n{APP}{TWO_REGIONS}");
    let loaded = load_text(&text, &unchecked_inputs()).unwrap();
    let machine = loaded.desired.fly_machine.values().next().unwrap();
    assert_eq!(machine.workload.config.env["AWS_REGION"], "eu-central-1");
    let warnings = loaded.desired.meta.warnings.join("\n");
    assert!(warnings.contains("archive in us-west-2"), "{warnings}");
}

#[test]
fn region_of_an_app_has_to_be_said_where_it_is_unclear() {
    let elsewhere = TWO_REGIONS.replace("[buckets.data]", "[buckets.data]\nregion = \"eu-west-1\"");
    let unclear = format!("{HEAD}lock = \"data\"\n{APP}{elsewhere}");
    let errors = messages(load_text(&unclear, &unchecked_inputs()));
    assert!(
        errors.len() == 1 && errors[0].contains("the app's AWS_REGION is unclear"),
        "{errors:?}"
    );
    let app = format!("{APP}env.AWS_REGION = \"eu-west-1\"\n");
    let said = format!("{HEAD}lock = \"data\"\n{app}{elsewhere}");
    let loaded = load_text(&said, &unchecked_inputs()).unwrap();
    let machine = loaded.desired.fly_machine.values().next().unwrap();
    assert_eq!(machine.workload.config.env["AWS_REGION"], "eu-west-1");
}

#[test]
fn roles_come_after_the_roles_that_they_trust() {
    let role = |key: &str, principals: &str| {
        format!(
            "[roles.{key}.trust]\nVersion = \"2012-10-17\"\n[[roles.{key}.trust.Statement]]\nEffect = \"Allow\"\n\
             Principal = {{ AWS = [{principals}] }}\nAction = \"sts:AssumeRole\"\n"
        )
    };
    let sections = [
        role("self", "\"${roles.self.arn}\", \"123456789012\""),
        role("first", "\"${roles.second.arn}\""),
        role(
            "second",
            "\"arn:aws:iam::123456789012:role/trimtab/p/x/p-x-first\"",
        ),
        role("third", "\"${roles.first.arn}\""),
    ]
    .concat();
    let roles = desired(&sections).aws_role;
    let order = |key: &str| {
        let spec = &roles[key];
        let before: Vec<String> = spec.trusted_roles.iter().map(ToString::to_string).collect();
        (spec.trusts_later, before)
    };
    assert_eq!(order("self"), (true, vec![]));
    assert_eq!(order("first"), (true, vec![]));
    assert_eq!(order("second"), (true, vec![]));
    assert_eq!(order("third"), (false, vec!["aws.role/first".to_owned()]));
}

#[test]
fn former_keys_stay_readable() {
    let key = |number: u32| format!("arn:aws:kms:eu-central-1:123456789012:key/{number}");
    let sections = format!(
        "{APP}[buckets.b]\nencryption = {{ kms = \"{}\" }}\nformer_kms_keys = [\"{}\", \"{}\"]\n\
         [identities.a]\napp = \"web\"\nbuckets.b = {{}}\n",
        key(2),
        key(1),
        key(2)
    );
    let desired = desired(&sections);
    let spec = &desired.aws_bucket["b"];
    assert_eq!(spec.name, BUCKET_ARN.rsplit(':').next().unwrap());
    assert!(spec.uses.readers.contains("a"));
    let policy = desired.aws_role["a"].policies["access"].to_json();
    let statements = policy["Statement"].as_array().unwrap();
    let former: Vec<_> = statements
        .iter()
        .filter(|statement| statement["Resource"] == key(1))
        .collect();
    assert_eq!(former.len(), 1);
    assert_eq!(former[0]["Action"], "kms:Decrypt");
    assert_refused(
        "[buckets.b]\nformer_kms_keys = [\"arn:aws:kms:us-east-1:123456789012:key/1\"]\n",
        "this key is in us-east-1",
    );
}
