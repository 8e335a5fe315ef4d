//! Files, static files, metrics and restarts.

use std::{collections::BTreeSet, path::Path};

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

/// The most that one file may hold: it travels with every update of every machine.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// The most that all of them may hold together, in bytes: one file may be named many times.
const MAX_TOTAL_FILE_BYTES: usize = 32 * 1024 * 1024;

/// Files written into the machines.
pub(crate) fn lower_files(
    app: &AppSection,
    groups: &ProcessGroups,
    scene: &Context<'_>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Vec<GroupScoped<MachineFile>> {
    let mut out: Vec<GroupScoped<MachineFile>> = Vec::new();
    let mut paths = BTreeSet::new();
    for (index, file) in app.files.iter().enumerate() {
        let spot = at.key("files").item(index);
        groups.check_processes(&file.processes, spot, sink);
        let path = file.guest_path.clone().unwrap_or_default();
        if file.guest_path.is_some() && (!path.starts_with('/') || path.ends_with('/')) {
            sink.error(
                spot.key("guest_path")
                    .diagnostic(format!("`{path}` is not an absolute path of a file")),
            );
        }
        if !paths.insert((path.clone(), file.processes.clone())) {
            sink.error(
                spot.key("guest_path")
                    .diagnostic(format!("`{path}` is written twice")),
            );
        }
        let raw_value = file_content(file, scene, spot, sink);
        if let Some(secret) = &file.secret_name
            && !app.secrets.contains_key(secret)
        {
            let problem = spot
                .key("secret_name")
                .diagnostic(format!("there is no secret `{secret}`"));
            let help = suggest::did_you_mean(secret, app.secrets.keys().map(String::as_str));
            sink.warn(problem.with_optional_help(
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
    scene: &Context<'_>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<String> {
    let sources = [
        file.raw_value.is_some(),
        file.local_path.is_some(),
        file.secret_name.is_some(),
    ];
    let hint = "say one of `raw_value`, `local_path` and `secret_name`";
    match sources.iter().filter(|there| **there).count() {
        0 => sink.error(at.diagnostic("this file has no content").with_help(hint)),
        1 => {}
        _ => sink.error(
            at.diagnostic("this file has several contents")
                .with_help(hint),
        ),
    }
    match (&file.raw_value, &file.local_path) {
        (Some(text), _) => encode_content(text.as_bytes(), at, sink),
        (None, Some(local)) => {
            let spot = at.key("local_path");
            let from = spot.value_location()?;
            read_local_file(
                &resolve_relative_path(&scene.files.get(from.file).path, local),
                spot,
                sink,
            )
        }
        (None, None) => None,
    }
}

/// The content of a local file in base64.
pub(crate) fn read_local_file(
    path: &Path,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<String> {
    match bounded_read::read_bytes(path, bounded_read::MAX_FILE_BYTES) {
        Ok(bytes) if sink.local_file_bytes + bytes.len() <= MAX_TOTAL_FILE_BYTES => {
            sink.local_file_bytes += bytes.len();
            encode_content(&bytes, at, sink)
        }
        Ok(_) => {
            let problem = at.diagnostic(format!(
                "the local files have more than {MAX_TOTAL_FILE_BYTES} bytes together"
            ));
            sink.error(problem.with_help("put large files into the image or on a volume"));
            None
        }
        Err(error) => {
            let problem = at.diagnostic(format!("cannot read `{}`: {error}", path.display()));
            sink.error(problem.with_help("paths are relative to the file that names them"));
            None
        }
    }
}

fn encode_content(bytes: &[u8], at: Cursor<'_>, sink: &mut Diagnostics) -> Option<String> {
    if bytes.len() > MAX_FILE_BYTES {
        let problem = at.diagnostic(format!(
            "this file has {} bytes, and {MAX_FILE_BYTES} is the most",
            bytes.len()
        ));
        sink.error(problem.with_help("put large files into the image or on a volume"));
        return None;
    }
    Some(STANDARD.encode(bytes))
}

/// Files that the proxy serves.
pub(crate) fn lower_statics(
    app: &AppSection,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Vec<MachineStatic> {
    let list = slice_or_empty(app.statics.as_ref());
    if list.len() > 10 {
        let problem = at.key("statics").diagnostic(format!(
            "an app has 10 `statics` at most, and here are {}",
            list.len()
        ));
        sink.error(problem);
    }
    let mut out = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let spot = at.key("statics").item(index);
        for (key, path) in [
            ("guest_path", &item.guest_path),
            ("url_prefix", &item.url_prefix),
        ] {
            if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
                sink.error(spot.key(key).diagnostic(format!("`{key}` begins with `/`")));
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

/// Where Fly scrapes metrics.
pub(crate) fn lower_metrics(
    app: &AppSection,
    groups: &ProcessGroups,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Vec<GroupScoped<MachineMetrics>> {
    let mut out = Vec::new();
    for (index, metrics) in slice_or_empty(app.metrics.as_ref()).iter().enumerate() {
        let spot = at.key("metrics").item(index);
        groups.check_processes(&metrics.processes, spot, sink);
        if metrics
            .path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/'))
        {
            sink.error(
                spot.key("path")
                    .diagnostic("a metrics path begins with `/`"),
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

/// When machines are started again.
pub(crate) fn lower_restarts(
    app: &AppSection,
    groups: &ProcessGroups,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Vec<GroupScoped<MachineRestart>> {
    let mut out = Vec::new();
    for (index, restart) in slice_or_empty(app.restart.as_ref()).iter().enumerate() {
        let spot = at.key("restart").item(index);
        groups.check_processes(&restart.processes, spot, sink);
        let policy = match restart.policy {
            Some(RestartPolicy::Always) | None => "always",
            Some(RestartPolicy::Never) => "no",
            Some(RestartPolicy::OnFailure) => "on-failure",
        };
        if restart.retries.is_some() && policy != "on-failure" {
            let problem = spot
                .key("retries")
                .diagnostic("`retries` counts only with `policy = \"on-failure\"`");
            sink.error(problem.with_help("leave it out, or change the policy"));
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
