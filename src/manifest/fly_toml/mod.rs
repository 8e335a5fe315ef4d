//! fly.toml in every spelling that flyctl accepts, turned into one modern spelling, so that the lowering of manifests
//! knows a single form and a user can keep the file that `flyctl` made for them years ago.
//!
//! The stages are flyctl's own (`internal/appconfig`): `patches` rewrite what is old, `decode` checks every key and its
//! type against the `schema`, `lift` moves to the top what flyctl nests by history, `validate` applies the rules of
//! `flyctl config validate`. Each value keeps the place where the user wrote it. What flyctl would refuse is an error;
//! what it would silently ignore or read in a surprising way is a warning.
//!
//! fly.json is read too. fly.yaml is refused, in words: it takes the same keys as the other two, is rare, and would cost
//! a YAML reader with places.

mod decode;
mod diagnostics;
mod flatten;
mod go_format;
mod json;
mod key_hints;
mod mounts;
mod patches;
mod scalars;
mod schema;
mod sections;
mod validate;

use self::diagnostics::FlyTomlDiagnostics;
use super::syntax::node::{
    Diagnostic, FileId, SourceFiles, SourceLocation, TomlNode, TomlTable, TomlValue,
};

pub use json::parse_json;

/// A fly.toml in its canonical form.
///
/// The form: `app`, `primary_region`, `kill_signal`, `kill_timeout`, `swap_size_mb`, `host_dedication_id`, `image`,
/// `machine_config` and `container` at the top; `env` and `processes` as tables of strings; `deploy`, `http_service` and
/// `experimental` (only `cmd`, `entrypoint` and `exec`, each a list) as tables; `checks` as a table of tables;
/// `services`, `mounts`, `vm`, `restart`, `statics`, `files` and `metrics` as lists of tables. Durations are strings with
/// a unit, ports whole numbers, sizes strings, `auto_stop_machines` is `off`, `stop` or `suspend`. What says nothing
/// (empty strings, lists and sections) is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct CanonicalFlyToml {
    /// The canonical tree; when there are errors, without what is wrong.
    pub node: TomlNode,
    /// What flyctl would refuse.
    pub errors: Vec<Diagnostic>,
    /// What flyctl would accept without doing what was meant.
    pub warnings: Vec<Diagnostic>,
}

/// Turns the parsed tree of a fly.toml into its canonical form.
#[must_use]
pub fn canonicalize(node: TomlNode) -> CanonicalFlyToml {
    let TomlNode {
        location: at,
        value,
    } = node;
    let mut report = FlyTomlDiagnostics::default();
    let table = if let TomlValue::Table(mut root) = value {
        let declared = root.get("processes").is_some();
        patches::apply(&mut root, &at, &mut report);
        let groups = validate::DeclaredGroups::from_root(&root, declared);
        let mut root = decode::decode_section(&sections::ROOT, root, &mut report);
        flatten::flatten(&mut root);
        validate::validate(&root, &groups, &mut report);
        root
    } else {
        report.error(
            &at,
            "a fly.toml is a table of keys",
            go_format::describe_type(&value),
            None,
        );
        TomlTable::default()
    };
    let FlyTomlDiagnostics { errors, warnings } = report.sorted();
    CanonicalFlyToml {
        node: TomlNode {
            location: at,
            value: TomlValue::Table(table),
        },
        errors,
        warnings,
    }
}

/// Parses a fly.toml or fly.json, told apart by the name as flyctl does; the result is for [`modernise`].
///
/// YAML is refused with a message that names the other two.
#[must_use]
pub fn parse(files: &SourceFiles, file: FileId) -> (TomlNode, Vec<Diagnostic>) {
    let extension = files
        .get(file)
        .path
        .extension()
        .and_then(|text| text.to_str());
    match extension {
        Some("json") => parse_json(files, file),
        Some("yaml" | "yml") => (empty_node(file), vec![yaml_error(file)]),
        _ => files.parse_toml(file),
    }
}

fn yaml_error(file: FileId) -> Diagnostic {
    Diagnostic {
        message: "YAML is not read here".to_owned(),
        location: Some(empty_node(file).location),
        label: "a fly.yaml".to_owned(),
        help: Some("keep the file as fly.toml or fly.json; both take the same keys".to_owned()),
    }
}

/// What stands for a file of which nothing could be read.
fn empty_node(file: FileId) -> TomlNode {
    TomlNode {
        location: SourceLocation { file, span: 0..0 },
        value: TomlValue::Table(TomlTable::default()),
    }
}
