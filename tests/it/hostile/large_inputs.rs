//! Input that is very long, numerous, deep or circular. Each ends with an error or a result, on a
//! small stack. Where time once grew with the square of the size, the sizes here would take minutes
//! again.

use std::{fmt::Write as _, path::Path};

use serde_json::json;
use trimtab::{
    cli,
    clouds::fly::wire,
    iam::policy::PolicyDocument,
    kinds::World,
    manifest::{LoadedEnvironment, ManifestError, load},
    plan::{Limits, plan, refusals},
    render,
};

use crate::{
    fuzz_corpus::entries,
    manifest::support::{ManifestDir, unchecked_inputs},
    support::{large, runs_all_cases},
};

/// The stack for recursion. The main thread has four times as much, but a user of the library may
/// run it on a thread of this size.
const STACK_SIZE: usize = 2 << 20;
const BASE: &str = "project = \"p\"\n[fly]\norg = \"acme\"\n";
const APP: &str = "[apps.web]\nprimary_region = \"fra\"\nimage = \"web:1\"\n";

/// Runs a closure on a small stack: recursion that is too deep would abort the whole process.
fn on_small_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(STACK_SIZE)
            .spawn_scoped(scope, run)
            .unwrap();
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn load_dir(dir: &Path) -> Result<LoadedEnvironment, ManifestError> {
    on_small_stack(|| load(dir, "x", &unchecked_inputs()))
}

fn load_files(files: &[(&str, &str)]) -> Result<LoadedEnvironment, ManifestError> {
    let folder = ManifestDir::with_files(files);
    on_small_stack(|| folder.load(&unchecked_inputs()))
}

/// The rendered errors of a manifest. They must be short, whatever the manifest's size, and have no
/// control characters.
fn load_error(text: &str) -> String {
    let diagnostics = load_files(&[("x.toml", text)]).unwrap_err();
    let rendered = on_small_stack(|| diagnostics.render(false, 100));
    entries::assert_no_control_characters(&rendered);
    assert!(
        rendered.starts_with("error: ") && rendered.len() < 200_000,
        "{} bytes",
        rendered.len()
    );
    rendered
}

fn lines(number: usize, line: impl Fn(usize) -> String) -> String {
    (0..number).fold(String::new(), |mut out, at| {
        writeln!(out, "{}", line(at)).unwrap();
        out
    })
}

const MIB: usize = 1 << 20;

#[test]
fn repeated_token_gets_an_answer() {
    // Brackets at full size, because they nest.
    for (sign, size) in [
        ("[", large(MIB)),
        ("{", large(MIB)),
        ("a = [", large(MIB)),
        ("[[", large(MIB)),
    ]
    .into_iter()
    .chain(TOKENS.map(|sign| (sign, large(MIB / 8))))
    {
        for around in ["", "[apps.web.env]\nA = ", "a = \"\"\"\n"] {
            let text = format!("{BASE}{APP}{around}{}", sign.repeat(size / sign.len()));
            if let Err(diagnostics) = load_files(&[("x.toml", &text)]) {
                let rendered = on_small_stack(|| diagnostics.render(false, 100));
                entries::assert_no_control_characters(&rendered);
                assert!(
                    rendered.len() < 200_000,
                    "{sign:?}: {} bytes",
                    rendered.len()
                );
            }
        }
    }
}

/// Tokens that mean something in TOML, or to us.
const TOKENS: [&str; 15] = [
    "\"", "'", "=", "a.", "\\", "#[", "\u{0}", "\u{feff}", "\u{1b}", "\r", "\"\"\"", "-", "sk-.",
    "${", "a=1\n",
];

#[test]
fn deep_nesting_is_rejected() {
    for levels in [200, 10_000, 100_000] {
        for (open, close) in [("a = ", ""), ("a = {b=", "}")] {
            let (left, right) = if close.is_empty() {
                ("[", "]")
            } else {
                ("{c=", "}")
            };
            load_error(&format!(
                "{BASE}{APP}{open}{}1{}{close}\n",
                left.repeat(levels),
                right.repeat(levels)
            ));
        }
        load_error(&format!(
            "{BASE}{APP}[apps.web.env]\na{} = 1\n",
            ".a".repeat(levels)
        ));
        load_error(&format!(
            "{BASE}{APP}[apps.web.env.a{}]\n",
            ".a".repeat(levels)
        ));
    }
}

#[test]
fn giant_string_is_not_echoed() {
    let giant = "x".repeat(large(MIB));
    load_files(&[(
        "x.toml",
        &format!("{BASE}{APP}[apps.web.env]\nA = \"{giant}\"\n"),
    )])
    .unwrap();
    for text in [
        format!("{BASE}{APP}{giant} = 1\n"),
        format!("{BASE}{APP}[apps.{giant}]\n"),
        format!("{BASE}{APP}strategy = \"{giant}\"\n"),
        format!("{BASE}[apps.web]\nprimary_region = \"{giant}\"\n"),
        format!("{BASE}{APP}[apps.web.env]\nA = \"${{var.{giant}}}\"\n"),
        format!(
            "{BASE}{APP}[apps.web.env]\nA = \"{}\"\n",
            "${".repeat(large(MIB) / 2)
        ),
        format!(
            "{BASE}{APP}[apps.web.env]\nA = \"{}\"\n",
            "${var.x}".repeat(large(MIB) / 8)
        ),
        format!("project = \"{giant}\"\n[fly]\norg = \"{giant}\"\n{APP}"),
        format!("extends = \"{giant}\"\n{BASE}{APP}"),
        format!("{BASE}{APP}config = \"{giant}\"\n"),
        format!("{BASE}{APP}machine_config = \"{giant}\"\n"),
        format!(
            "{BASE}{APP}machine_config = '{{{}'\n",
            "\"a\":[".repeat(large(MIB) / 5)
        ),
    ] {
        let rendered = load_error(&text);
        assert!(
            rendered.len() < 20_000,
            "{} bytes: {}…",
            rendered.len(),
            &rendered[..200]
        );
    }
}

#[test]
fn large_manifests_load() {
    let number = large(4_000);
    let apps = lines(number, |at| {
        format!(
            "[apps.web{at}]\nprimary_region = \"fra\"\nimage = \"web:1\"\nenv.NEXT = \"${{apps.web{}.name}}\"",
            (at + 1) % number
        )
    });
    assert_eq!(
        load_files(&[("x.toml", &format!("{BASE}{apps}"))])
            .unwrap()
            .desired
            .fly_app
            .len(),
        number
    );
    let many = lines(large(20_000), |at| format!("KEY_{at} = \"${{var.v{at}}}\""));
    let vars = lines(large(20_000), |at| format!("v{at} = \"value\""));
    let desired = load_files(&[(
        "x.toml",
        &format!("{BASE}[vars]\n{vars}{APP}[apps.web.env]\n{many}"),
    )])
    .unwrap()
    .desired;
    assert_eq!(
        desired
            .fly_machine
            .values()
            .next()
            .unwrap()
            .workload
            .config
            .env
            .len(),
        large(20_000) + 2
    );
    let chain = lines(4_000, |at| {
        format!(
            "[apps.web{at}]\nprimary_region = \"fra\"\nimage = \"web:1\"\ndepends_on = [\"web{}\"]",
            (at + 1).min(3_999)
        )
    });
    let rendered = load_files(&[("x.toml", &format!("{BASE}{chain}"))])
        .unwrap_err()
        .to_string();
    assert!(
        rendered.contains("has a cycle: web3999 → web3999")
            && rendered.matches("error: ").count() == 1,
        "{rendered}"
    );
    // Merged over one another, and over a fly.toml and a fly.json.
    let env = format!(
        "[apps.web.env]\n{}",
        lines(large(20_000), |at| format!("KEY_{at} = \"a\""))
    );
    let fly = format!(
        "app = \"a\"\n[env]\n{}",
        lines(large(20_000), |at| format!("KEY_{at} = \"b\""))
    );
    let json = json!({ "app": "a", "env": (0..large(20_000)).map(|at| (format!("KEY_{at}"), json!("c"))).collect::<serde_json::Map<_, _>>() });
    for (name, text) in [("fly.toml", fly), ("fly.json", json.to_string())] {
        let own = format!("extends = \"_base.toml\"\n{BASE}{APP}config = \"{name}\"\n{env}");
        let base = format!("{APP}{env}");
        load_files(&[("x.toml", &own), ("_base.toml", &base), (name, &text)]).unwrap();
    }
}

#[test]
fn diagnostics_are_capped() {
    for text in [
        format!(
            "{BASE}{APP}{}",
            lines(large(6_000), |at| format!("key_{at} = 1"))
        ),
        format!(
            "{BASE}{APP}[apps.web.env]\n{}",
            lines(large(6_000), |at| format!("KEY_{at} = \"${{var.x{at}}}\""))
        ),
        format!(
            "{BASE}[vars]\n{}{APP}[apps.web.env]\n{}",
            lines(large(4_000), |at| format!("name{at} = \"v\"")),
            lines(large(4_000), |at| format!(
                "KEY_{at} = \"${{var.nome{at}}}\""
            ))
        ),
        format!(
            "{BASE}{APP}[apps.web.secrets]\n{}",
            lines(large(6_000), |at| format!("KEY_{at} = \"AKIA{at}\""))
        ),
        format!("{BASE}{APP}{}", "= \n".repeat(6_000)),
        format!("{BASE}{APP}machine_config = [{}]\n", "1,".repeat(100_000)),
    ] {
        let rendered = load_error(&text);
        assert!(rendered.matches("error: ").count() <= 100);
    }
}

#[test]
fn expanded_references_are_bounded() {
    let value = "v".repeat(MIB);
    let text = format!(
        "{BASE}[vars]\nlong = \"{value}\"\n{APP}[apps.web.env]\nA = \"{}\"\n",
        "${var.long}".repeat(100_000)
    );
    let rendered = load_error(&text);
    assert!(
        rendered.contains("references expand to more than 16777216 bytes"),
        "{rendered}"
    );
}

#[test]
fn circular_extends_is_rejected() {
    let itself = load_files(&[("x.toml", "extends = \"x.toml\"\n")])
        .unwrap_err()
        .to_string();
    assert!(
        itself.contains("`extends` has a cycle: x.toml → x.toml"),
        "{itself}"
    );
    let circle = [
        ("x.toml", "extends = \"_a.toml\"\n"),
        ("_a.toml", "extends = [\"./_b.toml\"]\n"),
        ("_b.toml", "extends = \"../DIR/_a.toml\"\n"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    for (name, text) in circle {
        std::fs::write(dir.path().join(name), text.replace("DIR", &own)).unwrap();
    }
    // Through a symlink to its own folder, a file has a new path each time, until the system
    // refuses to follow more links.
    std::os::unix::fs::symlink(".", dir.path().join("here")).unwrap();
    let rendered = load_dir(dir.path()).unwrap_err().to_string();
    assert!(
        rendered.contains("has a cycle: _a.toml → _b.toml → _a.toml")
            || rendered.contains("more than 64 files"),
        "{rendered}"
    );
    std::fs::write(dir.path().join("x.toml"), "extends = \"here/x.toml\"\n").unwrap();
    let rendered = load_dir(dir.path()).unwrap_err().to_string();
    assert!(
        rendered.contains("cannot read") && rendered.len() < 20_000,
        "{rendered}"
    );
}

#[test]
fn repeated_extends_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    for at in 0..60 {
        let text = format!("extends = [\"_{0}.toml\", \"_{0}.toml\"]\n", at + 1);
        std::fs::write(
            dir.path().join(if at == 0 {
                "x.toml".to_owned()
            } else {
                format!("_{at}.toml")
            }),
            text,
        )
        .unwrap();
    }
    std::fs::write(dir.path().join("_60.toml"), "").unwrap();
    let rendered = load_dir(dir.path()).unwrap_err().to_string();
    assert!(
        rendered.contains("`extends` leads to more than 64 files"),
        "{rendered}"
    );
}

#[test]
fn total_file_size_is_bounded() {
    let comment = format!(
        "app = \"a\"\nprimary_region = \"fra\"\n# {}\n",
        "x".repeat(3 * MIB)
    );
    let apps = lines(20, |at| {
        format!("[apps.web{at}]\nname = \"w{at}\"\nimage = \"web:1\"\nconfig = \"fly.toml\"")
    });
    let rendered = load_files(&[("x.toml", &format!("{BASE}{apps}")), ("fly.toml", &comment)])
        .unwrap_err()
        .to_string();
    assert_eq!(
        rendered
            .matches("the files of this environment have more than 33554432 bytes together")
            .count(),
        1,
        "{rendered}"
    );
    let files = lines(60, |at| {
        format!("[[apps.web.files]]\nguest_path = \"/f{at}\"\nlocal_path = \"big.bin\"")
    });
    let rendered = load_files(&[
        ("x.toml", &format!("{BASE}{APP}{files}")),
        ("big.bin", &"x".repeat(MIB)),
    ])
    .unwrap_err()
    .to_string();
    assert!(
        rendered.contains("the local files have more than 33554432 bytes together"),
        "{rendered}"
    );
}

#[test]
fn other_parsers_handle_deep_and_long_input() {
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    for text in [
        deep("[", "]"),
        deep("{\"a\":", "}"),
        "[".repeat(MIB),
        "\"".repeat(MIB),
        "{".repeat(MIB),
        format!("\"{}", "\\".repeat(MIB)),
    ] {
        on_small_stack(|| {
            entries::fly_toml(text.as_bytes());
            entries::policy(text.as_bytes());
            entries::api_responses(text.as_bytes());
            assert!(cli::plan_file::validate(&text).is_err());
            assert!(PolicyDocument::parse(&text).is_err());
            assert!(serde_json::from_str::<Vec<wire::MachineResponse>>(&text).is_err());
        });
    }
    // Just below the recursion limit of the JSON parser, in a field of any shape.
    let config = |levels: usize| {
        format!(
            "{{\"machines\": [{{\"id\": \"m\", \"config\": {}1{}}}]}}",
            "{\"a\":".repeat(levels),
            "}".repeat(levels)
        )
    };
    for levels in [60, 120, 122, 123, 124, 125, 126] {
        on_small_stack(|| entries::api_responses(config(levels).as_bytes()));
    }
    // A quoted value that spans very many lines.
    let dotenv = format!("A=\"{}\"", "line\n".repeat(200_000));
    assert!(on_small_stack(|| trimtab::manifest::syntax::dotenv::parse(&dotenv)).is_ok());
}

/// The manifest limits an app to 1 000 machines in each region, so this many need several apps.
#[test]
fn very_many_machines_can_be_planned() {
    let regions: Vec<&str> = trimtab::model::KNOWN_REGIONS
        .iter()
        .map(|(code, _)| *code)
        .collect();
    let count: Vec<String> = regions
        .iter()
        .map(|region| format!("{region} = 1000"))
        .collect();
    let number = if runs_all_cases() { 6 } else { 1 };
    let apps = lines(number, |at| {
        format!(
            "[apps.web{at}]\nprimary_region = \"fra\"\nimage = \"web:1\"\n[apps.web{at}.machines.app]\ncount = {{ {} }}",
            count.join(", ")
        )
    });
    let loaded = load_files(&[("x.toml", &format!("{BASE}{apps}"))]).unwrap();
    assert_eq!(loaded.desired.fly_machine.len(), number * 18_000);
    let plan = on_small_stack(|| plan(&loaded.desired, &World::default())).unwrap();
    assert!(plan.steps().count() >= number * 18_000);
    let headline = entries::headline();
    let refusals = refusals(&plan, &Limits::default());
    let text = on_small_stack(|| {
        render::text::plan(&plan, &refusals, &headline, &render::TextOptions::LOG)
    });
    assert!(text.len() < 100_000, "{} bytes", text.len());
    let comment = on_small_stack(|| render::markdown::plan(&plan, &refusals, &headline, 60_000));
    assert!(comment.len() <= 60_000);
}
