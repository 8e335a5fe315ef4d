//! The kinds of resources, and the one list of all of them.
//!
//! Each kind is one folder: `spec.rs` holds the types of what a manifest asks for and what the cloud reports, `diff.rs`
//! compares the two, and `drive.rs`, the only file that may use an API client, runs the operations. To add a kind, create
//! its folder, add one line to the list at the end of this file, and follow the compiler; `CONTRIBUTING.md` has a worked
//! example.

use std::collections::BTreeMap;

use crate::model::{KindName, Name, ResourceMap};

pub mod aws;
mod diff;
mod drive;
mod environment;
pub mod fly;
mod kind;
pub mod postgres;
mod writers;
#[macro_use]
mod list;

pub use diff::{Blocker, Cause, DescribeEdit, Diff, DiffContext, Impact, NoEdit, Op, References};
pub use drive::{Drive, DriveRollout};
pub use environment::{AwsMeta, EnvironmentMeta, Findings, OwnershipConflict, UnmanagedResource};
pub use kind::{
    Cost, DataLoss, DeletionRules, Kind, KindInfo, LeaseTarget, OperationRules, Phase,
    RolloutGroup, RolloutNote, RolloutRules,
};
pub use list::{KindVisitor, RegisteredKind};
pub use writers::CloudWriters;

/// The release that a manifest asks for, by app.
pub type Releases = BTreeMap<Name, fly::Release>;

pub use fly::release::desired_releases;

// A kind refers only to kinds above it, or to its own. The brackets name the traits that a kind implements with all their
// defaults.
define_kinds! {
    aws_provider: AwsProvider = aws::OidcProvider [RolloutRules OperationRules DriveRollout],
    aws_role: AwsRole = aws::Role [RolloutRules OperationRules DriveRollout],
    aws_bucket: AwsBucket = aws::Bucket [RolloutRules OperationRules DriveRollout],
    fly_app: FlyApp = fly::App [OperationRules],
    fly_ip: FlyIp = fly::Ip [RolloutRules OperationRules DriveRollout],
    fly_certificate: FlyCertificate = fly::Certificate [RolloutRules OperationRules DriveRollout],
    postgres_managed_cluster: PostgresManagedCluster = postgres::ManagedCluster [RolloutRules DriveRollout],
    postgres_database: PostgresDatabase = postgres::Database [RolloutRules DriveRollout],
    fly_secrets: FlySecrets = fly::Secrets [OperationRules DriveRollout],
    fly_volume: FlyVolume = fly::Volume [OperationRules DriveRollout],
    fly_machine: FlyMachine = fly::Machine [],
    fly_release: FlyRelease = fly::ReleaseCommand [DriveRollout],
    fly_cron: FlyCron = fly::Cron [DriveRollout],
}
