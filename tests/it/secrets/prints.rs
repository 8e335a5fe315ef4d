//! `{:?}` of everything that holds secrets, or has seen them.

use std::collections::BTreeMap;

use trimtab::{
    clouds::{CloudError, Registry, Settings, Trouble, aws, fly::Reader},
    kinds::World,
    manifest::{self, Inputs, SecretsMode},
    model::Secret,
    plan::plan,
};

use super::{marks::Marks, stage::Stage};

#[tokio::test]
async fn nothing_prints_a_secret_for_debugging() {
    let marks = Marks::new();
    let stage = Stage::new(&marks);
    let mut environment: BTreeMap<String, String> = marks
        .0
        .iter()
        .map(|mark| (mark.what.to_owned(), mark.value.clone()))
        .collect();
    environment.insert("HARMLESS".to_owned(), "x".to_owned());
    let (vars, images) = (BTreeMap::new(), BTreeMap::new());
    let inputs = Inputs {
        vars,
        images,
        environment,
        secrets: SecretsMode::Required,
        shared: false,
    };
    let loaded = manifest::load(&stage.path("environments"), "vault", &inputs).unwrap();
    let secret = |what| Secret::new(marks.value(what));
    let settings = Settings::imitation(
        "http://127.0.0.1:1".to_owned(),
        secret("FLY_API_TOKEN"),
        1.0,
    );
    let keys = aws::Keys {
        id: "AKIDEXAMPLE".to_owned(),
        secret: secret("AWS_SECRET_ACCESS_KEY"),
        session: Some(secret("AWS_SESSION_TOKEN")),
    };
    let job = aws::GitHubJob {
        url: "http://127.0.0.1:1".to_owned(),
        token: secret("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        role: "r".to_owned(),
        session: "s".to_owned(),
    };
    let at = "http://127.0.0.1:1".to_owned();
    let aws_settings =
        aws::Settings::imitation("123456789012", "eu-central-1", at, keys.clone(), 1.0);
    let reader = Reader::new(&settings).unwrap();
    let aws_reader = aws::Reader::new(aws_settings.clone(), &reader)
        .await
        .unwrap();
    let plan = plan(&loaded.desired, &World::default()).unwrap();
    let error = CloudError::new("set secrets of web", Trouble::Refused, "400");
    let told = [
        format!("{inputs:?}"),
        format!("{loaded:?}"),
        format!("{:#?}", loaded.desired),
        format!("{settings:?}{keys:?}{job:?}{aws_settings:?}"),
        format!(
            "{reader:?}{aws_reader:?}{:?}",
            Registry::new(&settings).unwrap()
        ),
        format!("{plan:?}{error:?}{error}"),
        serde_json::to_string(&loaded.desired.fly_secrets.values().collect::<Vec<_>>()).unwrap(),
    ];
    for text in told {
        assert_eq!(marks.found(&text), None, "{text}");
    }
    assert!(
        format!("{inputs:?}").contains("HARMLESS"),
        "names of variables are no secrets"
    );
}
