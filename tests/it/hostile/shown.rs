//! What a terminal, a page or a pipeline obeys, in every place where somebody else may write: it is shown as an escape, and
//! breaks no line.

use serde_json::{Map, Value, json};
use trimtab::{
    kinds::World,
    plan::{Limits, plan, refusals},
    render::{self, Look, github, harmless},
};

use crate::{
    corpus::entries::{self, clean, headline},
    hostile::{
        addresses::{MANIFEST, trimtab},
        odd::{Answer, Odd, TOKEN},
    },
    manifest::support::{load_text, unchecked},
};

/// Each of these, and all at once.
const BAD: [&str; 16] = [
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

fn bad() -> Vec<String> {
    BAD.iter()
        .map(|text| (*text).to_owned())
        .chain([BAD.concat()])
        .collect()
}

/// Puts a text behind every text in a value.
fn spoil(value: &Value, bad: &str) -> Value {
    match value {
        Value::String(text) => format!("{text}{bad}").into(),
        Value::Array(list) => list.iter().map(|inner| spoil(inner, bad)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, inner)| (key.clone(), spoil(inner, bad)))
            .collect(),
        other => other.clone(),
    }
}

/// Puts it behind one text at a time, so that what is read as another thing because of it does not hide the rest.
fn each(value: &Value, bad: &str, out: &mut Vec<Value>, wrap: &dyn Fn(Value) -> Value) {
    match value {
        Value::String(text) => out.push(wrap(format!("{text}{bad}").into())),
        Value::Array(list) => {
            for (at, inner) in list.iter().enumerate() {
                each(inner, bad, out, &|one| {
                    let mut list = list.clone();
                    list[at] = one;
                    wrap(Value::Array(list))
                });
            }
        }
        Value::Object(map) => {
            for (key, inner) in map {
                each(inner, bad, out, &|one| {
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
fn answers_of_the_clouds_are_shown_as_they_are_and_obeyed_by_nobody() {
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/answers/all.json");
    let seed: Value = serde_json::from_str(&std::fs::read_to_string(seed).unwrap()).unwrap();
    let mut all: Vec<Value> = bad().iter().map(|bad| spoil(&seed, bad)).collect();
    each(&seed, &BAD.concat(), &mut all, &|one| one);
    assert!(all.len() > 80);
    for answers in all {
        entries::answers(answers.to_string().as_bytes());
    }
}

/// As TOML writes any text.
fn toml(text: &str) -> String {
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
fn mistakes_in_a_manifest_are_told_in_harmless_words() {
    for bad in bad() {
        let text = toml(&bad);
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
            // Unescaped, as far as TOML takes it, and what it does not take.
            format!("{MANIFEST}a = '''{bad}'''\nb = \"{bad}\"\n# {bad}\n"),
        ] {
            let problems = load_text(&manifest, &unchecked()).unwrap_err();
            let said = problems.render(false, 100);
            clean(&said);
            clean(&problems.to_string());
            clean(&harmless(&problems.render(true, 40)).replace('\u{1b}', ""));
            let told = github::harmless(&said);
            let obeyed = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
            assert!(!told.lines().any(obeyed), "{told}");
        }
    }
}

#[test]
fn values_of_a_manifest_break_no_page() {
    for bad in bad() {
        let text = toml(&bad.replace("${", "$${"));
        let manifest = format!(
            "{MANIFEST}[apps.web.env]\nA = {text}\n[apps.web.processes]\napp = \"run\"\n[apps.web.deploy]\nrelease_command = \"sh -c x\"\n[apps.web.secrets]\nB = {{ env = \"B\" }}\n"
        );
        let desired = load_text(&manifest, &unchecked())
            .unwrap_or_else(|problems| panic!("{problems}"))
            .desired;
        let plan = plan(&desired, &World::default()).unwrap();
        let refused = refusals(&plan, &Limits::default());
        let comment = render::markdown::plan(&plan, &refused, &headline(), 60_000);
        clean(&comment);
        // Tags and mentions stand in code at most; what is outside of a fence has no words of others unescaped.
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
            &render::text::plan(&plan, &refused, &headline(), &Look::LOG),
        ] {
            clean(part);
        }
        assert!(!svg.contains("<script") && !svg.contains("<img"));
        for document in [
            render::json::plan(&plan, &refused, &headline()),
            render::tfjson::plan(&plan),
        ] {
            let shown = harmless(&document.to_string()).into_owned();
            clean(&shown);
            assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), document);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_reaches_no_terminal_in_any_format() {
    for bad in bad() {
        let body = json!({ "error": format!("no{bad}"), "status": bad }).to_string();
        let odd = Odd::new(Answer::new("422 No", "", body)).await;
        let url = odd.url();
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
            let out = tokio::task::block_in_place(|| trimtab(MANIFEST, args, &variables));
            for said in [&out.stdout, &out.stderr] {
                let said = String::from_utf8(said.clone()).unwrap();
                clean(&said);
                assert!(!said.contains(TOKEN), "{said}");
                let obeyed =
                    |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
                assert!(github == "false" || !said.lines().any(obeyed), "{said}");
            }
            assert_eq!(out.status.code(), Some(1));
        }
    }
}
