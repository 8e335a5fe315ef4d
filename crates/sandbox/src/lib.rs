//! The sandbox: an imitation of the Fly APIs, and of what is needed of AWS, over HTTP on loopback, made from their
//! specifications.
//!
//! It exists so that a newcomer can try everything without an account, and so that every test runs the real client
//! against something that behaves like Fly and AWS, including when they misbehave. It shares no type with the client: its idea
//! of the wire comes from the documentation and the OpenAPI document, so a misunderstanding cannot cancel itself out.
//!
//! # What is imitated
//!
//! The Machines API under `/v1`: applications, machines with their states, events, leases, waits and checks, volumes,
//! secrets, addresses, certificates, lists over organisations, regions, placements, tokens, and the rate limits.
//! Status codes, error bodies and the defaults that the server fills in follow the documentation. Where the
//! documentation is silent, the nearest comment says what was chosen.
//!
//! Beside it stand what flyctl asks of the two other APIs: GraphQL under `/graphql`, resolved field by field with
//! aliases, variables and fragments, and releases, builds and organisations under `/api/v1`. They share the state. And
//! under `/v2` there are the manifests of images, of every registry at once (`?ns=docker.io`): Fly's own with a token,
//! all others without.
//!
//! # AWS
//!
//! S3 (in path style), IAM and STS answer on a second port ([`Running::aws_url`]). Every account of twelve digits exists;
//! [`Running::aws_keys`] is its administrator. Each request must be signed, and is judged by all policies that have a say:
//! those of the user or role, permissions boundary, session policy, the bucket's policy; what a key of KMS encrypts needs a
//! right on the key as well. A new bucket looks as it does
//! since April 2026: AES256 without SSE-C, all public access blocked, no access lists, no versions.
//!
//! | of | is there |
//! |---|---|
//! | buckets | create (with tags and ownership), head, list, delete, location; names are unique in all of AWS; a wrong region is a 301 |
//! | configuration | encryption, public access block, ownership controls, versioning, lifecycle, policy and its status, tags; logging, CORS, website, replication, object lock and ABAC read as absent |
//! | objects | put, get, head, copy, delete, both lists, versions, parts, tags, checksums, conditions on reads, writes and deletes |
//! | IAM | roles with their policies, boundaries and tags; OpenID Connect providers; `CreatePolicy`, `GetPolicy`, `DeletePolicy`, and a few of AWS's own policies |
//! | STS | `GetCallerIdentity`, `AssumeRole`, `AssumeRoleWithWebIdentity` |
//!
//! A token is checked as AWS checks it: its issuer is a provider of the role's account, signed it with its key and meant
//! it for one of the provider's audiences, it has not expired by the sandbox's clock, and the role's trust policy lets its
//! subject in. In [`RequestRecord`]s the path of S3 ends in what tells the operation apart (`/bucket?encryption`), and that
//! of the others is the action (`iam:CreateRole`). Writes of both clouds are counted together.
//!
//! Where AWS's documentation is silent: `PutBucketEncryption` without `BlockedEncryptionTypes` lets SSE-C in again; a
//! bucket's policy comes back with lists of one as the one; rules of a lifecycle come back in an order of their own.
//!
//! # Time
//!
//! Nothing runs in the background: each machine stores its next step with a moment, and every request first catches up
//! with the clock. [`ClockMode`] decides what the clock does; `speed` makes it faster. See [`ClockMode::Stepped`] for
//! sessions that never sleep.
//!
//! # State
//!
//! A folder of plain JSON: `world.json` (organisations, tokens, rules), `apps/NAME.json`, `server.json` (where the
//! running server is) and `lock`; and for AWS `aws/accounts.json` (keys, users, roles, providers, sessions, the keys of
//! issuers), `aws/buckets/NAME.json`, and the contents of objects in `aws/content`. Every change is stored before its answer is sent.
//!
//! # The programs inside
//!
//! No image runs. A program starts, listens on the ports of its services, passes its checks and runs until stopped; a
//! machine that is scheduled, or destroys itself when done, exits with 0 after a second. Rules say otherwise.
//!
//! # Administration
//!
//! Under `/_sandbox/`, without a token; these requests are neither counted nor struck by faults:
//!
//! | request | does |
//! |---|---|
//! | `GET state` | everything stored |
//! | `GET requests` | every request so far: number, method, path, query, status, `rate_limited`, `nonce`, time |
//! | `GET clock`, `POST clock {"advance_ms":1000}` | shows the time, moves it forward |
//! | `GET faults`, `POST faults ["drop-after:w3"]`, `DELETE faults` | shows, adds, clears faults ([`HELP`]) |
//! | `POST release` | lets the request go on that the fault `hold-before:N` or `hold-after:N` holds back |
//! | `GET rules`, `POST rules […]`, `DELETE rules` | how programs behave, newest first |
//! | `GET images`, `POST images {"reference":"web:v1","missing":true}`, `DELETE images` | which images are missing, or, with `"digest":"sha256:…"`, which tags have moved |
//! | `POST tokens {"org":"acme"}` | the token for everything in an organisation, made if it is missing |
//! | `POST hosts {"machine":"…","status":"unreachable"}` | a host stops answering; also by `volume`, `app`, `region` |
//! | `POST hosts {"region":"ord","error":true}` | lists over an organisation lack the region and report it |
//! | `POST hosts {"region":"ord","full":true}` | the region takes no more machines or volumes |
//! | `POST aws/keys {"account":"123456789012"}` | the administrator's access key of an account; with `"policy":{…}` that of a new user who may do what the policy says |
//! | `POST oidc {"app":"…","machine":"…","aud":"sts.amazonaws.com"}` | the token that the machine, by name or identifier, gets at its socket `/.fly/api` from `/v1/tokens/oidc` |
//! | `GET oidc/ORG/.well-known/openid-configuration`, `…/jwks` | what the issuer `https://oidc.fly.io/ORG` publishes |
//! | `POST github {"repository":"acme/shop","sub":"repo:acme/shop:…"}` | `url` and `token` of a workflow; `GET url&audience=…` with `Authorization: bearer` is answered as by GitHub |
//!
//! A rule is `{"match":{"app":…,"machine":…,"image_contains":…,"process_group":…},"behave":{"exit_code":1,
//! "after_ms":500,"oom":false,"signal":9,"boot_ms":800,"checks":"critical","check_output":"…","logs":["…"],
//! "http":{"status":500,"body":"…"}}}`; all keys are optional. `logs` is what the program prints, between the lines that
//! Fly's init prints around it (`GET /api/v1/apps/{app}/logs` shows both, the last sixty of each machine); `http` is what
//! it answers to visitors. When and how a program exits, and what it prints, is decided as it starts, so a new rule about
//! that reaches a running machine at its next start; what its checks and pages say changes at once.
//!
//! # The public side
//!
//! A request whose `Host` is `{app}.fly.dev`, or a host name with a certificate, is a visit, and is answered as by Fly's
//! proxy: by a machine with a service for HTTP that is started, not cordoned, and passes its services' checks. They take
//! turns. The page says which one it was: `{"app","machine","group","region","image","version"}`. If there is none, one
//! that sleeps is woken, unless its `autostart` is false; if nothing can answer, 503. An application without a public
//! address has no name, and the connection is closed. Visits are neither counted, nor limited, nor struck by faults, and
//! every visit counts as one over HTTPS.
//!
//! ```text
//! curl -H 'Host: APP.fly.dev' http://127.0.0.1:PORT/
//! ```
//!
//! # Pointing flyctl at it
//!
//! All three of Fly's APIs answer on one address:
//!
//! ```text
//! FLY_FLAPS_BASE_URL=http://127.0.0.1:PORT  FLY_API_BASE_URL=http://127.0.0.1:PORT
//! FLY_UIEX_BASE_URL=http://127.0.0.1:PORT   FLY_API_TOKEN=fo1_…   FLY_SEND_METRICS=0
//! FLY_NO_UPDATE_CHECK=1                     FLY_NO_INCIDENTS_CHECK=1
//! ```
//!
//! trimtab itself, without `--sandbox`, also takes `TRIMTAB_REGISTRY_BASE_URL`: all registries are asked there.
//!
//! Deploy with `--dns-checks=false`, because nothing answers for the names of applications, and at three times the ordinary
//! speed at most: flyctl renews its leases of 13 seconds by its own clock. Some of its commands list machines more often
//! than the limits allow, and get away with it because Fly is far: `--latency 150ms` makes the sandbox as far.
//!
//! # What is not imitated
//!
//! Of AWS: access lists, expiry by lifecycle rules, SSE-C, KMS itself (every key and alias exists, each
//! key's policy leaves all to its account, nothing is encrypted), SHA-1
//! checksums, the signatures of single chunks, `UploadPartCopy`, the age of signatures and signed links, sessions with
//! tags, and users and groups as an API.
//!
//! What programs really say; load, and so stopping by the proxy; services other than HTTP; standbys taking over; secret
//! keys and the issuing of macaroons; Managed Postgres (an organisation has none); WireGuard. Tokens are plain `fo1_`
//! texts, because flyctl throws away macaroons that do not decode.

mod access;
mod admin;
mod api;
mod aws;
mod behaviour;
mod clock;
mod config;
mod connection;
mod console;
mod faults;
mod gate;
mod graphql;
mod http;
mod ids;
mod images;
mod machine;
mod proxy;
mod rate_limit;
mod recorder;
mod registry;
mod routes;
mod running;
mod server;
mod store;
mod transitions;
mod uiex;
mod v1;
mod world;

pub use crate::aws::AwsAccessKey;
pub use crate::clock::ClockMode;
pub use crate::faults::{FAULT_HELP, Fault, FaultError, RequestSelector};
pub use crate::running::{
    RunningSandbox, SandboxOptions, SandboxSnapshot, StartError, find_server, start,
};
pub use crate::server::RequestRecord;
pub use crate::store::{ServerFile, StoreError};

/// How long a machine takes in here, in milliseconds: what no client can be faster than.
pub mod times {
    use super::transitions;

    /// Replacing the old version by the new one.
    pub const REPLACE_MS: i64 = transitions::REPLACE_MS;
    /// A new machine waits so long before it boots.
    pub const BOOT_DELAY_MS: i64 = transitions::BOOT_DELAY_MS;
    /// From the beginning of a boot until it is started.
    pub const BOOT_MS: i64 = transitions::BOOT_MS;
    /// From then until its checks are known.
    pub const FIRST_CHECK_MS: i64 = transitions::FIRST_CHECK_MS;
}
