//! One team's environment against the sandbox: manifests in a folder that vanishes, the real client, and the clouds
//! changed behind its back through the API.

pub(crate) mod clients;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

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
use trimtab_sandbox::{self as sandbox, ClockMode, Fault, RunningSandbox, SandboxOptions};

/// How much faster than on Fly everything goes in these tests: a boot of a second takes five milliseconds, and the five
/// minutes that a start may take are still more than a second on a busy machine.
pub(crate) const SPEED: f64 = 200.0;

/// The variable by which the embedded sandbox is told to record.
pub(crate) const RECORD_VARIABLE: &str = "TRIMTAB_SANDBOX_RECORD";

/// A folder, a sandbox, and a manifest.
pub(crate) struct TestEnv {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) sandbox: RunningSandbox,
    pub(crate) environment: String,
    pub(crate) inputs: Inputs,
    speed: f64,
    desired: Mutex<Option<Desired>>,
    readers: tokio::sync::OnceCell<CloudReaders>,
    /// Whether every app may be taken over, as with `--adopt`.
    pub(crate) adopt: bool,
}

/// A sandbox with one empty app called `web`, without a manifest: for the client alone.
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
            .create_app("web", "acme", None)
            .await
            .unwrap();
        bare
    }

    pub(crate) fn settings(&self) -> ClientConfig {
        clients::fly_settings(&self.sandbox, "acme", self.speed, None)
    }

    /// Another client each time, as another run would have.
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

    /// A request to the sandbox's administration.
    pub(crate) async fn post_admin(&self, path: &str, body: Value) {
        let url = format!("{}/_sandbox/{path}", self.sandbox.url());
        let answer = reqwest::Client::new()
            .post(url)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
    }
}

/// The file that `scripts/conformance` wants every exchange with Fly's APIs recorded in.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says so, nobody could pass it down"
)]
pub(crate) fn record_path() -> Option<PathBuf> {
    std::env::var_os(RECORD_VARIABLE).map(PathBuf::from)
}

/// Inputs with a value for every secret of the fixtures.
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

/// The values of the secrets that the fixtures name.
pub(crate) fn default_inputs() -> Inputs {
    inputs_with(&[("SECRET_KEY", "canary-one"), ("DATABASE_URL", "canary-two")])
}

impl TestEnv {
    /// One environment called `test`.
    pub(crate) async fn new(manifest: &str) -> Self {
        Self::with_faults(manifest, Vec::new()).await
    }

    /// The same, where things go wrong.
    pub(crate) async fn with_faults(manifest: &str, faults: Vec<Fault>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("test.toml"), manifest).unwrap();
        Self::with_manifests(dir, "test", default_inputs(), faults).await
    }

    /// The same in a sandbox with a folder, so that the program itself can be run against it.
    pub(crate) async fn on_disk(manifest: &str, faults: Vec<Fault>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("test.toml"), manifest).unwrap();
        let options = SandboxOptions {
            faults,
            speed: SPEED,
            ..SandboxOptions::new(dir.path().join("sandbox"))
        };
        Self::start(dir, "test", default_inputs(), options).await
    }

    /// The same where time moves only when told, from the beginning of 2026 on.
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

    /// Any environment against any sandbox.
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
        }
    }

    /// Writes the manifest anew.
    pub(crate) fn write_manifest(&self, manifest: &str) {
        fs::write(self.dir.path().join("test.toml"), manifest).unwrap();
        *self.desired.lock().unwrap() = None;
    }

    /// Lifts the protection of everything, in every file of the folder.
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

    /// The manifest, read once: fingerprints of secrets are slow on purpose.
    pub(crate) fn desired(&self) -> Desired {
        let mut read = self.desired.lock().unwrap();
        read.get_or_insert_with(|| {
            let loaded = manifest::load(self.dir.path(), &self.environment, &self.inputs);
            let mut desired = loaded
                .unwrap_or_else(|problems| panic!("{}", problems.render(false, 100)))
                .desired;
            let apps = desired.fly_app.keys().filter(|_| self.adopt);
            desired
                .meta
                .adopt
                .extend(apps.map(Address::new::<trimtab::kinds::fly::App>));
            desired
        })
        .clone()
    }

    /// The clients of all clouds that the manifest names. Those that die nowhere are made once: the SDK takes its time.
    pub(crate) async fn readers(&self, fuse: Option<CrashPoint>) -> CloudReaders {
        if fuse.is_some() {
            return self.new_readers(fuse).await;
        }
        self.readers
            .get_or_init(|| self.new_readers(None))
            .await
            .clone()
    }

    async fn new_readers(&self, fuse: Option<CrashPoint>) -> CloudReaders {
        clients::sandbox_readers(&self.sandbox, &self.desired(), self.speed, fuse).await
    }

    /// The same clients, which ask Fly at another address.
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

    fn settings(&self, fuse: Option<CrashPoint>) -> ClientConfig {
        clients::fly_settings(&self.sandbox, &self.desired().meta.org, self.speed, fuse)
    }

    /// What the registries say of the manifest's images.
    pub(crate) async fn images(&self) -> ResolvedImages {
        resolve_images(
            &RegistryClient::new(&self.settings(None)).unwrap(),
            &self.desired(),
        )
        .await
    }

    /// The manifest with the digest of every tag, as a run of the program has it.
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

    /// Looks at the world.
    pub(crate) async fn world(&self) -> World {
        observe(&self.readers(None).await, &self.desired())
            .await
            .unwrap()
    }

    /// Plans.
    pub(crate) async fn plan(&self) -> Plan {
        plan(
            &self.desired_with_digests().await.unwrap(),
            &self.world().await,
        )
        .unwrap()
    }

    /// What a plan would do, one short line a step, sorted by danger.
    pub(crate) async fn summary(&self) -> Vec<String> {
        plan_summary(&self.plan().await)
    }

    /// Plans and applies with everything allowed; the report may hold failures.
    pub(crate) async fn try_apply(
        &self,
        fuse: Option<CrashPoint>,
    ) -> Result<ApplyReport, CloudError> {
        let readers = self.readers(fuse).await;
        let desired = self.desired_with_digests().await?;
        let world = observe(&readers, &desired).await?;
        let plan = plan(&desired, &world).unwrap();
        let report = apply_plan(plan, readers, world).await;
        if fuse.is_some() {
            self.expire_leases();
        }
        Ok(report)
    }

    /// Lets the time pass for which the leases of a client that died can last.
    pub(crate) fn expire_leases(&self) {
        self.sandbox
            .advance_clock(Duration::from_secs(600))
            .unwrap();
    }

    /// Plans and applies, and demands that all of it is done.
    pub(crate) async fn apply(&self) -> ApplyReport {
        let report = self.try_apply(None).await.unwrap();
        assert!(report.is_complete(), "{report:#?}");
        report
    }

    /// Removes the environment, and demands that all of it is done.
    pub(crate) async fn destroy(&self) {
        let (readers, nothing) = (
            self.readers(None).await,
            Desired::empty(self.desired().meta),
        );
        let world = observe(&readers, &nothing).await.unwrap();
        let report = apply_plan(plan(&nothing, &world).unwrap(), readers.clone(), world).await;
        assert!(report.is_complete(), "{report:#?}");
        let left = plan(&nothing, &observe(&readers, &nothing).await.unwrap()).unwrap();
        assert_eq!(plan_summary(&left), Vec::<String>::new());
    }

    /// A request as somebody with a token would send it by hand.
    pub(crate) async fn send_manual_request(&self, method: &str, path: &str, body: Value) -> Value {
        let refused = |(status, text)| panic!("{method} {path}: {status} {text}");
        self.try_manual_request(method, path, &body)
            .await
            .unwrap_or_else(refused)
    }

    /// The same where it may be refused: then it is the status, and what was said.
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

/// Everything that a plan does is allowed.
pub(crate) fn allow_everything(plan: &Plan) -> Limits {
    let steps = plan.steps().map(|step| &step.address);
    let folded = plan.cascade_deletes.iter().map(|folded| &folded.address);
    Limits {
        allow_destroy: steps.chain(folded).cloned().collect(),
        destroy_all: true,
        max_destroy: 100,
    }
}

/// Carries a plan out with everything allowed.
pub(crate) async fn apply_plan(plan: Plan, readers: CloudReaders, world: World) -> ApplyReport {
    let report = try_apply_plan(plan, readers, world, &ApplyOptions::default()).await;
    report.unwrap_or_else(|refusals| panic!("{refusals:#?}"))
}

/// The same where something may be protected nevertheless.
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

/// Copies the files of a folder, without what is in folders in it.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// One line a change: verb, address, and the attributes that differ.
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
        .map(|blocked| format!("blocked {}: {}", blocked.address, blocked.refused.reason));
    plan.changes().iter().map(line).chain(blocked).collect()
}
