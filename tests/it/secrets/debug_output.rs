//! The `Debug` output of everything that holds secrets or has seen them.

use std::collections::BTreeMap;

use trimtab::{
    clouds::{ClientConfig, CloudError, ErrorKind, RegistryClient, aws, fly::FlyReader},
    kinds::World,
    manifest::{self, Inputs, SecretsMode},
    model::Secret,
    plan::plan,
};

use super::{canaries::Canaries, leak_test::LeakTest};

#[tokio::test]
async fn debug_output_holds_no_secret() {
    let canaries = Canaries::new();
    let test = LeakTest::new(&canaries);
    let mut environment: BTreeMap<String, String> = canaries
        .0
        .iter()
        .map(|canary| (canary.source.to_owned(), canary.value.clone()))
        .collect();
    environment.insert("HARMLESS".to_owned(), "x".to_owned());
    let (vars, images) = (BTreeMap::new(), BTreeMap::new());
    let inputs = Inputs {
        vars,
        images,
        process_environment: environment,
        secrets_mode: SecretsMode::Required,
        multiple_environments: false,
    };
    let loaded = manifest::load(&test.path("environments"), "vault", &inputs).unwrap();
    let secret = |what| Secret::new(canaries.value(what));
    let settings = ClientConfig::for_sandbox(
        "http://127.0.0.1:1".to_owned(),
        secret("FLY_API_TOKEN"),
        1.0,
    );
    let keys = aws::StaticCredentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: secret("AWS_SECRET_ACCESS_KEY"),
        session_token: Some(secret("AWS_SESSION_TOKEN")),
    };
    let job = aws::GitHubJob {
        request_url: "http://127.0.0.1:1".to_owned(),
        request_token: secret("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        role_arn: "r".to_owned(),
        session_name: "s".to_owned(),
    };
    let at = "http://127.0.0.1:1".to_owned();
    let aws_settings =
        aws::AwsSettings::for_sandbox("123456789012", "eu-central-1", at, keys.clone(), 1.0);
    let reader = FlyReader::new(&settings).unwrap();
    let aws_reader = aws::AwsReader::new(aws_settings.clone(), &reader)
        .await
        .unwrap();
    let plan = plan(&loaded.desired, &World::default()).unwrap();
    let error = CloudError::new("set secrets of web", ErrorKind::Rejected, "400");
    let outputs = [
        format!("{inputs:?}"),
        format!("{loaded:?}"),
        format!("{:#?}", loaded.desired),
        format!("{settings:?}{keys:?}{job:?}{aws_settings:?}"),
        format!(
            "{reader:?}{aws_reader:?}{:?}",
            RegistryClient::new(&settings).unwrap()
        ),
        format!("{plan:?}{error:?}{error}"),
        serde_json::to_string(&loaded.desired.fly_secrets.values().collect::<Vec<_>>()).unwrap(),
    ];
    for text in outputs {
        assert_eq!(canaries.find_in(&text), None, "{text}");
    }
    assert!(
        format!("{inputs:?}").contains("HARMLESS"),
        "names of variables are no secrets"
    );
}
