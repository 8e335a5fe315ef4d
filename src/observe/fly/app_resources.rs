//! Matches what an app has besides machines (volumes, secrets, IP addresses, certificates) to the
//! resources of the manifest.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    clouds::fly::wire,
    kinds::{
        DataLoss, Desired, UnmanagedResource,
        fly::{
            App,
            certificate::CertificateLive,
            ip::{IpKind, IpLive, IpSpec},
            machine::MachineSpec,
            secrets::{SecretLive, SecretsLive, SecretsRecord},
            volume::{VolumeLive, VolumeSpec},
            workload::WorkloadLive,
        },
    },
    model::{Name, OwnershipMark, ResourceMap, ResourceRef, resources_in_app},
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

/// Assigns volumes to the volume slots of the manifest: first the volume that the slot's machine
/// has attached, then unattached ones. A remaining volume is managed (and so planned for deletion)
/// if the manifest has volumes of its name or one of our machines has it attached; otherwise it is
/// unmanaged.
pub(crate) fn assign_volumes(
    app: &ResourceRef<App>,
    desired: &Desired,
    live: &[wire::VolumeResponse],
    machines: &ResourceMap<WorkloadLive>,
    protected: bool,
) -> (ResourceMap<VolumeLive>, Vec<UnmanagedResource>) {
    let slots: BTreeMap<&Name, &VolumeSpec> =
        resources_in_app(&desired.fly_volume, app.name()).collect();
    let mut remaining: Vec<VolumeLive> = live
        .iter()
        .map(|volume| VolumeLive::from_wire(app, volume, protected))
        .collect();
    // Prefer volumes on reachable hosts; the id makes the order deterministic.
    remaining.sort_by(|a, b| (!a.host_ok, &a.id).cmp(&(!b.host_ok, &b.id)));
    let mut assigned = ResourceMap::new();
    let slots_by_machine: BTreeMap<&str, &Name> = machines
        .iter()
        .map(|(name, machine)| (machine.id.as_str(), name))
        .collect();
    for pass in [VolumeMatch::Attached, VolumeMatch::Unattached] {
        for (name, slot) in &slots {
            if assigned.contains_key(*name) {
                continue;
            }
            let is_match = |volume: &VolumeLive| {
                let has_same_identity =
                    volume.volume == slot.volume && volume.region == slot.region;
                has_same_identity && pass.accepts(volume, name, &slots_by_machine, desired)
            };
            if let Some(index) = remaining.iter().position(is_match) {
                assigned.insert((*name).clone(), remaining.remove(index));
            }
        }
    }
    let declared_names: BTreeSet<&str> = slots.values().map(|slot| slot.volume.as_str()).collect();
    let mut unmanaged = Vec::new();
    for volume in remaining {
        let is_attached_to_ours = volume
            .attached_machine
            .as_deref()
            .is_some_and(|machine| slots_by_machine.contains_key(machine));
        if is_attached_to_ours || declared_names.contains(volume.volume.as_str()) {
            let name = name_in_app(
                app.name(),
                &[&volume.volume, volume.region.as_str(), &volume.id],
            );
            assigned.insert(name, volume);
        } else {
            unmanaged.push(UnmanagedResource {
                description: format!(
                    "volume {} ({}, {}, {})",
                    volume.volume, volume.region, volume.size, volume.id
                ),
                container: app.name().clone(),
                why: "the manifest has no volume of this name".to_owned(),
                data_loss: Some(DataLoss::Data),
            });
        }
    }
    (assigned, unmanaged)
}

/// The two passes in which volumes are assigned to slots.
#[derive(Clone, Copy)]
enum VolumeMatch {
    /// The volume is attached to the machine that the slot belongs to.
    Attached,
    /// The volume is not attached.
    Unattached,
}

impl VolumeMatch {
    fn accepts(
        self,
        volume: &VolumeLive,
        slot: &Name,
        slots_by_machine: &BTreeMap<&str, &Name>,
        desired: &Desired,
    ) -> bool {
        let attached_slot = volume
            .attached_machine
            .as_deref()
            .and_then(|machine| slots_by_machine.get(machine));
        let needs_volume = |spec: &MachineSpec| {
            spec.volume
                .as_ref()
                .is_some_and(|volume| volume.name() == slot)
        };
        match self {
            Self::Attached => attached_slot
                .and_then(|name| desired.fly_machine.get(*name))
                .is_some_and(needs_volume),
            Self::Unattached => volume.attached_machine.is_none(),
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
                container: app.name().clone(),
                why: "the manifest has no secret of this name".to_owned(),
                data_loss: None,
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
    // When the manifest lists addresses, or the app is to be deleted, all addresses are managed.
    let is_exclusive =
        specs.iter().any(|(_, spec)| spec.declared) || !desired.fly_app.contains_key(app.name());
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
        if is_exclusive {
            assigned.insert(
                name_in_app(app.name(), &[ip.kind.as_str(), &ip.address]),
                ip,
            );
        } else {
            unmanaged.push(UnmanagedResource {
                description: format!("IP address {} ({})", ip.address, ip.kind),
                container: app.name().clone(),
                why: "the manifest says nothing of this address".to_owned(),
                data_loss: (ip.kind == IpKind::V4).then_some(DataLoss::Address),
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
                container: app.name().clone(),
                why: "the manifest does not name it".to_owned(),
                data_loss: None,
            });
        }
    }
    (assigned, unmanaged)
}
