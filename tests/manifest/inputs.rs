//! Inputs from outside the manifest: variables, images, secrets, and other files.

use trimtab::manifest::{Inputs, SecretsMode, load};

use crate::manifest::support::{
    ManifestDir, load_text, messages, repo_path, string_map, unchecked_inputs,
};

const BASE: &str = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nprimary_region = \"ewr\"\n";

fn inputs_with(mode: SecretsMode, environment: &[(&str, &str)]) -> Inputs {
    let pairs = environment
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Inputs {
        secrets_mode: mode,
        process_environment: pairs.collect(),
        ..unchecked_inputs()
    }
}

#[test]
fn variables_set_environment_name() {
    let mut inputs = unchecked_inputs();
    inputs.vars = string_map([("pr", "42")]);
    let loaded = load(&repo_path("environments"), "review", &inputs).unwrap();
    assert_eq!(loaded.desired.meta.mark.environment, "review-42");
    assert_eq!(loaded.desired.fly_app["api"].name, "harbor-api-review-42");
    assert_eq!(loaded.token_source.unwrap().env, "FLY_API_TOKEN_STAGING");
    inputs.vars = string_map([("prr", "42")]);
    assert_eq!(
        messages(load(&repo_path("environments"), "review", &inputs)),
        ["--var prr: this environment has no variable `prr`"]
    );
    inputs.vars.clear();
    inputs.secrets_mode = SecretsMode::Lenient;
    let text = messages(load(&repo_path("environments"), "review", &inputs));
    assert_eq!(
        text,
        ["variable `pr` (number of the pull request) has no value"]
    );
}

#[test]
fn command_line_image_takes_precedence() {
    let image = |inputs: &Inputs, stated: &str| {
        let loaded = load_text(&format!("{BASE}{stated}"), inputs).unwrap();
        let image = &loaded.desired.fly_machine["web/app/ewr/0"]
            .workload
            .config
            .image;
        image.as_ref().map(ToString::to_string)
    };
    let mut inputs = unchecked_inputs();
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
    inputs.vars = string_map([("tag", "web:1")]);
    assert_eq!(
        image(&inputs, "image = { var = \"tag\" }"),
        Some("web:1".to_owned())
    );
    let by_digest = format!("web@sha256:{}", "00".repeat(32));
    inputs.images = string_map([("web", by_digest.as_str())]);
    assert_eq!(
        image(&inputs, "image = { var = \"tag\" }"),
        Some(by_digest.clone())
    );
    inputs.images = string_map([("wep", "x")]);
    inputs.vars.clear();
    assert_eq!(
        messages(load_text(BASE, &inputs)),
        ["--image wep: this environment has no app `wep`"]
    );
}

const SECRETS: &str = "[apps.web.secrets]\nKEY = { env = \"MY_KEY\" }\nMAYBE = { env = \"MAYBE\", optional = true }\n";

#[test]
fn secrets_are_read_by_mode() {
    let text = format!("{BASE}{SECRETS}");
    assert_eq!(
        messages(load_text(
            &text,
            &inputs_with(SecretsMode::Required, &[("MY_KEY", "")])
        )),
        ["secret `KEY` has no value"]
    );
    let load = |mode, environment: &[(&str, &str)]| {
        load_text(&text, &inputs_with(mode, environment))
            .unwrap()
            .desired
    };
    let desired = load(SecretsMode::Required, &[("MY_KEY", "hunter2")]);
    let secrets = &desired.fly_secrets["web"];
    assert_eq!(
        secrets.values["KEY"].value.as_ref().unwrap().expose(),
        "hunter2"
    );
    assert!(secrets.values["KEY"].fingerprint.is_some());
    assert_eq!(secrets.values["KEY"].source, "env MY_KEY");
    assert!(secrets.optional_without_value.contains("MAYBE"));
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
fn secrets_are_read_from_files() {
    let text = format!(
        "dotenv = \".env\"\n{BASE}[apps.web.secrets]\nA = {{ env = \"A\" }}\nB = {{ file = \"b.txt\" }}\nC = {{ dotenv = \"c.env\", key = \"OTHER\" }}\nD = {{ env = \"D\" }}\n"
    );
    let files = [
        ("x.toml", text.as_str()),
        (".env", "A=from-dotenv\nD=from-dotenv\n"),
        ("b.txt", "from-file\n"),
        ("c.env", "OTHER='from c'\n"),
    ];
    let inputs = inputs_with(SecretsMode::Required, &[("D", "from-environment")]);
    let desired = ManifestDir::with_files(&files)
        .load(&inputs)
        .unwrap()
        .desired;
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
fn secret_value_is_not_in_diagnostics() {
    let text = format!(
        "{BASE}[apps.web.secrets]\nA = {{ dotenv = \".env\" }}\nB = {{ env = \"hunter2 hunter2\" }}\nC = \"hunter2\"\n"
    );
    let folder =
        ManifestDir::with_files(&[("x.toml", text.as_str()), (".env", "A='hunter2\n???\n")]);
    let diagnostics = folder
        .load(&inputs_with(SecretsMode::Required, &[]))
        .unwrap_err();
    let text = diagnostics.to_string();
    assert!(
        text.contains("line 1 begins a quoted value that does not end")
            && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn extends_merges_deeply() {
    let base = format!(
        "{BASE}env = {{ A = \"base\", B = \"base\" }}\n[apps.web.vm]\nmemory = \"512mb\"\n"
    );
    let second = "[apps.web]\nenv.B = \"second\"\nenv.C = \"second\"\n";
    let manifest = "extends = [\"_base.toml\", \"_second.toml\"]\n[apps.web]\nenv.C = \"own\"\n[apps.web.vm]\nmemory = \"1gb\"\n";
    let folder = ManifestDir::with_files(&[
        ("_base.toml", &base),
        ("_second.toml", second),
        ("x.toml", manifest),
    ]);
    let desired = folder.load(&unchecked_inputs()).unwrap().desired;
    let config = &desired.fly_machine["web/app/ewr/0"].workload.config;
    let env = |key: &str| config.env[key].as_str();
    assert_eq!([env("A"), env("B"), env("C")], ["base", "second", "own"]);
    assert_eq!(config.guest.as_ref().unwrap().memory_mb.0, 1024);
}

#[test]
fn manifest_overrides_fly_toml() {
    let fly = "app = \"from-fly\"\nprimary_region = \"fra\"\n[build]\nimage = \"web:1\"\n[env]\nA = \"${NOT_OURS}\"\nB = \"fly\"\n[http_service]\ninternal_port = 8080\n";
    let manifest = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nconfig = \"fly.toml\"\nenv.B = \"${apps.web.name}\"\n[apps.web.http_service]\nforce_https = true\n";
    let loaded = ManifestDir::with_files(&[("fly.toml", fly), ("x.toml", manifest)])
        .load(&unchecked_inputs())
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
fn missing_environment_is_reported() {
    let diagnostics =
        load(&repo_path("environments"), "prodction", &unchecked_inputs()).unwrap_err();
    let (_, line, column, message, help) = diagnostics.iter().next().unwrap();
    assert!(message.starts_with("there is no environment `prodction`") && (line, column) == (0, 0));
    assert_eq!(help, Some("did you mean `production`?"));
    let text = messages(load(
        &repo_path("environments"),
        "_base",
        &unchecked_inputs(),
    ));
    assert_eq!(
        text,
        ["`_base` is only inherited from, because its name begins with `_`"]
    );
}

#[test]
fn every_resource_has_a_position() {
    let loaded = load(
        &repo_path("tests/manifests/draftguru"),
        "staging",
        &unchecked_inputs(),
    )
    .unwrap();
    for name in loaded.desired.fly_machine.keys() {
        assert!(
            loaded
                .locations
                .keys()
                .any(|address| address.name() == name),
            "{name}"
        );
    }
    let cron = loaded
        .locations
        .iter()
        .find(|(address, _)| address.to_string() == "fly.cron/web/news-ingestion");
    let (_, at) = cron.unwrap();
    assert!(loaded.files.get(at.file).path.ends_with("staging.toml"));
    assert_eq!(loaded.files.line_column(at), (27, 16));
}

#[test]
fn unsupported_fly_toml_setting_is_a_warning() {
    let fly = "app = \"a\"\nprimary_region = \"fra\"\n\n[[services]]\nprotocol = \"tcp\"\n[deploy]\nseed_command = \"x\"\n";
    let manifest = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nconfig = \"fly.toml\"\n";
    let loaded = ManifestDir::with_files(&[("fly.toml", fly), ("x.toml", manifest)])
        .load(&unchecked_inputs())
        .unwrap();
    let text = &loaded.desired.meta.warnings;
    let line = |ending: &str| text.iter().any(|line| line.contains(ending));
    assert!(
        line(
            "fly.toml:4: this service has no `internal_port`, so it reaches nothing; it is ignored"
        ),
        "{text:?}"
    );
    assert!(line("fly.toml:7: `seed_command` is flyctl's"), "{text:?}");
    assert!(
        loaded.desired.fly_machine["web/app/fra/0"]
            .workload
            .config
            .services
            .is_empty()
    );
}

#[test]
fn fly_json_is_accepted() {
    let fly = r#"{"app": "a", "primary_region": "fra", "http_service": {"internal_port": 3000}}"#;
    let manifest = "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nconfig = \"fly.json\"\n";
    let loaded = ManifestDir::with_files(&[("fly.json", fly), ("x.toml", manifest)])
        .load(&unchecked_inputs())
        .unwrap();
    let config = &loaded.desired.fly_machine["web/app/fra/0"].workload.config;
    assert_eq!(config.services[0].internal_port, 3000);
}

#[test]
fn syntax_error_shows_no_secret() {
    for line in [
        "SESSION_SECRET = \"hunter2hunter2",
        "X = 'postgres://a:hunter2@b/c",
        "Y = sk-hunter2",
    ] {
        let diagnostics = load_text(
            &format!("{BASE}[apps.web.env]\n{line}\n"),
            &unchecked_inputs(),
        )
        .unwrap_err();
        let text = diagnostics.render(true, 80);
        assert!(
            text.contains("this is not TOML") && text.contains("\u{1b}["),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn what_is_there_and_no_file_is_not_called_missing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("folder.toml")).unwrap();
    let link = folder.path().join("circle.toml");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    for (environment, reason) in [
        ("folder", "it is a folder"),
        ("circle", "oo many levels"),
        ("nowhere", "there is no environment `nowhere`"),
    ] {
        let told = messages(load(folder.path(), environment, &unchecked_inputs()));
        assert!(told.len() == 1 && told[0].contains(reason), "{told:?}");
    }
}

#[test]
fn a_fly_toml_beside_the_folder_of_the_manifests_is_found_by_its_error() {
    let manifest =
        "project = \"p\"\n[fly]\norg = \"o\"\n[apps.web]\nconfig = \"fly.production.toml\"\n";
    let folder = ManifestDir::with_files(&[
        ("environments/x.toml", manifest),
        ("fly.production.toml", "app = \"a\"\n"),
    ]);
    let told = load(
        &folder.path().join("environments"),
        "x",
        &unchecked_inputs(),
    );
    let told = told.unwrap_err().to_string();
    assert!(
        told.contains("did you mean `../fly.production.toml`?"),
        "{told}"
    );
    assert_eq!(told.matches("error:").count(), 1, "{told}");
}

/// The token and the secrets of the environment, wherever the manifest has them by mistake.
#[test]
fn known_secrets_are_hidden_in_every_message() {
    let (secret, token) = ("Veiled-by-the-inputs-1", "Veiled-by-the-inputs-2");
    let text = format!(
        "project = \"p\"\n[fly]\norg = \"{token}\"\ntoken = {{ env = \"MY_VARIABLE\" }}\n[apps.web]\nprimary_region = \"{secret}\"\n\
         name = \"{secret}\"\nimage = \"web:{secret}/x\"\nenv = {{ A = \"${{{secret}}}\" }}\n[apps.web.secrets]\nB = {{ env = \"OTHER\" }}\n"
    );
    let inputs = Inputs {
        process_environment: string_map([("OTHER", secret), ("MY_VARIABLE", token)]),
        ..unchecked_inputs()
    };
    let told = load_text(&text, &inputs).unwrap_err();
    assert!(told.diagnostics.len() >= 4, "{told}");
    let shown = format!("{told} {:?}", told.diagnostics);
    assert!(!shown.contains("eiled-by-the-inputs"), "{shown}");
}
