//! The lock on the sandbox's S3 with the real client and a clock that moves only when told.

use std::time::Duration;

use aws_sdk_s3::{
    config::{BehaviorVersion, Credentials, Region},
    types,
};
use serde_json::{Value, json};
use trimtab::{
    clouds::{
        ErrorKind,
        aws::{self, AwsWriter, BucketRef},
        fly,
    },
    lock::{
        self, LockError, LockErrorKind, LockHolder, LockLease, LockLocation, LockLoss, LockRecord,
        LockTimings,
    },
    model::{OwnershipMark, Secret},
};
use trimtab_sandbox::{self as sandbox, ClockMode, Fault, RunningSandbox, SandboxOptions};

const ACCOUNT: &str = "123456789012";
const BUCKET: &str = "harbor-locks";
const KEY: &str = ".trimtab/locks/harbor/production.json";
/// No waiting: a run that does not get the lock at once fails.
const NO_WAIT: LockTimings = LockTimings {
    acquire_timeout: Duration::ZERO,
    ..LockTimings::AWS
};

/// A sandbox whose clock stands still, with a bucket.
struct LockFixture {
    sandbox: RunningSandbox,
    s3: aws_sdk_s3::Client,
    _dir: tempfile::TempDir,
}

/// The local clock; the lock must not depend on it.
fn local_clock() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

fn seconds(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn lock_location() -> LockLocation {
    let [bucket, region, project, environment] =
        [BUCKET, "eu-central-1", "harbor", "production"].map(str::to_owned);
    LockLocation {
        bucket,
        region,
        mark: OwnershipMark {
            project,
            environment,
        },
    }
}

fn lock_holder(name: &str) -> LockHolder {
    LockHolder {
        nonce: format!("{name}-0123456789abcdef"),
        holder: name.to_owned(),
        host: "runner".to_owned(),
        pid: 42,
        run_url: None,
        command: "trimtab apply production".to_owned(),
    }
}

impl LockFixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = SandboxOptions::new(dir.path());
        options.clock = ClockMode::Manual;
        let sandbox = sandbox::start(options).await.unwrap();
        let keys = sandbox.aws_keys(ACCOUNT).unwrap();
        let config = aws_sdk_s3::config::Builder::new()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .endpoint_url(sandbox.aws_url())
            .credentials_provider(Credentials::new(keys.id, keys.secret, None, None, "test"))
            .force_path_style(true);
        let s3 = aws_sdk_s3::Client::from_conf(config.build());
        let store = Self {
            sandbox,
            s3,
            _dir: dir,
        };
        let location = types::BucketLocationConstraint::EuCentral1;
        let location = types::CreateBucketConfiguration::builder()
            .location_constraint(location)
            .build();
        let bucket = store
            .s3
            .create_bucket()
            .bucket(BUCKET)
            .create_bucket_configuration(location);
        bucket.send().await.unwrap();
        store
    }

    /// Sends a POST request to the sandbox's admin API.
    async fn post_admin(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/_sandbox/{path}", self.sandbox.url());
        let response = reqwest::Client::new()
            .post(url)
            .bearer_auth(self.sandbox.user_token().unwrap())
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        response.json().await.unwrap()
    }

    /// Injects a fault into a later request.
    async fn add_fault(&self, fault: &str) {
        let _: Fault = fault.parse().unwrap();
        self.post_admin("faults", json!([fault])).await;
    }

    /// A client of its own, as each run has.
    async fn writer(&self) -> AwsWriter {
        let sandbox::AwsAccessKey { id, secret } = self.sandbox.aws_keys(ACCOUNT).unwrap();
        self.writer_with(ACCOUNT, id, secret).await
    }

    async fn writer_with(&self, account: &str, id: String, secret: String) -> AwsWriter {
        let keys = aws::StaticCredentials {
            access_key_id: id,
            secret_access_key: Secret::new(secret),
            session_token: None,
        };
        let settings = aws::AwsSettings::for_sandbox(
            account,
            "eu-central-1",
            self.sandbox.aws_url(),
            keys,
            1.0,
        );
        let token = Secret::new(self.sandbox.org_token("acme").unwrap());
        let fly = fly::FlyReader::new(&trimtab::clouds::ClientConfig::for_sandbox(
            self.sandbox.url(),
            token,
            1.0,
        ));
        AwsWriter::new(aws::AwsReader::new(settings, &fly.unwrap()).await.unwrap())
    }

    async fn acquire(&self, name: &str) -> Result<LockLease, LockError> {
        lock::acquire(
            &self.writer().await,
            &lock_location(),
            &lock_holder(name),
            NO_WAIT,
            local_clock,
            |_, _| {},
        )
        .await
    }

    async fn unlock(&self, id: &str) -> Result<LockRecord, LockError> {
        lock::unlock(&self.writer().await, &lock_location(), id, local_clock).await
    }

    async fn holder(&self) -> Option<String> {
        lock::find_holder(&*self.writer().await, &lock_location())
            .await
            .unwrap()
            .map(|record| record.holder)
    }

    async fn enable_versioning(&self) {
        let on = types::VersioningConfiguration::builder()
            .status(types::BucketVersioningStatus::Enabled);
        let request = self
            .s3
            .put_bucket_versioning()
            .bucket(BUCKET)
            .versioning_configuration(on.build());
        request.send().await.unwrap();
    }

    async fn version_count(&self) -> usize {
        self.s3
            .list_object_versions()
            .bucket(BUCKET)
            .send()
            .await
            .unwrap()
            .versions()
            .len()
    }

    /// The content of the lock object.
    async fn lock_object(&self) -> Value {
        let response = self
            .s3
            .get_object()
            .bucket(BUCKET)
            .key(KEY)
            .send()
            .await
            .unwrap();
        assert_eq!(response.content_type(), Some("application/json"));
        let body = response.body.collect().await.unwrap().to_vec();
        serde_json::from_slice(&body).unwrap()
    }
}

#[tokio::test]
async fn lock_is_acquired_released_and_reacquired() {
    let store = LockFixture::new().await;
    assert_eq!(store.holder().await, None);
    let ann = store.acquire("ann").await.unwrap();
    assert_eq!(store.holder().await.as_deref(), Some("ann"));
    let object = store.lock_object().await;
    assert_eq!(
        (&object["generation"], &object["released"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(object, serde_json::to_value(ann.record()).unwrap());
    let error = store.acquire("bob").await.unwrap_err();
    assert!(
        error.to_string().starts_with(
            "lock harbor/production: ann on runner (process 42, `trimtab apply production`)"
        ),
        "{error}"
    );
    ann.release().await.unwrap();
    assert_eq!(store.lock_object().await["released"], json!(true));
    let bob = store.acquire("bob").await.unwrap();
    assert_eq!(bob.record().generation, 2);
}

#[tokio::test]
async fn dead_run_loses_lock_by_server_clock() {
    let store = LockFixture::new().await;
    let ann = store.acquire("ann").await.unwrap();
    let ends = LockTimings::AWS.ttl + LockTimings::AWS.margin;
    store.sandbox.advance_clock(ends).unwrap();
    assert!(matches!(
        store.acquire("bob").await.unwrap_err().kind,
        LockErrorKind::Held { .. }
    ));
    assert_eq!(
        store.holder().await,
        None,
        "it has run out, and is left alone for a little longer"
    );
    store.sandbox.advance_clock(seconds(2)).unwrap();
    let bob = store.acquire("bob").await.unwrap();
    assert_eq!(bob.record().generation, 2);
    // Ann's run was only suspended.
    let error = ann.ensure_held_for(seconds(91)).await.unwrap_err();
    assert!(
        matches!(&error.kind, LockErrorKind::Lost(LockLoss::TakenOver(record)) if record.holder == "bob"),
        "{error}"
    );
    assert!(ann.cancellation_token().is_cancelled());
    ann.release().await.unwrap();
    assert_eq!(store.lock_object().await["holder"], "bob");
}

#[tokio::test]
async fn renewal_extends_expiry() {
    let store = LockFixture::new().await;
    let ann = store.acquire("ann").await.unwrap();
    let before = ann.record().expires_at;
    store.sandbox.advance_clock(seconds(80)).unwrap();
    // By her own clock no time has passed: she learns the server's time from the first renewal.
    assert!(
        ann.ensure_held_for(seconds(91)).await.is_err(),
        "no renewal gives that much"
    );
    let after = ann.record().expires_at;
    // Less the time that passed here between her first read and her first write.
    assert!(
        (60..=81).contains(&after.duration_since(before).as_secs()),
        "{before} {after}"
    );
    assert_eq!(store.lock_object().await["expires_at"], json!(after));
}

#[tokio::test]
async fn concurrent_acquire_has_one_winner() {
    let store = LockFixture::new().await;
    let names = ["ann", "bob", "cyd", "dan", "eve", "flo"];
    let all = futures_util::future::join_all(names.map(|name| store.acquire(name))).await;
    let (have, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!(have.len(), 1);
    for error in refused.into_iter().filter_map(Result::err) {
        assert!(matches!(error.kind, LockErrorKind::Held { .. }), "{error}");
    }
}

#[tokio::test]
async fn acquire_survives_lost_responses() {
    // The requests are a read, the write, and two writes that the store must reject. After a lost
    // response the SDK repeats the write, which is then rejected because of itself.
    let faults = [
        "drop-before:1",
        "truncate:1",
        "drop-before:2",
        "drop-after:2",
        "status-after:2:503",
        "drop-after:4",
    ];
    let all = faults.map(async |fault| {
        let store = LockFixture::new().await;
        let (name, rest) = fault.split_once(':').unwrap();
        let (nth, code) = rest
            .split_once(':')
            .map_or((rest, String::new()), |(n, code)| (n, format!(":{code}")));
        let before = store.sandbox.requests().len();
        let nth = before + nth.parse::<usize>().unwrap();
        store.add_fault(&format!("{name}:{nth}{code}")).await;
        let lease = store
            .acquire("ann")
            .await
            .unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert!(
            store.sandbox.requests().len() > before + 4,
            "{fault} struck nothing"
        );
        assert_eq!(lease.record().generation, 1, "{fault}");
        assert_eq!(
            store.lock_object().await,
            serde_json::to_value(lease.record()).unwrap(),
            "{fault}"
        );
        lease.release().await.unwrap();
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn conditional_conflict_is_retried() {
    let store = LockFixture::new().await;
    store.add_fault("conditional-conflict:1:2").await;
    let lease = store.acquire("ann").await.unwrap();
    assert_eq!(lease.record().generation, 1);
}

#[tokio::test]
async fn store_without_conditional_writes_is_rejected() {
    let store = LockFixture::new().await;
    store.add_fault("no-conditions").await;
    let error = store.acquire("ann").await.unwrap_err();
    assert!(
        matches!(error.kind, LockErrorKind::ConditionalWritesIgnored(_)),
        "{error}"
    );
    assert_eq!(store.lock_object().await["released"], json!(true));
}

#[tokio::test]
async fn forced_unlock_is_noticed_by_holder() {
    let store = LockFixture::new().await;
    let ann = store.acquire("ann").await.unwrap();
    assert!(matches!(
        store.unlock("bob-0123").await.unwrap_err().kind,
        LockErrorKind::WrongHolder { .. }
    ));
    assert!(
        store
            .unlock(&ann.record().short_id())
            .await
            .unwrap()
            .unlocked
    );
    // Her run may still be alive, and continues until it notices.
    let error = store.acquire("bob").await.unwrap_err();
    assert!(
        error
            .hint()
            .unwrap()
            .contains("it was ended, and is free after"),
        "{error}"
    );
    assert!(matches!(
        ann.ensure_held_for(seconds(91)).await.unwrap_err().kind,
        LockErrorKind::Lost(LockLoss::Unlocked)
    ));
    ann.release().await.unwrap();
    assert!(
        store.unlock("ann-0123").await.unwrap().released,
        "to repeat it is no error"
    );
    assert_eq!(store.acquire("bob").await.unwrap().record().generation, 2);
}

#[tokio::test]
async fn unlocked_lock_is_free_after_expiry() {
    let store = LockFixture::new().await;
    let ann = store.acquire("ann").await.unwrap();
    store.unlock("ann-0123").await.unwrap();
    drop(ann);
    store
        .sandbox
        .advance_clock(LockTimings::AWS.ttl + LockTimings::AWS.margin + seconds(2))
        .unwrap();
    assert_eq!(store.acquire("bob").await.unwrap().record().generation, 2);
}

/// The newest version of the lock object counts. If it were deleted first, an older one would say
/// that the lock is free.
#[tokio::test]
async fn lock_is_held_until_last_version_is_deleted() {
    let store = LockFixture::new().await;
    store.enable_versioning().await;
    for _ in 0..6 {
        store.acquire("cyd").await.unwrap().release().await.unwrap();
    }
    let ann = store.acquire("ann").await.unwrap();
    let (writer, at) = (
        store.writer().await,
        BucketRef {
            name: BUCKET,
            region: "eu-central-1",
        },
    );
    assert!(store.version_count().await > 12);
    writer.delete_old_versions(at, KEY).await.unwrap();
    assert_eq!(
        (store.version_count().await, store.holder().await.as_deref()),
        (1, Some("ann"))
    );
    assert!(
        lock::delete_lock(&writer, &lock_location()).await.is_err(),
        "somebody holds it"
    );
    ann.ensure_held_for(seconds(80)).await.unwrap();
    ann.delete_object().await.unwrap();
    assert!(!ann.cancellation_token().is_cancelled());
    writer.delete_old_versions(at, KEY).await.unwrap();
    store
        .s3
        .delete_bucket()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    ann.release().await.unwrap();
}

#[tokio::test]
async fn deleted_lock_is_noticed_by_holder() {
    let store = LockFixture::new().await;
    store.enable_versioning().await;
    let ann = store.acquire("ann").await.unwrap();
    store
        .s3
        .delete_object()
        .bucket(BUCKET)
        .key(KEY)
        .send()
        .await
        .unwrap();
    assert!(matches!(
        ann.ensure_held_for(seconds(91)).await.unwrap_err().kind,
        LockErrorKind::Lost(LockLoss::Deleted)
    ));
    // A delete marker counts as absent.
    assert_eq!(store.acquire("bob").await.unwrap().record().generation, 1);
    ann.release().await.unwrap();
    assert_eq!(store.lock_object().await["holder"], "bob");
}

#[tokio::test]
async fn release_after_bucket_deletion_succeeds() {
    let store = LockFixture::new().await;
    let ann = store.acquire("ann").await.unwrap();
    store
        .s3
        .delete_object()
        .bucket(BUCKET)
        .key(KEY)
        .send()
        .await
        .unwrap();
    store
        .s3
        .delete_bucket()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    ann.release().await.unwrap();
    let error = store.acquire("bob").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "lock harbor/production: there is no bucket harbor-locks"
    );
}

#[tokio::test]
async fn foreign_bucket_is_not_written() {
    let store = LockFixture::new().await;
    let sandbox::AwsAccessKey { id, secret } = store.sandbox.aws_keys(ACCOUNT).unwrap();
    let writer = store.writer_with("210987654321", id, secret).await;
    let error = lock::acquire(
        &writer,
        &lock_location(),
        &lock_holder("ann"),
        NO_WAIT,
        local_clock,
        |_, _| {},
    )
    .await
    .unwrap_err();
    assert!(
        matches!(&error.kind, LockErrorKind::Cloud(error) if error.kind == ErrorKind::PermissionDenied),
        "{error}"
    );
}

#[tokio::test]
async fn get_and_put_permissions_are_enough() {
    let store = LockFixture::new().await;
    let limited = async |list: bool| {
        let objects = json!({
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": format!("arn:aws:s3:::{BUCKET}/.trimtab/locks/*"),
        });
        let listing = json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{BUCKET}") });
        let statements = if list {
            vec![objects, listing]
        } else {
            vec![objects]
        };
        let policy = json!({ "Version": "2012-10-17", "Statement": statements });
        let keys = store
            .post_admin("aws/keys", json!({ "account": ACCOUNT, "policy": policy }))
            .await;
        let text = |name: &str| keys[name].as_str().unwrap().to_owned();
        store
            .writer_with(ACCOUNT, text("access_key_id"), text("secret_access_key"))
            .await
    };
    let take = async |writer: &AwsWriter| {
        lock::acquire(
            writer,
            &lock_location(),
            &lock_holder("ann"),
            NO_WAIT,
            local_clock,
            |_, _| {},
        )
        .await
    };
    let error = take(&limited(false).await).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("without the permission `s3:ListBucket`"),
        "{error}"
    );
    let lease = take(&limited(true).await).await.unwrap();
    lease.release().await.unwrap();
    // Once the object exists, the permission to list is not needed.
    assert_eq!(
        take(&limited(false).await)
            .await
            .unwrap()
            .record()
            .generation,
        2
    );
}
