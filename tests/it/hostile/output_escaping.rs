//! Text from others that a terminal, a browser, Markdown or a CI runner would interpret is shown
//! escaped, in every format, and does not break lines.

use serde_json::{Map, Value, json};
use trimtab::{
    kinds::World,
    plan::{Limits, plan, refusals},
    render::{self, TextOptions, github, sanitize_output},
};

use crate::{
    fuzz_corpus::entries::{self, assert_no_control_characters, headline},
    hostile::{
        insecure_endpoints::{MANIFEST, run_trimtab},
        raw_server::{RawResponse, RawServer, TOKEN},
    },
    manifest::support::{load_text, unchecked_inputs},
};

/// Each of these is used alone, and all of them together.
const HOSTILE_TEXTS: [&str; 16] = [
    "\u{1b}[2J\u{1b}[31m",
    "\u{1b}]8;;http://evil.example\u{7}x\u{1b}]8;;\u{7}",
    "\u{9b}31m\u{85}\u{90}",
    "\u{202e}dlrow\u{2066}\u{200f}\u{61c}",
    "a\rb\r\nc\nd",
    "\u{8}\u{8}\u{7f}\u{0}",
    "\u{2028}\u{2029}\u{e0041}",
    "\n::error::x\n::set-output name=a::b\n::add-mask::e",
    "##[error]x ##[group]y",
    "<!-- --> --> <script>alert(1)</script> <img src=x onerror=y>",
    "@acme/team #1 GH-1 acme/shop#2",
    "```\n# no\n```",
    "a|b\\|c`d|",
    "![x](https://evil.example/p.png) [y](javascript:z) https://evil.example www.evil.example",
    "\"];\nend; subgraph x{}",
    "%0A::error::x${{ secrets.X }}",
];

fn hostile_texts() -> Vec<String> {
    HOSTILE_TEXTS
        .iter()
        .map(|text| (*text).to_owned())
        .chain([HOSTILE_TEXTS.concat()])
        .collect()
}

/// Appends a text to every string of a JSON value.
fn append_to_every_string(value: &Value, hostile: &str) -> Value {
    match value {
        Value::String(text) => format!("{text}{hostile}").into(),
        Value::Array(list) => list
            .iter()
            .map(|inner| append_to_every_string(inner, hostile))
            .collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, inner)| (key.clone(), append_to_every_string(inner, hostile)))
            .collect(),
        other => other.clone(),
    }
}

/// Appends a text to one string at a time: a string that is no longer understood may hide the
/// others.
fn append_to_each_string(
    value: &Value,
    hostile: &str,
    out: &mut Vec<Value>,
    wrap: &dyn Fn(Value) -> Value,
) {
    match value {
        Value::String(text) => out.push(wrap(format!("{text}{hostile}").into())),
        Value::Array(list) => {
            for (at, inner) in list.iter().enumerate() {
                append_to_each_string(inner, hostile, out, &|one| {
                    let mut list = list.clone();
                    list[at] = one;
                    wrap(Value::Array(list))
                });
            }
        }
        Value::Object(map) => {
            for (key, inner) in map {
                append_to_each_string(inner, hostile, out, &|one| {
                    let mut map: Map<String, Value> = map.clone();
                    map.insert(key.clone(), one);
                    wrap(Value::Object(map))
                });
            }
        }
        _ => {}
    }
}

#[test]
fn api_responses_are_escaped() {
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/answers/all.json");
    let seed: Value = serde_json::from_str(&std::fs::read_to_string(seed).unwrap()).unwrap();
    let mut all: Vec<Value> = hostile_texts()
        .iter()
        .map(|hostile| append_to_every_string(&seed, hostile))
        .collect();
    append_to_each_string(&seed, &HOSTILE_TEXTS.concat(), &mut all, &|one| one);
    assert!(all.len() > 80);
    for answers in all {
        entries::api_responses(answers.to_string().as_bytes());
    }
}

/// A text as a TOML string, with every special character escaped.
fn toml_string(text: &str) -> String {
    let escape = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_string()
        } else {
            format!("\\U{:08X}", u32::from(c))
        }
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

#[test]
fn manifest_diagnostics_are_escaped() {
    for hostile in hostile_texts() {
        let text = toml_string(&hostile);
        for manifest in [
            format!(
                "project = {text}\n[fly]\norg = {text}\n[apps.web]\nprimary_region = {text}\nimage = {text}\n"
            ),
            format!("{MANIFEST}{text} = 1\n[apps.{text}]\n[{text}]\n"),
            format!("{MANIFEST}config = {text}\nmachine_config = {text}\nname = {text}\n"),
            format!("extends = {text}\n{MANIFEST}"),
            format!(
                "{MANIFEST}[apps.web.env]\n{text} = {text}\nA = \"${{var.x}}{}\n",
                &text[1..]
            ),
            format!(
                "{MANIFEST}[apps.web.secrets]\n{text} = {text}\nA = {{ file = {text} }}\nB = {{ env = {text} }}\n"
            ),
            format!(
                "{MANIFEST}[apps.web.deploy]\nstrategy = {text}\n[[apps.web.files]]\nguest_path = {text}\nlocal_path = {text}\n"
            ),
            // Unescaped, as far as TOML allows it, and one that it does not allow.
            format!("{MANIFEST}a = '''{hostile}'''\nb = \"{hostile}\"\n# {hostile}\n"),
        ] {
            let diagnostics = load_text(&manifest, &unchecked_inputs()).unwrap_err();
            let output = diagnostics.render(false, 100);
            assert_no_control_characters(&output);
            assert_no_control_characters(&diagnostics.to_string());
            assert_no_control_characters(
                &sanitize_output(&diagnostics.render(true, 40)).replace('\u{1b}', ""),
            );
            let escaped = github::escape_workflow_commands(&output);
            let obeyed = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
            assert!(!escaped.lines().any(obeyed), "{escaped}");
        }
    }
}

#[test]
fn manifest_values_are_escaped_in_every_format() {
    for hostile in hostile_texts() {
        let text = toml_string(&hostile.replace("${", "$${"));
        let manifest = format!(
            "{MANIFEST}[apps.web.env]\nA = {text}\n[apps.web.processes]\napp = \"run\"\n[apps.web.deploy]\nrelease_command = \"sh -c x\"\n[apps.web.secrets]\nB = {{ env = \"B\" }}\n"
        );
        let desired = load_text(&manifest, &unchecked_inputs())
            .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
            .desired;
        let plan = plan(&desired, &World::default()).unwrap();
        let refused = refusals(&plan, &Limits::default());
        let comment = render::markdown::plan(&plan, &refused, &headline(), 60_000);
        assert_no_control_characters(&comment);
        // Tags and mentions may only be in code. Outside of fenced blocks no foreign text is
        // unescaped.
        let (mut fence, mut outside) = (false, String::new());
        for line in comment.lines() {
            if line.starts_with("```") {
                fence = !fence;
            } else if !fence {
                outside.push_str(line);
                outside.push('\n');
            }
        }
        for sign in [
            "<script",
            "<img",
            "@acme",
            "![x]",
            "https://evil",
            "\n::",
            "##[",
        ] {
            assert!(!outside.contains(sign), "{sign}: {outside}");
        }
        let svg = render::graph::svg(&plan);
        for part in [
            &svg,
            &render::graph::dot(&plan),
            &render::graph::mermaid(&plan),
            &render::text::plan(&plan, &refused, &headline(), &TextOptions::LOG),
        ] {
            assert_no_control_characters(part);
        }
        assert!(!svg.contains("<script") && !svg.contains("<img"));
        for document in [
            render::json::plan(&plan, &refused, &headline()),
            render::tfjson::plan(&plan),
        ] {
            let shown = sanitize_output(&document.to_string()).into_owned();
            assert_no_control_characters(&shown);
            assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), document);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_errors_are_escaped_in_every_format() {
    for hostile in hostile_texts() {
        let body = json!({ "error": format!("no{hostile}"), "status": hostile }).to_string();
        let server = RawServer::new(RawResponse::with_body("422 No", "", body)).await;
        let url = server.url();
        let mut variables: Vec<(&str, &str)> = [
            "FLY_FLAPS_BASE_URL",
            "FLY_API_BASE_URL",
            "FLY_UIEX_BASE_URL",
            "TRIMTAB_REGISTRY_BASE_URL",
        ]
        .map(|name| (name, url.as_str()))
        .to_vec();
        variables.push(("FLY_API_TOKEN", TOKEN));
        for (github, args) in [
            ("false", ["plan", "x", "-vv"].as_slice()),
            ("true", &["plan", "x", "-vv"]),
            ("true", &["plan", "x", "--format", "json"]),
            ("true", &["status", "x", "--format", "json"]),
            ("true", &["apply", "x", "--yes", "--format", "json"]),
        ] {
            variables.push(("GITHUB_ACTIONS", github));
            let out = tokio::task::block_in_place(|| run_trimtab(MANIFEST, args, &variables));
            for output in [&out.stdout, &out.stderr] {
                let output = String::from_utf8(output.clone()).unwrap();
                assert_no_control_characters(&output);
                assert!(!output.contains(TOKEN), "{output}");
                let obeyed =
                    |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
                assert!(github == "false" || !output.lines().any(obeyed), "{output}");
            }
            assert_eq!(out.status.code(), Some(1));
        }
    }
}
