//! The sandbox: a simulation of the Fly APIs and of the parts of AWS and GitHub that trimtab uses. It is an
//! HTTP server on loopback, written from the published API specifications.
//!
//! It exists so that a newcomer can try everything without an account, and so that every test runs
//! the real client against a server that behaves like Fly and AWS, including their failures. It
//! shares no types with the client: its requests and responses are defined from the documentation
//! and the OpenAPI document, so the two sides cannot share one misunderstanding.
//!
//! # What is simulated
//!
//! The Machines API under `/v1`: apps, machines (states, events, leases, waits, checks), volumes,
//! secrets, IP addresses, certificates, network policies, organization-wide lists, regions,
//! placements, tokens and rate limits. Status codes, error bodies and server-side defaults follow the documentation. Where
//! the documentation is silent, a comment in the code says what the sandbox does.
//!
//! The parts of Fly's other two APIs that flyctl uses are here as well: GraphQL under `/graphql`,
//! resolved field by field with aliases, variables and fragments, and releases, builds and
//! organizations under `/api/v1`. All APIs share one state. `/v2` serves image manifests for every
//! registry (`?ns=docker.io` selects one): Fly's own registry requires a token, the others do not.
//!
//! # AWS
//!
//! S3 (path-style addressing), IAM and STS listen on a second port ([`RunningSandbox::aws_url`]).
//! Every account id of twelve digits exists; [`RunningSandbox::aws_keys`] returns the access key of
//! its administrator. Every request must be signed and is authorized against all policies that
//! apply: the identity policies of the user or role, its permissions boundary, the session policy
//! and the bucket policy. Objects encrypted with a KMS key also require permissions on the key. A
//! new bucket has the defaults of April 2026: AES256 without SSE-C, all public access blocked, ACLs
//! disabled, versioning off.
//!
//! | area | supported |
//! |---|---|
//! | buckets | create (with tags and ownership), head, list, delete, location; names are globally unique; the wrong region gives 301 |
//! | configuration | encryption, public access block (also of the account), ownership controls, versioning, lifecycle, policy and its status, tags; ACLs, CORS, website and replication are kept and have no effect; logging, object lock and ABAC are always unset |
//! | objects | put, get, head, copy, delete, ListObjects and ListObjectsV2, versions, multipart uploads, tags, checksums, conditional reads, writes and deletes |
//! | IAM | roles with their policies, boundaries and tags; OpenID Connect providers; instance profiles; `CreatePolicy`, `GetPolicy`, `DeletePolicy`, and a few AWS managed policies |
//! | STS | `GetCallerIdentity`, `AssumeRole`, `AssumeRoleWithWebIdentity` |
//!
//! A web identity token is validated as AWS does it: its issuer is an OpenID Connect provider of
//! the role's account and signed the token, the audience is one of the provider's client ids, the
//! token has not expired on the sandbox's clock, and the role's trust policy allows the subject. In
//! a [`RequestRecord`], the path of an S3 request ends with the subresource that identifies the
//! operation (`/bucket?encryption`); for IAM and STS it is the action (`iam:CreateRole`). Fly and
//! AWS requests share one write counter.
//!
//! Where AWS's documentation is silent: `PutBucketEncryption` without `BlockedEncryptionTypes`
//! allows SSE-C again; a bucket policy is returned with one-element lists collapsed to the element;
//! lifecycle rules are returned in an order of their own.
//!
//! # GitHub
//!
//! GitHub's REST API is served below `/github` on the address of Fly's APIs
//! ([`RunningSandbox::github_url`], for `GITHUB_API_URL`), and `/github/graphql` is the GraphQL API. It
//! shares the clock, the faults, the records and the write counter. What people and git do is done by
//! the commands below `/_sandbox/github/`, or by [`RunningSandbox::github`].
//!
//! | area | supported |
//! |---|---|
//! | repositories | read; private ones do not exist for others; a former name redirects; an archived one is read-only |
//! | pull requests | list, read, those of a commit; forks, drafts, conflicts, test merges; merged by merge, squash or rebase |
//! | conversations | issues, labels and comments: create, list, read, change, delete; locked, deleted and disabled ones; hiding by GraphQL |
//! | commits | read, compare, files at a ref, statuses, check runs |
//! | deployments | create with automatic merge and required contexts, list, delete, statuses; environments |
//! | Actions | workflows with their state, dispatch, runs; names of secrets, variables, permissions, subjects of identity tokens, rules of branches |
//! | tokens | of jobs, fine-grained and classic; a missing permission is named in `X-Accepted-GitHub-Permissions` |
//! | limits | requests per hour, points per minute, new content per minute and hour; pages with `Link`; entity tags |
//!
//! Where GitHub documents nothing: the length of a body counts characters; the oldest commit of a list
//! has the fewest ancestors; a deployment without a status counts as active; conflicts exist only where
//! a command says so.
//!
//! # Time
//!
//! Nothing runs in the background. Each machine stores its next state transition and the time at
//! which it is due, and every request first applies the transitions that are due by now.
//! [`ClockMode`] decides how the clock moves; `speed` makes it faster. With [`ClockMode::Stepped`]
//! a session never has to sleep.
//!
//! # State
//!
//! A folder of plain JSON: `world.json` (organizations, tokens, rules), `apps/NAME.json`,
//! `server.json` (the address of the running server) and `lock`. For AWS: `aws/accounts.json`
//! (access keys, users, roles, providers, sessions, signing keys of token issuers),
//! `aws/buckets/NAME.json`, and object contents in `aws/content`. For GitHub: `github.json`. Every change is stored before its
//! response is sent.
//!
//! # Simulated programs
//!
//! No image runs. A simulated program starts, listens on the ports of its services, passes its
//! checks and runs until it is stopped. On a machine with a schedule or with `auto_destroy`, it
//! exits with code 0 after one second. Rules can change all of this; one that does not say how such
//! a program ends leaves it that end, at the time in `after_ms`.
//!
//! # Postgres
//!
//! A machine with the image `flyio/postgres-flex` is a node of a Postgres cluster. It boots as that
//! image does: without its secrets, its place in consul, `PRIMARY_REGION` or a volume at `/data` it
//! exits, and some seconds after its start it is the primary of a new cluster, or a copy of the one
//! that consul knows. A second node that starts before that becomes a second primary. With
//! `FLY_SCALE_TO_ZERO` a node without sessions stops. Its checks show all this. `psql` in it, which
//! `exec` runs, talks to a model of the server that lies on the volume; with
//! [`SandboxOptions::postgres`] to a real server. Other programs that `exec` knows are `cat`, `echo`,
//! `sleep`, `true` and `false`; there is no shell.
//!
//! # Administration
//!
//! Served under `/_sandbox/`. These requests are not counted and faults do not affect them. Those
//! that show or make secrets need `Authorization: Bearer …` with a token of an organization, or with
//! `admin_token` of `server.json`:
//!
//! | request | effect |
//! |---|---|
//! | `GET state` | returns the whole stored state; needs a token |
//! | `GET requests` | returns every request so far: number, method, path, query, status, `rate_limited`, `nonce`, time |
//! | `GET clock`, `POST clock {"advance_ms":1000}` | returns the time; moves the clock forward |
//! | `GET faults`, `POST faults ["drop-after:w3"]`, `DELETE faults` | lists, adds, clears faults ([`FAULT_HELP`]) |
//! | `POST release` | releases the request that a `hold-before:N` or `hold-after:N` fault holds back |
//! | `GET rules`, `POST rules […]`, `DELETE rules` | lists (newest first), adds, clears rules for simulated programs |
//! | `GET images`, `POST images {"reference":"web:v1","missing":true}`, `DELETE images` | lists, sets, clears image overrides: an image is missing, or its tag points to another digest (`"digest":"sha256:…"`) |
//! | `POST tokens {"org":"acme"}` | returns the organization's token, which is created if it does not exist; needs a token |
//! | `POST hosts {"machine":"…","status":"unreachable"}` | sets the host status of a machine, or of everything with that `volume`, `app` or `region` |
//! | `POST hosts {"region":"ord","error":true}` | organization-wide lists leave out the region and report it in `error_regions` |
//! | `POST hosts {"region":"ord","full":true}` | the region has no capacity for more machines or volumes |
//! | `POST aws/keys {"account":"123456789012"}` | returns the access key of the account's administrator; with `"policy":{…}`, that of a new user with this policy; needs a token |
//! | `POST aws/system-tags {"bucket":"box","tags":{"aws:cloudformation:stack-name":"web"}}` | sets tags of a bucket that only services of AWS may set |
//! | `POST oidc {"app":"…","machine":"…","aud":"sts.amazonaws.com"}` | returns the token that this machine (name or id) would get from `/v1/tokens/oidc` on its socket `/.fly/api`; needs a token |
//! | `GET oidc/ORG/.well-known/openid-configuration`, `…/jwks` | returns what the issuer `https://oidc.fly.io/ORG` publishes |
//! | `POST github {"repository":"acme/shop","sub":"repo:acme/shop:…"}` | registers a workflow and returns its `url` and `token`; `GET url&audience=…` with `Authorization: bearer` responds like GitHub; needs a token |
//! | `POST github/COMMAND {…}` | see below; needs a token |
//! | `GET execs`, `POST execs {"stdin":false,"max_body_bytes":16384}` | returns every `exec` with its whole body and response, needs a token; sets whether programs get the standard input, and how long a request may be |
//! | `POST postgres/login {"app","role","password","database"}` | tries a login: `{"ok":true}`, or `{"ok":false,"sqlstate","message"}` |
//! | `POST postgres/session {"app","role","database","application","locks":[7]}`, `POST postgres/session/close {"app","pid"}` | opens a session without a password, which returns its `pid`, keeps the node awake and holds advisory locks; closes it |
//! | `POST postgres/connect {"app"}` | connects through the private address: the proxy starts a node that sleeps |
//! | `POST postgres/script {"app","script"}` | runs a script as superuser: `exit_code`, `stdout`, `stderr` |
//! | `POST postgres/disk {"app","volume","percent":91}` | sets how full the disk of a node is |
//! | `GET postgres/APP`, `GET postgres/APP/log` | returns the nodes of a cluster with what is in their servers, and the servers' logs |
//! | `POST managed-postgres {"unavailable_requests":2,"failing_creations":1,"cluster":"…","storage_used_bytes":…}` | lets the next requests about databases and users fail with 503, the next clusters fail, and sets the storage that a cluster uses |
//!
//! Those about a cluster need a token; `"machine"` in their bodies names a node, else the primary is
//! meant.
//!
//! The commands for GitHub, each with a JSON object; all but the first four and `behaviour` name the
//! `repository`, as `owner/name`:
//!
//! | command | body |
//! |---|---|
//! | `repositories` | `name`, `private` (true at first), `archived`, `organization`, `has_issues`, `default_branch`, `immutable_subject`, `files`: makes a repository with one commit, or changes one |
//! | `tokens` | `kind` (`actions`, `fine`, `classic`), `repositories`, `permissions` such as `{"issues":"write"}`, `login`, `can_push`, `expired`: returns `token` |
//! | `tokens/expire` | `token` |
//! | `behaviour` | `rate_limit_status`, `retry_after`, `actions_requests_per_hour`, `user_requests_per_hour`, `merged_pulls_lag` (for how many requests `commits/SHA/pulls` does not know a merge) |
//! | `rename` | `to` |
//! | `push` | `branch`, `commits` with `message`, `author` and `files` (null removes one): returns `before`, `after`, `commits` and the `pulls` that follow the branch |
//! | `tags` | `name`, `ref` |
//! | `pulls` | `head`, `base`, `title`, `body`, `user`, `draft`, `fork` (its owner), `labels`, `commits`: opens one and returns `number`, `head_sha`, `base_sha` and `merge_commit_sha` |
//! | `pulls/merge` | `number`, `method` (`merge`, `squash`, `rebase`), `user`: returns `sha` and `before` |
//! | `pulls/update` | `number`, `draft`, `conflict`, `delete_fork` |
//! | `issues` | `title`, `body`, `user`, `labels` |
//! | `issues/update` | `number` of an issue or pull request, `open`, `state_reason`, `user`, `locked`, `deleted`, `title`, `body`, `labels` |
//! | `comments`, `comments/update`, `comments/delete` | `number`, `user`, `body`; or `id`, `body` |
//! | `environments` | `name`, `secrets` (names), `variables`, `protection_rules`, `branch_policy`, `branch_patterns`, `deleted` |
//! | `secrets`, `variables` | `names`, `organization`; `variables` |
//! | `workflows` | `path`, `name`, `state`. Files on the default branch are workflows without this |
//! | `runs` | `workflow` (path), `event`, `status`, `conclusion`, `branch`, `sha`, `actor` |
//! | `statuses` | `sha`, `context`, `state` |
//! | `oidc`, `actions`, `rules` | the settings; `branch` and `rules` |
//!
//! `play` makes an `event` happen (`push`, `merge_group`, `schedule`, `workflow_dispatch`,
//! `pull_request.opened` and other actions), in a `repository` that need not exist, and returns the
//! `payload` of the event file and the `variables` of the job: `trimtab sandbox github EVENT`.
//!
//! A rule is
//! `{"match":{"app":…,"machine":…,"image_contains":…,"process_group":…},"behave":{"exit_code":1,
//! "after_ms":500,"oom":false,"signal":9,"boot_ms":800,"checks":"critical","check_output":"…","logs":["…"],
//! "http":{"status":500,"body":"…"}}}`; all keys are optional. `logs` is what the program prints,
//! between the lines that Fly's init prints (`GET /api/v1/apps/{app}/logs` returns both, the last
//! sixty lines of each machine). `http` is the response of the program to HTTP requests, those of
//! its HTTP checks included, unless `checks` says how these end. When and
//! how a program exits, and what it prints, is decided when it starts, so a new rule about these
//! applies to a running machine only after its next start. Check results and HTTP responses change
//! at once.
//!
//! # Who may call it
//!
//! Both addresses are on loopback. A request whose `Host` is neither loopback nor the host name of an
//! app, or whose `Origin` or `Sec-Fetch-Site` tells that a page of another site sent it, gets `403`:
//! a web page in a browser on this machine must not reach the sandbox, whatever its host name
//! resolves to. What the sandbox writes, only its user can read; a state folder that existed before
//! keeps its permissions, and one that holds something else is refused.
//!
//! # Public HTTP traffic
//!
//! A request whose `Host` is `{app}.fly.dev`, or a host name with a certificate, is handled like
//! Fly's proxy handles public traffic: it goes to a machine that has an HTTP service, is started,
//! is not cordoned and passes its service checks. Requests rotate among these machines. The
//! response names the machine: `{"app","machine","group","region","image","version"}`. If no
//! machine qualifies, a stopped or suspended one is started, unless its `autostart` is false; if
//! none can be started, the response is 503. For an app without a public IP address the name does
//! not resolve; the sandbox closes the connection. Public requests are not counted, rate limited or
//! affected by faults, and each is treated as HTTPS.
//!
//! ```text
//! curl -H 'Host: APP.fly.dev' http://127.0.0.1:PORT/
//! ```
//!
//! # Pointing flyctl at it
//!
//! All three of Fly's APIs share one address:
//!
//! ```text
//! FLY_FLAPS_BASE_URL=http://127.0.0.1:PORT  FLY_API_BASE_URL=http://127.0.0.1:PORT
//! FLY_UIEX_BASE_URL=http://127.0.0.1:PORT   FLY_API_TOKEN=fo1_…   FLY_SEND_METRICS=0
//! FLY_NO_UPDATE_CHECK=1                     FLY_NO_INCIDENTS_CHECK=1
//! ```
//!
//! trimtab itself, without `--sandbox`, also reads `TRIMTAB_REGISTRY_BASE_URL` and sends the
//! requests for all registries there, and `TRIMTAB_PUBLIC_BASE_URL`, from where it gets the pages of
//! all apps.
//!
//! Deploy with `--dns-checks=false`, because the names of apps do not resolve, and with a speed of
//! at most 3: flyctl renews its 13-second leases by its own clock. Reads have the limit that Fly
//! documents for reading a machine, because commands of flyctl list machines several times; with
//! `--latency 150ms` the sandbox is as far away as Fly, whose latency such commands count on.
//!
//! # What is not simulated
//!
//! AWS: what ACLs grant, expiration by lifecycle rules, SSE-C, KMS itself (every key and alias exists, the key
//! policy of each delegates to its account, nothing is encrypted), SHA-1 checksums, chunk
//! signatures, `UploadPartCopy`, the expiry of signatures and presigned URLs, session tags, and the
//! APIs for users and groups.
//!
//! GitHub: search, reviews, organizations, git itself, artifacts and logs of runs; no workflow runs.
//!
//! Fly: the real output of programs; load, and therefore autostop; services other than HTTP;
//! standby takeover, also of Postgres nodes; secret keys; issuing of macaroons; the API through which
//! flyctl sees Managed Postgres (it shows no clusters); WireGuard. Tokens are plain `fo1_` strings, because flyctl rejects macaroons that it
//! cannot decode.

mod admin;
mod api;
mod aws;
mod clock;
mod connection;
mod faults;
mod fly;
mod gate;
mod github;
mod http;
mod ids;
mod json;
mod local_only;
mod postgres;
mod psql_process;
mod recorder;
mod running;
mod server;
mod shared_state;
mod store;
mod world;

pub use crate::aws::AwsAccessKey;
pub use crate::clock::ClockMode;
pub use crate::faults::{FAULT_HELP, Fault, FaultError, RequestSelector};
pub use crate::github::{GithubSetup, GithubSetupError};
pub use crate::running::{
    RunningSandbox, SandboxOptions, SandboxSnapshot, StartError, find_server, start,
};
pub use crate::shared_state::RequestRecord;
pub use crate::store::{ServerFile, StoreError};
pub use crate::world::ExecRecord;

/// How long the transitions of a machine take in the sandbox, in milliseconds: a lower bound for
/// every client.
pub mod times {
    use crate::fly::transitions;

    /// From the start of an update until the new version begins to boot.
    pub const REPLACE_MS: i64 = transitions::REPLACE_MS;
    /// From the creation of a machine until it begins to boot.
    pub const BOOT_DELAY_MS: i64 = transitions::BOOT_DELAY_MS;
    /// From the start of the boot until the machine is `started`.
    pub const BOOT_MS: i64 = transitions::BOOT_MS;
    /// From `started` until the first check results are available.
    pub const FIRST_CHECK_MS: i64 = transitions::FIRST_CHECK_MS;
    /// From `started` until the first node of a Postgres cluster has set it up and is its primary.
    pub const POSTGRES_BOOT_MS: i64 = crate::fly::postgres::INITIALIZE_MS;
}
