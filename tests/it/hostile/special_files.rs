//! Files that are not what a manifest takes them for: folders, pipes, devices, links, and far too much of anything. Every
//! one is an error with the place that names it; none is waited for, and none is quoted.

use std::{os::unix::fs::symlink, path::Path, process::Command};

use trimtab::manifest::{SecretsMode, load};

use crate::support::inputs_with;

const BASE: &str = "project = \"p\"\n[fly]\norg = \"acme\"\n[apps.web]\nprimary_region = \"fra\"\nimage = \"web:1\"\n";
/// In every file that is named, and in no message.
const CANARY: &str = "canary-7d1e";

/// Every way in which a manifest names a file, and what stands in its place in the text.
const FILE_REFERENCES: [(&str, &str); 8] = [
    ("extends", "extends = \"FILE\"\n[apps.web.env]\nA = \"b\"\n"),
    ("config", "config = \"FILE\"\n"),
    ("machine_config", "machine_config = \"FILE\"\n"),
    (
        "container file",
        "machine_config = '{\"containers\": [{\"name\": \"a\", \"files\": [{\"guest_path\": \"/a\", \"local_path\": \"FILE\"}]}]}'\n",
    ),
    (
        "file",
        "[[apps.web.files]]\nguest_path = \"/a\"\nlocal_path = \"FILE\"\n",
    ),
    ("dotenv", "[apps.web.secrets]\nKEY = { env = \"KEY\" }\n"),
    (
        "secret's file",
        "[apps.web.secrets]\nKEY = { file = \"FILE\" }\n",
    ),
    (
        "secret's dotenv",
        "[apps.web.secrets]\nKEY = { dotenv = \"FILE\" }\n",
    ),
];

fn manifest_naming(way: &str, text: &str, file: &str) -> String {
    let text = text.replace("FILE", file);
    match way {
        "extends" => format!(
            "{}{BASE}{}",
            text.lines().next().unwrap_or_default().to_owned() + "\n",
            text.split_once('\n').unwrap().1
        ),
        "dotenv" => format!("dotenv = \"{file}\"\n{BASE}{text}"),
        _ => format!("{BASE}{text}"),
    }
}

/// What is said of a file that a manifest names in each way.
fn errors_for_file(dir: &Path, file: &str) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for (way, text) in FILE_REFERENCES {
        std::fs::write(dir.join("x.toml"), manifest_naming(way, text, file)).unwrap();
        let mut inputs = inputs_with(&[]);
        inputs.secrets_mode = SecretsMode::Required;
        let said = match load(dir, "x", &inputs) {
            Ok(_) => String::new(),
            Err(problems) => problems.render(false, 100),
        };
        assert!(!said.contains(CANARY), "{way} quotes {file}:\n{said}");
        out.push((way, said));
    }
    out
}

#[test]
fn special_files_are_rejected_by_every_key() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder.toml")).unwrap();
    std::fs::create_dir(dir.path().join("folder.json")).unwrap();
    let made = Command::new("mkfifo")
        .args(["pipe.toml", "pipe.json"])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(made.success());
    symlink("/dev/zero", dir.path().join("zero.toml")).unwrap();
    symlink("/dev/zero", dir.path().join("zero.json")).unwrap();
    symlink("loop.toml", dir.path().join("loop.toml")).unwrap();
    symlink("loop.json", dir.path().join("loop.json")).unwrap();
    for name in ["folder", "pipe", "zero", "loop", "missing"] {
        for ending in ["toml", "json"] {
            for (way, said) in errors_for_file(dir.path(), &format!("{name}.{ending}")) {
                assert!(
                    said.starts_with("error: ") && said.contains("x.toml:"),
                    "{way} {name}.{ending}: {said}"
                );
            }
        }
    }
    for device in [
        "/dev/zero",
        "/dev/stdin",
        "/dev/full",
        "/proc/self/environ",
        "/",
        "..",
        ".",
        "",
    ] {
        for (way, said) in errors_for_file(dir.path(), device) {
            assert!(said.starts_with("error: "), "{way} {device:?}: {said}");
        }
    }
}

#[test]
fn contents_of_linked_file_are_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("id_rsa");
    std::fs::write(&secret, format!("first line\n{CANARY}\nlast line\n")).unwrap();
    let inner = dir.path().join("manifests");
    std::fs::create_dir(&inner).unwrap();
    symlink("../id_rsa", inner.join("link.toml")).unwrap();
    symlink("../id_rsa", inner.join("link.json")).unwrap();
    for file in [
        "../id_rsa",
        "link.toml",
        "link.json",
        &secret.display().to_string(),
    ] {
        for (way, said) in errors_for_file(&inner, file) {
            let quotes = matches!(way, "extends" | "config");
            assert!(
                !quotes || said.contains("may end in anything but"),
                "{way} {file}: {said}"
            );
        }
    }
}

#[test]
fn symlinked_manifest_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("shared")).unwrap();
    std::fs::write(dir.path().join("shared/base.toml"), BASE).unwrap();
    let inner = dir.path().join("environments");
    std::fs::create_dir(&inner).unwrap();
    symlink("../shared/base.toml", inner.join("_base.toml")).unwrap();
    for extends in [
        "_base.toml",
        "../shared/base.toml",
        "./../environments/../shared/base.toml",
    ] {
        std::fs::write(inner.join("x.toml"), format!("extends = \"{extends}\"\n")).unwrap();
        load(&inner, "x", &inputs_with(&[]))
            .unwrap_or_else(|problems| panic!("{extends}: {problems}"));
    }
}

#[test]
fn oversized_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["huge.toml", "huge.json"] {
        // A hole: it takes no room on the disk.
        std::fs::File::create(dir.path().join(name))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        for (way, said) in errors_for_file(dir.path(), name) {
            assert!(said.starts_with("error: "), "{way}: {said}");
            let refused = [
                "has more than 4194304 bytes, which is the most",
                "neither ",
                "secret `KEY` has no value",
            ];
            assert!(
                refused.iter().any(|words| said.contains(words)),
                "{way}: {said}"
            );
        }
    }
    std::fs::File::create(dir.path().join("x.toml"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let said = load(dir.path(), "x", &inputs_with(&[]))
        .unwrap_err()
        .to_string();
    assert!(said.contains("has more than 4194304 bytes"), "{said}");
}

#[test]
fn environment_file_must_be_a_regular_file() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/proc/self/environ", dir.path().join("x.toml")).unwrap();
    std::fs::create_dir(dir.path().join("y.toml")).unwrap();
    for environment in [
        "x",
        "y",
        "z",
        "",
        ".",
        "..",
        "/etc/passwd",
        "../x",
        "a\u{1b}[2Jb",
        "a\u{0}b",
    ] {
        let said = load(dir.path(), environment, &inputs_with(&[]))
            .unwrap_err()
            .render(false, 80);
        assert!(
            said.starts_with("error: ") && !said.contains("PATH="),
            "{environment}: {said}"
        );
        crate::fuzz_corpus::entries::assert_no_control_characters(&said);
    }
}
