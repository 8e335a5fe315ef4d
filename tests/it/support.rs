//! An environment against the sandbox: manifests in a temporary folder, the real client, and
//! changes behind its back through the API.

pub(crate) mod clients;
pub(crate) mod operations;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use trimtab::{
    apply::{ApplyOptions, ApplyReport, apply},
    clouds::{
        ClientConfig, CloudError, CloudReaders, CrashPoint, ProgressSink, RegistryClient, aws,
        fly::{FlyReader, FlyWriter, MachineRequest, wire},
    },
    kinds::{CloudWriters, Desired, World},
    manifest::{self, Inputs, SecretsMode},
    model::{Address, Secret},
    observe::{ResolvedImages, observe, resolve_images},
    plan::{Limits, Plan, Refusal, guard, plan},
};
use trimtab_sandbox::{
    self as sandbox, ClockMode, Fault, RunningSandbox, SandboxOptions, SandboxSnapshot,
};

/// The speed of the sandbox's clock. At this speed a boot of one second takes five milliseconds,
/// and the five minutes in which a machine must become healthy are still more than a second.
pub(crate) const SPEED: f64 = 200.0;

/// The variable that makes the embedded sandbox record exchanges.
pub(crate) const RECORD_VARIABLE: &str = "TRIMTAB_SANDBOX_RECORD";

/// A folder with manifests, and a sandbox.
pub(crate) struct TestEnv {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) sandbox: RunningSandbox,
    pub(crate) environment: String,
    pub(crate) inputs: Inputs,
    pub(crate) speed: f64,
    desired: Mutex<Option<Desired>>,
    readers: tokio::sync::OnceCell<CloudReaders>,
    /// Whether every app may be adopted, as with `--adopt`.
    pub(crate) adopt: bool,
    /// What `--allow-destroy` names.
    pub(crate) allow_destroy: Mutex<Vec<Address>>,
}

/// A sandbox with an empty app called `web` and no manifest, for tests of the client alone.
pub(crate) struct BareSandbox {
    pub(crate) sandbox: RunningSandbox,
    speed: f64,
}

impl BareSandbox {
    pub(crate) async fn new(speed: f64) -> Self {
        let sandbox = sandbox::start(SandboxOptions {
            speed,
            ..SandboxOptions::in_memory()
        })
        .await
        .unwrap();
        let bare = Self { sandbox, speed };
        FlyWriter::new(bare.reader())
            .create_app("web", "acme", None, None)
            .await
            .unwrap();
        bare
    }

    pub(crate) fn settings(&self) -> ClientConfig {
        clients::fly_settings(&self.sandbox, "acme", self.speed, None)
    }

    /// A new client each time, as each run has its own.
    pub(crate) fn reader(&self) -> FlyReader {
        FlyReader::new(&self.settings()).unwrap()
    }

    pub(crate) async fn create_machine(
        &self,
        fly: &FlyWriter,
        config: Value,
    ) -> wire::MachineResponse {
        let new = MachineRequest {
            region: "fra".to_owned(),
            config,
            ..MachineRequest::default()
        };
        fly.create_machine("web", &new).await.unwrap()
    }

    /// Sends a POST request to the sandbox's admin API.
    pub(crate) async fn post_admin(&self, path: &str, body: Value) {
        let url = format!("{}/_sandbox/{path}", self.sandbox.url());
        let response = reqwest::Client::new()
            .post(url)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(
            response.status().is_success(),
            "{}",
            response.text().await.unwrap()
        );
    }
}

/// The file in which `scripts/conformance` wants every exchange with Fly's APIs recorded.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says so, nobody could pass it down"
)]
pub(crate) fn record_path() -> Option<PathBuf> {
    std::env::var_os(RECORD_VARIABLE).map(PathBuf::from)
}

/// Whether whoever runs the tests asks for all cases, with `TRIMTAB_MATRIX=large`. Ordinary runs take a sample of every expensive
/// table of cases, so that `cargo test` takes about a minute.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says so, nobody could pass it down"
)]
pub(crate) fn runs_all_cases() -> bool {
    std::env::var("TRIMTAB_MATRIX")
        .is_ok_and(|selection| selection == "large" || selection == "full")
}

/// One of `every` cases, beginning with case `first`; all of them where [`runs_all_cases`].
pub(crate) fn sample<T>(
    cases: impl IntoIterator<Item = T>,
    first: usize,
    every: usize,
) -> impl Iterator<Item = T> {
    let all = runs_all_cases();
    let (first, every) = if all { (0, 1) } else { (first % every, every) };
    cases.into_iter().skip(first).step_by(every)
}

/// A size for tests of large input: a part of it in ordinary runs.
pub(crate) fn large(size: usize) -> usize {
    if runs_all_cases() { size } else { size / 8 }
}

/// How long a failing case is shrunk, in milliseconds: each attempt is a whole run.
const MAX_SHRINK_MS: u32 = 20_000;

/// The configuration of a property test with this many cases, the same ones on every machine.
///
/// `TRIMTAB_PROPTEST` multiplies the number of cases of every property (CI sets it), and
/// `PROPTEST_CASES` replaces it. Either one, as well as `PROPTEST_RNG_SEED`, makes the cases new.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says so, nobody could pass it down"
)]
pub(crate) fn proptest_config(cases: u32) -> Config {
    let number = |name| -> Option<u32> { std::env::var(name).ok()?.parse().ok() };
    let cases = cases * number("TRIMTAB_PROPTEST").unwrap_or(1);
    let replaced = number("PROPTEST_CASES");
    let default = Config::default();
    let is_fixed = replaced.is_none() && default.rng_seed == RngSeed::Random;
    Config {
        cases: replaced.unwrap_or(cases),
        rng_seed: if is_fixed {
            RngSeed::Fixed(5)
        } else {
            default.rng_seed
        },
        failure_persistence: None,
        max_shrink_time: MAX_SHRINK_MS,
        max_shrink_iters: 1000,
        ..default
    }
}

/// Inputs with these environment variables.
pub(crate) fn inputs_with(values: &[(&str, &str)]) -> Inputs {
    Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        process_environment: values
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        secrets_mode: SecretsMode::Required,
        multiple_environments: false,
    }
}

/// Inputs with the secrets that the fixtures name.
pub(crate) fn default_inputs() -> Inputs {
    inputs_with(&[("SECRET_KEY", "canary-one"), ("DATABASE_URL", "canary-two")])
}

impl TestEnv {
    /// An environment called `test`.
    pub(crate) async fn new(manifest: &str) -> Self {
        Self::with_faults(manifest, Vec::new()).await
    }

    /// The same, with faults.
    pub(crate) async fn with_faults(manifest: &str, faults: Vec<Fault>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("test.toml"), manifest).unwrap();
        Self::with_manifests(dir, "test", default_inputs(), faults).await
    }

    /// The same with a sandbox on disk, so that the program itself can use it.
    pub(crate) async fn on_disk(manifest: &str, faults: Vec<Fault>) -> Self {
        Self::on_disk_with_speed(manifest, faults, SPEED).await
    }

    /// The same at another speed.
    pub(crate) async fn on_disk_with_speed(manifest: &str, faults: Vec<Fault>, speed: f64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("test.toml"), manifest).unwrap();
        let options = SandboxOptions {
            faults,
            speed,
            ..SandboxOptions::new(dir.path().join("sandbox"))
        };
        Self::start(dir, "test", default_inputs(), options).await
    }

    /// The same with a clock that starts with 2026 and moves only when told.
    pub(crate) async fn with_scripted_clock(manifest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("test.toml"), manifest).unwrap();
        let options = SandboxOptions {
            clock: ClockMode::Manual,
            speed: SPEED,
            ..SandboxOptions::in_memory()
        };
        Self::start(dir, "test", default_inputs(), options).await
    }

    /// The same in a state that another sandbox was in.
    pub(crate) async fn from_snapshot(
        manifest: &str,
        snapshot: SandboxSnapshot,
        speed: f64,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("test.toml"), manifest).unwrap();
        let options = SandboxOptions {
            snapshot,
            speed,
            ..SandboxOptions::in_memory()
        };
        Self::start(dir, "test", default_inputs(), options).await
    }

    /// The same with a clock that never moves, so that no machine ever starts, and a client as patient as with Fly.
    pub(crate) async fn with_stopped_clock(manifest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("test.toml"), manifest).unwrap();
        let options = SandboxOptions {
            clock: ClockMode::Manual,
            ..SandboxOptions::in_memory()
        };
        Self::start(dir, "test", default_inputs(), options).await
    }

    /// Any environment in a folder of manifests.
    pub(crate) async fn with_manifests(
        dir: tempfile::TempDir,
        environment: &str,
        inputs: Inputs,
        faults: Vec<Fault>,
    ) -> Self {
        Self::with_speed(dir, environment, inputs, faults, SPEED).await
    }

    /// The same at another speed.
    pub(crate) async fn with_speed(
        dir: tempfile::TempDir,
        environment: &str,
        inputs: Inputs,
        faults: Vec<Fault>,
        speed: f64,
    ) -> Self {
        Self::start(
            dir,
            environment,
            inputs,
            SandboxOptions {
                faults,
                speed,
                ..SandboxOptions::in_memory()
            },
        )
        .await
    }

    /// Any environment with any options of the sandbox.
    async fn start(
        dir: tempfile::TempDir,
        environment: &str,
        inputs: Inputs,
        options: SandboxOptions,
    ) -> Self {
        let speed = options.speed;
        let options = SandboxOptions {
            record: record_path(),
            ..options
        };
        let sandbox = sandbox::start(options).await.unwrap();
        Self {
            dir,
            sandbox,
            environment: environment.to_owned(),
            speed,
            inputs,
            desired: Mutex::default(),
            readers: tokio::sync::OnceCell::new(),
            adopt: false,
            allow_destroy: Mutex::default(),
        }
    }

    pub(crate) fn write_manifest(&self, manifest: &str) {
        fs::write(self.dir.path().join("test.toml"), manifest).unwrap();
        *self.desired.lock().unwrap() = None;
    }

    /// Allows the loss of this resource's data, as with `--allow-destroy`.
    pub(crate) fn allow_destroy(&self, address: &str) {
        let address = Address::parse(address).unwrap();
        self.allow_destroy.lock().unwrap().push(address);
        *self.desired.lock().unwrap() = None;
    }

    /// Removes the protection of everything, in every file of the folder.
    pub(crate) fn remove_protection(&self) {
        for entry in fs::read_dir(self.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = fs::read_to_string(&path).unwrap();
                fs::write(path, text.replace("protected = true", "protected = false")).unwrap();
            }
        }
        *self.desired.lock().unwrap() = None;
    }

    /// The manifest as it stands in its file.
    pub(crate) fn load(&self) -> manifest::LoadedEnvironment {
        let loaded = manifest::load(self.dir.path(), &self.environment, &self.inputs);
        loaded.unwrap_or_else(|problems| panic!("{}", problems.render(false, 100)))
    }

    /// The desired state. It is loaded once, because fingerprints of secrets are slow on purpose.
    pub(crate) fn desired(&self) -> Desired {
        let mut read = self.desired.lock().unwrap();
        read.get_or_insert_with(|| {
            let mut desired = self.load().desired;
            let apps = desired.fly_app.keys().filter(|_| self.adopt);
            desired
                .meta
                .adopt
                .extend(apps.map(Address::new::<trimtab::kinds::fly::App>));
            let allowed = self.allow_destroy.lock().unwrap().clone();
            desired.meta.allow_destroy.extend(allowed);
            desired
        })
        .clone()
    }

    /// Clients of all clouds that the manifest uses. Those without a crash point are created once,
    /// because creating an AWS client is slow.
    pub(crate) async fn readers(&self, crash: Option<CrashPoint>) -> CloudReaders {
        if crash.is_some() {
            return self.new_readers(crash).await;
        }
        self.readers
            .get_or_init(|| self.new_readers(None))
            .await
            .clone()
    }

    async fn new_readers(&self, crash: Option<CrashPoint>) -> CloudReaders {
        clients::sandbox_readers(&self.sandbox, &self.desired(), self.speed, crash).await
    }

    /// The same clients with another URL for Fly.
    pub(crate) async fn readers_at(&self, url: String) -> CloudReaders {
        let token = self.settings(None).token;
        let fly = FlyReader::new(&ClientConfig::for_sandbox(url, token, self.speed)).unwrap();
        CloudReaders {
            fly,
            aws: self.readers(None).await.aws,
        }
    }

    pub(crate) fn reader_with(&self, token: &str) -> FlyReader {
        FlyReader::new(&ClientConfig::for_sandbox(
            self.sandbox.url(),
            Secret::new(token),
            self.speed,
        ))
        .unwrap()
    }

    pub(crate) fn settings(&self, crash: Option<CrashPoint>) -> ClientConfig {
        clients::fly_settings(&self.sandbox, &self.desired().meta.org, self.speed, crash)
    }

    /// The images of the manifest, resolved by their registries.
    pub(crate) async fn images(&self) -> ResolvedImages {
        resolve_images(
            &RegistryClient::new(&self.settings(None)).unwrap(),
            &self.desired(),
        )
        .await
    }

    /// The desired state with the digest of every tag, as the program makes it.
    pub(crate) async fn desired_with_digests(&self) -> Result<Desired, CloudError> {
        let (mut desired, images) = (self.desired(), self.images().await);
        match images.fatal_failures().next() {
            Some(missing) => Err(missing.error.clone()),
            None => {
                images.pin_digests(&mut desired);
                Ok(desired)
            }
        }
    }

    pub(crate) async fn world(&self) -> World {
        observe(&self.readers(None).await, &self.desired())
            .await
            .unwrap()
    }

    pub(crate) async fn plan(&self) -> Plan {
        plan(
            &self.desired_with_digests().await.unwrap(),
            &self.world().await,
        )
        .unwrap()
    }

    /// The changes of the plan and what blocks it, one line each, in the order of the plan's
    /// output.
    pub(crate) async fn summary(&self) -> Vec<String> {
        plan_summary(&self.plan().await)
    }

    /// Plans and applies with everything allowed; the report may have failures.
    pub(crate) async fn try_apply(
        &self,
        crash: Option<CrashPoint>,
    ) -> Result<ApplyReport, CloudError> {
        let readers = self.readers(crash).await;
        let desired = self.desired_with_digests().await?;
        let world = observe(&readers, &desired).await?;
        let plan = plan(&desired, &world).unwrap();
        let report = apply_plan(plan, readers, world).await;
        if crash.is_some() {
            self.expire_leases();
        }
        Ok(report)
    }

    /// Advances the clock until the leases of a crashed run have expired.
    pub(crate) fn expire_leases(&self) {
        self.sandbox
            .advance_clock(Duration::from_secs(600))
            .unwrap();
    }

    /// Plans and applies, and asserts that everything was done.
    pub(crate) async fn apply(&self) -> ApplyReport {
        let report = self.try_apply(None).await.unwrap();
        assert!(report.is_complete(), "{report:#?}");
        report
    }

    /// Destroys the environment, and asserts that nothing is left to do.
    pub(crate) async fn destroy(&self) {
        let (readers, nothing) = (
            self.readers(None).await,
            Desired::empty(self.desired().meta),
        );
        let world = observe(&readers, &nothing).await.unwrap();
        let report = apply_plan(plan(&nothing, &world).unwrap(), readers.clone(), world).await;
        assert!(report.is_complete(), "{report:#?}");
        let remaining = plan(&nothing, &observe(&readers, &nothing).await.unwrap()).unwrap();
        assert_eq!(plan_summary(&remaining), Vec::<String>::new());
    }

    /// Replaces the desired state, such as with other settings of the command line.
    pub(crate) fn set_desired(&self, desired: Desired) {
        *self.desired.lock().unwrap() = Some(desired);
    }

    /// Sends a request to the sandbox's admin API that needs its own token.
    pub(crate) async fn send_admin(&self, method: &str, path: &str, body: Value) -> Value {
        clients::send_admin_request(&self.sandbox, method, path, &body).await
    }

    /// Sends an API request as a person would, and asserts that it succeeds.
    pub(crate) async fn send_manual_request(&self, method: &str, path: &str, body: Value) -> Value {
        let refused = |(status, text)| panic!("{method} {path}: {status} {text}");
        self.try_manual_request(method, path, &body)
            .await
            .unwrap_or_else(refused)
    }

    /// The same, with the status and the text of an error.
    pub(crate) async fn try_manual_request(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, (reqwest::StatusCode, String)> {
        clients::send_request(&self.sandbox, method, path, body).await
    }

    /// Changes a machine's configuration by hand, and waits until it runs again.
    pub(crate) async fn change_machine(
        &self,
        app: &str,
        id: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let path = format!("/v1/apps/{app}/machines/{id}");
        let mut machine = self.send_manual_request("GET", &path, json!(null)).await;
        change(&mut machine["config"]);
        let body = json!({ "config": machine["config"], "region": machine["region"] });
        self.send_manual_request("POST", &path, body).await;
        if machine["config"]["schedule"].is_null() {
            self.send_manual_request("GET", &format!("{path}/wait?state=started"), json!(null))
                .await;
        }
    }
}

/// Limits that allow everything that a plan does.
pub(crate) fn allow_everything(plan: &Plan) -> Limits {
    let steps = plan.steps().map(|step| &step.address);
    let folded = plan.cascade_deletes.iter().map(|folded| &folded.address);
    Limits {
        allow_destroy: steps.chain(folded).cloned().collect(),
        destroy_all: true,
        max_destroy: 100,
    }
}

/// Applies a plan with everything allowed.
pub(crate) async fn apply_plan(plan: Plan, readers: CloudReaders, world: World) -> ApplyReport {
    let conduct = ApplyOptions {
        speed: readers.fly.speed(),
        ..ApplyOptions::default()
    };
    let report = try_apply_plan(plan, readers, world, &conduct).await;
    report.unwrap_or_else(|refusals| panic!("{refusals:#?}"))
}

/// The same; the error lists what is protected nevertheless.
pub(crate) async fn try_apply_plan(
    plan: Plan,
    readers: CloudReaders,
    world: World,
    conduct: &ApplyOptions,
) -> Result<ApplyReport, Vec<Refusal>> {
    let limits = allow_everything(&plan);
    let approved = guard(plan, &limits)?;
    let clouds = CloudWriters {
        fly: FlyWriter::new(readers.fly),
        aws: readers.aws.map(aws::AwsWriter::new),
        lock: None,
        progress: ProgressSink::disabled(),
    };
    let (events, _receiver) = unbounded_channel();
    Ok(apply(&approved, &clouds, world, conduct, &events).await)
}

/// Copies the files of a folder, without its subfolders.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// One line for each change: verb, address, and the attributes that differ.
pub(crate) fn plan_summary(plan: &Plan) -> Vec<String> {
    let line = |change: &trimtab::plan::Change| {
        let paths: Vec<&str> = change.lines.iter().map(|line| line.path.as_str()).collect();
        match change.verb {
            trimtab::plan::Verb::Create => format!("create {}", change.address),
            verb => format!("{} {} {}", verb.word(), change.address, paths.join(","))
                .trim_end()
                .to_owned(),
        }
    };
    let blocked = plan
        .blocked
        .iter()
        .map(|blocked| format!("blocked {}: {}", blocked.address, blocked.blocker.reason));
    plan.changes().iter().map(line).chain(blocked).collect()
}
