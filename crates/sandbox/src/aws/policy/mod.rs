//! Policies: what identities, roles and buckets allow and deny, as AWS evaluates it.
//!
//! [`document`] reads and refuses texts, [`condition`] and [`pattern`] match, [`decide`] adds up all policies that have
//! a say in one request.

mod condition;
mod dangling;
mod decide;
mod document;
mod managed;
mod pattern;
mod public;

pub(crate) use condition::Context;
pub(crate) use dangling::dangling;
pub(crate) use decide::{Ask, Guard, decide, trusts};
pub(crate) use document::{bucket, identity, normal, trust};
pub(crate) use managed::{ADMINISTRATOR_ACCESS, managed};
pub(crate) use public::is_public;
