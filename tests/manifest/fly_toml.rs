//! What a fly.toml says, as an app of a manifest: read as flyctl reads it, and refused only where
//! flyctl or Fly refuses it.

use serde_json::{Value, json};
use trimtab::kinds::Desired;

use crate::manifest::support::{ManifestDir, messages, unchecked_inputs};

const MANIFEST: &str = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nconfig = \"fly.toml\"\n";

fn folder(fly_toml: &str, more: &str) -> ManifestDir {
    let fly_toml = format!("app = \"a\"\nprimary_region = \"ewr\"\n{fly_toml}");
    let manifest = format!("{MANIFEST}{more}");
    ManifestDir::with_files(&[("fly.toml", &fly_toml), ("x.toml", &manifest)])
}

#[track_caller]
fn load(fly_toml: &str, more: &str) -> Desired {
    let loaded = folder(fly_toml, more).load(&unchecked_inputs());
    loaded
        .unwrap_or_else(|diagnostics| panic!("{fly_toml}\n{diagnostics}"))
        .desired
}

/// The warnings, without the path of the folder.
#[track_caller]
fn warnings(fly_toml: &str) -> Vec<String> {
    let warnings = load(fly_toml, "image = \"web:1\"\n").meta.warnings;
    let without_folder = |line: &String| {
        let name = line.find("/fly.toml:").map_or(0, |at| at + 1);
        line[name..].to_owned()
    };
    warnings.iter().map(without_folder).collect()
}

fn errors(fly_toml: &str) -> Vec<String> {
    messages(folder(fly_toml, "").load(&unchecked_inputs()))
}

fn config(desired: &Desired, machine: &str) -> Value {
    serde_json::to_value(&desired.fly_machine[machine].workload.config).unwrap()
}

const GROUPS: &str = "[processes]\napp = \"serve\"\nworker = \"work\"\n";

#[test]
fn one_machine_where_the_group_has_a_volume() {
    let service = "[http_service]\ninternal_port = 80\nmin_machines_running = 2\n";
    let mounts = "[mounts]\nsource = \"data\"\ndestination = \"/data\"\n";
    assert_eq!(load(service, "").fly_machine.len(), 2);
    let desired = load(&format!("{service}{mounts}"), "");
    assert_eq!(
        (desired.fly_machine.len(), desired.fly_volume.len()),
        (1, 1)
    );
    let told = warnings(&format!("{service}{mounts}"));
    assert_eq!(
        told,
        [
            "fly.toml:5: 2 machines should keep running in ewr, but there is 1 machine; each would have a volume of its own; \
             set `count = { ewr = 2 }` in [apps.web.machines.GROUP]"
        ]
    );
    let written = load(&format!("{service}{mounts}"), "machines.app.count = 2\n");
    assert_eq!(written.fly_volume.len(), 2);
}

#[test]
fn files_without_groups_go_to_all_of_them() {
    let files = "[[files]]\nguest_path = \"/all\"\nraw_value = \"x\"\n[[files]]\nguest_path = \"/own\"\nraw_value = \"x\"\nprocesses = [\"worker\"]\n";
    let desired = load(&format!("{GROUPS}{files}"), "");
    let paths = |machine: &str| -> Vec<String> {
        let files = config(&desired, machine)["files"].clone();
        let files = files.as_array().unwrap().iter();
        files
            .map(|file| file["guest_path"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(paths("web/app/ewr/0"), ["/all"]);
    assert_eq!(paths("web/worker/ewr/0"), ["/all", "/own"]);
    let twice = format!("{GROUPS}{files}[[files]]\nguest_path = \"/own\"\nraw_value = \"y\"\n");
    assert_eq!(errors(&twice), ["`/own` is written twice"]);
}

#[test]
fn a_check_takes_the_port_only_of_a_service_of_its_group() {
    let service = "[http_service]\ninternal_port = 8080\nprocesses = [\"app\"]\n";
    let check = |group: &str| format!("[checks.up]\ntype = \"tcp\"\nprocesses = [\"{group}\"]\n");
    let desired = load(&format!("{GROUPS}{service}{}", check("app")), "");
    assert_eq!(
        config(&desired, "web/app/ewr/0")["checks"]["up"]["port"],
        json!(8080)
    );
    assert_eq!(
        errors(&format!("{GROUPS}{service}{}", check("worker"))),
        ["check `up` lacks `port`"]
    );
}

#[test]
fn parts_of_groups_that_do_not_exist_go_nowhere() {
    for part in [
        "[[vm]]\nsize = \"shared-cpu-2x\"\nprocesses = [\"caddy\"]\n",
        "[mounts]\nsource = \"data\"\ndestination = \"/data\"\nprocesses = [\"caddy\"]\n",
        "[checks.up]\ntype = \"tcp\"\nport = 1\nprocesses = [\"caddy\"]\n",
        "[[files]]\nguest_path = \"/a\"\nraw_value = \"x\"\nprocesses = [\"caddy\"]\n",
        "[metrics]\nport = 1\npath = \"/\"\nprocesses = [\"caddy\"]\n",
    ] {
        let told = warnings(part);
        assert!(
            told.iter().all(|line| line.contains(
                "there is no process group `caddy`; no machine gets this; expected `app`"
            )) && told.len() == 1,
            "{part}: {told:?}"
        );
        let desired = load(part, "");
        let same = load("", "");
        assert_eq!(
            config(&desired, "web/app/ewr/0"),
            config(&same, "web/app/ewr/0"),
            "{part}"
        );
    }
}

#[test]
fn what_flyctl_passes_on_is_a_warning() {
    let port = "[[services]]\ninternal_port = 1\n[[services.ports]]\nport = 1\n";
    let service = "[http_service]\ninternal_port = 1\n";
    for (part, message) in [
        (
            "[[restart]]\npolicy = \"always\"\nretries = 3\n".to_owned(),
            "`retries` has an effect only with",
        ),
        (
            "[checks.up]\ntype = \"tcp\"\nport = 1\npath = \"/up\"\n".to_owned(),
            "a tcp check has no `path`",
        ),
        (
            format!("{port}force_https = true\n"),
            "only a port with the `http` handler",
        ),
        (
            format!("{service}[http_service.concurrency]\nsoft_limit = 3\nhard_limit = 2\n"),
            "the soft limit 3 is above the hard limit 2",
        ),
        (
            "[metrics]\nport = 1\n".to_owned(),
            "these metrics have no `path`",
        ),
        (
            "[env]\n\"discovery.type\" = \"single-node\"\n".to_owned(),
            "`discovery.type` is an unusual name",
        ),
        (
            "[mounts]\nsource = \"data\"\ndestination = \"/data\"\nauto_extend_size_threshold = 80\nauto_extend_size_increment = \"1gb\"\n"
                .to_owned(),
            "this volume has no limit",
        ),
        (
            "[[services]]\ninternal_port = 1\nscript_checks = [{ command = \"x\" }]\n[[services.ports]]\nport = 1\n".to_owned(),
            "`script_checks` in `services` has no effect here; left out",
        ),
        (
            "whatever = 1\n".to_owned(),
            "there is no key `whatever` at the top of a fly.toml; flyctl ignores it",
        ),
    ] {
        let told = warnings(&part);
        assert!(
            told.len() == 1 && told[0].contains(message),
            "{part}: {told:?}"
        );
    }
}

#[test]
fn times_that_fly_changes_are_told_once_and_sent_as_changed() {
    let check = "[http_service]\ninternal_port = 1\n[[http_service.checks]]\ngrace_period = \"5m\"\ninterval = \"90s\"\n";
    let sent = config(&load(check, ""), "web/app/ewr/0")["services"][0]["checks"][0].clone();
    assert_eq!(
        (&sent["grace_period"], &sent["interval"]),
        (&json!("1m0s"), &json!("1m0s"))
    );
    assert_eq!(warnings(check).len(), 2, "{:?}", warnings(check));
    let none = check.replace("5m", "0s");
    let sent = config(&load(&none, ""), "web/app/ewr/0")["services"][0]["checks"][0].clone();
    assert_eq!(sent["grace_period"], json!("0s"));
}

#[test]
fn of_two_sections_the_one_that_flyctl_takes_counts() {
    let text = "[[vm]]\nsize = \"shared-cpu-2x\"\nprocesses = [\"app\"]\n[[vm]]\nsize = \"shared-cpu-4x\"\nprocesses = [\"app\"]\n\
                [[restart]]\npolicy = \"always\"\n[[restart]]\npolicy = \"never\"\n";
    let config = config(&load(text, ""), "web/app/ewr/0");
    assert_eq!(config["guest"]["cpus"], json!(4));
    assert_eq!(config["restart"]["policy"], json!("no"));
    assert_eq!(
        warnings(text),
        [
            "fly.toml:11: group `app` has two `restart` sections, here and in line 9; the last one counts",
            "fly.toml:6: group `app` has two `vm` sections, here and in line 3; the last one counts",
        ]
    );
}

#[test]
fn two_services_on_one_port_are_told_with_both_places() {
    let service = |internal: u16, ports: &str| {
        format!("[[services]]\ninternal_port = {internal}\n[[services.ports]]\n{ports}\n")
    };
    let http = "[http_service]\ninternal_port = 8080\n";
    assert_eq!(
        warnings(&format!("{http}{}", service(8080, "port = 5000"))),
        [
            "fly.toml:6: port 8080 (tcp) of a machine has two services, here and in line 4; Fly takes one of them; write one \
             service with all its `ports` and checks"
        ]
    );
    let range = service(9, "start_port = 400\nend_port = 500");
    assert_eq!(
        warnings(&format!("{http}{range}")),
        [
            "fly.toml:5: port 443 (tcp) is served twice, here and in line 3; one of the two services gets all connections"
        ]
    );
    let udp = service(8080, "port = 5000").replace(
        "[[services.ports]]",
        "protocol = \"udp\"\n[[services.ports]]",
    );
    assert_eq!(warnings(&format!("{http}{udp}")), [""; 0]);
}

#[test]
fn a_minimum_that_sets_the_count_has_an_effect() {
    let service = "[http_service]\ninternal_port = 1\nmin_machines_running = 2\nauto_stop_machines = \"off\"\n";
    assert_eq!(warnings(service), [""; 0]);
    let desired = load(service, "machines.app.count = 2\n");
    assert!(
        desired.meta.warnings[0].contains("so a minimum has no effect"),
        "{:?}",
        desired.meta.warnings
    );
}

#[test]
fn a_number_that_changes_is_told() {
    let told =
        warnings("[env]\nPYTHON = 3.10\nMODE = 0o755\nBIG = 1e21\nPORT = 8080\nTEXT = \"3.10\"\n");
    assert_eq!(
        told,
        [
            "fly.toml:6: the variable `BIG` becomes `1e+21`, not `1e21`; put it in quotes: \"1e21\"",
            "fly.toml:5: the variable `MODE` becomes `493`, not `0o755`; put it in quotes: \"0o755\"",
            "fly.toml:4: the variable `PYTHON` becomes `3.1`, not `3.10`; put it in quotes: \"3.10\"",
        ]
    );
}

#[test]
fn one_mistake_is_told_once() {
    for (text, expected) in [
        (
            format!("{GROUPS}[http_service]\ninternal_port = 1\n"),
            "`http_service` must set `processes`",
        ),
        (
            "[checks.up]\ntype = \"script\"\nport = 1\n".to_owned(),
            "the check `up` needs a `type`",
        ),
        (
            "[mounts]\ndestination = \"/data\"\n".to_owned(),
            "`apps.web.mounts[0]` lacks `source`",
        ),
        (
            "[deploy]\nwait_timeout = 300\n".to_owned(),
            "a machine needs at least one second to start",
        ),
        (
            "app2 = {{ name }}\nx = {{ y }}\nz = {% if a %}\n".to_owned(),
            "this is a template, not TOML",
        ),
        (
            "[http_service]\n".to_owned(),
            "`apps.web.http_service` lacks `internal_port`",
        ),
    ] {
        assert_eq!(errors(&text), [expected], "{text}");
    }
}

#[test]
fn nothing_follows_from_a_file_that_cannot_be_read() {
    let manifest = MANIFEST.replace("fly.toml", "nope.toml");
    let folder = ManifestDir::with_files(&[("x.toml", &manifest)]);
    let told = messages(folder.load(&unchecked_inputs()));
    assert!(told.len() == 1 && told[0].contains("nope.toml"), "{told:?}");
}

#[test]
fn a_build_is_told_when_no_image_is_named() {
    let build = "[build]\ndockerfile = \"Dockerfile\"\n";
    assert_eq!(warnings(build), [""; 0]);
    let told = load(build, "").meta.warnings;
    assert!(
        told.len() == 1 && told[0].contains("only `trimtab build` builds one"),
        "{told:?}"
    );
    assert_eq!(warnings("[build]\nimage = \"web:1\"\n"), [""; 0]);
}
