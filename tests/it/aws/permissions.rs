//! What `trimtab permissions` prints is enough, and no more than that.

use serde_json::{Value, json};
use trimtab::{
    clouds::{Readers, Trouble, aws},
    kinds::aws::permissions::{Purpose, policy},
    model::Secret,
    observe::observe,
};

use super::{ACCOUNT, Clients, HARBOR, REGION, admin};
use crate::support::{Team, carry_out};

/// The clients of a new user who may do what is printed for a purpose.
async fn limited(team: &Team, purpose: Purpose) -> Readers {
    let policy = policy(&team.desired(), purpose).unwrap();
    let keys = admin(team, "aws/keys", json!({ "account": ACCOUNT, "policy": policy })).await;
    let keys: Value = serde_json::from_str(&keys).unwrap();
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    let keys = aws::Keys {
        id: text("access_key_id"),
        secret: Secret::new(text("secret_access_key")),
        session: None,
    };
    let settings = aws::Settings::imitation(ACCOUNT, REGION, team.sandbox.aws_url(), keys, 200.0);
    let fly = team.readers(None).await.fly;
    let aws = Some(aws::Reader::new(settings, &fly).await.unwrap());
    Readers { fly, aws }
}

#[tokio::test]
async fn each_purpose_has_what_it_needs_and_no_more() {
    let team = Team::new(HARBOR).await;
    let desired = team.desired();
    let reads = limited(&team, Purpose::Plan).await;
    let world = observe(&reads, &desired).await.unwrap();
    let plan = trimtab::plan::plan(&desired, &world).unwrap();
    let report = carry_out(plan.clone(), reads.clone(), world.clone()).await;
    let failed = format!("{report:?}");
    assert!(!report.is_complete() && failed.contains("AccessDenied"), "{failed}");

    let writes = limited(&team, Purpose::Apply).await;
    let world = observe(&writes, &desired).await.unwrap();
    let plan = trimtab::plan::plan(&desired, &world).unwrap();
    let report = carry_out(plan, writes.clone(), world).await;
    assert!(report.is_complete(), "{report:#?}");
    let world = observe(&reads, &desired).await.unwrap();
    assert!(
        trimtab::plan::plan(&desired, &world).unwrap().is_empty(),
        "a look at everything needs no right to write"
    );

    let nothing = trimtab::kinds::Desired::empty(desired.meta.clone());
    let goes = trimtab::plan::plan(&nothing, &world).unwrap();
    let report = carry_out(goes, writes, world).await;
    assert!(format!("{report:?}").contains("AccessDenied"), "who applies cannot remove");
    let removes = limited(&team, Purpose::Destroy).await;
    let world = observe(&removes, &desired).await.unwrap();
    let report = carry_out(trimtab::plan::plan(&nothing, &world).unwrap(), removes, world).await;
    assert!(report.is_complete(), "{report:#?}");
    let Clients { s3, iam, .. } = Clients::of(&team);
    assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());
    assert!(iam.list_roles().send().await.unwrap().roles().is_empty());
    assert!(
        iam.list_open_id_connect_providers().send().await.unwrap().open_id_connect_provider_list().is_empty()
    );
}

#[tokio::test]
async fn the_wrong_account_is_refused_before_anything_is_planned() {
    let team = Team::new(HARBOR).await;
    let other = team.sandbox.aws_keys("210987654321").unwrap();
    let keys = aws::Keys { id: other.id, secret: Secret::new(other.secret), session: None };
    let settings = aws::Settings::imitation(ACCOUNT, REGION, team.sandbox.aws_url(), keys, 200.0);
    let fly = team.readers(None).await.fly;
    let aws = Some(aws::Reader::new(settings, &fly).await.unwrap());
    let error = observe(&Readers { fly, aws }, &team.desired()).await.unwrap_err();
    assert_eq!(error.trouble, Trouble::Denied);
    let text = error.to_string();
    assert!(
        text.contains("the manifest says 123456789012, and the credentials are for 210987654321"),
        "{text}"
    );
}

#[tokio::test]
async fn a_github_job_s_identity_is_exchanged() {
    let team = Team::new(HARBOR).await;
    let Clients { iam, .. } = Clients::of(&team);
    let url = "https://token.actions.githubusercontent.com";
    iam.create_open_id_connect_provider().url(url).client_id_list("sts.amazonaws.com").send().await.unwrap();
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Federated": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com") },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": { "StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": "repo:acme/shop:ref:refs/heads/main",
            } },
        }],
    });
    iam.create_role()
        .role_name("deploy")
        .assume_role_policy_document(trust.to_string())
        .send()
        .await
        .unwrap();
    let allows = policy(&team.desired(), Purpose::Apply).unwrap().text();
    iam.put_role_policy().role_name("deploy").policy_name("x").policy_document(allows).send().await.unwrap();
    let reader = async |subject: &str| {
        let job = admin(&team, "github", json!({ "repository": "acme/shop", "sub": subject })).await;
        let job: Value = serde_json::from_str(&job).unwrap();
        let github = aws::GitHubJob {
            url: job["url"].as_str().unwrap().to_owned(),
            token: Secret::new(job["token"].as_str().unwrap()),
            role: format!("arn:aws:iam::{ACCOUNT}:role/deploy"),
            session: "trimtab-1".to_owned(),
        };
        let settings = aws::Settings {
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            endpoint: Some(team.sandbox.aws_url()),
            endpoints: aws::Endpoints::default(),
            by_path: true,
            keys: None,
            github: Some(github),
            speed: 200.0,
        };
        aws::Reader::new(settings, &team.readers(None).await.fly).await.unwrap()
    };
    let caller = reader("repo:acme/shop:ref:refs/heads/main").await.caller().await.unwrap();
    assert_eq!(caller.arn, format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy/trimtab-1"));
    let error = reader("repo:acme/shop:pull_request").await.caller().await.unwrap_err();
    assert_eq!(error.trouble, Trouble::Denied);
    assert!(error.answer.contains("AccessDenied") && error.answer.contains("role/deploy"), "{error}");
}
