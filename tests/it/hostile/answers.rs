//! Answers without end, answers that lie, and answers that are something else: each is an error that says so, in one line,
//! and takes a bounded amount of memory.

use serde_json::json;
use trimtab::{
    clouds::{CloudError, Registry, Trouble, aws, fly::Writer},
    model::Secret,
};

use crate::{
    corpus::entries::clean,
    hostile::odd::{Answer, Odd, TOKEN},
};

/// What the client makes of an answer to a question for an app.
async fn asked(answer: Answer) -> CloudError {
    let odd = Odd::new(answer).await;
    let error = odd.reader().app("web").await.unwrap_err();
    let said = error.to_string();
    clean(&said);
    assert!(
        !said.contains('\n') && said.chars().count() < 1200,
        "{said}"
    );
    assert!(!said.contains(TOKEN), "{said}");
    error
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn a_body_without_end_is_taken_up_to_a_bound() {
    let begun = format!("{OK}connection: close\r\n\r\n{{\"name\": \"");
    let error = asked(Answer::raw(begun).then_forever("xxxxxxxx")).await;
    assert_eq!(error.trouble, Trouble::Unreadable);
    assert!(error.answer.contains("more than 32 MiB"), "{error}");
    let chunked = format!("{OK}transfer-encoding: chunked\r\n\r\n");
    let error =
        asked(Answer::raw(chunked).then_forever(&format!("2000\r\n{}\r\n", "x".repeat(0x2000))))
            .await;
    assert!(error.answer.contains("more than 32 MiB"), "{error}");
}

#[tokio::test]
async fn a_length_that_nobody_can_mean_is_not_waited_for() {
    let error = asked(Answer::raw(format!(
        "{OK}content-length: 99999999999\r\n\r\n"
    )))
    .await;
    assert!(error.answer.contains("more than 32 MiB"), "{error}");
}

#[tokio::test]
async fn a_refusal_without_end_is_shortened() {
    let begun = "HTTP/1.1 422 No\r\nconnection: close\r\n\r\n";
    let error = asked(Answer::raw(begun).then_forever("no such thing ")).await;
    assert_eq!((error.trouble, error.status), (Trouble::Refused, Some(422)));
    assert!(
        error.answer.starts_with("422 no such thing no such") && error.answer.ends_with('…'),
        "{error}"
    );
}

#[tokio::test]
async fn lengths_that_lie_are_lost_answers() {
    for length in [
        "content-length: 100\r\n",
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: -1\r\n",
    ] {
        let error = asked(Answer::raw(format!(
            "{OK}{length}connection: close\r\n\r\n{{}}"
        )))
        .await;
        assert_eq!(error.trouble, Trouble::Ambiguous, "{length}: {error}");
    }
    let error = asked(Answer::raw(format!(
        "{OK}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}"
    )))
    .await;
    assert_eq!(error.trouble, Trouble::Ambiguous, "{error}");
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let error =
        asked(Answer::raw("HTTP/1.1 200 OK\r\n").then_forever("x-filler: xxxxxxxxxxxxxxxx\r\n"))
            .await;
    assert_eq!(error.trouble, Trouble::Ambiguous, "{error}");
    let error = asked(Answer::raw("HTTP/1.1 200 OK\r\nx: ").then_forever("xxxxxxxx")).await;
    assert_eq!(error.trouble, Trouble::Ambiguous, "{error}");
}

#[tokio::test]
async fn what_is_no_http_is_a_lost_answer() {
    for bytes in [
        "",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "\u{0}\u{0}\u{0}",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\u{1b}[2J: x\r\n\r\n",
    ] {
        let error = asked(Answer::raw(bytes)).await;
        assert_eq!(error.trouble, Trouble::Ambiguous, "{bytes:?}: {error}");
    }
}

#[tokio::test]
async fn a_web_page_is_called_one() {
    let page = "\u{feff}<!DOCTYPE html><html><head><title>Sign in\u{1b}[31m\n&amp; pay</title></head><body>x";
    let error = asked(Answer::new("200 OK", "content-type: text/html\r\n", page)).await;
    assert_eq!(error.trouble, Trouble::Unreadable);
    assert!(
        error
            .answer
            .contains("a web page instead of an answer: Sign in [31m &amp; pay"),
        "{error}"
    );
    let error = asked(Answer::new("403 Forbidden", "", page)).await;
    assert_eq!(error.trouble, Trouble::Denied);
    assert!(
        error
            .answer
            .contains("403 a web page instead of an answer: Sign in"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_no_text_and_what_is_too_deep_is_unreadable() {
    let error = asked(Answer::new("200 OK", "", b"{\"name\": \"\xff\xfe\"}")).await;
    assert!(
        error.trouble == Trouble::Unreadable && error.answer.contains("not UTF-8"),
        "{error}"
    );
    for deep in [
        "[".repeat(10_000),
        "{\"a\":".repeat(10_000),
        format!("{{\"organization\": {}", "[".repeat(10_000)),
    ] {
        let error = asked(Answer::new("200 OK", "", deep)).await;
        assert_eq!(error.trouble, Trouble::Unreadable, "{error}");
    }
    // Where anything goes, too: a machine's configuration is kept as it is.
    let odd = Odd::new(Answer::new(
        "200 OK",
        "",
        format!("[{{\"config\": {}", "{\"a\":".repeat(10_000)),
    ))
    .await;
    let error = odd.reader().machines("web").await.unwrap_err();
    assert!(
        error.trouble == Trouble::Unreadable && error.answer.contains("recursion limit"),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_is_unpacked() {
    let odd = Odd::new(Answer::new(
        "200 OK",
        "content-encoding: gzip\r\n",
        b"\x1f\x8b\x08\x00bomb",
    ))
    .await;
    let error = odd.reader().app("web").await.unwrap_err();
    assert_eq!(error.trouble, Trouble::Unreadable, "{error}");
    assert!(
        odd.heard()
            .iter()
            .all(|head| !head.to_lowercase().contains("accept-encoding"))
    );
}

#[tokio::test]
async fn what_an_error_says_is_one_harmless_line() {
    let said = "no\r\n::error::x\u{1b}]8;;http://evil\u{7}\u{9b}2J\u{8}\u{0}##[error]";
    let body = json!({ "error": said }).to_string();
    let header = "fly-request-id: 01A<!--\r\n";
    for text in [said.to_owned(), body] {
        let error = asked(Answer::new("422 No", header, text)).await;
        assert!(
            error
                .answer
                .starts_with("422 no ::error::x ]8;;http://evil 2J"),
            "{error}"
        );
        assert_eq!(error.request_id.as_deref(), Some("01A<!--"));
    }
}

#[tokio::test]
async fn a_write_that_is_answered_without_end_ends() {
    let begun = format!("{OK}connection: close\r\n\r\n{{\"name\": \"");
    let odd = Odd::new(Answer::raw(begun).then_forever("xxxxxxxx")).await;
    let error = Writer::new(odd.reader())
        .create_app("web", "acme", None)
        .await
        .unwrap_err();
    assert_eq!(error.trouble, Trouble::Unreadable, "{error}");
}

#[tokio::test]
async fn a_registry_cannot_fill_the_memory_either() {
    // The realm that its challenge names hands out a token without end.
    let odd = Odd::by(|head| {
        let host = head
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap_or_default();
        if head.contains(" /token") {
            return Answer::raw(format!("{OK}connection: close\r\n\r\n{{\"token\": \""))
                .then_forever("xxxxxxxx");
        }
        let challenge = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
        Answer::new("401 Unauthorized", &challenge, "")
    })
    .await;
    let registry = Registry::new(&odd.settings()).unwrap();
    let error = registry
        .digest(&"registry.fly.io/web:1".to_owned().into())
        .await
        .unwrap_err();
    assert!(error.answer.contains("more than 32 MiB"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_can_aws() {
    let odd = Odd::new(
        Answer::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<a>").then_forever("xxxxxxxx"),
    )
    .await;
    let keys = aws::Keys {
        id: "AKIA".to_owned(),
        secret: Secret::new("x"),
        session: None,
    };
    let settings =
        aws::Settings::imitation("123456789012", "eu-central-1", odd.url(), keys, 10_000.0);
    let reader = aws::Reader::new(settings, &odd.reader()).await.unwrap();
    let error = reader.caller().await.unwrap_err();
    clean(&error.to_string());
    assert!(error.answer.contains("length limit exceeded"), "{error:?}");
}
