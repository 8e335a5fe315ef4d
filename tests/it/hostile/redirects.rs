//! A redirect must not carry the token along: not to another host, not to another port, not to
//! plain HTTP.

use trimtab::clouds::{
    CloudError, ErrorKind, RegistryClient,
    aws::{self, StaticCredentials},
    fly::{FlyReader, FlyWriter},
};
use trimtab::model::Secret;

use crate::hostile::raw_server::{RawResponse, RawServer, TOKEN};

const STATUSES: [&str; 7] = [
    "300 x", "301 x", "302 x", "303 x", "305 x", "307 x", "308 x",
];

fn assert_redirect_rejected(error: &CloudError, place: &str) {
    assert_eq!(error.kind, ErrorKind::Rejected, "{error}");
    assert!(
        error.message.contains(&format!(
            "it points to {place}, and a redirect is not followed"
        )),
        "{error}"
    );
}

/// Two servers, of which the first redirects to the second.
async fn redirecting_servers(status: &'static str) -> (RawServer, RawServer) {
    let to = RawServer::new(RawResponse::with_body("200 OK", "", "{}")).await;
    let location = format!(
        "location: {}/stolen?a=b#c\r\n",
        to.url().replace("http://", "http://me:pw@")
    );
    (
        RawServer::new(RawResponse::with_body(status, &location, "moved")).await,
        to,
    )
}

#[tokio::test]
async fn fly_requests_do_not_follow_redirects() {
    for status in STATUSES {
        let (from, to) = redirecting_servers(status).await;
        let place = format!("{}/stolen", to.url());
        let reader: FlyReader = from.reader();
        assert_redirect_rejected(&reader.get_app("web").await.unwrap_err(), &place);
        assert_redirect_rejected(&reader.list_machines("web").await.unwrap_err(), &place);
        assert_redirect_rejected(&reader.get_org_raw_slug("acme").await.unwrap_err(), &place);
        let writer = FlyWriter::new(from.reader());
        assert_redirect_rejected(
            &writer
                .create_app("web", "acme", None, None)
                .await
                .unwrap_err(),
            &place,
        );
        assert_redirect_rejected(&writer.delete_app("web").await.unwrap_err(), &place);
        assert!(reader.read_logs("web", "m1").await.is_empty());
        assert!(from.requests().iter().all(|head| head.contains(TOKEN)));
        assert_eq!(from.requests().len(), 6, "none is tried again");
        assert_eq!(to.requests(), Vec::<String>::new(), "{status}");
    }
}

#[tokio::test]
async fn redirect_target_is_shown_without_credentials() {
    for (location, place) in [
        ("https://evil.example/a?token=x", "https://evil.example/a"),
        ("//evil.example:8443/a", "http://evil.example:8443/a"),
        ("http://me:hunter2@evil.example", "http://evil.example/"),
        ("https://evil.example/\u{202e}x", "https://evil.example/%"),
        ("http://[", "an address that is none"),
        ("javascript:alert(1)", "javascript://alert(1)"),
    ] {
        let from = RawServer::new(RawResponse::with_body(
            "302 x",
            &format!("location: {location}\r\n"),
            "",
        ))
        .await;
        let error = from.reader().get_app("web").await.unwrap_err();
        assert!(
            error.message.contains(&format!("it points to {place}")),
            "{location:?}: {error}"
        );
        assert!(
            !error.message.contains("hunter2") && !error.message.contains("token="),
            "{error}"
        );
    }
    let nowhere = RawServer::new(RawResponse::with_body("302 x", "", "moved")).await;
    let error = nowhere.reader().get_app("web").await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Rejected, "302 moved")
    );
}

#[tokio::test]
async fn registry_redirect_drops_token() {
    let to = RawServer::new(RawResponse::with_body("404 x", "", "")).await;
    let from = RawServer::new(RawResponse::with_body(
        "307 x",
        &format!("location: {}/v2/x\r\n", to.url()),
        "",
    ))
    .await;
    let registry = RegistryClient::new(&from.settings()).unwrap();
    let error = registry
        .resolve_digest(&"registry.fly.io/web:1".to_owned().into())
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let asked = |heads: &[String]| {
        heads
            .iter()
            .filter(|head| head.contains("authorization: Basic"))
            .count()
    };
    assert!(asked(&from.requests()) > 0 && asked(&to.requests()) == 0 && !to.requests().is_empty());
}

#[tokio::test]
async fn aws_requests_do_not_follow_redirects() {
    for status in ["301 x", "302 x", "307 x", "308 x"] {
        let (from, to) = redirecting_servers(status).await;
        let keys = StaticCredentials {
            access_key_id: "AKIA".to_owned(),
            secret_access_key: Secret::new("x"),
            session_token: Some(Secret::new(TOKEN)),
        };
        let settings = aws::AwsSettings::for_sandbox(
            "123456789012",
            "eu-central-1",
            from.url(),
            keys,
            10_000.0,
        );
        let fly = from.reader();
        let reader = aws::AwsReader::new(settings, &fly).await.unwrap();
        reader.check_account().await.unwrap_err();
        reader.read_role("x").await.unwrap_err();
        reader
            .read_bucket_tags("bucket", "eu-central-1")
            .await
            .unwrap_err();
        assert!(
            from.requests().iter().all(|head| head.contains(TOKEN)) && from.requests().len() >= 3
        );
        assert_eq!(to.requests(), Vec::<String>::new(), "{status}");
    }
}
