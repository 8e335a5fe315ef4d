//! The lock against the imitation of S3, with the real client: time moves only when told.

use std::time::Duration;

use aws_sdk_s3::{
    config::{BehaviorVersion, Credentials, Region},
    types,
};
use serde_json::{Value, json};
use trimtab::{clouds::{
        Trouble,
        aws::{
            self, At, Writer,
            lock::{self, Lease, LockError, Loss, Place, Record, Terms, Who, Why},
        },
        fly,
    }, model::{Mark, Secret}};
use trimtab_sandbox::{self as sandbox, ClockMode, Fault, Options, Running};

const ACCOUNT: &str = "123456789012";
const BUCKET: &str = "harbor-locks";
const KEY: &str = ".trimtab/locks/harbor/production.json";
/// Nobody waits: who does not get it at once is refused.
const AT_ONCE: Terms = Terms {
    patience: Duration::ZERO,
    ..Terms::AWS
};

/// A sandbox whose time stands still, with a bucket.
struct Store {
    sandbox: Running,
    s3: aws_sdk_s3::Client,
    _dir: tempfile::TempDir,
}

/// The local clock, which nobody asks for the time.
fn wall() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn place() -> Place {
    let [bucket, region, project, environment] =
        [BUCKET, "eu-central-1", "harbor", "production"].map(str::to_owned);
    Place {
        bucket,
        region,
        mark: Mark {
            project,
            environment,
        },
    }
}

fn who(name: &str) -> Who {
    Who {
        nonce: format!("{name}-0123456789abcdef"),
        holder: name.to_owned(),
        host: "runner".to_owned(),
        pid: 42,
        run_url: None,
        command: "trimtab apply production".to_owned(),
    }
}

impl Store {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path());
        options.clock = ClockMode::Scripted;
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
        let place = types::BucketLocationConstraint::EuCentral1;
        let place = types::CreateBucketConfiguration::builder()
            .location_constraint(place)
            .build();
        let made = store
            .s3
            .create_bucket()
            .bucket(BUCKET)
            .create_bucket_configuration(place);
        made.send().await.unwrap();
        store
    }

    /// A request to the sandbox's administration.
    async fn admin(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/_sandbox/{path}", self.sandbox.url());
        let answer = reqwest::Client::new()
            .post(url)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// Something goes wrong with a request that is still to come.
    async fn fault(&self, fault: &str) {
        let _: Fault = fault.parse().unwrap();
        self.admin("faults", json!([fault])).await;
    }

    /// A client of its own, as each run has.
    async fn writer(&self) -> Writer {
        let sandbox::AwsKeys { id, secret } = self.sandbox.aws_keys(ACCOUNT).unwrap();
        self.writer_with(ACCOUNT, id, secret).await
    }

    async fn writer_with(&self, account: &str, id: String, secret: String) -> Writer {
        let keys = aws::Keys {
            id,
            secret: Secret::new(secret),
            session: None,
        };
        let settings =
            aws::Settings::imitation(account, "eu-central-1", self.sandbox.aws_url(), keys, 1.0);
        let token = Secret::new(self.sandbox.org_token("acme").unwrap());
        let fly = fly::Reader::new(&trimtab::clouds::Settings::imitation(
            self.sandbox.url(),
            token,
            1.0,
        ));
        Writer::new(aws::Reader::new(settings, &fly.unwrap()).await.unwrap())
    }

    async fn take(&self, name: &str) -> Result<Lease, LockError> {
        lock::take(
            &self.writer().await,
            &place(),
            &who(name),
            AT_ONCE,
            wall,
            |_, _| {},
        )
        .await
    }

    async fn unlock(&self, id: &str) -> Result<Record, LockError> {
        lock::unlock(&self.writer().await, &place(), id, wall).await
    }

    async fn holder(&self) -> Option<String> {
        lock::holder(&*self.writer().await, &place())
            .await
            .unwrap()
            .map(|record| record.holder)
    }

    async fn keep_versions(&self) {
        let on = types::VersioningConfiguration::builder()
            .status(types::BucketVersioningStatus::Enabled);
        let asked = self
            .s3
            .put_bucket_versioning()
            .bucket(BUCKET)
            .versioning_configuration(on.build());
        asked.send().await.unwrap();
    }

    async fn versions(&self) -> usize {
        self.s3
            .list_object_versions()
            .bucket(BUCKET)
            .send()
            .await
            .unwrap()
            .versions()
            .len()
    }

    /// What stands there.
    async fn object(&self) -> Value {
        let answer = self
            .s3
            .get_object()
            .bucket(BUCKET)
            .key(KEY)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.content_type(), Some("application/json"));
        let body = answer.body.collect().await.unwrap().to_vec();
        serde_json::from_slice(&body).unwrap()
    }
}

#[tokio::test]
async fn it_is_taken_shown_given_back_and_taken_again() {
    let store = Store::new().await;
    assert_eq!(store.holder().await, None);
    let ann = store.take("ann").await.unwrap();
    assert_eq!(store.holder().await.as_deref(), Some("ann"));
    let object = store.object().await;
    assert_eq!(
        (&object["generation"], &object["released"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(object, serde_json::to_value(ann.record()).unwrap());
    let error = store.take("bob").await.unwrap_err();
    assert!(
        error.to_string().starts_with(
            "lock harbor/production: ann on runner (process 42, `trimtab apply production`)"
        ),
        "{error}"
    );
    ann.release().await.unwrap();
    assert_eq!(store.object().await["released"], json!(true));
    let bob = store.take("bob").await.unwrap();
    assert_eq!(bob.record().generation, 2);
}

#[tokio::test]
async fn a_run_that_died_loses_it_by_the_servers_clock() {
    let store = Store::new().await;
    let ann = store.take("ann").await.unwrap();
    let ends = Terms::AWS.ttl + Terms::AWS.margin;
    store.sandbox.advance(ends).unwrap();
    assert!(matches!(
        store.take("bob").await.unwrap_err().why,
        Why::Held { .. }
    ));
    assert_eq!(
        store.holder().await,
        None,
        "it has run out, and is left alone for a little longer"
    );
    store.sandbox.advance(secs(2)).unwrap();
    let bob = store.take("bob").await.unwrap();
    assert_eq!(bob.record().generation, 2);
    // Ann was only asleep.
    let error = ann.confirm(secs(91)).await.unwrap_err();
    assert!(
        matches!(&error.why, Why::Lost(Loss::Taken(record)) if record.holder == "bob"),
        "{error}"
    );
    assert!(ann.over().is_cancelled());
    ann.release().await.unwrap();
    assert_eq!(store.object().await["holder"], "bob");
}

#[tokio::test]
async fn a_renewal_moves_the_end() {
    let store = Store::new().await;
    let ann = store.take("ann").await.unwrap();
    let before = ann.record().expires_at;
    store.sandbox.advance(secs(80)).unwrap();
    // By her own clock no time has passed: the first renewal hears of it.
    assert!(
        ann.confirm(secs(91)).await.is_err(),
        "no renewal gives that much"
    );
    let after = ann.record().expires_at;
    // Less by what passed here between her first look and her first write.
    assert!(
        (60..=81).contains(&after.duration_since(before).as_secs()),
        "{before} {after}"
    );
    assert_eq!(store.object().await["expires_at"], json!(after));
}

#[tokio::test]
async fn of_several_at_once_one_has_it() {
    let store = Store::new().await;
    let names = ["ann", "bob", "cyd", "dan", "eve", "flo"];
    let all = futures_util::future::join_all(names.map(|name| store.take(name))).await;
    let (have, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!(have.len(), 1);
    for error in refused.into_iter().filter_map(Result::err) {
        assert!(matches!(error.why, Why::Held { .. }), "{error}");
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_is_found_out() {
    // The requests are the look, the write, and two writes that must be refused. After a lost answer the SDK sends the
    // write again, which is then refused because of itself.
    let faults = [
        "drop-before:1",
        "truncate:1",
        "drop-before:2",
        "drop-after:2",
        "status-after:2:503",
        "drop-after:4",
    ];
    let all = faults.map(async |fault| {
        let store = Store::new().await;
        let (name, rest) = fault.split_once(':').unwrap();
        let (nth, code) = rest
            .split_once(':')
            .map_or((rest, String::new()), |(n, code)| (n, format!(":{code}")));
        let before = store.sandbox.requests().len();
        let nth = before + nth.parse::<usize>().unwrap();
        store.fault(&format!("{name}:{nth}{code}")).await;
        let lease = store
            .take("ann")
            .await
            .unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert!(
            store.sandbox.requests().len() > before + 4,
            "{fault} struck nothing"
        );
        assert_eq!(lease.record().generation, 1, "{fault}");
        assert_eq!(
            store.object().await,
            serde_json::to_value(lease.record()).unwrap(),
            "{fault}"
        );
        lease.release().await.unwrap();
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn a_conflict_is_decided_anew() {
    let store = Store::new().await;
    store.fault("conditional-conflict:1:2").await;
    let lease = store.take("ann").await.unwrap();
    assert_eq!(lease.record().generation, 1);
}

#[tokio::test]
async fn a_store_without_conditions_is_refused() {
    let store = Store::new().await;
    store.fault("no-conditions").await;
    let error = store.take("ann").await.unwrap_err();
    assert!(matches!(error.why, Why::Ignores(_)), "{error}");
    assert_eq!(store.object().await["released"], json!(true));
}

#[tokio::test]
async fn somebody_else_unlocks_it() {
    let store = Store::new().await;
    let ann = store.take("ann").await.unwrap();
    assert!(matches!(
        store.unlock("bob-0123").await.unwrap_err().why,
        Why::OtherHolder { .. }
    ));
    assert!(store.unlock(&ann.record().id()).await.unwrap().unlocked);
    // She may live, and go on until she notices.
    let error = store.take("bob").await.unwrap_err();
    assert!(
        error
            .hint()
            .unwrap()
            .contains("it was ended, and is free after"),
        "{error}"
    );
    assert!(matches!(
        ann.confirm(secs(91)).await.unwrap_err().why,
        Why::Lost(Loss::Unlocked)
    ));
    ann.release().await.unwrap();
    assert!(matches!(
        store.unlock("ann-0123").await.unwrap_err().why,
        Why::NotHeld
    ));
    assert_eq!(store.take("bob").await.unwrap().record().generation, 2);
}

#[tokio::test]
async fn one_that_is_unlocked_and_dead_is_free_at_its_end() {
    let store = Store::new().await;
    let ann = store.take("ann").await.unwrap();
    store.unlock("ann-0123").await.unwrap();
    drop(ann);
    store
        .sandbox
        .advance(Terms::AWS.ttl + Terms::AWS.margin + secs(2))
        .unwrap();
    assert_eq!(store.take("bob").await.unwrap().record().generation, 2);
}

/// Of the versions of a lock the newest counts: were it removed first, an older one would say that the lock is free.
#[tokio::test]
async fn a_bucket_s_lock_is_held_until_its_last_version_is_gone() {
    let store = Store::new().await;
    store.keep_versions().await;
    for _ in 0..6 {
        store.take("cyd").await.unwrap().release().await.unwrap();
    }
    let ann = store.take("ann").await.unwrap();
    let (writer, at) = (
        store.writer().await,
        At {
            name: BUCKET,
            region: "eu-central-1",
        },
    );
    assert!(store.versions().await > 12);
    writer.sweep(at, KEY).await.unwrap();
    assert_eq!(
        (store.versions().await, store.holder().await.as_deref()),
        (1, Some("ann"))
    );
    assert!(
        lock::remove(&writer, &place()).await.is_err(),
        "somebody holds it"
    );
    ann.confirm(secs(80)).await.unwrap();
    ann.retire().await.unwrap();
    assert!(!ann.over().is_cancelled());
    writer.sweep(at, KEY).await.unwrap();
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
async fn a_deletion_is_found_out_and_harms_nobody() {
    let store = Store::new().await;
    store.keep_versions().await;
    let ann = store.take("ann").await.unwrap();
    store
        .s3
        .delete_object()
        .bucket(BUCKET)
        .key(KEY)
        .send()
        .await
        .unwrap();
    assert!(matches!(
        ann.confirm(secs(91)).await.unwrap_err().why,
        Why::Lost(Loss::Deleted)
    ));
    // A delete marker is nothing.
    assert_eq!(store.take("bob").await.unwrap().record().generation, 1);
    ann.release().await.unwrap();
    assert_eq!(store.object().await["holder"], "bob");
}

#[tokio::test]
async fn giving_back_in_a_bucket_that_is_gone_is_no_error() {
    let store = Store::new().await;
    let ann = store.take("ann").await.unwrap();
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
    let error = store.take("bob").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "lock harbor/production: there is no bucket harbor-locks"
    );
}

#[tokio::test]
async fn a_stranger_s_bucket_is_not_written_to() {
    let store = Store::new().await;
    let sandbox::AwsKeys { id, secret } = store.sandbox.aws_keys(ACCOUNT).unwrap();
    let writer = store.writer_with("210987654321", id, secret).await;
    let error = lock::take(&writer, &place(), &who("ann"), AT_ONCE, wall, |_, _| {})
        .await
        .unwrap_err();
    assert!(
        matches!(&error.why, Why::Cloud(error) if error.trouble == Trouble::Denied),
        "{error}"
    );
}

#[tokio::test]
async fn two_rights_are_enough_and_a_third_makes_the_first_look_a_clear_one() {
    let store = Store::new().await;
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
            .admin("aws/keys", json!({ "account": ACCOUNT, "policy": policy }))
            .await;
        let text = |name: &str| keys[name].as_str().unwrap().to_owned();
        store
            .writer_with(ACCOUNT, text("access_key_id"), text("secret_access_key"))
            .await
    };
    let take = async |writer: &Writer| {
        lock::take(writer, &place(), &who("ann"), AT_ONCE, wall, |_, _| {}).await
    };
    let error = take(&limited(false).await).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("to whoever may not `s3:ListBucket`"),
        "{error}"
    );
    let lease = take(&limited(true).await).await.unwrap();
    lease.release().await.unwrap();
    // Once the object is there, the right to list is not needed.
    assert_eq!(
        take(&limited(false).await)
            .await
            .unwrap()
            .record()
            .generation,
        2
    );
}
