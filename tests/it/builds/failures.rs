//! Builders that are missing, not logged in, fail, push nothing, or are ended by a signal.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use tokio::task::spawn_blocking;

use super::{MANIFEST, workshop::Workshop};

#[tokio::test(flavor = "multi_thread")]
async fn failure_says_what_to_do() {
    let workshop = Workshop::new(MANIFEST).await;
    workshop.unbuilt_image("web").await;
    for (mode, says, expected) in [
        ("fail", "", "its output above says why"),
        (
            "fail",
            "Error: Could not find App \"harbor-web\"",
            "fly apps create harbor-web --org acme",
        ),
        (
            "fail",
            "Error: unauthorized",
            "fly tokens create org --org acme",
        ),
        ("silent", "", "it has to push the image"),
    ] {
        let variables = [("FAKE_MODE", mode), ("FAKE_SAYS", says)];
        let run = workshop.run("build test", &variables).await;
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{says}");
        assert!(run.stderr.contains(expected), "{says}: {}", run.stderr);
    }
    let docker = MANIFEST.replace("[apps.web.build]", "[apps.web.build]\nbuilder = \"docker\"");
    workshop.env.write_manifest(&docker);
    workshop.commit_all();
    workshop.unbuilt_image("web").await;
    for (says, expected) in [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            "start Docker",
        ),
        (
            "denied: requested access to the resource is denied",
            "`fly auth docker`",
        ),
        ("unauthorized: authentication required", "`fly auth docker`"),
        (
            "ERROR: BuildKit is enabled but the buildx component is missing",
            "setup-buildx-action",
        ),
    ] {
        let variables = [("FAKE_MODE", "fail"), ("FAKE_SAYS", says)];
        let run = workshop.run("build test", &variables).await;
        assert_eq!(run.code, 1, "{says}");
        assert!(run.stderr.contains("exit status: 7"), "{}", run.stderr);
        assert!(run.stderr.contains(expected), "{says}: {}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_builder_is_named() {
    let workshop = Workshop::new(MANIFEST).await;
    workshop.unbuilt_image("web").await;
    let only_git = workshop.outside().join("only-git");
    std::fs::create_dir(&only_git).unwrap();
    let git = ["/usr/bin/git", "/usr/local/bin/git", "/bin/git"];
    let git = git.iter().find(|file| std::path::Path::new(file).is_file());
    symlink(git.unwrap(), only_git.join("git")).unwrap();
    let variables = [("PATH", only_git.to_str().unwrap())];
    let run = workshop.run("build test", &variables).await;
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("there is no flyctl on the PATH"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("fly.io/docs/flyctl/install"),
        "{}",
        run.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_built_fails_before_the_builder_starts() {
    let workshop = Workshop::new(MANIFEST).await;
    let run = workshop.run("build test api", &[]).await;
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("there is no app api"), "{}", run.stderr);

    workshop.unbuilt_image("web").await;
    workshop
        .env
        .send_manual_request("DELETE", "/v1/apps/harbor-web", serde_json::json!(null))
        .await;
    let run = workshop.run("build test", &[]).await;
    assert_eq!(run.code, 1);
    let hint = "make it once with `fly apps create harbor-web --org acme`";
    assert!(run.stderr.contains(hint), "{}", run.stderr);

    let nowhere = MANIFEST.replace("context = \".\"", "context = \"nowhere\"");
    let no_file = MANIFEST.replace("context = \".\"", "context = \"empty\"");
    std::fs::create_dir(workshop.checkout().join("empty")).unwrap();
    let secret = MANIFEST.replace("release", "${var.token}")
        + "\n[vars]\ntoken = {}\n[apps.web.secrets]\nT = { env = \"T\" }\n";
    for (manifest, line, expected) in [
        (&nowhere, "build test", "paths are relative"),
        (&no_file, "build test", "there is no Dockerfile in"),
        (
            &secret,
            "build test --force --var token=canary-0123456789",
            "would get a secret as an argument",
        ),
    ] {
        workshop.env.write_manifest(manifest);
        workshop
            .env
            .try_manual_request(
                "POST",
                "/v1/apps",
                &serde_json::json!({ "app_name": "harbor-web", "org_slug": "acme" }),
            )
            .await
            .ok();
        let run = workshop.run(line, &[("T", "canary-0123456789")]).await;
        assert_eq!(run.code, 1, "{expected}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        assert!(!run.stderr.contains("canary-0123456789"), "{}", run.stderr);
    }
    assert_eq!(workshop.log(), "");
}

/// The builder and what it has started end as well, however the signal arrives.
#[tokio::test(flavor = "multi_thread")]
async fn signal_ends_the_builder() {
    for (line, signal) in [
        ("build test", "-INT"),
        ("build test", "-TERM"),
        ("apply test --build --yes", "-INT"),
    ] {
        let workshop = Workshop::new(MANIFEST).await;
        workshop.unbuilt_image("web").await;
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = workshop.command(&words, &[("FAKE_MODE", "hang")]);
        let (status, said) = spawn_blocking(move || {
            let mut process = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap() == "ready"));
            let pid = process.id().to_string();
            assert!(
                Command::new("kill")
                    .args([signal, &pid])
                    .status()
                    .unwrap()
                    .success()
            );
            let said: Vec<String> = lines.map(Result::unwrap).collect();
            (process.wait().unwrap(), said.join("\n"))
        })
        .await
        .unwrap();
        assert_eq!(status.code(), Some(4), "{line}: {said}");
        assert!(said.contains("stopped by a signal"), "{said}");
        assert!(
            workshop.log().ends_with("interrupted\n"),
            "{}",
            workshop.log()
        );
        assert_eq!(workshop.env.world().await.fly_machine.len(), 0);
    }
}
