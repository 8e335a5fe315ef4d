//! A redirect must not take the token along: not to another host, not to another port, not to plain HTTP.

use trimtab::clouds::{
    CloudError, Registry, Trouble,
    aws::{self, Keys},
    fly::{Reader, Writer},
};
use trimtab::model::Secret;

use crate::hostile::odd::{Answer, Odd, TOKEN};

const STATUSES: [&str; 7] = [
    "300 x", "301 x", "302 x", "303 x", "305 x", "307 x", "308 x",
];

fn told(error: &CloudError, place: &str) {
    assert_eq!(error.trouble, Trouble::Refused, "{error}");
    assert!(
        error.answer.contains(&format!(
            "it points to {place}, and a redirect is not followed"
        )),
        "{error}"
    );
}

/// Whoever sends to `from` is pointed to `to`.
async fn pair(status: &'static str) -> (Odd, Odd) {
    let to = Odd::new(Answer::new("200 OK", "", "{}")).await;
    let location = format!(
        "location: {}/stolen?a=b#c\r\n",
        to.url().replace("http://", "http://me:pw@")
    );
    (Odd::new(Answer::new(status, &location, "moved")).await, to)
}

#[tokio::test]
async fn no_request_to_fly_follows_one() {
    for status in STATUSES {
        let (from, to) = pair(status).await;
        let place = format!("{}/stolen", to.url());
        let reader: Reader = from.reader();
        told(&reader.app("web").await.unwrap_err(), &place);
        told(&reader.machines("web").await.unwrap_err(), &place);
        told(&reader.own_slug("acme").await.unwrap_err(), &place);
        let writer = Writer::new(from.reader());
        told(
            &writer.create_app("web", "acme", None).await.unwrap_err(),
            &place,
        );
        told(&writer.delete_app("web").await.unwrap_err(), &place);
        assert!(reader.logs("web", "m1").await.is_empty());
        assert!(from.heard().iter().all(|head| head.contains(TOKEN)));
        assert_eq!(from.heard().len(), 6, "none is tried again");
        assert_eq!(to.heard(), Vec::<String>::new(), "{status}");
    }
}

#[tokio::test]
async fn where_it_points_is_told_without_what_may_do_harm() {
    for (location, place) in [
        ("https://evil.example/a?token=x", "https://evil.example/a"),
        ("//evil.example:8443/a", "http://evil.example:8443/a"),
        ("http://me:hunter2@evil.example", "http://evil.example/"),
        ("https://evil.example/\u{202e}x", "https://evil.example/%"),
        ("http://[", "an address that is none"),
        ("javascript:alert(1)", "javascript://alert(1)"),
    ] {
        let from = Odd::new(Answer::new(
            "302 x",
            &format!("location: {location}\r\n"),
            "",
        ))
        .await;
        let error = from.reader().app("web").await.unwrap_err();
        assert!(
            error.answer.contains(&format!("it points to {place}")),
            "{location:?}: {error}"
        );
        assert!(
            !error.answer.contains("hunter2") && !error.answer.contains("token="),
            "{error}"
        );
    }
    let nowhere = Odd::new(Answer::new("302 x", "", "moved")).await;
    let error = nowhere.reader().app("web").await.unwrap_err();
    assert_eq!(
        (error.trouble, error.answer.as_str()),
        (Trouble::Refused, "302 moved")
    );
}

#[tokio::test]
async fn a_registry_s_redirect_loses_the_token() {
    let to = Odd::new(Answer::new("404 x", "", "")).await;
    let from = Odd::new(Answer::new(
        "307 x",
        &format!("location: {}/v2/x\r\n", to.url()),
        "",
    ))
    .await;
    let registry = Registry::new(&from.settings()).unwrap();
    let error = registry
        .digest(&"registry.fly.io/web:1".to_owned().into())
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let asked = |heads: &[String]| {
        heads
            .iter()
            .filter(|head| head.contains("authorization: Basic"))
            .count()
    };
    assert!(asked(&from.heard()) > 0 && asked(&to.heard()) == 0 && !to.heard().is_empty());
}

#[tokio::test]
async fn neither_does_a_request_to_aws_follow_one() {
    for status in ["301 x", "302 x", "307 x", "308 x"] {
        let (from, to) = pair(status).await;
        let keys = Keys {
            id: "AKIA".to_owned(),
            secret: Secret::new("x"),
            session: Some(Secret::new(TOKEN)),
        };
        let settings =
            aws::Settings::imitation("123456789012", "eu-central-1", from.url(), keys, 10_000.0);
        let fly = from.reader();
        let reader = aws::Reader::new(settings, &fly).await.unwrap();
        reader.check_account().await.unwrap_err();
        reader.role("x").await.unwrap_err();
        reader.tags("bucket", "eu-central-1").await.unwrap_err();
        assert!(from.heard().iter().all(|head| head.contains(TOKEN)) && from.heard().len() >= 3);
        assert_eq!(to.heard(), Vec::<String>::new(), "{status}");
    }
}
