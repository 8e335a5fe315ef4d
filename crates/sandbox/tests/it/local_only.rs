//! Web pages cannot reach the sandbox: requests for other hosts and from other sites are refused, and
//! secrets need a token.

use serde_json::{Value, json};

use crate::support::TestSandbox;

/// The status of a request with these headers.
async fn status_with(sandbox: &TestSandbox, url: &str, headers: &[(&str, &str)]) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(url).bearer_auth(&sandbox.token).body("[]");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn requests_of_web_pages_are_refused() {
    let sandbox = TestSandbox::scripted().await;
    let faults = format!("{}/_sandbox/faults", sandbox.running.url());
    let own_origin = sandbox.running.url();
    let refused: [&[(&str, &str)]; 7] = [
        // By DNS rebinding, the page's own host name leads to loopback.
        &[("host", "evil.example:80")],
        &[("host", "127.0.0.1.evil.example")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost:3000")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ];
    for headers in refused {
        assert_eq!(
            status_with(&sandbox, &faults, headers).await,
            403,
            "{headers:?}"
        );
        let apps = format!("{}/v1/apps", sandbox.running.url());
        assert_eq!(
            status_with(&sandbox, &apps, headers).await,
            403,
            "{headers:?}"
        );
        let aws = format!("{}/", sandbox.running.aws_url());
        assert_eq!(
            status_with(&sandbox, &aws, headers).await,
            403,
            "{headers:?}"
        );
    }
    let answered: [&[(&str, &str)]; 4] = [
        &[],
        &[("host", "localhost:4280")],
        &[("origin", &own_origin), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
    ];
    for headers in answered {
        assert_eq!(
            status_with(&sandbox, &faults, headers).await,
            200,
            "{headers:?}"
        );
    }
    // Pages that were refused did not count, so faults still mean the same requests.
    assert_eq!(sandbox.running.requests(), []);
}

#[tokio::test]
async fn secrets_need_a_token() {
    let mut sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let text = std::fs::read_to_string(sandbox.dir.path().join("server.json")).unwrap();
    let server: Value = serde_json::from_str(&text).unwrap();
    let admin_token = server["admin_token"].as_str().unwrap().to_owned();
    let org_token = std::mem::take(&mut sandbox.token);
    for (token, status) in [
        ("", 401),
        ("fo1_wrong", 401),
        (&org_token, 200),
        (&admin_token, 200),
    ] {
        token.clone_into(&mut sandbox.token);
        let state = sandbox.get("/_sandbox/state").await;
        assert_eq!(state.status, status, "{token}");
        assert_eq!(state.text.contains(&org_token), status == 200, "{token}");
        for (path, body) in [
            ("tokens", json!({ "org": "acme" })),
            ("aws/keys", json!({ "account": "123456789012" })),
        ] {
            let got = sandbox.post(&format!("/_sandbox/{path}"), body).await;
            assert_eq!(got.status, status, "{path} {token}");
        }
    }
    // What shows no secrets needs none.
    sandbox.token = String::new();
    sandbox.get("/_sandbox/clock").await.assert_status(200);
}
