//! Lowers files, static files, metrics and restart policies.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::process_groups::{GroupScoped, ProcessGroups};
use crate::manifest::lower::{Context, Diagnostics};
use crate::{
    kinds::fly::workload::config::{MachineFile, MachineMetrics, MachineRestart, MachineStatic},
    manifest::{
        reader::resolve_relative_path,
        schema::{self, AppSection, RestartPolicy, slice_or_empty},
        syntax::{bounded_read, cursor::Cursor, suggest},
    },
};

/// The maximum size of a file in a machine: it is sent with every update of every machine.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// The maximum size of all local files together, in bytes: one file may be named many times.
const MAX_TOTAL_FILE_BYTES: usize = 32 * 1024 * 1024;

/// Lowers the files that are written into the machines: without `processes` into those of all
/// groups, as in flyctl.
pub(crate) fn lower_files(
    app: &AppSection,
    groups: &ProcessGroups,
    context: &Context<'_>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<GroupScoped<MachineFile>> {
    let mut out: Vec<GroupScoped<MachineFile>> = Vec::new();
    let mut paths: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, file) in app.files.iter().enumerate() {
        let field = cursor.key("files").item(index);
        groups.check_processes(&file.processes, field, diagnostics);
        let path = file.guest_path.clone().unwrap_or_default();
        if file.guest_path.is_some() && (!path.starts_with('/') || path.ends_with('/')) {
            diagnostics.error(
                field
                    .key("guest_path")
                    .diagnostic(format!("`{path}` is not an absolute path of a file")),
            );
        }
        let same_path = paths
            .entry(file.guest_path.as_deref().unwrap_or_default())
            .or_default();
        let overlaps = |other: &&usize| {
            let others = &app.files[**other].processes;
            let shared = others.iter().any(|name| file.processes.contains(name));
            shared || others.is_empty() || file.processes.is_empty()
        };
        if let Some(other) = same_path.iter().find(overlaps) {
            let diagnostic = field
                .key("guest_path")
                .diagnostic(format!("`{path}` is written twice"));
            let there = cursor.key("files").item(*other).key("guest_path");
            let line = there
                .location()
                .map(|there| context.files.line_column(there).0);
            diagnostics.error(
                diagnostic
                    .with_optional_help(line.map(|line| format!("the other is in line {line}"))),
            );
        }
        same_path.push(index);
        let raw_value = file_content(file, context, field, diagnostics);
        if let Some(secret) = &file.secret_name
            && !app.secrets.contains_key(secret)
        {
            let diagnostic = field
                .key("secret_name")
                .diagnostic(format!("there is no secret `{secret}`"));
            let help = suggest::did_you_mean(secret, app.secrets.keys().map(String::as_str));
            diagnostics.warn(diagnostic.with_optional_help(
                help.or_else(|| Some("it must be set on Fly by other means".to_owned())),
            ));
        }
        let value = MachineFile {
            guest_path: path,
            raw_value,
            secret_name: file.secret_name.clone(),
            mode: file.mode,
        };
        out.push(GroupScoped {
            processes: file.processes.clone(),
            value,
        });
    }
    out
}

/// The content in base64, from the one source that the file names.
fn file_content(
    file: &schema::FileSection,
    context: &Context<'_>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let sources = [
        file.raw_value.is_some(),
        file.local_path.is_some(),
        file.secret_name.is_some(),
    ];
    let hint = "set one of `raw_value`, `local_path` and `secret_name`";
    match sources.iter().filter(|is_set| **is_set).count() {
        0 => diagnostics.error(
            cursor
                .diagnostic("this file has no content")
                .with_help(hint),
        ),
        1 => {}
        _ => diagnostics.error(
            cursor
                .diagnostic("this file has several contents")
                .with_help(hint),
        ),
    }
    match (&file.raw_value, &file.local_path) {
        (Some(text), _) => encode_content(text.as_bytes(), cursor, diagnostics),
        (None, Some(local)) => {
            let field = cursor.key("local_path");
            let from = field.value_location()?;
            read_local_file(
                &resolve_relative_path(&context.files.get(from.file).path, local),
                field,
                diagnostics,
            )
        }
        (None, None) => None,
    }
}

/// Reads a local file, and returns its content in base64.
pub(crate) fn read_local_file(
    path: &Path,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    match bounded_read::read_bytes(path, bounded_read::MAX_FILE_BYTES) {
        Ok(bytes) if diagnostics.local_file_bytes + bytes.len() <= MAX_TOTAL_FILE_BYTES => {
            diagnostics.local_file_bytes += bytes.len();
            encode_content(&bytes, cursor, diagnostics)
        }
        Ok(_) => {
            let diagnostic = cursor.diagnostic(format!(
                "the local files have more than {MAX_TOTAL_FILE_BYTES} bytes together"
            ));
            diagnostics
                .error(diagnostic.with_help("put large files into the image or on a volume"));
            None
        }
        Err(error) => {
            let diagnostic =
                cursor.diagnostic(format!("cannot read `{}`: {error}", path.display()));
            diagnostics
                .error(diagnostic.with_help("paths are relative to the file that names them"));
            None
        }
    }
}

fn encode_content(
    bytes: &[u8],
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    if bytes.len() > MAX_FILE_BYTES {
        let diagnostic = cursor.diagnostic(format!(
            "this file has {} bytes, but {MAX_FILE_BYTES} is the maximum",
            bytes.len()
        ));
        diagnostics.error(diagnostic.with_help("put large files into the image or on a volume"));
        return None;
    }
    Some(STANDARD.encode(bytes))
}

/// Lowers the static files that Fly's proxy serves.
pub(crate) fn lower_statics(
    app: &AppSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<MachineStatic> {
    let list = slice_or_empty(app.statics.as_ref());
    if list.len() > 10 {
        let diagnostic = cursor.key("statics").diagnostic(format!(
            "an app can have at most 10 `statics`, not {}",
            list.len()
        ));
        diagnostics.error(diagnostic);
    }
    let mut out = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let field = cursor.key("statics").item(index);
        for (key, path) in [
            ("guest_path", &item.guest_path),
            ("url_prefix", &item.url_prefix),
        ] {
            if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
                diagnostics.error(
                    field
                        .key(key)
                        .diagnostic(format!("`{key}` begins with `/`")),
                );
            }
        }
        out.push(MachineStatic {
            guest_path: item.guest_path.clone().unwrap_or_default(),
            url_prefix: item.url_prefix.clone().unwrap_or_default(),
            tigris_bucket: item.tigris_bucket.clone().unwrap_or_default(),
            index_document: item.index_document.clone().unwrap_or_default(),
        });
    }
    out
}

/// Lowers where Fly scrapes metrics.
pub(crate) fn lower_metrics(
    app: &AppSection,
    groups: &ProcessGroups,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<GroupScoped<MachineMetrics>> {
    let mut out = Vec::new();
    for (index, metrics) in slice_or_empty(app.metrics.as_ref()).iter().enumerate() {
        let field = cursor.key("metrics").item(index);
        groups.check_processes(&metrics.processes, field, diagnostics);
        if metrics
            .path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/'))
        {
            diagnostics.error(
                field
                    .key("path")
                    .diagnostic("a metrics path begins with `/`"),
            );
        }
        if metrics.path.is_none() {
            diagnostics.refuse_in_manifest(
                field
                    .key("path")
                    .diagnostic("these metrics have no `path`")
                    .with_help("set `path = \"/metrics\"`"),
            );
        }
        let value = MachineMetrics {
            port: metrics.port.unwrap_or_default(),
            path: metrics.path.clone().unwrap_or_default(),
            https: metrics.https.unwrap_or_default(),
        };
        out.push(GroupScoped {
            processes: metrics.processes.clone(),
            value,
        });
    }
    out
}

/// Lowers when machines are restarted.
pub(crate) fn lower_restarts(
    app: &AppSection,
    groups: &ProcessGroups,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<GroupScoped<MachineRestart>> {
    let mut out = Vec::new();
    for (index, restart) in slice_or_empty(app.restart.as_ref()).iter().enumerate() {
        let field = cursor.key("restart").item(index);
        groups.check_processes(&restart.processes, field, diagnostics);
        let policy = match restart.policy {
            Some(RestartPolicy::Always) | None => "always",
            Some(RestartPolicy::Never) => "no",
            Some(RestartPolicy::OnFailure) => "on-failure",
        };
        if restart.retries.is_some() && policy != "on-failure" {
            let diagnostic = field
                .key("retries")
                .diagnostic("`retries` has an effect only with `policy = \"on-failure\"`");
            diagnostics.warn(diagnostic.with_help("leave it out, or change the policy"));
        }
        let value = MachineRestart {
            policy: policy.to_owned(),
            max_retries: restart.retries,
        };
        out.push(GroupScoped {
            processes: restart.processes.clone(),
            value,
        });
    }
    out
}
