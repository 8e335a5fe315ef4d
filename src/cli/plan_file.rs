//! A saved plan: the inputs, and the id of the plan that was shown. It holds no secrets and no operations. `apply --plan`
//! plans again with the same inputs and compares the ids, so a stale file is refused.

use std::{io::Write as _, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    CommandError,
    input_args::ImageList,
    session::{InputArgs, PlanningArgs, TargetArgs},
};
use crate::{
    manifest::syntax::bounded_read,
    model::{Address, contains_secret},
    plan::{Plan, PlanId, Refusal},
    render::{self, Headline},
};

/// Changes when files of an older version can no longer be read.
const FORMAT_ID: &str = "trimtab.plan/1";

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    format: String,
    environment: String,
    vars: Vec<(String, String)>,
    images: Vec<(String, String)>,
    only: Vec<String>,
    adopt: Vec<String>,
    #[serde(default)]
    rotate: Vec<String>,
    #[serde(default)]
    deep: bool,
    allow_destroy: Vec<String>,
    max_destroy: u32,
    /// The id with every step in it.
    expect: String,
    /// The plan as it was shown, for readers.
    plan: Value,
}

/// Writes a plan to a file.
pub(super) fn write(
    file: &Path,
    target: &TargetArgs,
    planning: &PlanningArgs,
    plan: &Plan,
    refusals: &[Refusal],
    headline: &Headline,
) -> Result<(), CommandError> {
    let texts = |list: &[Address]| list.iter().map(ToString::to_string).collect();
    let content = PlanFile {
        format: FORMAT_ID.to_owned(),
        environment: target.environment.clone(),
        vars: target.inputs.vars.clone(),
        images: target.inputs.images().cloned().collect(),
        only: texts(&planning.only),
        adopt: texts(&planning.adopt),
        rotate: texts(&planning.rotate),
        deep: planning.deep,
        allow_destroy: texts(&planning.allow_destroy),
        max_destroy: planning.max_destroy,
        expect: plan.id().to_string(),
        plan: render::json::plan(plan, refusals, headline),
    };
    check_without_secrets(file, target)?;
    let text = serde_json::to_string_pretty(&content).unwrap_or_default();
    write_whole(file, &text)
        .map_err(|error| CommandError::new(format!("cannot write {}: {error}", file.display())))
}

/// Refuses inputs that hold a secret: the file has to repeat them, and others read it.
fn check_without_secrets(file: &Path, target: &TargetArgs) -> Result<(), CommandError> {
    let InputArgs {
        vars,
        images: _,
        multiple_environments: _,
    } = &target.inputs;
    let vars = vars.iter().map(|input| ("--var", input));
    let mut inputs = vars.chain(target.inputs.images().map(|input| ("--image", input)));
    match inputs.find(|(_, (_, value))| contains_secret(value)) {
        None => Ok(()),
        Some((option, (name, _))) => Err(CommandError::new(format!(
            "cannot write {}: the value of {option} {name} is a secret, and a saved plan holds none",
            file.display()
        ))
        .with_hint(
            "apply with the same options and --expect, whose id `plan --format json` prints as `expect`",
        )),
    }
}

/// Writes a file as a whole or not at all: on a full disk, no half of a plan is left. What is no file, such as
/// /dev/stdout, is written to directly.
fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let target = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if std::fs::metadata(&target).is_ok_and(|meta| !meta.is_file()) {
        return std::fs::write(&target, text);
    }
    let mut temporary = target.clone().into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let written = std::fs::File::create(&temporary).and_then(|mut out| {
        out.write_all(text.as_bytes())?;
        out.sync_all()
    });
    written
        .and_then(|()| std::fs::rename(&temporary, &target))
        .inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}

/// Reads a saved plan: what to plan again, and the id that must come out.
pub(super) fn read(file: &Path) -> Result<(TargetArgs, PlanningArgs, PlanId), CommandError> {
    let wrong = |why: String| {
        CommandError::new(format!("cannot read the plan in {}: {why}", file.display()))
    };
    let text = bounded_read::read_user_file(file).map_err(|error| wrong(error.to_string()))?;
    parse(&text).map_err(wrong)
}

/// Checks that a text is a saved plan.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn validate(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

fn parse(text: &str) -> Result<(TargetArgs, PlanningArgs, PlanId), String> {
    let saved: PlanFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if saved.format != FORMAT_ID {
        return Err(format!(
            "it is of the format `{}`, not `{FORMAT_ID}`",
            saved.format
        ));
    }
    let addresses = |list: &[String]| -> Result<Vec<Address>, String> {
        list.iter()
            .map(|text| Address::parse(text).map_err(|error| error.to_string()))
            .collect()
    };
    let planning = PlanningArgs {
        only: addresses(&saved.only)?,
        adopt: addresses(&saved.adopt)?,
        rotate: addresses(&saved.rotate)?,
        deep: saved.deep,
        allow_destroy: addresses(&saved.allow_destroy)?,
        max_destroy: saved.max_destroy,
    };
    let inputs = InputArgs {
        vars: saved.vars,
        images: vec![ImageList(saved.images)],
        multiple_environments: false,
    };
    let expect = saved
        .expect
        .parse()
        .map_err(|error: crate::plan::InvalidPlanId| error.to_string())?;
    Ok((
        TargetArgs {
            environment: saved.environment,
            inputs,
        },
        planning,
        expect,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plan");
        for text in ["first", "second"] {
            write_whole(&file, text).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing else is left: {names:?}");
        assert!(write_whole(&dir.path().join("gone/plan"), "x").is_err());
    }

    /// A full disk, as the kernel imitates it. A device is not replaced by a file.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("plan");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        assert!(write_whole(&link, "x").is_err());
        assert!(link.is_symlink());
    }
}
