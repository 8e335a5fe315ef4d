//! `trimtab build` and `apply --build`, with builders that record what they get and push to the sandbox's registry.

mod failures;
mod workshop;

use serde_json::json;

use workshop::{DIGEST, Workshop};

const MANIFEST: &str = r#"
project = "harbor"
fly.org = "acme"

[apps.web]
name = "harbor-web"
primary_region = "fra"

[apps.web.build]
context = "."
build-target = "production"
args = { MODE = "release" }
"#;

/// The arguments that follow each other in a call.
fn words(call: &[String]) -> String {
    call.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn flyctl_builds_and_pushes_once_for_each_commit() {
    let workshop = Workshop::new(MANIFEST).await;
    let image = workshop.unbuilt_image("web").await;
    let tag = image.rsplit_once(':').unwrap().1.to_owned();
    assert!(tag.starts_with(&workshop.commit()), "{tag}");

    let run = workshop.run("build test", &[]).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.stdout, format!("web={image}@{DIGEST}\n"));
    assert!(
        run.stderr.contains("web: flyctl deploy for"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("fake output of flyctl"),
        "{}",
        run.stderr
    );
    let calls = workshop.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    let context = workshop.checkout().display().to_string();
    let call = words(&calls[0].args);
    let start =
        format!("deploy {context} --build-only --push --remote-only --app harbor-web --config ");
    let end =
        format!("/fly.toml --image-label {tag} --build-target production --build-arg MODE=release");
    assert!(call.starts_with(&start) && call.ends_with(&end), "{call}");
    assert!(!call.contains(&workshop.token), "{call}");
    // flyctl prefers FLY_ACCESS_TOKEN, which may be of another organization.
    assert_eq!(
        calls[0].env,
        [format!("FLY_API_TOKEN={}", workshop.token)],
        "the token is in the environment"
    );
    assert_eq!(calls[0].config, "app = \"harbor-web\"\n");

    let again = workshop.run("build test", &[]).await;
    assert_eq!((again.code, &again.stdout), (0, &run.stdout));
    assert!(
        again.stderr.contains("exists, so it is not built again"),
        "{}",
        again.stderr
    );
    assert_eq!(workshop.calls().len(), 1);

    let forced = workshop.run("build test web --force", &[]).await;
    assert_eq!(
        (forced.code, &forced.stdout),
        (0, &run.stdout),
        "{}",
        forced.stderr
    );
    assert_eq!(workshop.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_is_what_image_takes() {
    let workshop = Workshop::new(&format!("{MANIFEST}\n{WORKER}")).await;
    let output = workshop.outside().join("output");
    std::fs::write(&output, "before=1\n").unwrap();
    let variables = [("GITHUB_OUTPUT", output.to_str().unwrap())];
    let run = workshop.run("build test", &variables).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", run.stdout);
    let in_one_line = lines.join(",");
    assert_eq!(
        std::fs::read_to_string(&output).unwrap(),
        format!("before=1\nimages={in_one_line}\n")
    );

    let document = workshop.run("build test --format json", &[]).await;
    let document: serde_json::Value = serde_json::from_str(&document.stdout).unwrap();
    let web = &document["images"]["web"];
    assert_eq!(web["commit"], workshop.commit());
    assert_eq!(
        (&web["dirty"], &web["built"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(format!("web={}", web["image"].as_str().unwrap()), lines[0]);

    for images in [run.stdout.trim_end(), in_one_line.as_str()] {
        let plan = workshop
            .run_words(
                &["plan", "test", "--format", "json", "--image", images],
                &[],
            )
            .await;
        assert_eq!(plan.code, 0, "{}", plan.stderr);
        for line in &lines {
            let reference = line.split_once('=').unwrap().1;
            assert!(
                plan.stdout.contains(reference),
                "{reference}: {}",
                plan.stdout
            );
        }
    }
}

/// It says another build than `web`.
const WORKER: &str = r#"
[apps.worker]
name = "harbor-worker"
primary_region = "fra"
[apps.worker.build]
context = "."
"#;

#[tokio::test(flavor = "multi_thread")]
async fn apps_with_one_build_share_the_image() {
    let twin = r#"
[apps.jobs]
name = "harbor-jobs"
primary_region = "fra"
[apps.jobs.build]
context = "."
build-target = "production"
args = { MODE = "release" }
"#;
    let workshop = Workshop::new(&format!("{MANIFEST}\n{twin}\n{WORKER}")).await;
    let image = workshop.unbuilt_image("web").await;
    assert!(image.starts_with("registry.fly.io/harbor-jobs:"), "{image}");
    let run = workshop.run("build test", &[]).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout
            .starts_with(&format!("jobs={image}@{DIGEST}\nweb={image}@{DIGEST}\n"))
    );
    assert!(
        run.stderr.contains("jobs, web: flyctl deploy"),
        "{}",
        run.stderr
    );
    assert_eq!(workshop.calls().len(), 1, "the worker's image exists");
    // The one that is selected finds it where all of them look.
    let one = workshop.run("build test web", &[]).await;
    assert_eq!(one.stdout, format!("web={image}@{DIGEST}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_gets_secrets_in_its_environment_alone() {
    let manifest = MANIFEST.replace("[apps.web.build]", "[apps.web.build]\nbuilder = \"docker\"");
    let secrets = "[apps.web.build.secrets]\nnpm-token = { env = \"NPM_TOKEN\" }\n";
    let workshop = Workshop::new(&format!("{manifest}\n{secrets}")).await;
    let secret = "npm-canary-0123456789";
    let variables = [
        ("NPM_TOKEN", secret),
        ("GITHUB_TOKEN", "ghs_canary0123456789abcdefghijklmnopqrs"),
        ("FAKE_TELLS", "1"),
        ("FAKE_SAYS", "::error::no"),
    ];
    let image = workshop.unbuilt_image_with("web", &variables).await;
    let run = workshop.run("build test", &variables).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.stdout, format!("web={image}@{DIGEST}\n"));
    assert!(!run.stderr.contains(secret), "{}", run.stderr);
    assert!(run.stderr.contains("npm uses ‹secret›"), "{}", run.stderr);
    let calls = workshop.calls();
    let context = workshop.checkout().display().to_string();
    assert_eq!(
        words(&calls[0].args),
        format!(
            "build --platform linux/amd64 --progress plain --target production --build-arg MODE=release \
             --secret id=npm-token,env=TRIMTAB_BUILD_SECRET_0 --tag {image} {context}"
        )
    );
    assert!(
        calls[0]
            .env
            .contains(&format!("TRIMTAB_BUILD_SECRET_0={secret}"))
    );
    assert!(calls[0].env.contains(&"DOCKER_BUILDKIT=1".to_owned()));
    // A builder runs programs of others: nothing else that is secret is in its environment.
    for call in &calls {
        let others = call.env.iter().filter(|one| {
            one.starts_with("NPM_TOKEN=")
                || one.starts_with("GITHUB_TOKEN=")
                || one.starts_with("FLY_A")
        });
        assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
    }
    assert_eq!(words(&calls[1].args), format!("push {image}"));

    let missing = workshop.run("build test --force", &[]).await;
    assert_eq!(missing.code, 1);
    assert!(
        missing
            .stderr
            .contains("secret `npm-token` of the build has no value"),
        "{}",
        missing.stderr
    );
    // Nobody else needs the value.
    let plan = workshop.run("plan test --image web=nginx:1", &[]).await;
    assert_eq!(plan.code, 0, "{}", plan.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn buildx_says_what_it_has_pushed() {
    let manifest = MANIFEST.replace(
        "[apps.web.build]",
        "[apps.web.build]\nbuilder = \"buildx\"\nrepository = \"ghcr.io/acme/web\"",
    );
    let workshop = Workshop::new(&manifest).await;
    let image = workshop.unbuilt_image("web").await;
    assert!(image.starts_with("ghcr.io/acme/web:"), "{image}");
    let run = workshop
        .run("build test", &[("FAKE_MODE", "metadata")])
        .await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.stdout, format!("web={image}@{DIGEST}\n"));
    let call = words(&workshop.calls()[0].args);
    assert!(
        call.starts_with("buildx build --push --metadata-file /"),
        "{call}"
    );

    // Without the digest, whoever moves the tag could decide what is applied.
    let silent = workshop.run("build test --force", &[]).await;
    assert_eq!(silent.code, 1);
    assert!(
        silent.stderr.contains("update the buildx plugin"),
        "{}",
        silent.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_files_are_said_and_always_built() {
    let workshop = Workshop::new(MANIFEST).await;
    let clean = workshop.unbuilt_image("web").await;
    std::fs::write(workshop.checkout().join("new.txt"), "x").unwrap();
    for _ in 0..2 {
        let run = workshop.run("build test", &[]).await;
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(
            run.stderr.contains("differ from the commit"),
            "{}",
            run.stderr
        );
        let dirty = format!("{}-dirty-", workshop.commit());
        assert!(run.stdout.contains(&dirty), "{}", run.stdout);
    }
    assert_eq!(workshop.calls().len(), 2);
    // In a pipeline earlier steps leave files, and nobody edits any.
    let pipeline = workshop.run("build test", &[("CI", "true")]).await;
    assert_eq!(pipeline.stdout, format!("web={clean}@{DIGEST}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tag_depends_on_the_settings() {
    let workshop = Workshop::new(MANIFEST).await;
    let (one, same) = (
        workshop.unbuilt_image("web").await,
        workshop.unbuilt_image("web").await,
    );
    assert_eq!(one, same);
    workshop
        .env
        .write_manifest(&MANIFEST.replace("release", "debug"));
    workshop.commit_all();
    let other = workshop.unbuilt_image("web").await;
    let settings = |image: &str| image.rsplit_once('-').unwrap().1.to_owned();
    assert_ne!(settings(&one), settings(&other));
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_of_the_pipeline_counts_without_git() {
    let workshop = Workshop::new(MANIFEST).await;
    std::fs::remove_dir_all(workshop.checkout().join(".git")).unwrap();
    let run = workshop.run("build test", &[]).await;
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("cannot tell which commit"),
        "{}",
        run.stderr
    );
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let run = workshop.run("build test", &[("GITHUB_SHA", commit)]).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains(commit), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_builds_first_and_applies_that_image() {
    let workshop = Workshop::new(&format!("{MANIFEST}\n{WORKER}")).await;
    let image = workshop.unbuilt_image("web").await;
    let run = workshop
        .run("apply test --build --yes --image worker=nginx:1", &[])
        .await;
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let calls = workshop.calls();
    assert_eq!(
        calls.len(),
        1,
        "the image of the worker is given: {calls:?}"
    );
    let world = workshop.env.world().await;
    let machine = &world.fly_machine["web/app/fra/0"].workload;
    assert_eq!(
        machine.config.image.as_ref().unwrap().as_str(),
        format!("{image}@{DIGEST}")
    );
    let again = workshop
        .run("apply test --build --yes --only fly.app/web", &[])
        .await;
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
    assert_eq!(workshop.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fly_toml_keeps_its_build() {
    let manifest = r#"
project = "harbor"
fly.org = "acme"
[apps.web]
config = "fly.toml"
"#;
    let workshop = Workshop::new(manifest).await;
    let fly_toml = "app = \"harbor-web\"\nprimary_region = \"fra\"\n[build]\n";
    let keys = "dockerfile = \"Dockerfile\"\nbuild_target = \"prod\"\n[build.args]\nMODE = \"x\"\n";
    workshop.write("fly.toml", &format!("{fly_toml}{keys}"));
    workshop.commit_all();
    workshop.unbuilt_image("web").await;
    let run = workshop.run("build test", &[]).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    let call = words(&workshop.calls()[0].args);
    let file = workshop.checkout().join("Dockerfile").display().to_string();
    assert!(
        call.contains(&format!(
            "--dockerfile {file} --build-target prod --build-arg MODE=x"
        )),
        "{call}"
    );

    // flyctl alone knows buildpacks, so it reads them from the fly.toml.
    workshop.write(
        "fly.toml",
        &format!("{fly_toml}builder = \"paketobuildpacks/builder:base\"\n"),
    );
    workshop.commit_all();
    workshop.unbuilt_image("web").await;
    let run = workshop.run("build test", &[]).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    let call = words(&workshop.calls()[1].args);
    let config = workshop.checkout().join("fly.toml").display().to_string();
    assert!(
        call.contains(&format!("--config {config} --image-label")),
        "{call}"
    );
}
