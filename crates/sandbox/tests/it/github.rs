//! Tests of the imitation of GitHub.

mod access;
mod comments;
mod deployments;
mod events;
mod issues;
mod limits;
mod pages;
mod pulls;
mod settings;
mod support;
