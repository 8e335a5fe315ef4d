//! The screenshot in the README is a real plan: it is rendered here and compared with the stored
//! file. `SNAPSHOTS=overwrite` rewrites it.

use std::path::Path;

use snapbox::{Assert, Data, data::DataFormat};

use crate::scripts::ScriptSession;

#[test]
fn readme_screenshot_is_up_to_date() {
    let session = ScriptSession::new();
    let values = "--sandbox --env-file environments/example.env";
    session.run(&format!(
        "trimtab apply staging {values} --yes --parallel 1"
    ));
    // Manual changes, and a release with a changed variable and a new image.
    session.run("api POST /v1/apps/harbor-web-staging/machines {\"region\":\"iad\",\"config\":{\"image\":\"nginx:1\"}}");
    session.run("api POST /v1/apps/harbor-api-staging/secrets {\"values\":{\"SESSION_SECRET\":\"by hand\"}}");
    session.run("edit environments/_base.toml LOG_LEVEL = \"info\" => LOG_LEVEL = \"warn\"");
    session.run("edit environments/_base.toml harbor-api:main => harbor-api:v1.8.0");
    let shown = session.run(&format!("trimtab plan staging {values} --color always"));
    let picture =
        Data::text(format!("$ trimtab plan staging\n{shown}")).coerce_to(DataFormat::TermSvg);
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plan.svg");
    Assert::new()
        .action_env("SNAPSHOTS")
        .eq(picture, Data::read_from(&stored, Some(DataFormat::TermSvg)));
}
