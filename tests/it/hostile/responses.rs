//! Endless, lying and nonsensical responses: each becomes an error of one line that names the
//! problem, and takes a bounded amount of memory.

use serde_json::json;
use trimtab::{
    clouds::{CloudError, ErrorKind, RegistryClient, aws, fly::FlyWriter},
    model::Secret,
};

use crate::{
    fuzz_corpus::entries::assert_no_control_characters,
    hostile::raw_server::{RawResponse, RawServer, TOKEN},
};

/// The error of a request for an app that is answered like this.
async fn app_request_error(response: RawResponse) -> CloudError {
    let server = RawServer::new(response).await;
    let error = server.reader().get_app("web").await.unwrap_err();
    let text = error.to_string();
    assert_no_control_characters(&text);
    assert!(
        !text.contains('\n') && text.chars().count() < 1200,
        "{text}"
    );
    assert!(!text.contains(TOKEN), "{text}");
    error
}

const OK_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn endless_body_is_cut_off() {
    let head = format!("{OK_HEAD}connection: close\r\n\r\n{{\"name\": \"");
    let error = app_request_error(RawResponse::raw(head).then_repeat("xxxxxxxx")).await;
    assert_eq!(error.kind, ErrorKind::InvalidResponse);
    assert!(error.message.contains("more than 32 MiB"), "{error}");
    let chunked = format!("{OK_HEAD}transfer-encoding: chunked\r\n\r\n");
    let error = app_request_error(
        RawResponse::raw(chunked).then_repeat(&format!("2000\r\n{}\r\n", "x".repeat(0x2000))),
    )
    .await;
    assert!(error.message.contains("more than 32 MiB"), "{error}");
}

#[tokio::test]
async fn huge_content_length_is_rejected() {
    let error = app_request_error(RawResponse::raw(format!(
        "{OK_HEAD}content-length: 99999999999\r\n\r\n"
    )))
    .await;
    assert!(error.message.contains("more than 32 MiB"), "{error}");
}

#[tokio::test]
async fn endless_error_body_is_truncated() {
    let head = "HTTP/1.1 422 No\r\nconnection: close\r\n\r\n";
    let error = app_request_error(RawResponse::raw(head).then_repeat("no such thing ")).await;
    assert_eq!((error.kind, error.status), (ErrorKind::Rejected, Some(422)));
    assert!(
        error.message.starts_with("422 no such thing no such") && error.message.ends_with('…'),
        "{error}"
    );
}

#[tokio::test]
async fn wrong_content_length_is_ambiguous() {
    for length in [
        "content-length: 100\r\n",
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: -1\r\n",
    ] {
        let error = app_request_error(RawResponse::raw(format!(
            "{OK_HEAD}{length}connection: close\r\n\r\n{{}}"
        )))
        .await;
        assert_eq!(error.kind, ErrorKind::Ambiguous, "{length}: {error}");
    }
    let error = app_request_error(RawResponse::raw(format!(
        "{OK_HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}"
    )))
    .await;
    assert_eq!(error.kind, ErrorKind::Ambiguous, "{error}");
}

#[tokio::test]
async fn endless_headers_are_rejected() {
    let error = app_request_error(
        RawResponse::raw("HTTP/1.1 200 OK\r\n").then_repeat("x-filler: xxxxxxxxxxxxxxxx\r\n"),
    )
    .await;
    assert_eq!(error.kind, ErrorKind::Ambiguous, "{error}");
    let error =
        app_request_error(RawResponse::raw("HTTP/1.1 200 OK\r\nx: ").then_repeat("xxxxxxxx")).await;
    assert_eq!(error.kind, ErrorKind::Ambiguous, "{error}");
}

#[tokio::test]
async fn non_http_response_is_ambiguous() {
    for bytes in [
        "",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "\u{0}\u{0}\u{0}",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\u{1b}[2J: x\r\n\r\n",
    ] {
        let error = app_request_error(RawResponse::raw(bytes)).await;
        assert_eq!(error.kind, ErrorKind::Ambiguous, "{bytes:?}: {error}");
    }
}

#[tokio::test]
async fn html_page_is_named_as_such() {
    let page = "\u{feff}<!DOCTYPE html><html><head><title>Sign in\u{1b}[31m\n&amp; pay</title></head><body>x";
    let error = app_request_error(RawResponse::with_body(
        "200 OK",
        "content-type: text/html\r\n",
        page,
    ))
    .await;
    assert_eq!(error.kind, ErrorKind::InvalidResponse);
    assert!(
        error
            .message
            .contains("a web page instead of an answer: Sign in [31m &amp; pay"),
        "{error}"
    );
    let error = app_request_error(RawResponse::with_body("403 Forbidden", "", page)).await;
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(
        error
            .message
            .contains("403 a web page instead of an answer: Sign in"),
        "{error}"
    );
}

#[tokio::test]
async fn invalid_utf8_and_deep_json_are_unreadable() {
    let error = app_request_error(RawResponse::with_body(
        "200 OK",
        "",
        b"{\"name\": \"\xff\xfe\"}",
    ))
    .await;
    assert!(
        error.kind == ErrorKind::InvalidResponse && error.message.contains("not UTF-8"),
        "{error}"
    );
    for deep in [
        "[".repeat(10_000),
        "{\"a\":".repeat(10_000),
        format!("{{\"organization\": {}", "[".repeat(10_000)),
    ] {
        let error = app_request_error(RawResponse::with_body("200 OK", "", deep)).await;
        assert_eq!(error.kind, ErrorKind::InvalidResponse, "{error}");
    }
    // Also in a field of any shape: a machine's configuration is kept as it is.
    let server = RawServer::new(RawResponse::with_body(
        "200 OK",
        "",
        format!("[{{\"config\": {}", "{\"a\":".repeat(10_000)),
    ))
    .await;
    let error = server.reader().list_machines("web").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::InvalidResponse && error.message.contains("recursion limit"),
        "{error}"
    );
}

#[tokio::test]
async fn compressed_body_is_not_decompressed() {
    let server = RawServer::new(RawResponse::with_body(
        "200 OK",
        "content-encoding: gzip\r\n",
        b"\x1f\x8b\x08\x00bomb",
    ))
    .await;
    let error = server.reader().get_app("web").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidResponse, "{error}");
    assert!(
        server
            .requests()
            .iter()
            .all(|head| !head.to_lowercase().contains("accept-encoding"))
    );
}

#[tokio::test]
async fn error_text_is_one_escaped_line() {
    let text = "no\r\n::error::x\u{1b}]8;;http://evil\u{7}\u{9b}2J\u{8}\u{0}##[error]";
    let body = json!({ "error": text }).to_string();
    let header = "fly-request-id: 01A<!--\r\n";
    for text in [text.to_owned(), body] {
        let error = app_request_error(RawResponse::with_body("422 No", header, text)).await;
        assert!(
            error
                .message
                .starts_with("422 no ::error::x ]8;;http://evil 2J"),
            "{error}"
        );
        assert_eq!(error.request_id.as_deref(), Some("01A<!--"));
    }
}

#[tokio::test]
async fn write_with_endless_response_fails() {
    let head = format!("{OK_HEAD}connection: close\r\n\r\n{{\"name\": \"");
    let server = RawServer::new(RawResponse::raw(head).then_repeat("xxxxxxxx")).await;
    let error = FlyWriter::new(server.reader())
        .create_app("web", "acme", None, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidResponse, "{error}");
}

#[tokio::test]
async fn endless_registry_token_is_cut_off() {
    // The realm that the challenge names sends an endless token.
    let server = RawServer::with_handler(|head| {
        let host = head
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap_or_default();
        if head.contains(" /token") {
            return RawResponse::raw(format!("{OK_HEAD}connection: close\r\n\r\n{{\"token\": \""))
                .then_repeat("xxxxxxxx");
        }
        let challenge = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
        RawResponse::with_body("401 Unauthorized", &challenge, "")
    })
    .await;
    let registry = RegistryClient::new(&server.settings()).unwrap();
    let error = registry
        .resolve_digest(&"registry.fly.io/web:1".to_owned().into())
        .await
        .unwrap_err();
    assert!(error.message.contains("more than 32 MiB"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_aws_response_is_cut_off() {
    let server = RawServer::new(
        RawResponse::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<a>").then_repeat("xxxxxxxx"),
    )
    .await;
    let keys = aws::StaticCredentials {
        access_key_id: "AKIA".to_owned(),
        secret_access_key: Secret::new("x"),
        session_token: None,
    };
    let settings =
        aws::AwsSettings::for_sandbox("123456789012", "eu-central-1", server.url(), keys, 10_000.0);
    let reader = aws::AwsReader::new(settings, &server.reader())
        .await
        .unwrap();
    let error = reader.caller_identity().await.unwrap_err();
    assert_no_control_characters(&error.to_string());
    assert!(error.message.contains("length limit exceeded"), "{error:?}");
}
