//! Reads fly.toml in every spelling that flyctl accepts and converts it to one canonical form, so
//! that lowering knows a single form and users can keep the file that `flyctl` generated years ago.
//!
//! The stages are those of flyctl (`internal/appconfig`): `patches` rewrites old spellings,
//! `decode` checks every key and its type against the `schema`, `flatten` moves keys to the top
//! level that flyctl nests for historical reasons, `validate` applies the rules of `flyctl config
//! validate`. Each value keeps its location in the user's file. What flyctl would refuse is an
//! error; what it would silently ignore or read in a surprising way is a warning.
//!
//! fly.json is read too. fly.yaml is refused with a message: it has the same keys, is rare, and
//! would need a YAML parser that keeps locations.

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
/// The form: `app`, `primary_region`, `kill_signal`, `kill_timeout`, `swap_size_mb`,
/// `host_dedication_id`, `image`, `machine_config` and `container` at the top; `env` and
/// `processes` as tables of strings; `deploy`, `http_service` and `experimental` (only `cmd`,
/// `entrypoint` and `exec`, each a list) as tables; `checks` as a table of tables; `services`,
/// `mounts`, `vm`, `restart`, `statics`, `files` and `metrics` as lists of tables. Durations are
/// strings with a unit, ports are integers, sizes are strings, `auto_stop_machines` is `off`,
/// `stop` or `suspend`. Empty strings, lists and sections are removed.
#[derive(Clone, Debug, PartialEq)]
pub struct CanonicalFlyToml {
    /// The canonical tree, without the values that are invalid.
    pub node: TomlNode,
    /// What flyctl would refuse.
    pub errors: Vec<Diagnostic>,
    /// What flyctl accepts but does not do as intended.
    pub warnings: Vec<Diagnostic>,
}

/// Converts the parsed tree of a fly.toml to its canonical form.
#[must_use]
pub fn canonicalize(node: TomlNode) -> CanonicalFlyToml {
    let TomlNode { location, value } = node;
    let mut diagnostics = FlyTomlDiagnostics::default();
    let table = if let TomlValue::Table(mut root) = value {
        let declared = root.get("processes").is_some();
        patches::apply(&mut root, &location, &mut diagnostics);
        let groups = validate::DeclaredGroups::from_root(&root, declared);
        let mut root = decode::decode_section(&sections::ROOT, root, &mut diagnostics);
        flatten::flatten(&mut root);
        validate::validate(&root, &groups, &mut diagnostics);
        root
    } else {
        diagnostics.error(
            &location,
            "a fly.toml is a table of keys",
            go_format::describe_type(&value),
            None,
        );
        TomlTable::default()
    };
    let FlyTomlDiagnostics { errors, warnings } = diagnostics.sorted();
    CanonicalFlyToml {
        node: TomlNode {
            location,
            value: TomlValue::Table(table),
        },
        errors,
        warnings,
    }
}

/// Parses a fly.toml or fly.json, chosen by the file name as flyctl does; the result is for
/// [`canonicalize`].
///
/// YAML is refused with a message that names the other two formats.
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
        message: "YAML is not supported".to_owned(),
        location: Some(empty_node(file).location),
        label: "a fly.yaml".to_owned(),
        help: Some("keep the file as fly.toml or fly.json; both take the same keys".to_owned()),
    }
}

/// The tree of a file that could not be parsed.
fn empty_node(file: FileId) -> TomlNode {
    TomlNode {
        location: SourceLocation { file, span: 0..0 },
        value: TomlValue::Table(TomlTable::default()),
    }
}
