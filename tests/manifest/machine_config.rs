//! `machine_config`: what the manifest overrides, what goes to Fly unchanged, and which container
//! gets the image.

use serde_json::{Value, json};
use trimtab::{
    kinds::{Desired, World},
    manifest::{Inputs, SecretsMode},
    model::Image,
    plan,
};

use crate::{
    manifest::support::{ManifestDir, load_text, messages, string_map, unchecked_inputs},
    support::{TestEnv, inputs_with},
};

const HEAD: &str =
    "project = \"p\"\n[fly]\norg = \"personal\"\n[apps.web]\nprimary_region = \"ewr\"\n";

/// A manifest of an app with this `machine_config` and more lines.
fn manifest_with(document: &Value, more: &str) -> String {
    format!("{HEAD}machine_config = '''\n{document}'''\n{more}")
}

fn load_desired(document: &Value, more: &str) -> Desired {
    let loaded = load_text(&manifest_with(document, more), &unchecked_inputs());
    loaded
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
        .desired
}

/// The request body that creates a machine of the only group.
fn create_body(desired: &Desired) -> Value {
    desired.fly_machine["web/app/ewr/0"].workload.create_body()
}

fn error_messages(document: &Value, more: &str) -> Vec<String> {
    messages(load_text(
        &manifest_with(document, more),
        &unchecked_inputs(),
    ))
}

fn joined_warnings(desired: &Desired) -> String {
    desired.meta.warnings.join("\n")
}

#[test]
fn manifest_overrides_machine_config() {
    let document = json!({
        "image": "base:1",
        "env": {"A": "beneath", "B": "beneath"},
        "init": {"cmd": ["beneath"], "tty": true, "swap_size_mb": 256},
        "guest": {"cpu_kind": "performance", "cpus": 2, "memory_mb": 8192, "kernel_args": ["quiet"]},
        "restart": {"policy": "always"},
        "stop_config": {"signal": "SIGTERM", "timeout": "20s"},
        "services": [{"protocol": "tcp", "internal_port": 5432, "autostop": false, "ports": [{"port": 5432}]}],
        "checks": {"alive": {"type": "tcp", "port": 5432, "interval": "15s"}},
        "metadata": {"team": "core"},
        "dns": {"skip_registration": true},
        "rootfs": {"persist": "always", "size_gb": 4},
        "auto_destroy": false,
    });
    let without_overrides = load_desired(&document, "");
    assert_eq!(
        create_body(&without_overrides),
        json!({
            "image": "base:1",
            "env": {"A": "beneath", "B": "beneath", "FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr"},
            "init": {"cmd": ["beneath"], "tty": true, "swap_size_mb": 256},
            "guest": {"cpu_kind": "performance", "cpus": 2, "memory_mb": 8192, "kernel_args": ["quiet"]},
            "restart": {"policy": "always"},
            "stop_config": {"signal": "SIGTERM", "timeout": "20s"},
            "services": [{"protocol": "tcp", "internal_port": 5432, "ports": [{"port": 5432}]}],
            "checks": {"alive": {"type": "tcp", "port": 5432, "interval": "15s"}},
            "dns": {"skip_registration": true},
            "rootfs": {"persist": "always", "size_gb": 4},
        })
    );
    assert_eq!(without_overrides.meta.warnings, Vec::<String>::new());
    assert_eq!(
        without_overrides.fly_machine["web/app/ewr/0"]
            .workload
            .labels["team"],
        "core"
    );
    assert!(
        without_overrides.fly_ip.contains_key("web/v4"),
        "a service on a port of its own needs an address of its own"
    );
    let overrides = "image = \"web:1\"\nenv.A = \"above\"\nkill_timeout = 30\nvm = { memory = \"4gb\" }\nprocesses.app = \"serve\"\nhttp_service = { internal_port = 80 }\nrestart = { policy = \"never\" }\n";
    let overrides = create_body(&load_desired(&document, overrides));
    let at = |path: &str| overrides.pointer(path).cloned().unwrap_or_default();
    assert_eq!(
        (at("/image"), at("/env/A"), at("/env/B")),
        (json!("web:1"), json!("above"), json!("beneath"))
    );
    assert_eq!(
        at("/init"),
        json!({"cmd": ["serve"], "tty": true, "swap_size_mb": 256})
    );
    assert_eq!(
        (at("/guest/cpus"), at("/guest/memory_mb")),
        (json!(2), json!(4096))
    );
    assert_eq!(
        (at("/services/0/internal_port"), at("/services/1")),
        (json!(80), Value::Null)
    );
    assert_eq!(
        at("/stop_config"),
        json!({"signal": "SIGTERM", "timeout": "30s"})
    );
    assert_eq!(at("/restart/policy"), "no");
}

#[test]
fn image_is_set_on_one_container() {
    let document = |names: [&str; 2]| {
        json!({"containers": [
            {"name": names[0], "image": "first:1"},
            {"name": names[1], "image": "second:1"},
        ]})
    };
    let images = |names, more: &str| {
        let body = create_body(&load_desired(&document(names), more));
        ["/containers/0/image", "/containers/1/image"].map(|at| body.pointer(at).cloned().unwrap())
    };
    let image = "image = \"web:1\"\n";
    assert_eq!(images(["a", "b"], image), ["web:1", "second:1"]);
    assert_eq!(images(["a", "app"], image), ["first:1", "web:1"]);
    assert_eq!(
        images(["app", "b"], "image = \"web:1\"\ncontainer = \"b\"\n"),
        ["first:1", "web:1"]
    );
    assert_eq!(
        images(["a", "b"], ""),
        ["first:1", "second:1"],
        "without an image the document's own stays"
    );
    let dotted = json!({"containers": [{"name": "app"}, {"name": "b", "image": "."}]});
    let body = create_body(&load_desired(&dotted, image));
    assert_eq!(
        body["containers"][1]["image"], "web:1",
        "a dot is the app's image in every container"
    );
    assert_eq!(
        error_messages(&document(["a", "b"]), "container = \"c\"\n"),
        ["there is no container `c`"]
    );
}

#[test]
fn every_container_needs_an_image() {
    let document = json!({"containers": [{"name": "app", "image": "."}, {"name": "side"}]});
    assert_eq!(
        error_messages(&document, ""),
        ["container `side` has no image"]
    );
    let document = json!({"containers": [{"name": "app", "image": "."}]});
    let required = Inputs {
        secrets_mode: SecretsMode::Required,
        ..unchecked_inputs()
    };
    assert_eq!(
        messages(load_text(&manifest_with(&document, ""), &required)),
        ["container `app` has no image"]
    );
    assert_eq!(
        create_body(&load_desired(&document, ""))["containers"],
        json!([{"name": "app"}]),
        "to look, none is needed"
    );
    let given = Inputs {
        images: string_map([("web", "web:1")]),
        ..required
    };
    let loaded = load_text(&manifest_with(&document, ""), &given).unwrap();
    assert_eq!(
        create_body(&loaded.desired)["containers"],
        json!([{"name": "app", "image": "web:1"}])
    );
}

#[test]
fn file_paths_are_relative_to_document() {
    let document = json!({
        "files": [{"guest_path": "/a", "local_path": "a.txt"}],
        "containers": [{"name": "app", "files": [
            {"guest_path": "/b", "local_path": "../b.txt"},
            {"guest_path": "/c", "image_config": "."},
        ]}],
    });
    let manifest = format!("{HEAD}image = \"web:1\"\nmachine_config = \"sub/machine.json\"\n");
    let document = document.to_string();
    let files = [
        ("x.toml", manifest.as_str()),
        ("sub/machine.json", &document),
        ("sub/a.txt", "a"),
        ("b.txt", "b"),
    ];
    let loaded = ManifestDir::with_files(&files)
        .load(&unchecked_inputs())
        .unwrap();
    let body = create_body(&loaded.desired);
    assert_eq!(
        body["files"],
        json!([{"guest_path": "/a", "raw_value": "YQ=="}])
    );
    assert_eq!(
        body["containers"][0]["files"],
        json!([{"guest_path": "/b", "raw_value": "Yg=="}, {"guest_path": "/c", "image_config": "web:1"}])
    );
    let text = messages(ManifestDir::with_files(&files[..2]).load(&unchecked_inputs()));
    assert!(
        text.iter().all(|line| line.starts_with("cannot read `")) && text.len() == 2,
        "{text:?}"
    );
}

#[test]
fn errors_do_not_show_values() {
    for (document, message) in [
        (
            json!({"env": {"A": "hunter2", "B": ["hunter2"]}}),
            "`env` in `machine_config` does not match the Machines API",
        ),
        (
            json!({"guest": {"cpus": "hunter2"}}),
            "`guest` in `machine_config` does not match the Machines API",
        ),
        (
            json!({"guest": {"gpu_kind": "l40s"}}),
            "`guest` in `machine_config` asks for a GPU, and Fly offers no GPUs any more",
        ),
        (
            json!({"guest": {"cpus": 3}}),
            "a machine cannot have 3 shared CPUs",
        ),
        (
            json!({"containers": "hunter2"}),
            "`containers` in `machine_config` is not a list of tables",
        ),
        (
            json!({"metadata": {"trimtab_project": "hunter2"}}),
            "`trimtab_project` in `metadata` of `machine_config` is trimtab's own mark",
        ),
        (
            json!({"size": "shared-cpu-1x"}),
            "`size` in `machine_config` is an older word",
        ),
    ] {
        let diagnostics =
            load_text(&manifest_with(&document, ""), &unchecked_inputs()).unwrap_err();
        assert_eq!(diagnostics.diagnostics[0].message, message);
        assert!(
            !diagnostics.render(false, 80).contains("hunter2"),
            "{}",
            diagnostics.render(false, 80)
        );
    }
    for (source, message) in [
        (
            "'{\"env\": hunter2}'",
            "`machine_config` is not JSON: expected value at line 1 column 9",
        ),
        (
            "'[]'",
            "`machine_config` is neither JSON nor the name of a .json file",
        ),
        (
            "'m.yaml'",
            "`machine_config` is neither JSON nor the name of a .json file",
        ),
    ] {
        let diagnostics = load_text(
            &format!("{HEAD}machine_config = {source}\n"),
            &unchecked_inputs(),
        )
        .unwrap_err();
        assert_eq!(diagnostics.diagnostics[0].message, message);
        assert!(
            !diagnostics.render(false, 80).contains("hunter2"),
            "{}",
            diagnostics.render(false, 80)
        );
    }
}

#[test]
fn ineffective_settings_are_warnings() {
    let document = json!({
        "mounts": [{"volume": "vol_1", "path": "/data"}],
        "contaners": [],
        "dsn": {"hostname": "x"},
        "guest": {"cpus": 2, "max_memory_mb": 512},
        "containers": [{"name": "app", "env": {"SESSION_SECRET": "hunter2hunter2"}, "secrets": [{"env_var": "A", "name": "B"}]}],
    });
    let text = joined_warnings(&load_desired(&document, "image = \"web:1\"\n"));
    for expected in [
        "x.toml:6: `mounts` in `machine_config` have no effect",
        "`dsn` in `machine_config` is not a known key; did you mean `dns`?",
        "`guest.max_memory_mb` in `machine_config` is not known, and left out",
        "`SESSION_SECRET` looks like a secret in the open",
        "container `app` uses a secret `B`",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    let text = load_text(&format!("{HEAD}container = \"a\"\n"), &unchecked_inputs())
        .unwrap()
        .desired;
    assert!(joined_warnings(&text).contains("`container` has no effect without `machine_config`"));
}

#[test]
fn fly_toml_can_set_machine_config() {
    let document = json!({"containers": [{"name": "proxy", "image": "proxy:1"}, {"name": "web"}]});
    let fly = format!(
        "app = \"a\"\nprimary_region = \"fra\"\ncontainer = \"web\"\nmachine_config = '{document}'\n[build]\nimage = \"web:1\"\n"
    );
    let manifest = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nconfig = \"fly.toml\"\n";
    let loaded = ManifestDir::with_files(&[("fly.toml", &fly), ("x.toml", manifest)])
        .load(&unchecked_inputs())
        .unwrap();
    let body = loaded.desired.fly_machine["web/app/fra/0"]
        .workload
        .create_body();
    assert_eq!(
        body["containers"][1],
        json!({"name": "web", "image": "web:1"})
    );
    assert_eq!(body["image"], "web:1");
    assert!(
        plan::plan(&loaded.desired, &World::default())
            .unwrap()
            .blocked
            .is_empty()
    );
}

/// Every prefix of a document, and every kind of value in every field.
#[test]
fn malformed_document_does_not_panic() {
    let parts = [
        "env",
        "init",
        "guest",
        "services",
        "checks",
        "metrics",
        "statics",
        "files",
        "restart",
        "stop_config",
        "schedule",
        "image",
        "metadata",
        "size",
        "mounts",
        "containers",
        "volumes",
        "dns",
        "\u{fc}",
    ];
    let values = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!("."),
        json!([]),
        json!([[]]),
        json!({}),
        json!([{}]),
        json!([{"name": 1, "image": [], "files": {}, "env": [], "secrets": [1, {"name": 1}]}]),
        json!([{"name": "app", "files": [{"local_path": "\u{0}"}, 1]}]),
        json!({"a": {"b": [1]}}),
        json!({"cpus": u32::MAX, "cpu_kind": "performance"}),
    ];
    let manifest = format!("{HEAD}machine_config = \"machine.json\"\n");
    let folder = ManifestDir::with_files(&[("x.toml", &manifest)]);
    let try_out = |document: &str| {
        folder.write("machine.json", document);
        if let Err(diagnostics) = folder.load(&unchecked_inputs()) {
            assert!(!diagnostics.render(false, 80).is_empty(), "{document}");
        }
    };
    for (part, value) in parts
        .iter()
        .flat_map(|part| values.iter().map(move |value| (part, value)))
    {
        try_out(&json!({*part: value}).to_string());
    }
    let whole =
        json!({"env": {"A": "\u{fc}"}, "containers": [{"name": "app", "files": []}]}).to_string();
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        try_out(&whole[..end]);
    }
    try_out(&"[".repeat(100_000));
    try_out(&format!("{{\"dns\":{}", "{\"a\":".repeat(100_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_created_and_updated_in_place() {
    let document = |port: u16| {
        json!({"dns": {"skip_registration": true}, "containers": [
            {"name": "proxy", "image": "proxy:1", "env": {"PORT": port.to_string()},
             "healthchecks": [{"name": "up", "timeout": 1, "http": {"port": port, "path": "/"}}]},
            {"name": "app", "depends_on": [{"name": "proxy", "condition": "healthy"}]},
        ]})
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("test.toml"),
        manifest_with(&document(80), "image = \"web:1\"\n"),
    )
    .unwrap();
    let env = TestEnv::with_manifests(dir, "test", inputs_with(&[]), Vec::new()).await;
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    let machine = &env.world().await.fly_machine["web/app/ewr/0"].workload;
    let container = |index: usize| {
        let image = machine.raw["containers"][index]["image"].as_str().unwrap();
        Image::new(image)
    };
    let digest = machine.config.image.as_ref().unwrap().digest();
    assert!(digest.is_some() && digest == container(1).digest());
    assert!(
        container(0)
            .digest()
            .is_some_and(|other| Some(other) != digest)
    );
    env.write_manifest(&manifest_with(&document(81), "image = \"web:2\"\n"));
    assert_eq!(
        env.summary().await,
        ["restart fly.machine/web/app/ewr/0 image,containers"]
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}
