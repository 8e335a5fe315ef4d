//! Files, static files, metrics and restarts.

use std::{collections::BTreeSet, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Scene, Sink,
    groups::{Groups, Scoped},
};
use crate::{
    kinds::fly::workload::config::{File, Metrics, Restart, Static},
    manifest::{
        disk,
        read::beside,
        shape::{self, App, Policy, all},
        spot::Spot,
        suggest,
    },
};

/// The most that one file may hold: it travels with every update of every machine.
const LARGEST_FILE: usize = 1024 * 1024;

/// The most that all of them may hold together, in bytes: one file may be named many times.
const LARGEST_TOGETHER: usize = 32 * 1024 * 1024;

/// Files written into the machines.
pub(super) fn files(
    app: &App,
    groups: &Groups,
    scene: &Scene<'_>,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Vec<Scoped<File>> {
    let mut out: Vec<Scoped<File>> = Vec::new();
    let mut paths = BTreeSet::new();
    for (index, file) in app.files.iter().enumerate() {
        let spot = at.key("files").item(index);
        groups.check(&file.processes, spot, sink);
        let path = file.guest_path.clone().unwrap_or_default();
        if file.guest_path.is_some() && (!path.starts_with('/') || path.ends_with('/')) {
            sink.error(
                spot.key("guest_path")
                    .problem(format!("`{path}` is not an absolute path of a file")),
            );
        }
        if !paths.insert((path.clone(), file.processes.clone())) {
            sink.error(
                spot.key("guest_path")
                    .problem(format!("`{path}` is written twice")),
            );
        }
        let raw_value = content(file, scene, spot, sink);
        if let Some(secret) = &file.secret_name
            && !app.secrets.contains_key(secret)
        {
            let problem = spot
                .key("secret_name")
                .problem(format!("there is no secret `{secret}`"));
            let help = suggest::help(secret, app.secrets.keys().map(String::as_str));
            sink.warn(problem.maybe_help(
                help.or_else(|| Some("it must be set on Fly by other means".to_owned())),
            ));
        }
        let value = File {
            guest_path: path,
            raw_value,
            secret_name: file.secret_name.clone(),
            mode: file.mode,
        };
        out.push(Scoped {
            processes: file.processes.clone(),
            value,
        });
    }
    out
}

/// The content in base64, from the one source that the file names.
fn content(file: &shape::File, scene: &Scene<'_>, at: Spot<'_>, sink: &mut Sink) -> Option<String> {
    let sources = [
        file.raw_value.is_some(),
        file.local_path.is_some(),
        file.secret_name.is_some(),
    ];
    let hint = "say one of `raw_value`, `local_path` and `secret_name`";
    match sources.iter().filter(|there| **there).count() {
        0 => sink.error(at.problem("this file has no content").help(hint)),
        1 => {}
        _ => sink.error(at.problem("this file has several contents").help(hint)),
    }
    match (&file.raw_value, &file.local_path) {
        (Some(text), _) => encoded(text.as_bytes(), at, sink),
        (None, Some(local)) => {
            let spot = at.key("local_path");
            let from = spot.value_place()?;
            read(&beside(&scene.files.get(from.file).path, local), spot, sink)
        }
        (None, None) => None,
    }
}

/// The content of a local file in base64.
pub(super) fn read(path: &Path, at: Spot<'_>, sink: &mut Sink) -> Option<String> {
    match disk::bytes(path, disk::LARGEST) {
        Ok(bytes) if sink.read + bytes.len() <= LARGEST_TOGETHER => {
            sink.read += bytes.len();
            encoded(&bytes, at, sink)
        }
        Ok(_) => {
            let problem = at.problem(format!(
                "the local files have more than {LARGEST_TOGETHER} bytes together"
            ));
            sink.error(problem.help("put large files into the image or on a volume"));
            None
        }
        Err(error) => {
            let problem = at.problem(format!("cannot read `{}`: {error}", path.display()));
            sink.error(problem.help("paths are relative to the file that names them"));
            None
        }
    }
}

fn encoded(bytes: &[u8], at: Spot<'_>, sink: &mut Sink) -> Option<String> {
    if bytes.len() > LARGEST_FILE {
        let problem = at.problem(format!(
            "this file has {} bytes, and {LARGEST_FILE} is the most",
            bytes.len()
        ));
        sink.error(problem.help("put large files into the image or on a volume"));
        return None;
    }
    Some(STANDARD.encode(bytes))
}

/// Files that the proxy serves.
pub(super) fn statics(app: &App, at: Spot<'_>, sink: &mut Sink) -> Vec<Static> {
    let list = all(app.statics.as_ref());
    if list.len() > 10 {
        let problem = at.key("statics").problem(format!(
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
                sink.error(spot.key(key).problem(format!("`{key}` begins with `/`")));
            }
        }
        out.push(Static {
            guest_path: item.guest_path.clone().unwrap_or_default(),
            url_prefix: item.url_prefix.clone().unwrap_or_default(),
            tigris_bucket: item.tigris_bucket.clone().unwrap_or_default(),
            index_document: item.index_document.clone().unwrap_or_default(),
        });
    }
    out
}

/// Where Fly scrapes metrics.
pub(super) fn metrics(
    app: &App,
    groups: &Groups,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Vec<Scoped<Metrics>> {
    let mut out = Vec::new();
    for (index, metrics) in all(app.metrics.as_ref()).iter().enumerate() {
        let spot = at.key("metrics").item(index);
        groups.check(&metrics.processes, spot, sink);
        if metrics
            .path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/'))
        {
            sink.error(spot.key("path").problem("a metrics path begins with `/`"));
        }
        let value = Metrics {
            port: metrics.port.unwrap_or_default(),
            path: metrics.path.clone().unwrap_or_default(),
            https: metrics.https.unwrap_or_default(),
        };
        out.push(Scoped {
            processes: metrics.processes.clone(),
            value,
        });
    }
    out
}

/// When machines are started again.
pub(super) fn restarts(
    app: &App,
    groups: &Groups,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Vec<Scoped<Restart>> {
    let mut out = Vec::new();
    for (index, restart) in all(app.restart.as_ref()).iter().enumerate() {
        let spot = at.key("restart").item(index);
        groups.check(&restart.processes, spot, sink);
        let policy = match restart.policy {
            Some(Policy::Always) | None => "always",
            Some(Policy::Never) => "no",
            Some(Policy::OnFailure) => "on-failure",
        };
        if restart.retries.is_some() && policy != "on-failure" {
            let problem = spot
                .key("retries")
                .problem("`retries` counts only with `policy = \"on-failure\"`");
            sink.error(problem.help("leave it out, or change the policy"));
        }
        let value = Restart {
            policy: policy.to_owned(),
            max_retries: restart.retries,
        };
        out.push(Scoped {
            processes: restart.processes.clone(),
            value,
        });
    }
    out
}
