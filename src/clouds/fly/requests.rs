//! Request bodies of creates and updates of machines and volumes.

use serde_json::{Value, json};

/// The body of a request that creates or updates a machine.
#[derive(Clone, Debug, Default)]
pub struct MachineRequest {
    /// The machine's name; Fly generates one if absent.
    pub name: Option<String>,
    /// Where.
    pub region: String,
    /// The configuration (`config` in the API), including metadata.
    pub config: Value,
    /// The minimum version of the app's secrets that the machine must start with.
    pub min_secrets_version: Option<u64>,
    /// Whether to create the machine without starting it.
    pub skip_launch: bool,
    /// Whether to create the machine cordoned: Fly's proxy does not route to it until `uncordon`.
    pub skip_service_registration: bool,
    /// Takes a lease on the machine for this many seconds, effective from its creation.
    pub lease_ttl: Option<u64>,
}

impl MachineRequest {
    /// The JSON body that creates and updates share. Absent options are not sent.
    pub(super) fn to_json(&self) -> Value {
        let Self {
            name: _,
            region,
            config,
            min_secrets_version,
            skip_launch,
            skip_service_registration,
            lease_ttl,
        } = self;
        let mut body = json!({ "config": config, "region": region, "skip_launch": skip_launch });
        if let Some(version) = min_secrets_version {
            body["min_secrets_version"] = (*version).into();
        }
        if *skip_service_registration {
            body["skip_service_registration"] = true.into();
        }
        if let Some(ttl) = lease_ttl {
            body["lease_ttl"] = (*ttl).into();
        }
        body
    }
}

/// The body of a request that creates a volume.
#[derive(Clone, Debug)]
pub struct CreateVolumeRequest {
    /// The volume's name; several volumes may share one.
    pub name: String,
    /// Where.
    pub region: String,
    /// The size in GiB.
    pub size_gb: u32,
    /// Whether to encrypt the volume; Fly's default is yes.
    pub encrypted: Option<bool>,
    /// How many days snapshots are kept.
    pub snapshot_retention: Option<u32>,
    /// Whether snapshots are taken daily.
    pub auto_backup_enabled: Option<bool>,
}
