//! Files that are not regular files: folders, pipes, devices, symlinks, and files that are too
//! large. Each is an error at the place that names the file. None blocks, and no content is quoted.

use std::{os::unix::fs::symlink, path::Path, process::Command};

use trimtab::manifest::{SecretsMode, load};

use crate::support::inputs_with;

const BASE: &str = "project = \"p\"\n[fly]\norg = \"acme\"\n[apps.web]\nprimary_region = \"fra\"\nimage = \"web:1\"\n";
/// In every file that is named, and in no message.
const CANARY: &str = "canary-7d1e";

/// Every key that names a file, with `FILE` in place of the name.
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

fn manifest_naming(key: &str, text: &str, file: &str) -> String {
    let text = text.replace("FILE", file);
    match key {
        "extends" => format!(
            "{}{BASE}{}",
            text.lines().next().unwrap_or_default().to_owned() + "\n",
            text.split_once('\n').unwrap().1
        ),
        "dotenv" => format!("dotenv = \"{file}\"\n{BASE}{text}"),
        _ => format!("{BASE}{text}"),
    }
}

/// The errors for a file, one for each key that names it.
fn errors_for_file(dir: &Path, file: &str) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for (key, text) in FILE_REFERENCES {
        std::fs::write(dir.join("x.toml"), manifest_naming(key, text, file)).unwrap();
        let mut inputs = inputs_with(&[]);
        inputs.secrets_mode = SecretsMode::Required;
        let rendered = match load(dir, "x", &inputs) {
            Ok(_) => String::new(),
            Err(diagnostics) => diagnostics.render(false, 100),
        };
        assert!(
            !rendered.contains(CANARY),
            "{key} quotes {file}:\n{rendered}"
        );
        out.push((key, rendered));
    }
    out
}

#[test]
fn special_files_are_rejected_by_every_key() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder.toml")).unwrap();
    std::fs::create_dir(dir.path().join("folder.json")).unwrap();
    let fifo = Command::new("mkfifo")
        .args(["pipe.toml", "pipe.json"])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(fifo.success());
    symlink("/dev/zero", dir.path().join("zero.toml")).unwrap();
    symlink("/dev/zero", dir.path().join("zero.json")).unwrap();
    symlink("loop.toml", dir.path().join("loop.toml")).unwrap();
    symlink("loop.json", dir.path().join("loop.json")).unwrap();
    for name in ["folder", "pipe", "zero", "loop", "missing"] {
        for ending in ["toml", "json"] {
            for (key, rendered) in errors_for_file(dir.path(), &format!("{name}.{ending}")) {
                assert!(
                    rendered.starts_with("error: ") && rendered.contains("x.toml:"),
                    "{key} {name}.{ending}: {rendered}"
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
        for (key, rendered) in errors_for_file(dir.path(), device) {
            assert!(
                rendered.starts_with("error: "),
                "{key} {device:?}: {rendered}"
            );
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
        for (key, rendered) in errors_for_file(&inner, file) {
            let quotes = matches!(key, "extends" | "config");
            assert!(
                !quotes || rendered.contains("must end in "),
                "{key} {file}: {rendered}"
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
            .unwrap_or_else(|diagnostics| panic!("{extends}: {diagnostics}"));
    }
}

#[test]
fn oversized_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["huge.toml", "huge.json"] {
        // A sparse file takes no space on the disk.
        std::fs::File::create(dir.path().join(name))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        for (key, rendered) in errors_for_file(dir.path(), name) {
            assert!(rendered.starts_with("error: "), "{key}: {rendered}");
            let refused = [
                "has more than 4194304 bytes, the maximum",
                "must end in ",
                "nor the name of a .json file",
                "secret `KEY` has no value",
            ];
            assert!(
                refused.iter().any(|words| rendered.contains(words)),
                "{key}: {rendered}"
            );
        }
    }
    std::fs::File::create(dir.path().join("x.toml"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let rendered = load(dir.path(), "x", &inputs_with(&[]))
        .unwrap_err()
        .to_string();
    assert!(
        rendered.contains("has more than 4194304 bytes"),
        "{rendered}"
    );
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
        let rendered = load(dir.path(), environment, &inputs_with(&[]))
            .unwrap_err()
            .render(false, 80);
        assert!(
            rendered.starts_with("error: ") && !rendered.contains("PATH="),
            "{environment}: {rendered}"
        );
        crate::fuzz_corpus::entries::assert_no_control_characters(&rendered);
    }
}
