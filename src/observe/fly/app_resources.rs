//! Matches what an app has besides machines (volumes, secrets, IP addresses, certificates) to the
//! resources of the manifest.

use std::collections::BTreeMap;

use crate::{
    clouds::fly::wire,
    kinds::{
        DataLoss, Desired, UnmanagedResource,
        fly::{
            App, Certificate, Ip, Volume,
            certificate::CertificateLive,
            ip::{IpKind, IpLive, IpSpec},
            secrets::{SecretLive, SecretsLive, SecretsRecord},
            volume::{VolumeLive, VolumeSpec},
            workload::WorkloadLive,
        },
    },
    model::{Address, Name, OwnershipMark, ResourceMap, ResourceRef, resources_in_app},
};

/// Builds a resource name inside an app from parts that come from the API. Characters that a name
/// may not contain become `-`.
pub(crate) fn name_in_app(app: &Name, parts: &[&str]) -> Name {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
    let sanitize = |part: &&str| {
        part.chars()
            .map(|c| if is_allowed(c) { c } else { '-' })
            .collect::<String>()
    };
    let text = parts.iter().map(sanitize).collect::<Vec<_>>().join("/");
    app.child(&text).unwrap_or_else(|_| app.clone())
}

/// Assigns volumes to the volume slots of the manifest.
///
/// A slot takes the volume that its own machine has attached. A slot whose machine has none takes the volume of a machine that
/// no longer mounts one of this name, as when a process group is renamed: the data stays in use. Then come volumes that no
/// machine has attached.
///
/// No remaining volume is ever deleted by itself. It is a spare: shown, and kept until the user names its address in
/// `--allow-destroy`.
pub(crate) fn assign_volumes(
    app: &ResourceRef<App>,
    desired: &Desired,
    live: &[wire::VolumeResponse],
    machines: &ResourceMap<WorkloadLive>,
    protected: bool,
) -> AssignedVolumes {
    let slots: BTreeMap<&Name, &VolumeSpec> =
        resources_in_app(&desired.fly_volume, app.name()).collect();
    let mut remaining: Vec<VolumeLive> = live
        .iter()
        .map(|volume| VolumeLive::from_wire(app, volume, protected))
        .collect();
    // The id makes the order deterministic.
    remaining.sort_by(|a, b| a.id.cmp(&b.id));
    let mut assigned = ResourceMap::new();
    let holders = VolumeHolders::new(machines, desired);
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
            if let Some(index) = remaining.iter().position(is_match) {
                assigned.insert((*name).clone(), remaining.remove(index));
            }
        }
    }
    let mut result = AssignedVolumes {
        warnings: slots_that_start_empty(&slots, &assigned, &remaining),
        volumes: assigned,
        spares: Vec::new(),
    };
    for volume in remaining {
        let name = name_in_app(
            app.name(),
            &[&volume.volume, volume.region.as_str(), &volume.id],
        );
        let address = Address::new::<Volume>(&name);
        if desired.meta.allow_destroy.contains(&address) {
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

/// Warns of slots that get a new volume while one of the same name is not used: a volume stays in its region, so a group that
/// moves to another one would start without its data.
fn slots_that_start_empty(
    slots: &BTreeMap<&Name, &VolumeSpec>,
    assigned: &ResourceMap<VolumeLive>,
    remaining: &[VolumeLive],
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, slot) in slots
        .iter()
        .filter(|(name, _)| !assigned.contains_key(**name))
    {
        let mut unused = remaining.iter();
        let is_usable = |volume: &&VolumeLive| volume.volume == slot.volume && volume.host_ok;
        let Some(unused) = unused.find(is_usable) else {
            continue;
        };
        let VolumeLive { id, region, .. } = unused;
        let address = Address::new::<Volume>(name);
        warnings.push(format!(
            "{address} will be a new, empty volume, and the data of {id} in {region} stays where it is, unused; to start with \
             that data, first run `fly volumes fork {id} --region {}`: the fork takes the free slot",
            slot.region
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
    desired: &'a Desired,
}

impl<'a> VolumeHolders<'a> {
    fn new(machines: &'a ResourceMap<WorkloadLive>, desired: &'a Desired) -> Self {
        let slots_by_machine = machines
            .iter()
            .map(|(name, machine)| (machine.id.as_str(), name))
            .collect();
        Self {
            slots_by_machine,
            desired,
        }
    }

    /// The slot of the machine that has the volume attached.
    fn holder(&self, volume: &VolumeLive) -> Option<&'a Name> {
        let machine = volume.attached_machine.as_deref()?;
        self.slots_by_machine.get(machine).copied()
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
    /// It is not attached.
    Unattached,
    /// It is not attached, and its host cannot be reached.
    Unreachable,
}

impl VolumeMatch {
    const PASSES: [Self; 4] = [
        Self::OwnMachine,
        Self::LeavingMachine,
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
            Self::Unattached => volume.attached_machine.is_none() && volume.host_ok,
            Self::Unreachable => volume.attached_machine.is_none() && !volume.host_ok,
        }
    }
}

/// Joins an app's secrets with the fingerprints recorded in machine metadata. Secrets that neither
/// the manifest nor any record names are unmanaged.
pub(crate) fn match_secrets(
    app: &ResourceRef<App>,
    desired: &Desired,
    live: &[wire::AppSecret],
    records: &[SecretsRecord],
    has_machines: bool,
) -> (Option<SecretsLive>, Vec<UnmanagedResource>) {
    let spec = desired.fly_secrets.get(app.name());
    let mut present = BTreeMap::new();
    let mut unmanaged = Vec::new();
    for wire::AppSecret { name, digest } in live
        .iter()
        .filter(|secret| !OwnershipMark::is_label(&secret.name))
    {
        let recorded: Vec<_> = records
            .iter()
            .filter_map(|record| record.0.get(name))
            .collect();
        // Only a fingerprint that was recorded with the current digest belongs to the current value.
        let matching = recorded.iter().find(|recorded| recorded.digest == *digest);
        let is_known = !recorded.is_empty();
        let is_declared = spec.is_some_and(|spec| {
            spec.values.contains_key(name) || spec.optional_without_value.contains(name)
        });
        if !is_known && !is_declared {
            unmanaged.push(UnmanagedResource {
                description: format!("secret {name}"),
                container: app.address(),
                why: "the manifest has no secret of this name".to_owned(),
                data_loss: None,
                address: None,
                identity: String::new(),
            });
            continue;
        }
        let fingerprint = matching.map(|recorded| recorded.fingerprint.clone());
        present.insert(
            name.clone(),
            SecretLive {
                digest: digest.clone(),
                fingerprint,
                known: is_known,
            },
        );
    }
    let live = SecretsLive {
        app: app.clone(),
        present,
        version: None,
        has_machines,
    };
    (
        Some(live).filter(|live| {
            spec.is_some_and(|spec| spec.values.is_empty()) || !live.present.is_empty()
        }),
        unmanaged,
    )
}

/// Matches IP addresses. If the manifest does not list the app's addresses, those beyond the
/// default two are unmanaged.
pub(crate) fn match_ips(
    app: &ResourceRef<App>,
    desired: &Desired,
    live: &[wire::IpAssignment],
) -> (ResourceMap<IpLive>, Vec<UnmanagedResource>) {
    let specs: Vec<(&Name, &IpSpec)> = resources_in_app(&desired.fly_ip, app.name()).collect();
    // When the manifest lists addresses (or says that there are none), or the app is to be deleted,
    // all addresses are managed.
    let is_exclusive = desired
        .fly_app
        .get(app.name())
        .is_none_or(|spec| spec.ips_stated);
    // Prefer the older of two matching addresses, since DNS records may point to it. Lists are
    // unordered.
    let mut live: Vec<&wire::IpAssignment> = live.iter().filter(|ip| !ip.egress).collect();
    live.sort_by(|a, b| (&a.created_at, &a.ip).cmp(&(&b.created_at, &b.ip)));
    let mut remaining: Vec<IpLive> = live
        .into_iter()
        .map(|ip| IpLive::from_wire(app, ip))
        .collect();
    let mut assigned = ResourceMap::new();
    for (name, spec) in specs {
        if let Some(index) = remaining.iter().position(|ip| ip.satisfies(spec)) {
            assigned.insert(name.clone(), remaining.remove(index));
        }
    }
    let mut unmanaged = Vec::new();
    for ip in remaining {
        let name = name_in_app(app.name(), &[ip.kind.as_str(), &ip.address]);
        if is_exclusive {
            assigned.insert(name, ip);
        } else {
            unmanaged.push(UnmanagedResource {
                description: format!("IP address {} ({})", ip.address, ip.kind),
                container: app.address(),
                why: "the manifest says nothing of this address".to_owned(),
                data_loss: (ip.kind == IpKind::V4).then_some(DataLoss::Address),
                address: Some(Address::new::<Ip>(&name)),
                identity: ip.address,
            });
        }
    }
    (assigned, unmanaged)
}

/// Matches certificates. One that the manifest does not name is unmanaged: certificates carry no
/// ownership mark, and it may be a customer's domain.
pub(crate) fn match_certificates(
    app: &ResourceRef<App>,
    desired: &Desired,
    live: &[wire::CertificateSummary],
) -> (ResourceMap<CertificateLive>, Vec<UnmanagedResource>) {
    let mut assigned = ResourceMap::new();
    let mut unmanaged = Vec::new();
    for certificate in live {
        let live = CertificateLive::from_wire(app, certificate);
        let name = name_in_app(app.name(), &[&live.hostname]);
        if desired.fly_certificate.contains_key(&name) || !desired.fly_app.contains_key(app.name())
        {
            assigned.insert(name, live);
        } else {
            unmanaged.push(UnmanagedResource {
                description: format!("certificate {}", live.hostname),
                container: app.address(),
                why: "the manifest does not name it".to_owned(),
                data_loss: None,
                address: Some(Address::new::<Certificate>(&name)),
                identity: String::new(),
            });
        }
    }
    (assigned, unmanaged)
}
