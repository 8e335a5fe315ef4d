//! What is in an app besides its machines: volumes, secrets, addresses, certificates.

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

/// A name inside an app from parts that come from outside; characters that no name may hold become `-`.
pub(crate) fn name_in_app(app: &Name, parts: &[&str]) -> Name {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
    let clean = |part: &&str| {
        part.chars()
            .map(|c| if fits(c) { c } else { '-' })
            .collect::<String>()
    };
    let text = parts.iter().map(clean).collect::<Vec<_>>().join("/");
    app.child(&text).unwrap_or_else(|_| app.clone())
}

/// Volumes by slot: the one a slot's machine holds, then free ones. What is left is ours when the manifest knows its
/// name or a machine of ours holds it, and left alone otherwise.
pub(crate) fn assign_volumes(
    app: &ResourceRef<App>,
    desired: &Desired,
    shot: &[wire::VolumeResponse],
    machines: &ResourceMap<WorkloadLive>,
    protected: bool,
) -> (ResourceMap<VolumeLive>, Vec<UnmanagedResource>) {
    let slots: BTreeMap<&Name, &VolumeSpec> =
        resources_in_app(&desired.fly_volume, app.name()).collect();
    let mut left: Vec<VolumeLive> = shot
        .iter()
        .map(|volume| VolumeLive::from_wire(app, volume, protected))
        .collect();
    left.sort_by(|a, b| (!a.host_ok, &a.id).cmp(&(!b.host_ok, &b.id)));
    let mut table = ResourceMap::new();
    let holder: BTreeMap<&str, &Name> = machines
        .iter()
        .map(|(name, machine)| (machine.id.as_str(), name))
        .collect();
    for pass in [VolumeMatch::Attached, VolumeMatch::Unattached] {
        for (name, slot) in &slots {
            if table.contains_key(*name) {
                continue;
            }
            let fits = |volume: &VolumeLive| {
                let here = volume.volume == slot.volume && volume.region == slot.region;
                here && pass.accepts(volume, name, &holder, desired)
            };
            if let Some(at) = left.iter().position(fits) {
                table.insert((*name).clone(), left.remove(at));
            }
        }
    }
    let known: BTreeSet<&str> = slots.values().map(|slot| slot.volume.as_str()).collect();
    let mut unmanaged = Vec::new();
    for volume in left {
        let held = volume
            .attached_machine
            .as_deref()
            .is_some_and(|machine| holder.contains_key(machine));
        if held || known.contains(volume.volume.as_str()) {
            let name = name_in_app(
                app.name(),
                &[&volume.volume, volume.region.as_str(), &volume.id],
            );
            table.insert(name, volume);
        } else {
            unmanaged.push(UnmanagedResource {
                what: format!(
                    "volume {} ({}, {}, {})",
                    volume.volume, volume.region, volume.size, volume.id
                ),
                within: app.name().clone(),
                why: "the manifest has no volume of this name".to_owned(),
                loss: Some(DataLoss::Data),
            });
        }
    }
    (table, unmanaged)
}

/// The two ways a slot finds its volume.
#[derive(Clone, Copy)]
enum VolumeMatch {
    /// The machine of the slot holds it.
    Attached,
    /// Nobody holds it.
    Unattached,
}

impl VolumeMatch {
    fn accepts(
        self,
        volume: &VolumeLive,
        slot: &Name,
        holder: &BTreeMap<&str, &Name>,
        desired: &Desired,
    ) -> bool {
        let held_by = volume
            .attached_machine
            .as_deref()
            .and_then(|machine| holder.get(machine));
        let wants = |spec: &MachineSpec| {
            spec.volume
                .as_ref()
                .is_some_and(|volume| volume.name() == slot)
        };
        match self {
            Self::Attached => held_by
                .and_then(|name| desired.fly_machine.get(*name))
                .is_some_and(wants),
            Self::Unattached => volume.attached_machine.is_none(),
        }
    }
}

/// Secrets with what machines remember of them.
pub(crate) fn match_secrets(
    app: &ResourceRef<App>,
    desired: &Desired,
    shot: &[wire::AppSecret],
    records: &[SecretsRecord],
    has_machines: bool,
) -> (Option<SecretsLive>, Vec<UnmanagedResource>) {
    let spec = desired.fly_secrets.get(app.name());
    let mut present = BTreeMap::new();
    let mut unmanaged = Vec::new();
    for wire::AppSecret { name, digest } in shot
        .iter()
        .filter(|secret| !OwnershipMark::is_label(&secret.name))
    {
        let recorded: Vec<_> = records
            .iter()
            .filter_map(|record| record.0.get(name))
            .collect();
        let same = recorded.iter().find(|recorded| recorded.digest == *digest);
        let known = !recorded.is_empty();
        let asked = spec
            .is_some_and(|spec| spec.values.contains_key(name) || spec.left_alone.contains(name));
        if !known && !asked {
            unmanaged.push(UnmanagedResource {
                what: format!("secret {name}"),
                within: app.name().clone(),
                why: "the manifest has no secret of this name".to_owned(),
                loss: None,
            });
            continue;
        }
        let fingerprint = same.map(|recorded| recorded.fingerprint.clone());
        present.insert(
            name.clone(),
            SecretLive {
                digest: digest.clone(),
                fingerprint,
                known,
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

/// Addresses. An app whose manifest does not speak of addresses keeps those it has besides the usual two.
pub(crate) fn match_ips(
    app: &ResourceRef<App>,
    desired: &Desired,
    shot: &[wire::IpAssignment],
) -> (ResourceMap<IpLive>, Vec<UnmanagedResource>) {
    let specs: Vec<(&Name, &IpSpec)> = resources_in_app(&desired.fly_ip, app.name()).collect();
    let strict =
        specs.iter().any(|(_, spec)| spec.stated) || !desired.fly_app.contains_key(app.name());
    // Of two that would do, the older one is ours: lists come in no order, and DNS may point at it.
    let mut shot: Vec<&wire::IpAssignment> = shot.iter().filter(|ip| !ip.egress).collect();
    shot.sort_by(|a, b| (&a.created_at, &a.ip).cmp(&(&b.created_at, &b.ip)));
    let mut left: Vec<IpLive> = shot
        .into_iter()
        .map(|ip| IpLive::from_wire(app, ip))
        .collect();
    let mut table = ResourceMap::new();
    for (name, spec) in specs {
        if let Some(at) = left.iter().position(|ip| ip.satisfies(spec)) {
            table.insert(name.clone(), left.remove(at));
        }
    }
    let mut unmanaged = Vec::new();
    for ip in left {
        if strict {
            table.insert(
                name_in_app(app.name(), &[ip.kind.as_str(), &ip.address]),
                ip,
            );
        } else {
            unmanaged.push(UnmanagedResource {
                what: format!("IP address {} ({})", ip.address, ip.kind),
                within: app.name().clone(),
                why: "the manifest says nothing of this address".to_owned(),
                loss: (ip.kind == IpKind::V4).then_some(DataLoss::Address),
            });
        }
    }
    (table, unmanaged)
}

/// Certificates. One that the manifest does not name is left alone: certificates bear no mark, and a customer's may be
/// among them.
pub(crate) fn match_certificates(
    app: &ResourceRef<App>,
    desired: &Desired,
    shot: &[wire::CertificateSummary],
) -> (ResourceMap<CertificateLive>, Vec<UnmanagedResource>) {
    let mut table = ResourceMap::new();
    let mut unmanaged = Vec::new();
    for certificate in shot {
        let live = CertificateLive::from_wire(app, certificate);
        let name = name_in_app(app.name(), &[&live.hostname]);
        if desired.fly_certificate.contains_key(&name) || !desired.fly_app.contains_key(app.name())
        {
            table.insert(name, live);
        } else {
            unmanaged.push(UnmanagedResource {
                what: format!("certificate {}", live.hostname),
                within: app.name().clone(),
                why: "the manifest does not name it".to_owned(),
                loss: None,
            });
        }
    }
    (table, unmanaged)
}
