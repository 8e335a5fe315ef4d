//! Assigns the volumes of an app to the volume slots of the manifest. Volumes bear no mark, so what is known of them is which machine
//! has them attached, and which had them before it was destroyed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{app_resources::name_in_app, collect::AppSnapshot};
use crate::{
    clouds::fly::wire,
    kinds::{
        DataLoss, Desired, UnmanagedResource,
        fly::{
            App, Volume,
            volume::{VolumeLive, VolumeSpec},
            workload::WorkloadLive,
        },
    },
    model::{Address, Name, OwnershipMark, ResourceMap, ResourceRef, resources_in_app},
};

/// Assigns volumes to the volume slots of the manifest.
///
/// A slot takes the volume that its own machine has attached. A slot whose machine has none takes the volume of a machine that
/// no longer mounts one of this name, as when a process group is renamed: the data stays in use. Then come volumes that no
/// machine has attached: first the one that the slot's own machine had before it was destroyed, then the one that was used last.
/// A run that dies between the deletion of a machine and the creation of the next one leaves the volume in use among the spares.
///
/// No remaining volume is ever deleted by itself. It is a spare: shown, and kept until the user names its address in
/// `--allow-destroy`. When the app itself leaves the manifest, all of its volumes go with it, each under its own address.
pub(crate) fn assign_volumes(
    app: &ResourceRef<App>,
    desired: &Desired,
    snapshot: &AppSnapshot,
    machines: &ResourceMap<WorkloadLive>,
    protected: bool,
) -> AssignedVolumes {
    let slots: BTreeMap<&Name, &VolumeSpec> =
        resources_in_app(&desired.fly_volume, app.name()).collect();
    let mut remaining: Vec<VolumeLive> = snapshot
        .volumes
        .iter()
        .map(|volume| VolumeLive::from_wire(app, volume, protected))
        .collect();
    // The id makes the order deterministic.
    remaining.sort_by(|a, b| a.id.cmp(&b.id));
    let mut assigned = ResourceMap::new();
    let holders = VolumeHolders::new(machines, &snapshot.destroyed_machines, desired);
    let mut warnings = Vec::new();
    for pass in VolumeMatch::PASSES {
        for (name, slot) in &slots {
            if assigned.contains_key(*name) {
                continue;
            }
            let is_match = |volume: &VolumeLive| {
                is_volume_of_slot(volume, slot) && pass.accepts(volume, name, &holders)
            };
            // The data that a new volume would lack may be on this one, so a slot waits for its host. Another volume of the
            // name means that the slot is an additional one, which can start with a new volume.
            let is_additional = || {
                let all = assigned.values().chain(&remaining);
                let others = all.filter(|volume| volume.host_ok && is_volume_of_slot(volume, slot));
                others.count() > 0
            };
            if pass == VolumeMatch::Unreachable && is_additional() {
                continue;
            }
            let candidates: Vec<usize> = (0..remaining.len())
                .filter(|index| is_match(&remaining[*index]))
                .collect();
            // Of equal ones the lowest id, which comes first.
            let last_used = |index: &usize| holders.last_used_at(&remaining[*index]);
            let Some(&best) = candidates.iter().rev().max_by_key(|index| last_used(index)) else {
                continue;
            };
            // Only of volumes that no machine has attached is it unknown which one is in use.
            let is_uncertain = pass == VolumeMatch::Unattached && candidates.len() > 1;
            if is_uncertain && last_used(&best).is_none() {
                warnings.push(uncertain_choice(name, &remaining[best], candidates.len()));
            }
            assigned.insert((*name).clone(), remaining.remove(best));
        }
    }
    warnings.extend(slots_that_start_empty(
        &slots, &assigned, &remaining, &holders,
    ));
    let mut result = AssignedVolumes {
        warnings,
        volumes: assigned,
        spares: Vec::new(),
    };
    for volume in remaining {
        let name = name_in_app(
            app.name(),
            &[&volume.volume, volume.region.as_str(), &volume.id],
        );
        let address = Address::new::<Volume>(&name);
        let goes = !desired.fly_app.contains_key(app.name());
        if goes || desired.meta.allow_destroy.contains(&address) {
            result.volumes.insert(name, volume);
        } else {
            result.spares.push(spare_volume(&volume, address));
        }
    }
    result
}

/// The volumes of an app.
pub(crate) struct AssignedVolumes {
    /// By slot; those that the user allowed to delete have a name with their id.
    pub(crate) volumes: ResourceMap<VolumeLive>,
    /// The volumes that no slot needs.
    pub(crate) spares: Vec<UnmanagedResource>,
    /// What the user has to know, such as of a machine that starts with an empty volume.
    pub(crate) warnings: Vec<String>,
}

/// Warns of a slot for which several volumes could be the right one, where nothing tells which was used last.
fn uncertain_choice(slot: &Name, chosen: &VolumeLive, candidates: usize) -> String {
    let address = Address::new::<Volume>(slot);
    format!(
        "{address} will be {}, one of {candidates} volumes named {} that no machine has attached, and Fly does not tell which was used \
         last; look at them with `fly volumes list`, and destroy those that are not needed before you apply",
        chosen.id, chosen.volume
    )
}

/// Warns of slots that get a new volume while another one with data is not used any more: a volume stays in its region and keeps its
/// name, so a group that moves, or whose `source` gets another name, would start without its data.
fn slots_that_start_empty(
    slots: &BTreeMap<&Name, &VolumeSpec>,
    assigned: &ResourceMap<VolumeLive>,
    remaining: &[VolumeLive],
    holders: &VolumeHolders<'_>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, slot) in slots
        .iter()
        .filter(|(name, _)| !assigned.contains_key(**name))
    {
        let usable = || remaining.iter().filter(|volume| volume.host_ok);
        let same_name = usable().find(|volume| volume.volume == slot.volume);
        let Some(unused) =
            same_name.or_else(|| usable().find(|volume| holders.leaves(volume, name)))
        else {
            continue;
        };
        let VolumeLive {
            id, region, volume, ..
        } = unused;
        let address = Address::new::<Volume>(name);
        let mut fork = format!("fly volumes fork {id} --region {}", slot.region);
        if *volume != slot.volume {
            fork.push_str(&format!(" --name {}", slot.volume));
        }
        warnings.push(format!(
            "{address} will be a new, empty volume, and the data of {id} ({volume}) in {region} stays where it is, unused; to start \
             with that data, first run `{fork}`: the fork takes the free slot"
        ));
    }
    warnings
}

fn is_volume_of_slot(volume: &VolumeLive, slot: &VolumeSpec) -> bool {
    volume.volume == slot.volume && volume.region == slot.region
}

/// A volume that no slot needs.
fn spare_volume(volume: &VolumeLive, address: Address) -> UnmanagedResource {
    UnmanagedResource {
        description: format!(
            "volume {} ({}, {}, {})",
            volume.volume, volume.region, volume.size, volume.id
        ),
        container: volume.app.address(),
        why: match volume.host_ok {
            true => {
                format!("no machine of the manifest needs it; --allow-destroy {address} deletes it")
            }
            false => "its host cannot be reached, so no machine can use it".to_owned(),
        },
        data_loss: Some(DataLoss::Data),
        address: Some(address),
        identity: volume.id.clone(),
    }
}

/// Which machine of ours has a volume attached, and what it is to mount.
struct VolumeHolders<'a> {
    slots_by_machine: BTreeMap<&'a str, &'a Name>,
    /// By the id of the volume.
    last_users: BTreeMap<&'a str, LastUser<'a>>,
    desired: &'a Desired,
}

/// The last of the destroyed machines that mounted a volume.
struct LastUser<'a> {
    /// When it was destroyed, in RFC 3339 and UTC: the texts sort by time.
    destroyed_at: &'a str,
    /// The slot in its metadata.
    slot: Option<Name>,
}

impl<'a> VolumeHolders<'a> {
    fn new(
        machines: &'a ResourceMap<WorkloadLive>,
        destroyed: &'a [wire::MachineResponse],
        desired: &'a Desired,
    ) -> Self {
        let slots_by_machine = machines
            .iter()
            .map(|(name, machine)| (machine.id.as_str(), name))
            .collect();
        let mut last_users: BTreeMap<&str, LastUser<'_>> = BTreeMap::new();
        for machine in destroyed {
            let text = |path: &str| machine.config.pointer(path).and_then(Value::as_str);
            let Some(volume) = text("/mounts/0/volume") else {
                continue;
            };
            let user = LastUser {
                destroyed_at: &machine.updated_at,
                slot: text(&format!("/metadata/{}", OwnershipMark::NAME_KEY))
                    .and_then(|name| Name::parse(name).ok()),
            };
            let known = last_users.get(volume);
            if known.is_none_or(|known| known.destroyed_at < user.destroyed_at) {
                last_users.insert(volume, user);
            }
        }
        Self {
            slots_by_machine,
            last_users,
            desired,
        }
    }

    /// When the last machine that mounted the volume was destroyed.
    fn last_used_at(&self, volume: &VolumeLive) -> Option<&'a str> {
        let user = self.last_users.get(volume.id.as_str())?;
        Some(user.destroyed_at)
    }

    /// Whether the last machine that mounted the volume had the machine slot that is to mount this volume slot.
    fn was_mounted_by_slot(&self, volume: &VolumeLive, slot: &Name) -> bool {
        let user = self.last_users.get(volume.id.as_str());
        let machine = user.and_then(|user| user.slot.as_ref());
        machine.and_then(|machine| self.mounted_slot(machine)) == Some(slot)
    }

    /// The slot of the machine that has the volume attached.
    fn holder(&self, volume: &VolumeLive) -> Option<&'a Name> {
        let machine = volume.attached_machine.as_deref()?;
        self.slots_by_machine.get(machine).copied()
    }

    /// Whether the machine that is to mount this volume slot has another volume attached at present.
    fn leaves(&self, volume: &VolumeLive, slot: &Name) -> bool {
        let holder = self.holder(volume);
        holder.and_then(|machine| self.mounted_slot(machine)) == Some(slot)
    }

    /// The volume slot that a machine slot is to mount.
    fn mounted_slot(&self, machine: &Name) -> Option<&'a Name> {
        let machine = self.desired.fly_machine.get(machine)?;
        machine.volume.as_ref().map(ResourceRef::name)
    }

    /// Whether the machine is to mount a volume of this name.
    fn mounts_volume_named(&self, machine: &Name, volume: &str) -> bool {
        self.mounted_slot(machine)
            .and_then(|slot| self.desired.fly_volume.get(slot))
            .is_some_and(|slot| slot.volume == volume)
    }
}

/// The passes in which volumes are assigned to slots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum VolumeMatch {
    /// It is attached to the machine that the slot belongs to.
    OwnMachine,
    /// It is attached to a machine that the manifest does not name any more, or that mounts nothing of this name any more.
    LeavingMachine,
    /// It is not attached, and the machine that had it last was the slot's own.
    FormerMachine,
    /// It is not attached.
    Unattached,
    /// It is not attached, and its host cannot be reached.
    Unreachable,
}

impl VolumeMatch {
    const PASSES: [Self; 5] = [
        Self::OwnMachine,
        Self::LeavingMachine,
        Self::FormerMachine,
        Self::Unattached,
        Self::Unreachable,
    ];

    fn accepts(self, volume: &VolumeLive, slot: &Name, holders: &VolumeHolders<'_>) -> bool {
        match self {
            Self::OwnMachine => holders
                .holder(volume)
                .and_then(|machine| holders.mounted_slot(machine))
                .is_some_and(|mounted| mounted == slot),
            Self::LeavingMachine => holders
                .holder(volume)
                .is_some_and(|machine| !holders.mounts_volume_named(machine, &volume.volume)),
            Self::FormerMachine => {
                volume.attached_machine.is_none()
                    && volume.host_ok
                    && holders.was_mounted_by_slot(volume, slot)
            }
            Self::Unattached => volume.attached_machine.is_none() && volume.host_ok,
            Self::Unreachable => volume.attached_machine.is_none() && !volume.host_ok,
        }
    }
}
