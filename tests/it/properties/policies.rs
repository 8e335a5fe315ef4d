//! A policy that the validation of manifests accepts is accepted by AWS: otherwise an apply would be
//! refused in the middle. The sandbox is the judge; it shares no code with the validation.

use std::cell::Cell;

use aws_sdk_s3::{error::ProvideErrorMetadata, types as s3};
use proptest::{
    prelude::*,
    sample::{select, subsequence},
    test_runner::{TestCaseError, TestRunner},
};
use serde_json::{Map, Value, json};
use trimtab::iam::policy::{PolicyDocument, PolicyUse};

use crate::{
    aws::{ACCOUNT, MANIFEST, SdkClients},
    support::{TestEnv, proptest_config},
};

const ROLE: &str = "judged";
/// Stands for the name of the bucket, which is another one for each case.
const BUCKET: &str = "BUCKET";

/// A list of some of these texts, or one of them alone.
fn some_of(texts: &'static [&'static str]) -> BoxedStrategy<Value> {
    prop_oneof![
        2 => select(texts).prop_map(Value::from),
        2 => subsequence(texts, 0..=texts.len().min(2)).prop_map(Value::from),
    ]
    .boxed()
}

fn actions() -> BoxedStrategy<Value> {
    some_of(&[
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
        "s3:AbortMultipartUpload",
        "s3:BypassGovernanceRetention",
        "s3:*",
        "s3:Get*",
        "*",
        "GetObject",
        "sts:AssumeRole",
        "sts:AssumeRoleWithWebIdentity",
        "sts:TagSession",
        "sts:GetCallerIdentity",
        "iam:PassRole",
    ])
}

fn resources() -> BoxedStrategy<Value> {
    some_of(&[
        "*",
        "arn:aws:s3:::BUCKET",
        "arn:aws:s3:::BUCKET/*",
        "arn:aws:s3:::BUCKET/db/*",
        "arn:aws:s3:::other/*",
        "arn:aws:s3",
        "BUCKET",
    ])
}

fn principals() -> BoxedStrategy<Value> {
    let typed =
        |name: &'static str, texts| some_of(texts).prop_map(move |names| json!({ name: names }));
    prop_oneof![
        3 => Just(json!("*")),
        3 => typed("AWS", &["*", ACCOUNT, "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:role/*", "somebody"]),
        1 => typed("Service", &["ec2.amazonaws.com", "ec2"]),
        1 => typed("Federated", &["arn:aws:iam::123456789012:oidc-provider/oidc.fly.io/acme"]),
        1 => typed("CanonicalUser", &["79a59df900b949e55d96a1e698fbaced"]),
        1 => typed("Robot", &["x"]),
        1 => Just(json!({})),
    ]
    .boxed()
}

fn conditions() -> BoxedStrategy<Value> {
    let operator = select(vec![
        "StringEquals",
        "StringLike",
        "StringNotEquals",
        "StringEqualsIfExists",
        "ForAnyValue:StringEquals",
        "ForAllValues:StringEquals",
        "ArnLike",
        "Bool",
        "Null",
        "NullIfExists",
        "IpAddress",
        "NotIpAddress",
        "NumericLessThan",
        "StringMatches",
    ]);
    let key = select(vec![
        "aws:SourceIp",
        "aws:PrincipalAccount",
        "aws:PrincipalArn",
        "aws:userid",
        "aws:SecureTransport",
        "s3:prefix",
        "s3:DataAccessPointArn",
        "prefix",
    ]);
    let values = some_of(&[
        "true",
        ACCOUNT,
        "0.0.0.0/0",
        "10.0.0.0/8",
        "203.0.113.0/24",
        "*",
        "arn:aws:iam::123456789012:role/x",
        "arn:aws:s3:eu-west-1:123456789012:accesspoint/*",
        "${aws:username}",
    ]);
    (operator, key, values)
        .prop_map(|(operator, key, values)| json!({ operator: { key: values } }))
        .boxed()
}

fn statement() -> BoxedStrategy<Value> {
    let sid = select(vec![
        None,
        Some("One"),
        Some("Two"),
        Some("not alphanumeric"),
    ]);
    let element = |name: &'static str, values: BoxedStrategy<Value>, chance: f64| {
        proptest::option::weighted(chance, values)
            .prop_map(move |value| value.map(|value| (name, value)))
    };
    (
        sid,
        select(vec!["Allow", "Deny"]),
        actions(),
        element("Resource", resources(), 0.7),
        element("Principal", principals(), 0.7),
        element("Condition", conditions(), 0.4),
    )
        .prop_map(|(sid, effect, action, resource, principal, condition)| {
            let mut fields = Map::new();
            fields.extend(sid.map(|sid| ("Sid".to_owned(), json!(sid))));
            fields.insert("Effect".to_owned(), json!(effect));
            fields.insert("Action".to_owned(), action);
            let optional = [resource, principal, condition].into_iter().flatten();
            fields.extend(optional.map(|(name, value)| (name.to_owned(), value)));
            Value::Object(fields)
        })
        .boxed()
}

fn document() -> impl Strategy<Value = Value> {
    proptest::collection::vec(statement(), 1..=2)
        .prop_map(|statements| json!({ "Version": "2012-10-17", "Statement": statements }))
}

/// The document as it is sent, if the validation accepts it for this use.
fn accepted_text(document: &Value, used: PolicyUse<'_>) -> Option<String> {
    let policy = PolicyDocument::from_json(document).ok()?;
    let is_accepted = policy.validate(used).is_empty();
    is_accepted.then(|| policy.to_json_string())
}

/// The AWS side of the test: a role and, for each case, a bucket.
struct Judge {
    clients: SdkClients,
    buckets: Cell<u32>,
}

impl Judge {
    async fn new(env: &TestEnv) -> Self {
        let clients = SdkClients::administrator(env);
        let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": { "AWS": ACCOUNT } }] });
        let create = clients.iam.create_role().role_name(ROLE);
        let create = create.assume_role_policy_document(trust.to_string());
        create.send().await.unwrap();
        Self {
            clients,
            buckets: Cell::new(0),
        }
    }

    async fn create_bucket(&self, blocks_public: bool) -> String {
        self.buckets.set(self.buckets.get() + 1);
        let name = format!("judged-{}", self.buckets.get());
        let s3 = &self.clients.s3;
        let location = s3::CreateBucketConfiguration::builder()
            .location_constraint(s3::BucketLocationConstraint::EuCentral1)
            .build();
        let create = s3.create_bucket().bucket(&name);
        let create = create.create_bucket_configuration(location);
        create.send().await.unwrap();
        if !blocks_public {
            let lift = s3.delete_public_access_block().bucket(&name);
            lift.send().await.unwrap();
        }
        name
    }

    /// What AWS answers to each use of the document that the validation accepts.
    async fn verdicts(&self, document: &Value) -> Vec<Result<(), String>> {
        let mut verdicts = Vec::new();
        let error = |error: &dyn std::fmt::Debug, text: &str| format!("{error:?}\n{text}");
        if let Some(text) = accepted_text(document, PolicyUse::Role) {
            let put = self.clients.iam.put_role_policy().role_name(ROLE);
            let put = put.policy_name("one").policy_document(&text).send().await;
            verdicts.push(put.map(drop).map_err(|e| error(&e.message(), &text)));
        }
        if let Some(text) = accepted_text(document, PolicyUse::Trust) {
            let put = self.clients.iam.update_assume_role_policy();
            let put = put.role_name(ROLE).policy_document(&text).send().await;
            verdicts.push(put.map(drop).map_err(|e| error(&e.message(), &text)));
        }
        for blocks_public in [true, false] {
            let name = format!("judged-{}", self.buckets.get() + 1);
            let document = document.to_string().replace(BUCKET, &name);
            let document = serde_json::from_str(&document).unwrap();
            let used = PolicyUse::Bucket {
                name: &name,
                account: ACCOUNT,
                blocks_public,
            };
            let Some(text) = accepted_text(&document, used) else {
                continue;
            };
            let name = self.create_bucket(blocks_public).await;
            let put = self.clients.s3.put_bucket_policy().bucket(&name);
            let put = put.policy(&text).send().await;
            verdicts.push(put.map(drop).map_err(|e| error(&e.message(), &text)));
        }
        verdicts
    }
}

#[test]
fn policies_that_pass_validation_are_accepted_by_aws() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let env = runtime.block_on(TestEnv::new(MANIFEST));
    let judge = runtime.block_on(Judge::new(&env));
    let accepted = Cell::new(0_usize);
    let mut runner = TestRunner::new(proptest_config(1500));
    let result = runner.run(&document(), |document| {
        for verdict in runtime.block_on(judge.verdicts(&document)) {
            verdict.map_err(TestCaseError::fail)?;
            accepted.set(accepted.get() + 1);
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(
        accepted.get() >= 50,
        "only {} documents passed the validation",
        accepted.get()
    );
}
