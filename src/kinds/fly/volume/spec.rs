//! The desired and the live state of a volume.

use serde::Serialize;

use crate::{
    kinds::{References, fly::App},
    model::{Address, Gib, Region, ResourceRef},
};

/// The desired state: one volume for one machine slot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeSpec {
    /// The app that it belongs to.
    pub app: ResourceRef<App>,
    /// The volume's name; all volumes of a group share it.
    pub volume: String,
    /// The region.
    pub region: Region,
    /// The size, or only the initial size if [`auto_extends`](Self::auto_extends). `None` keeps the size of an existing
    /// volume; a new one gets [`VolumeSpec::DEFAULT_SIZE`].
    pub size: Option<Gib>,
    /// The key that the manifest has the size under; `size` and `initial_size` are the same setting.
    #[serde(skip)]
    pub size_key: &'static str,
    /// How many days daily snapshots are kept, 1 to 60.
    pub snapshot_retention: Option<u32>,
    /// Whether Fly takes daily snapshots.
    pub scheduled_snapshots: Option<bool>,
    /// Whether it is encrypted at rest; it cannot be changed after creation.
    pub encrypted: Option<bool>,
    /// Whether Fly extends the volume automatically. A live size above `size` is then no difference; otherwise it blocks
    /// the plan, because a volume cannot shrink.
    #[serde(rename = "grows")]
    pub auto_extends: bool,
}

impl VolumeSpec {
    /// The size of a new volume if the manifest does not say, as in `fly deploy`.
    pub const DEFAULT_SIZE: Gib = Gib(1);
}

/// The live state, as reported by Fly.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeLive {
    /// The app that it belongs to.
    pub app: ResourceRef<App>,
    /// Fly's id, `vol_…`.
    pub id: String,
    /// The volume's name.
    pub volume: String,
    /// The region.
    pub region: Region,
    /// The size.
    pub size: Gib,
    /// How many days snapshots are kept.
    pub snapshot_retention: Option<u32>,
    /// Whether Fly takes daily snapshots.
    pub scheduled_snapshots: Option<bool>,
    /// Whether it is encrypted at rest.
    pub encrypted: bool,
    /// The state, such as `created`.
    pub state: String,
    /// The id of the machine that has it attached.
    pub attached_machine: Option<String>,
    /// Used bytes and capacity in bytes, if known.
    #[serde(skip)]
    pub usage: Option<(u64, u64)>,
    /// Whether its host is reachable.
    pub host_ok: bool,
    /// Whether its app is protected.
    pub protected: bool,
}

impl References for VolumeSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            volume: _,
            region: _,
            size: _,
            size_key: _,
            snapshot_retention: _,
            scheduled_snapshots: _,
            encrypted: _,
            auto_extends: _,
        } = self;
        vec![app.address()]
    }
}

impl References for VolumeLive {
    fn references(&self) -> Vec<Address> {
        vec![self.app.address()]
    }
}
