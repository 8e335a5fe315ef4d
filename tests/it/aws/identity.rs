//! What an app's role permits its machines, and nobody else.

use aws_sdk_s3::config::Credentials;
use serde_json::json;

use super::{BUCKET, MANIFEST, SdkClients, error_code, oidc_token};
use crate::support::TestEnv;

/// The session of a machine of an app, created as the AWS SDKs create it from the environment of
/// the machine.
async fn assume_role_of_app(env: &TestEnv, app: &str) -> Result<SdkClients, String> {
    let config = env
        .world()
        .await
        .fly_machine
        .iter()
        .find(|(name, _)| name.root().as_str() == "web")
        .unwrap()
        .1
        .workload
        .config
        .clone();
    let clients = SdkClients::administrator(env);
    let request = clients
        .sts
        .assume_role_with_web_identity()
        .role_arn(&config.env["AWS_ROLE_ARN"]);
    let response = request
        .role_session_name("web")
        .web_identity_token(oidc_token(env, app).await)
        .send()
        .await;
    let response = match response {
        Ok(response) => response,
        error => return Err(error_code(error)),
    };
    let given = response.credentials().unwrap();
    let session = Some(given.session_token().to_owned());
    let credentials = Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        session,
        None,
        "session",
    );
    Ok(SdkClients::with_credentials(env, &credentials))
}

#[tokio::test]
async fn role_grants_only_its_prefix() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let SdkClients { s3, iam, .. } = assume_role_of_app(&env, "web").await.unwrap();
    let put = |bucket: &str, key: &str| {
        s3.put_object()
            .bucket(bucket)
            .key(key)
            .body(b"x".to_vec().into())
            .send()
    };
    let get = |key: &str| s3.get_object().bucket(BUCKET).key(key).send();
    let list = |prefix: &str| s3.list_objects_v2().bucket(BUCKET).prefix(prefix).send();
    put(BUCKET, "db/1").await.unwrap();
    get("db/1").await.unwrap();
    assert_eq!(list("db/").await.unwrap().contents().len(), 1);
    let parts = s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("db/large")
        .send()
        .await
        .unwrap();
    let upload = parts.upload_id().unwrap();
    s3.abort_multipart_upload()
        .bucket(BUCKET)
        .key("db/large")
        .upload_id(upload)
        .send()
        .await
        .unwrap();

    // A client that lists objects first asks for the bucket's region, as Litestream does.
    let location = s3
        .get_bucket_location()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(
        location.location_constraint().unwrap().as_str(),
        "eu-central-1"
    );

    // The permission to list depends on a prefix, which a read does not have, so S3 does not reveal
    // that the object is missing: 403, not 404. A restore must list instead.
    assert_eq!(error_code(get("db/2").await), "AccessDenied");
    let head = s3
        .head_object()
        .bucket(BUCKET)
        .key("db/2")
        .send()
        .await
        .unwrap_err();
    assert_eq!(head.raw_response().unwrap().status().as_u16(), 403);
    assert_eq!(error_code(get("other/1").await), "AccessDenied");
    assert_eq!(error_code(put(BUCKET, "db-other/1").await), "AccessDenied");
    assert_eq!(
        error_code(put(BUCKET, ".trimtab/locks/harbor/test.json").await),
        "AccessDenied"
    );
    assert_eq!(error_code(list("").await), "AccessDenied");
    assert_eq!(error_code(list("other/").await), "AccessDenied");
    assert_eq!(
        error_code(s3.delete_object().bucket(BUCKET).key("db/1").send().await),
        "AccessDenied"
    );
    assert_eq!(
        error_code(s3.get_bucket_policy().bucket(BUCKET).send().await),
        "AccessDenied"
    );
    assert_eq!(error_code(s3.list_buckets().send().await), "AccessDenied");
    assert_eq!(error_code(iam.list_roles().send().await), "AccessDenied");
    let admin = SdkClients::administrator(&env).s3;
    let location = aws_sdk_s3::types::BucketLocationConstraint::EuCentral1;
    let location = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(location)
        .build();
    admin
        .create_bucket()
        .bucket("elsewhere-1")
        .create_bucket_configuration(location)
        .send()
        .await
        .unwrap();
    assert_eq!(error_code(put("elsewhere-1", "db/1").await), "AccessDenied");
}

#[tokio::test]
async fn token_of_another_app_is_rejected() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    assert_eq!(
        assume_role_of_app(&env, "web-other").await.err().unwrap(),
        "AccessDenied"
    );
    assert!(assume_role_of_app(&env, "web").await.is_ok());
    // A token is valid for ten minutes.
    let old = oidc_token(&env, "web").await;
    env.sandbox
        .advance_clock(std::time::Duration::from_secs(601))
        .unwrap();
    let role = env.desired().aws_role["backup"].arn();
    let clients = SdkClients::administrator(&env);
    let request = clients
        .sts
        .assume_role_with_web_identity()
        .role_arn(role)
        .role_session_name("web");
    assert_eq!(
        error_code(request.web_identity_token(old).send().await),
        "ExpiredTokenException"
    );
}

#[tokio::test]
async fn machine_gets_aws_env_and_depends_on_role() {
    let env = TestEnv::new(MANIFEST).await;
    let plan = env.plan().await;
    let machine = "fly.machine/web/app/fra/0".to_owned();
    let before: Vec<String> = plan
        .edges_touching(&trimtab::model::Address::parse(&machine).unwrap())
        .iter()
        .map(|(before, _, _)| before.address.to_string())
        .filter(|before| before.starts_with("aws."))
        .collect();
    assert_eq!(before, ["aws.role/backup", "aws.bucket/backups"]);
    env.apply().await;
    let world = env.world().await;
    let machine_env = |app: &str| {
        let mut machines = world.fly_machine.iter();
        machines
            .find(|(name, _)| name.root().as_str() == app)
            .unwrap()
            .1
            .workload
            .config
            .env
            .clone()
    };
    assert_eq!(machine_env("web")["AWS_REGION"], "eu-central-1");
    assert_eq!(
        machine_env("web")["AWS_ROLE_ARN"],
        "arn:aws:iam::123456789012:role/trimtab/harbor/test/harbor-test-backup"
    );
    assert!(!machine_env("web-other").contains_key("AWS_ROLE_ARN"));
}

#[tokio::test]
async fn secrets_overriding_the_role_are_reported() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let app = env.desired().fly_app["web"].name.clone();
    let other = env.desired().fly_app["web-other"].name.clone();
    let path = |app: &str| format!("/v1/apps/{app}/secrets");
    // The secrets that `fly storage create` sets.
    let tigris = json!({ "values": {
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "auto",
        "AWS_ENDPOINT_URL_S3": "https://fly.storage.tigris.dev", "BUCKET_NAME": "z",
    } });
    env.send_manual_request("POST", &path(&app), tigris.clone())
        .await;
    // An app without an identity has nothing to override.
    env.send_manual_request("POST", &path(&other), tigris).await;
    let warnings = env.plan().await.findings.warnings;
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert_eq!(
        *warning,
        format!(
            "app web has secrets that hide its identity: AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY (AWS's SDKs take static \
             keys first and never ask for the role), AWS_ENDPOINT_URL_S3 (requests go there and not to AWS, with the \
             session that they are signed by), AWS_REGION (it wins over the identity's region); remove them with `fly \
             secrets unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL_S3 AWS_REGION --app {app}`, and give \
             those of another store, such as Tigris, to its client under other names"
        )
    );
    // Following the advice removes the warning.
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
    ] {
        env.send_manual_request("DELETE", &format!("{}/{name}", path(&app)), json!(null))
            .await;
    }
    assert_eq!(env.plan().await.findings.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn manifest_settings_overriding_the_role_are_reported() {
    let env = TestEnv::new(MANIFEST).await;
    let own = MANIFEST.replace(
        "image = \"web:1\"\n",
        "image = \"web:1\"\nsecrets.AWS_ACCESS_KEY_ID = { env = \"SECRET_KEY\" }\nenv.AWS_DEFAULT_REGION = \"eu-central-1\"\n\
         env.AWS_PROFILE = \"x\"\nenv.AWS_ENDPOINT_URL = \"https://s3.eu-central-1.amazonaws.com\"\n\
         cron.night = { schedule = \"daily\", env = { AWS_REGION = \"auto\" } }\n",
    );
    env.write_manifest(&own);
    let warnings = env.desired().meta.warnings;
    let reported: Vec<&str> = warnings
        .iter()
        .filter_map(|line| line.split_once("test.toml:")?.1.split_once(';'))
        .map(|one| one.0)
        .collect();
    assert_eq!(
        reported,
        [
            "22: `AWS_PROFILE` hides the identity `backup`",
            "24: `AWS_REGION` hides the identity `backup`",
            "20: `AWS_ACCESS_KEY_ID` hides the identity `backup`",
        ]
    );
    env.write_manifest(&own.replace(
        "[identities.backup]\n",
        "[identities.backup]\nenv = false\n",
    ));
    assert_eq!(env.desired().meta.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn personal_organization_uses_raw_slug() {
    let env = TestEnv::new(&MANIFEST.replace("fly.org = \"acme\"", "fly.org = \"personal\"")).await;
    env.apply().await;
    assert!(assume_role_of_app(&env, "web").await.is_ok());
    let providers = SdkClients::administrator(&env)
        .iam
        .list_open_id_connect_providers()
        .send()
        .await
        .unwrap();
    let arns: Vec<&str> = providers
        .open_id_connect_provider_list()
        .iter()
        .filter_map(|one| one.arn())
        .collect();
    assert!(
        arns.len() == 1 && !arns[0].ends_with("/personal"),
        "{arns:?}"
    );
}

#[tokio::test]
async fn role_grants_only_its_bucket_kms_key() {
    for key in [
        "arn:aws:kms:eu-central-1:123456789012:key/1f0c2d3e-0000-4000-8000-123456789abc",
        "alias/vault",
    ] {
        let encrypted = format!("[buckets.backups]\nencryption = {{ kms = \"{key}\" }}\n");
        let env = TestEnv::new(&MANIFEST.replace("[buckets.backups]\n", &encrypted)).await;
        env.apply().await;
        let SdkClients { s3, .. } = assume_role_of_app(&env, "web").await.unwrap();
        let put = || {
            s3.put_object()
                .bucket(BUCKET)
                .key("db/1")
                .body(b"x".to_vec().into())
        };
        let written = put().send().await.unwrap();
        assert!(
            written
                .ssekms_key_id()
                .unwrap()
                .starts_with("arn:aws:kms:eu-central-1:123456789012:key/")
        );
        s3.get_object()
            .bucket(BUCKET)
            .key("db/1")
            .send()
            .await
            .unwrap();
        let upload = s3
            .create_multipart_upload()
            .bucket(BUCKET)
            .key("db/2")
            .send()
            .await
            .unwrap();
        let part = s3
            .upload_part()
            .bucket(BUCKET)
            .key("db/2")
            .upload_id(upload.upload_id().unwrap());
        part.part_number(1)
            .body(b"x".to_vec().into())
            .send()
            .await
            .unwrap();
        let kms = aws_sdk_s3::types::ServerSideEncryption::AwsKms;
        let other = put()
            .server_side_encryption(kms)
            .ssekms_key_id("alias/other")
            .send()
            .await;
        assert_eq!(error_code(other), "AccessDenied", "{key}");
    }
}
