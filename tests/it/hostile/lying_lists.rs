//! Lists that name an object twice, leave one out, or give it an id that leads elsewhere. None of them may cost anybody a machine, a
//! volume or an address.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use trimtab::{
    clouds::{CloudError, ErrorKind},
    observe::observe,
    plan::plan,
};

use super::{
    editing_proxy::EditingProxy,
    raw_server::{RawResponse, RawServer},
};
use crate::support::{TestEnv, plan_summary};

const MANIFEST: &str = r#"
project = "harbor"
[fly]
org = "harbor-test"
[apps.web]
name = "harbor-web"
primary_region = "iad"
image = "registry.fly.io/harbor-web:v1"
ips = ["v6", "shared_v4"]
[[apps.web.mounts]]
source = "data"
destination = "/data"
[apps.web.machines.app]
count = 2
"#;
const APP: &str = "/v1/apps/harbor-web";

/// The plan of an environment without differences, made through a proxy, or the error of reading.
async fn plan_through(
    env: &TestEnv,
    edit: impl Fn(&str, &mut Value) + Send + Sync + 'static,
) -> Result<Vec<String>, CloudError> {
    let proxy = EditingProxy::new(env.sandbox.url(), edit).await;
    let readers = env.readers_at(proxy.url.clone()).await;
    let desired = env.desired_with_digests().await.unwrap();
    let world = observe(&readers, &desired).await?;
    let plan = plan(&desired, &world).unwrap();
    assert_eq!(plan.findings.warnings, Vec::<String>::new());
    assert_eq!(proxy.writes(), Vec::<String>::new());
    Ok(plan_summary(&plan))
}

/// An edit that changes the lists of the app's machines, volumes, addresses or secrets.
fn edit_list(
    name: &'static str,
    edit: impl Fn(&mut Vec<Value>) + Send + Sync + 'static,
) -> impl Fn(&str, &mut Value) + Send + Sync + 'static {
    move |path, value| {
        if path != format!("{APP}/{name}") {
            return;
        }
        let key = match name {
            "ip_assignments" => "ips",
            name => name,
        };
        let list = match value {
            Value::Object(object) => object.get_mut(key).unwrap(),
            list => list,
        };
        edit(list.as_array_mut().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_a_list_names_twice_is_one_object() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    for name in ["machines", "volumes", "ip_assignments", "secrets"] {
        let twice = edit_list(name, |list| list.extend(list.clone()));
        let summary = plan_through(&env, twice).await.unwrap();
        assert_eq!(summary, Vec::<String>::new(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_with_two_contents_is_an_error() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    for (name, key) in [
        ("machines", "instance_id"),
        ("volumes", "region"),
        ("ip_assignments", "region"),
    ] {
        let contradict = edit_list(name, move |list| {
            let mut copy = list[0].clone();
            copy[key] = "other".into();
            list.push(copy);
        });
        let error = plan_through(&env, contradict).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidResponse, "{name}: {error}");
        assert!(
            error.message.contains("twice, with different content"),
            "{name}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_a_mounted_volume_is_not_believed() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    for keep in [0, 1] {
        let shorten = edit_list("volumes", move |list| list.truncate(keep));
        let error = plan_through(&env, shorten).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidResponse, "{error}");
        assert!(
            error.message.contains("the list lacks that volume"),
            "{error}"
        );
    }
    // A list that was only late is read again.
    let lists = Arc::new(AtomicUsize::new(0));
    let late = edit_list("volumes", move |list| {
        if lists.fetch_add(1, Ordering::Relaxed) == 0 {
            list.clear();
        }
    });
    let summary = plan_through(&env, late).await.unwrap();
    assert_eq!(summary, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_leads_elsewhere_is_an_error() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let ids = [
        "../../victim",
        "%2e%2e/%2e%2e/victim",
        "x?force=true",
        "x#y",
        "a b",
        "..",
        "",
        "x\r\nX-Evil: 1",
    ];
    for (name, id) in ids
        .iter()
        .flat_map(|id| [("machines", *id), ("volumes", *id)])
    {
        let add = edit_list(name, move |list| {
            let mut copy = list[0].clone();
            copy["id"] = id.into();
            list.push(copy);
        });
        let error = plan_through(&env, add).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidResponse, "{id:?}: {error}");
        assert!(error.message.contains("is not an id"), "{id:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_another_app_is_an_error() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let rename = |path: &str, value: &mut Value| {
        if path == APP {
            value["name"] = "victim".into();
        }
    };
    let error = plan_through(&env, rename).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidResponse, "{error}");
    assert!(error.message.contains("another app, victim"), "{error}");
}

/// A name that comes from elsewhere, such as a host name of a certificate, stays one segment of the path.
#[tokio::test]
async fn no_name_leads_out_of_its_path() {
    let server = RawServer::new(RawResponse::with_body("404 Not Found", "", "{}")).await;
    let writer = trimtab::clouds::fly::FlyWriter::new(server.reader());
    for hostname in ["../../victim?force=true", "a/../b", "%2e%2e/x"] {
        writer
            .delete_certificate("web", hostname)
            .await
            .unwrap_err();
    }
    let targets = server.requests().into_iter().map(|head| {
        let line = head.lines().next().unwrap_or_default();
        line.split(' ').nth(1).unwrap_or_default().to_owned()
    });
    assert_eq!(
        targets.collect::<Vec<_>>(),
        [
            "/v1/apps/web/certificates/..%2F..%2Fvictim%3Fforce=true",
            "/v1/apps/web/certificates/a%2F..%2Fb",
            "/v1/apps/web/certificates/%252e%252e%2Fx",
        ]
    );
    for hostname in ["..", ".", ""] {
        let error = writer
            .delete_certificate("web", hostname)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{hostname:?}: {error}");
        assert!(error.message.contains("nothing was sent"), "{error}");
    }
    assert_eq!(server.requests().len(), 3);
}

/// A server that names an ever new next page.
#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    let pages = Arc::new(AtomicUsize::new(0));
    let server = RawServer::with_handler(move |_| {
        let next = pages.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "machines": [], "certificates": [], "next_cursor": format!("c{next}") });
        RawResponse::with_body("200 OK", "", body.to_string())
    })
    .await;
    let reader = server.reader();
    let errors = [
        reader.list_org_machines("acme").await.map(drop),
        reader.list_certificates("web").await.map(drop),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidResponse);
        assert!(error.message.contains("the list does not end"), "{error}");
    }
}
