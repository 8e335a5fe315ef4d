//! trimtab keeps what runs on Fly.io and AWS the same as what the repository says.
//!
//! A user writes one TOML manifest per environment. trimtab compares it with the live clouds, shows the difference, and
//! applies it in order. There is no state file: what trimtab has to remember is written on the resources themselves.
//!
//! # Five types
//!
//! ```text
//! environments/*.toml ──manifest::load──▶ Desired   every reference resolves; no name is defined twice
//! Fly, AWS            ──observe─────────▶ World     complete within its scope, so absent means absent
//! Desired × World     ──plan────────────▶ Plan      steps and their order in one value; no cycle      (pure)
//! Plan × Limits       ──guard───────────▶ Approved  nothing dangerous, or the user allowed it         (pure)
//! Approved            ──apply───────────▶ Report    every step has exactly one outcome
//! ```
//!
//! [`ops::run()`] strings the arrows together, from `observe` on. `apply`, `destroy` and `rollback` are that function with different goals.
//!
//! # Layers
//!
//! A module may use only modules above it in this table. `tests/it/architecture.rs` lists which, and reads the `use` lines.
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | names, addresses, sizes, regions, secrets, redaction |
//! | [`clouds`] | HTTP with rate limits, retries and request ids; the clients of Fly, image registries and AWS |
//! | [`iam`] | AWS policy documents: parsing, comparison, description in words |
//! | [`lock`] | the environment lock, a lease in an S3 object |
//! | [`kinds`] | what a resource is, one folder each; only its `drive` files use the clouds |
//! | [`manifest`] | TOML to [`kinds::Desired`], with all errors of a file at once |
//! | [`mod@observe`] | the clouds to [`kinds::World`]: which live object is which resource |
//! | [`mod@plan`] | the difference as ordered steps, the guard, the plan id; pure |
//! | [`mod@apply`] | a pure ready queue, the loop around it, and the events it sends |
//! | [`github`] | the comment on a pull request, the plan that was reviewed there, the issue about drift |
//! | [`status`] | what runs, as a value |
//! | [`workflows`] | the workflows on GitHub that the manifests imply, as text; pure |
//! | [`ops`] | the operations behind the commands |
//! | [`render`] | values to text, Markdown, JSON and pictures; prints nothing |
//! | [`cli`] | arguments, the terminal, signals |
//!
//! The imitation of Fly and AWS is the crate `trimtab_sandbox`, which shares no type with the client.
//!
//! Start with [`kinds`], read one kind's folder, then [`mod@plan`].

pub mod apply;
pub mod cli;
pub mod clouds;
pub mod github;
pub mod iam;
pub mod kinds;
pub mod lock;
pub mod manifest;
pub mod model;
pub mod observe;
pub mod ops;
pub mod plan;
pub mod render;
pub mod status;
pub mod workflows;
