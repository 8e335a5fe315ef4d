//! Manual changes of a bucket or a role are detected and repaired. Differences in form alone are
//! not reported.

use aws_sdk_s3::types as s3;
use serde_json::{Value, json};

use super::{BUCKET, MANIFEST, ROLE, SdkClients};
use crate::support::TestEnv;

/// Asserts that the plan shows exactly this drift, and that an apply repairs it.
async fn assert_drift_repaired(env: &TestEnv, expected: &[&str]) {
    assert_eq!(env.summary().await, expected);
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}

#[tokio::test]
async fn bucket_drift_is_detected_and_repaired() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let aws = SdkClients::administrator(&env).s3;
    aws.delete_public_access_block()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    let all = "block_public_acls,block_public_policy,ignore_public_acls,restrict_public_buckets";
    let all = all
        .split(',')
        .map(|name| format!("public_access_block.{name}"))
        .collect::<Vec<_>>()
        .join(",");
    assert_drift_repaired(&env, &[&format!("update aws.bucket/backups {all}")]).await;

    let suspended = s3::VersioningConfiguration::builder()
        .status(s3::BucketVersioningStatus::Suspended)
        .build();
    aws.put_bucket_versioning()
        .bucket(BUCKET)
        .versioning_configuration(suspended)
        .send()
        .await
        .unwrap();
    assert_drift_repaired(&env, &["update aws.bucket/backups versioning"]).await;

    let there = aws
        .get_bucket_lifecycle_configuration()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    let filter = s3::LifecycleRuleFilter::builder().prefix("tmp/").build();
    let rule = s3::LifecycleRule::builder()
        .id("by-hand")
        .status(s3::ExpirationStatus::Enabled)
        .filter(filter);
    let rule = rule
        .expiration(s3::LifecycleExpiration::builder().days(1).build())
        .build()
        .unwrap();
    let mut rules = there.rules().to_vec();
    rules.push(rule);
    let config = s3::BucketLifecycleConfiguration::builder()
        .set_rules(Some(rules))
        .build()
        .unwrap();
    aws.put_bucket_lifecycle_configuration()
        .bucket(BUCKET)
        .lifecycle_configuration(config)
        .send()
        .await
        .unwrap();
    assert_drift_repaired(&env, &["update aws.bucket/backups lifecycle.by-hand"]).await;

    aws.delete_bucket_policy()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert!(env.summary().await[0].starts_with("update aws.bucket/backups policy"));
    env.apply().await;

    let tags = aws
        .get_bucket_tagging()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap()
        .tag_set;
    let other = s3::Tag::builder().key("audit").value("1").build().unwrap();
    let left = tags
        .into_iter()
        .filter(|tag| tag.key() != "team")
        .chain([other])
        .collect();
    let tagging = s3::Tagging::builder()
        .set_tag_set(Some(left))
        .build()
        .unwrap();
    aws.put_bucket_tagging()
        .bucket(BUCKET)
        .tagging(tagging)
        .send()
        .await
        .unwrap();
    assert_drift_repaired(&env, &["update aws.bucket/backups tags.team"]).await;
    let tags = aws
        .get_bucket_tagging()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap()
        .tag_set;
    assert!(
        tags.iter().any(|tag| tag.key() == "audit"),
        "what others put there stays"
    );

    let rule =
        s3::OwnershipControlsRule::builder().object_ownership(s3::ObjectOwnership::ObjectWriter);
    let controls = s3::OwnershipControls::builder()
        .rules(rule.build().unwrap())
        .build()
        .unwrap();
    aws.put_bucket_ownership_controls()
        .bucket(BUCKET)
        .ownership_controls(controls)
        .send()
        .await
        .unwrap();
    assert_drift_repaired(&env, &["update aws.bucket/backups ownership"]).await;
}

#[tokio::test]
async fn role_drift_is_detected_and_repaired() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let aws = SdkClients::administrator(&env).iam;
    let policy = async || {
        let got = aws
            .get_role_policy()
            .role_name(ROLE)
            .policy_name("access")
            .send()
            .await
            .unwrap();
        let text = trimtab::iam::policy::PolicyDocument::parse(&got.policy_document).unwrap();
        text.to_json()
    };
    let put = async |document: &Value| {
        let request = aws.put_role_policy().role_name(ROLE).policy_name("access");
        request
            .policy_document(document.to_string())
            .send()
            .await
            .unwrap();
    };
    let before = policy().await;
    let mut wider = before.clone();
    let mut statements = wider["Statement"].as_array_mut().unwrap().iter_mut();
    let objects = statements
        .find(|one| one["Sid"] == "BackupsObjects")
        .unwrap();
    objects["Action"]
        .as_array_mut()
        .unwrap()
        .push(json!("s3:DeleteObject"));
    put(&wider).await;
    let summary = env.summary().await;
    assert!(
        summary.len() == 1 && summary[0].contains("policy.access.BackupsObjects.Action"),
        "{summary:?}"
    );
    env.apply().await;
    assert_eq!(policy().await, before);

    // The same policy in another form is no drift.
    let mut other = before.clone();
    let statements = other["Statement"].as_array_mut().unwrap();
    statements.reverse();
    let list = statements
        .iter_mut()
        .find(|one| one["Sid"] == "BackupsList")
        .unwrap();
    list["Action"] = json!(["S3:listbucket"]);
    put(&other).await;
    assert_eq!(env.summary().await, Vec::<String>::new());

    aws.put_role_policy()
        .role_name(ROLE)
        .policy_name("more")
        .policy_document(other.to_string())
        .send()
        .await
        .unwrap();
    let summary = env.summary().await;
    assert!(
        summary.len() == 1 && summary[0].contains("policy.more"),
        "{summary:?}"
    );
    env.apply().await;

    aws.untag_role()
        .role_name(ROLE)
        .tag_keys("trimtab_project")
        .send()
        .await
        .unwrap();
    assert_drift_repaired(&env, &["update aws.role/backup tags.trimtab_project"]).await;
    aws.update_role()
        .role_name(ROLE)
        .max_session_duration(7200)
        .send()
        .await
        .unwrap();
    assert_eq!(
        env.summary().await,
        ["update aws.role/backup max_session_duration"]
    );
    env.apply().await;

    let wide = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
    aws.update_assume_role_policy()
        .role_name(ROLE)
        .policy_document(wide)
        .send()
        .await
        .unwrap();
    let summary = env.summary().await;
    assert!(
        summary.len() == 1 && summary[0].starts_with("update aws.role/backup trust"),
        "{summary:?}"
    );
    env.apply().await;

    let arn = "arn:aws:iam::aws:policy/AdministratorAccess";
    aws.attach_role_policy()
        .role_name(ROLE)
        .policy_arn(arn)
        .send()
        .await
        .unwrap();
    assert_drift_repaired(&env, &["update aws.role/backup managed_policies"]).await;
    let attached = aws
        .list_attached_role_policies()
        .role_name(ROLE)
        .send()
        .await
        .unwrap();
    assert!(attached.attached_policies().is_empty());
}

#[tokio::test]
async fn removed_blocks_are_destroyed_and_foreign_resources_kept() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let SdkClients { s3, iam, .. } = SdkClients::administrator(&env);
    let without = MANIFEST
        .split("[buckets.backups]")
        .next()
        .unwrap()
        .to_owned()
        + "[apps.web]\n"
        + MANIFEST.split("[apps.web]\n").nth(1).unwrap();
    env.write_manifest(&without);
    let expected = [
        "destroy aws.bucket/backups",
        "destroy aws.oidc_provider/fly",
        "destroy aws.role/backup",
        "restart fly.machine/web/app/fra/0 env.AWS_REGION,env.AWS_ROLE_ARN",
    ];
    let mut summary = env.summary().await;
    summary.sort();
    assert_eq!(summary, expected);

    // A bucket that is not empty blocks its deletion, and nothing else is applied either.
    s3.put_object()
        .bucket(BUCKET)
        .key("db/1")
        .body(b"x".to_vec().into())
        .send()
        .await
        .unwrap();
    let blocked = env.summary().await;
    assert!(
        blocked
            .iter()
            .any(|line| line.starts_with("blocked aws.bucket/backups") && line.contains("db/1")),
        "{blocked:?}"
    );
    s3.delete_object()
        .bucket(BUCKET)
        .key("db/1")
        .send()
        .await
        .unwrap();
    let blocked = env.summary().await;
    assert!(
        blocked
            .iter()
            .any(|line| line.starts_with("blocked aws.bucket/backups")),
        "its versions are still there"
    );
    let versions = s3
        .list_object_versions()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    let ids = versions
        .versions()
        .iter()
        .filter_map(|one| one.version_id());
    let ids = ids.chain(
        versions
            .delete_markers()
            .iter()
            .filter_map(|one| one.version_id()),
    );
    for id in ids {
        s3.delete_object()
            .bucket(BUCKET)
            .key("db/1")
            .version_id(id)
            .send()
            .await
            .unwrap();
    }

    // The provider is kept while a role of somebody else trusts it.
    let document = iam
        .get_role()
        .role_name(ROLE)
        .send()
        .await
        .unwrap()
        .role
        .unwrap()
        .assume_role_policy_document
        .unwrap();
    let document = trimtab::iam::policy::PolicyDocument::parse(&document)
        .unwrap()
        .to_json_string();
    iam.create_role()
        .role_name("theirs")
        .assume_role_policy_document(document)
        .send()
        .await
        .unwrap();
    let mut summary = env.summary().await;
    summary.sort();
    assert_eq!(summary, [expected[0], expected[2], expected[3]]);
    iam.delete_role().role_name("theirs").send().await.unwrap();
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());
}

#[tokio::test]
async fn unowned_resource_needs_adopt() {
    let env = TestEnv::new(MANIFEST).await;
    let SdkClients { s3, .. } = SdkClients::administrator(&env);
    let location = aws_sdk_s3::types::BucketLocationConstraint::EuCentral1;
    let location = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(location)
        .build();
    s3.create_bucket()
        .bucket(BUCKET)
        .create_bucket_configuration(location)
        .send()
        .await
        .unwrap();
    let blocked = env.summary().await;
    assert!(
        blocked.iter().any(|line| line
            == &format!(
                "blocked aws.bucket/backups: bucket {BUCKET} is there already and bears nobody's mark"
            )),
        "{blocked:?}"
    );
    // A role cannot be moved to our path, so it cannot be adopted.
    let iam = SdkClients::administrator(&env).iam;
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole",
    }] });
    iam.create_role()
        .role_name(ROLE)
        .assume_role_policy_document(trust.to_string())
        .send()
        .await
        .unwrap();
    let blocked = env
        .summary()
        .await
        .into_iter()
        .find(|line| line.starts_with("blocked aws.role/backup"))
        .unwrap();
    assert!(
        blocked.contains("is there already, at the path /, and is not ours"),
        "{blocked}"
    );
    iam.delete_role().role_name(ROLE).send().await.unwrap();
    env.write_manifest(
        &MANIFEST.replace("[buckets.backups]\n", "[buckets.backups]\nadopt = true\n"),
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());

    let protected = MANIFEST.replace(
        "[buckets.backups]\n",
        "[buckets.backups]\nprotected = true\n",
    );
    env.write_manifest(&protected);
    assert_eq!(
        env.summary().await,
        ["update aws.bucket/backups tags.trimtab_protected"]
    );
    env.apply().await;
    env.write_manifest("project = \"harbor\"\nfly.org = \"acme\"\naws.account = \"123456789012\"\naws.region = \"eu-central-1\"\n");
    let plan = env.plan().await;
    let refusals = trimtab::plan::refusals(&plan, &trimtab::plan::Limits::default());
    assert!(
        refusals
            .iter()
            .any(|refusal| refusal.reason.contains("aws.bucket/backups")
                && refusal.reason.contains("is protected"))
    );
}

/// For IAM, `Team` and `team` are the same tag key, so the old tag must be removed first.
#[tokio::test]
async fn role_tag_can_change_case() {
    let tagged = |key: &str| {
        MANIFEST.replace(
            "app = \"web\"\n",
            &format!("app = \"web\"\ntags.{key} = \"sea\"\n"),
        )
    };
    let env = TestEnv::new(&tagged("Team")).await;
    env.apply().await;
    env.write_manifest(&tagged("team"));
    assert!(env.summary().await[0].starts_with("update aws.role/backup tags."));
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    let tags = SdkClients::administrator(&env)
        .iam
        .list_role_tags()
        .role_name(ROLE)
        .send()
        .await
        .unwrap()
        .tags;
    let ours: Vec<&str> = tags
        .iter()
        .map(aws_sdk_iam::types::Tag::key)
        .filter(|key| key.eq_ignore_ascii_case("team"))
        .collect();
    assert_eq!(ours, ["team"]);
}

#[tokio::test]
async fn untagged_role_is_unmanaged_until_tagged_again() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let aws = SdkClients::administrator(&env).iam;
    let without = MANIFEST.replace(
        "[identities.backup]\napp = \"web\"\nbuckets.backups = { prefix = \"db/\" }\n",
        "",
    );
    env.write_manifest(&without);
    let keys = ["trimtab_project", "trimtab_environment", "trimtab_name"];
    aws.untag_role()
        .role_name(ROLE)
        .set_tag_keys(Some(keys.map(str::to_owned).into()))
        .send()
        .await
        .unwrap();
    let plan = env.plan().await;
    let [unmanaged] = plan.findings.unmanaged.as_slice() else {
        panic!("{:?}", plan.findings.unmanaged)
    };
    assert_eq!(unmanaged.description, format!("role {ROLE}"));
    assert_eq!(unmanaged.container.name().as_str(), "trimtab/harbor/test");
    assert!(unmanaged.why.contains("bears no mark"), "{}", unmanaged.why);
    assert!(
        !env.summary()
            .await
            .iter()
            .any(|line| line.contains("aws.role"))
    );

    // The hint in the plan works.
    let tag = |key: &str, value: &str| {
        aws_sdk_iam::types::Tag::builder()
            .key(key)
            .value(value)
            .build()
            .unwrap()
    };
    let tags = vec![
        tag("trimtab_project", "harbor"),
        tag("trimtab_environment", "test"),
    ];
    aws.tag_role()
        .role_name(ROLE)
        .set_tags(Some(tags))
        .send()
        .await
        .unwrap();
    assert!(
        env.summary()
            .await
            .iter()
            .any(|line| line.starts_with("destroy aws.role/"))
    );
    env.apply().await;
    assert!(aws.list_roles().send().await.unwrap().roles().is_empty());
}
