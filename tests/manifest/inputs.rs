//! What comes from outside: variables, images, secrets, and other files.

use trimtab::manifest::{Inputs, SecretsMode, load};

use crate::manifest::support::{Folder, load_text, map, messages, path, unchecked};

const BASE: &str = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nprimary_region = \"ewr\"\n";

fn with(mode: SecretsMode, environment: &[(&str, &str)]) -> Inputs {
    let pairs = environment
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Inputs {
        secrets: mode,
        environment: pairs.collect(),
        ..unchecked()
    }
}

#[test]
fn variables_name_an_environment() {
    let mut inputs = unchecked();
    inputs.vars = map([("pr", "42")]);
    let loaded = load(&path("environments"), "review", &inputs).unwrap();
    assert_eq!(loaded.desired.meta.mark.environment, "review-42");
    assert_eq!(loaded.desired.fly_app["api"].name, "harbor-api-review-42");
    assert_eq!(loaded.token.unwrap().env, "FLY_API_TOKEN_STAGING");
    inputs.vars = map([("prr", "42")]);
    assert_eq!(
        messages(load(&path("environments"), "review", &inputs)),
        ["--var prr: this environment has no variable `prr`"]
    );
    inputs.vars.clear();
    inputs.secrets = SecretsMode::Lenient;
    let said = messages(load(&path("environments"), "review", &inputs));
    assert_eq!(
        said,
        ["variable `pr` (number of the pull request) has no value"]
    );
}

#[test]
fn images_come_from_the_command_line_first() {
    let image = |inputs: &Inputs, stated: &str| {
        let loaded = load_text(&format!("{BASE}{stated}"), inputs).unwrap();
        let image = &loaded.desired.fly_machine["web/app/ewr/0"]
            .workload
            .config
            .image;
        image.as_ref().map(ToString::to_string)
    };
    let mut inputs = unchecked();
    assert_eq!(image(&inputs, ""), None);
    assert_eq!(image(&inputs, "image = { var = \"tag\" }"), None);
    assert_eq!(
        image(
            &inputs,
            "image = { var = \"tag\" }\n[vars]\ntag = \"web:0\""
        ),
        Some("web:0".to_owned())
    );
    assert_eq!(
        image(
            &inputs,
            "image = { var = \"tag\" }\n[vars]\ntag = { default = \"web:0\", description = \"what runs\" }"
        ),
        Some("web:0".to_owned())
    );
    inputs.vars = map([("tag", "web:1")]);
    assert_eq!(
        image(&inputs, "image = { var = \"tag\" }"),
        Some("web:1".to_owned())
    );
    let by_digest = format!("web@sha256:{}", "00".repeat(32));
    inputs.images = map([("web", by_digest.as_str())]);
    assert_eq!(
        image(&inputs, "image = { var = \"tag\" }"),
        Some(by_digest.clone())
    );
    inputs.images = map([("wep", "x")]);
    inputs.vars.clear();
    assert_eq!(
        messages(load_text(BASE, &inputs)),
        ["--image wep: this environment has no app `wep`"]
    );
}

const SECRETS: &str = "[apps.web.secrets]\nKEY = { env = \"MY_KEY\" }\nMAYBE = { env = \"MAYBE\", optional = true }\n";

#[test]
fn secrets_are_read_as_far_as_a_command_needs_them() {
    let text = format!("{BASE}{SECRETS}");
    assert_eq!(
        messages(load_text(
            &text,
            &with(SecretsMode::Required, &[("MY_KEY", "")])
        )),
        ["secret `KEY` has no value"]
    );
    let load = |mode, environment: &[(&str, &str)]| {
        load_text(&text, &with(mode, environment)).unwrap().desired
    };
    let desired = load(SecretsMode::Required, &[("MY_KEY", "hunter2")]);
    let secrets = &desired.fly_secrets["web"];
    assert_eq!(
        secrets.values["KEY"].value.as_ref().unwrap().expose(),
        "hunter2"
    );
    assert!(secrets.values["KEY"].fingerprint.is_some());
    assert_eq!(secrets.values["KEY"].source, "env MY_KEY");
    assert!(secrets.left_alone.contains("MAYBE"));
    assert!(
        desired.fly_machine["web/app/ewr/0"]
            .workload
            .secrets
            .is_some()
    );
    for mode in [SecretsMode::Lenient, SecretsMode::Unchecked] {
        let desired = load(mode, &[]);
        assert!(desired.fly_secrets["web"].values["KEY"].value.is_none());
        assert!(
            desired.fly_secrets["web"].values["KEY"]
                .fingerprint
                .is_none()
        );
    }
    let unread = load(SecretsMode::Unchecked, &[("MY_KEY", "hunter2")]);
    assert!(unread.fly_secrets["web"].values["KEY"].value.is_none());
}

#[test]
fn secrets_come_from_files_too() {
    let text = format!(
        "dotenv = \".env\"\n{BASE}[apps.web.secrets]\nA = {{ env = \"A\" }}\nB = {{ file = \"b.txt\" }}\nC = {{ dotenv = \"c.env\", key = \"OTHER\" }}\nD = {{ env = \"D\" }}\n"
    );
    let files = [
        ("x.toml", text.as_str()),
        (".env", "A=from-dotenv\nD=from-dotenv\n"),
        ("b.txt", "from-file\n"),
        ("c.env", "OTHER='from c'\n"),
    ];
    let inputs = with(SecretsMode::Required, &[("D", "from-environment")]);
    let desired = Folder::with(&files).load(&inputs).unwrap().desired;
    let value = |name: &str| {
        desired.fly_secrets["web"].values[name]
            .value
            .as_ref()
            .unwrap()
            .expose()
            .to_owned()
    };
    assert_eq!(
        [value("A"), value("B"), value("C"), value("D")],
        ["from-dotenv", "from-file", "from c", "from-environment"]
    );
}

#[test]
fn no_value_reaches_a_message() {
    let text = format!(
        "{BASE}[apps.web.secrets]\nA = {{ dotenv = \".env\" }}\nB = {{ env = \"hunter2 hunter2\" }}\nC = \"hunter2\"\n"
    );
    let folder = Folder::with(&[("x.toml", text.as_str()), (".env", "A='hunter2\n???\n")]);
    let problems = folder.load(&with(SecretsMode::Required, &[])).unwrap_err();
    let said = problems.to_string();
    assert!(
        said.contains("is not of the form NAME=VALUE") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn what_is_inherited_merges_deep() {
    let base = format!(
        "{BASE}env = {{ A = \"base\", B = \"base\" }}\n[apps.web.vm]\nmemory = \"512mb\"\n"
    );
    let second = "[apps.web]\nenv.B = \"second\"\nenv.C = \"second\"\n";
    let own = "extends = [\"_base.toml\", \"_second.toml\"]\n[apps.web]\nenv.C = \"own\"\n[apps.web.vm]\nmemory = \"1gb\"\n";
    let folder = Folder::with(&[
        ("_base.toml", &base),
        ("_second.toml", second),
        ("x.toml", own),
    ]);
    let desired = folder.load(&unchecked()).unwrap().desired;
    let config = &desired.fly_machine["web/app/ewr/0"].workload.config;
    let env = |key: &str| config.env[key].as_str();
    assert_eq!([env("A"), env("B"), env("C")], ["base", "second", "own"]);
    assert_eq!(config.guest.as_ref().unwrap().memory_mb.0, 1024);
}

#[test]
fn a_fly_toml_lies_beneath_the_apps_own_keys() {
    let fly = "app = \"from-fly\"\nprimary_region = \"fra\"\n[build]\nimage = \"web:1\"\n[env]\nA = \"${NOT_OURS}\"\nB = \"fly\"\n[http_service]\ninternal_port = 8080\n";
    let own = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nconfig = \"fly.toml\"\nenv.B = \"${apps.web.name}\"\n[apps.web.http_service]\nforce_https = true\n";
    let loaded = Folder::with(&[("fly.toml", fly), ("x.toml", own)])
        .load(&unchecked())
        .unwrap();
    assert_eq!(loaded.desired.fly_app["web"].name, "from-fly");
    let config = &loaded.desired.fly_machine["web/app/fra/0"].workload.config;
    assert_eq!(config.image.as_ref().unwrap().as_str(), "web:1");
    assert_eq!(
        (config.env["A"].as_str(), config.env["B"].as_str()),
        ("${NOT_OURS}", "from-fly")
    );
    assert_eq!(
        (
            config.services[0].internal_port,
            config.services[0].ports[0].force_https
        ),
        (8080, true)
    );
}

#[test]
fn an_environment_that_is_not_there_is_named() {
    let problems = load(&path("environments"), "prodction", &unchecked()).unwrap_err();
    let (_, line, column, message, help) = problems.iter().next().unwrap();
    assert!(message.starts_with("there is no environment `prodction`") && (line, column) == (0, 0));
    assert_eq!(help, Some("did you mean `production`?"));
    let said = messages(load(&path("environments"), "_base", &unchecked()));
    assert_eq!(
        said,
        ["`_base` is only inherited from, because its name begins with `_`"]
    );
}

#[test]
fn every_resource_has_its_place() {
    let loaded = load(&path("tests/manifests/003"), "staging", &unchecked()).unwrap();
    for name in loaded.desired.fly_machine.keys() {
        assert!(
            loaded.places.keys().any(|address| address.name() == name),
            "{name}"
        );
    }
    let cron = loaded
        .places
        .iter()
        .find(|(address, _)| address.to_string() == "fly.cron/web/news-ingestion");
    let (_, at) = cron.unwrap();
    assert!(loaded.files.get(at.file).path.ends_with("staging.toml"));
    assert_eq!(loaded.files.line_column(at), (27, 16));
}

#[test]
fn what_a_fly_toml_has_and_we_have_not_is_said() {
    let fly = "app = \"a\"\nprimary_region = \"fra\"\n\n[[services]]\nprotocol = \"tcp\"\n[deploy]\nseed_command = \"x\"\n";
    let own = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nconfig = \"fly.toml\"\n";
    let loaded = Folder::with(&[("fly.toml", fly), ("x.toml", own)])
        .load(&unchecked())
        .unwrap();
    let said = &loaded.desired.meta.warnings;
    let line = |ending: &str| said.iter().any(|line| line.contains(ending));
    assert!(
        line(
            "fly.toml:4: this service has no `internal_port`, so it reaches nothing; it is left out"
        ),
        "{said:?}"
    );
    assert!(line("fly.toml:7: `seed_command` is flyctl's"), "{said:?}");
    assert!(
        loaded.desired.fly_machine["web/app/fra/0"]
            .workload
            .config
            .services
            .is_empty()
    );
}

#[test]
fn a_fly_json_will_do() {
    let fly = r#"{"app": "a", "primary_region": "fra", "http_service": {"internal_port": 3000}}"#;
    let own = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nconfig = \"fly.json\"\n";
    let loaded = Folder::with(&[("fly.json", fly), ("x.toml", own)])
        .load(&unchecked())
        .unwrap();
    let config = &loaded.desired.fly_machine["web/app/fra/0"].workload.config;
    assert_eq!(config.services[0].internal_port, 3000);
}

#[test]
fn a_file_that_is_not_toml_shows_no_secret_either() {
    for line in [
        "SESSION_SECRET = \"hunter2hunter2",
        "X = 'postgres://a:hunter2@b/c",
        "Y = sk-hunter2",
    ] {
        let problems =
            load_text(&format!("{BASE}[apps.web.env]\n{line}\n"), &unchecked()).unwrap_err();
        let said = problems.render(true, 80);
        assert!(
            said.contains("this is not TOML") && said.contains("\u{1b}["),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}
