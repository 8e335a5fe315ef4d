//! trimtab keeps what runs on Fly.io and AWS the same as what the repository says.
//!
//! A user writes one TOML manifest for each environment. trimtab compares it with what is there, shows the difference,
//! and makes it so, in order. There is no state file: the live clouds, and the marks that trimtab leaves on what it
//! makes, are the only truth.
//!
//! # The story in five types
//!
//! ```text
//! environments/*.toml ──manifest::load──▶ Desired   every reference lands; no name twice
//! Fly, AWS            ──observe─────────▶ World     complete within its scope, so absent means absent
//! Desired × World     ──plan────────────▶ Plan      steps and their order in one value; no cycle       (pure)
//! Plan × Limits       ──guard───────────▶ Approved  nothing dangerous, or the user said so             (pure)
//! Approved            ──apply───────────▶ Report    every step has exactly one outcome
//! ```
//!
//! # The floors
//!
//! A module names only modules above it in this list; a test reads the `use` lines.
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | words: names, addresses, sizes, regions, secrets, the lines of a difference |
//! | [`clouds`] | the wire: one HTTP path with pacing, retries and request ids, and the clients of the Machines API, of image registries and of AWS |
//! | [`kinds`] | what a resource is, one folder for each; only `drive.rs` files see the clouds |
//! | [`manifest`] | TOML to [`kinds::Desired`], with every error of a file at once |
//! | [`mod@observe`] | the clouds to [`kinds::World`], which live object is which resource, and which image a tag means |
//! | [`mod@plan`] | the difference as ordered steps, the guard, the id of a plan; pure |
//! | [`mod@apply`] | a pure queue, the loop around it, and the events it tells |
//! | [`render`] | values to text, Markdown, JSON and pictures; prints nothing |
//! | [`cli`] | one thin file for each command; the only writer to the terminal |
//! | `trimtab_sandbox` | a crate beside this one: the imitation of Fly and AWS, which shares no type with the client |
//!
//! Start with [`kinds`], read one kind's folder, then [`mod@plan`].

pub mod apply;
pub mod cli;
pub mod clouds;
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
