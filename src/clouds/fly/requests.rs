//! What is asked for: machines and volumes to make.

use serde_json::{Value, json};

/// A machine to make.
#[derive(Clone, Debug, Default)]
pub struct MachineRequest {
    /// Its name; Fly makes one up when absent.
    pub name: Option<String>,
    /// Where.
    pub region: String,
    /// Its configuration, metadata included.
    pub config: Value,
    /// The version of the secrets that it must start with.
    pub min_secrets_version: Option<u64>,
    /// Whether it is made without being started.
    pub skip_launch: bool,
    /// Whether it is made cordoned: Fly's proxy does not see it until `uncordon`.
    pub skip_service_registration: bool,
    /// For how many seconds it is leased to us from its first moment.
    pub lease_ttl: Option<u64>,
}

impl MachineRequest {
    /// What a creation and an update have in common. What is not asked for is not sent.
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

/// A volume to make.
#[derive(Clone, Debug)]
pub struct CreateVolumeRequest {
    /// Its name.
    pub name: String,
    /// Where.
    pub region: String,
    /// Its size.
    pub size_gb: u32,
    /// Whether it is encrypted; Fly's default is yes.
    pub encrypted: Option<bool>,
    /// For how many days snapshots are kept.
    pub snapshot_retention: Option<u32>,
    /// Whether snapshots are taken daily.
    pub auto_backup_enabled: Option<bool>,
}
