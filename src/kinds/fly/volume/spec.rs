//! What a manifest says of a volume, and what Fly reports.

use serde::Serialize;

use crate::{
    kinds::{References, fly::App},
    model::{Address, Gib, Region, ResourceRef},
};

/// What the manifest asks for: one disk, for one machine slot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeSpec {
    /// The app it belongs to.
    pub app: ResourceRef<App>,
    /// The volume's name; all disks of a group share it.
    pub volume: String,
    /// Where it is.
    pub region: Region,
    /// How large it is at least. `None` leaves the size of an existing volume alone and makes new ones of
    /// [`VolumeSpec::DEFAULT_SIZE`].
    pub size: Option<Gib>,
    /// For how many days daily snapshots are kept, 1 to 60.
    pub snapshot_retention: Option<u32>,
    /// Whether Fly takes daily snapshots.
    pub scheduled_snapshots: Option<bool>,
    /// Whether it is encrypted at rest; fixed when it is made.
    pub encrypted: Option<bool>,
    /// Whether the volume grows by itself, so that a larger live size is no difference.
    pub grows: bool,
}

impl VolumeSpec {
    /// The size of a new volume when nothing is said, as `fly deploy` does it.
    pub const DEFAULT_SIZE: Gib = Gib(1);
}

/// What Fly reports.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeLive {
    /// The app it belongs to.
    pub app: ResourceRef<App>,
    /// Fly's id, `vol_…`.
    pub id: String,
    /// The volume's name.
    pub volume: String,
    /// Where it is.
    pub region: Region,
    /// Its size.
    pub size: Gib,
    /// For how many days snapshots are kept.
    pub snapshot_retention: Option<u32>,
    /// Whether Fly takes daily snapshots.
    pub scheduled_snapshots: Option<bool>,
    /// Whether it is encrypted at rest.
    pub encrypted: bool,
    /// Its state on Fly, such as `created`.
    pub state: String,
    /// The id of the machine that holds it.
    pub attached_machine: Option<String>,
    /// Bytes used, and bytes in all, where Fly tells.
    #[serde(skip)]
    pub usage: Option<(u64, u64)>,
    /// Whether its host answers.
    pub host_ok: bool,
    /// Whether its app bears the mark of protection.
    pub protected: bool,
}

impl References for VolumeSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            volume: _,
            region: _,
            size: _,
            snapshot_retention: _,
            scheduled_snapshots: _,
            encrypted: _,
            grows: _,
        } = self;
        vec![app.address()]
    }
}

impl References for VolumeLive {
    fn references(&self) -> Vec<Address> {
        vec![self.app.address()]
    }
}
