//! Lowers CPUs and memory: resolves presets and overrides to the values that Fly expects, and
//! checks them by Fly's rules.

use super::scalars;
use crate::manifest::lower::Diagnostics;
use crate::{
    kinds::fly::workload::config::MachineGuest,
    manifest::{
        schema::{
            CpuKind, CronSection, MachineGroupSection, PERFORMANCE_CPU_COUNTS, PersistRootfs,
            Preset, SHARED_CPU_COUNTS, Size, VmSection,
        },
        syntax::cursor::Cursor,
    },
    model::Mib,
};

/// What one table of the manifest says about CPUs and memory. A later layer overrides an earlier
/// one.
pub(crate) struct GuestLayer<'a> {
    size: Option<&'a Preset>,
    memory: Option<&'a Size>,
    memory_mb: Option<u32>,
    cpus: Option<u32>,
    cpu_kind: Option<CpuKind>,
    vm: Option<&'a VmSection>,
    cursor: Cursor<'a>,
}

impl<'a> GuestLayer<'a> {
    /// Whether it says anything about the machine. Any `[vm]` does, as in flyctl: what it leaves
    /// out is that of the smallest machine.
    pub(crate) fn is_stated(&self) -> bool {
        let Self {
            size,
            memory,
            memory_mb,
            cpus,
            cpu_kind,
            vm,
            cursor: _,
        } = self;
        size.is_some()
            || memory.is_some()
            || memory_mb.is_some()
            || cpus.is_some()
            || cpu_kind.is_some()
            || vm.is_some()
    }

    /// The layer of `[vm]`.
    pub(crate) fn from_vm(vm: &'a VmSection, cursor: Cursor<'a>) -> Self {
        let VmSection {
            size,
            memory,
            memory_mb,
            cpus,
            cpu_kind,
            kernel_args: _,
            host_dedication_id: _,
            persist_rootfs: _,
            processes: _,
        } = vm;
        Self {
            size: size.as_ref(),
            memory: memory.as_ref(),
            memory_mb: *memory_mb,
            cpus: *cpus,
            cpu_kind: *cpu_kind,
            vm: Some(vm),
            cursor,
        }
    }

    /// The layer of `[machines.GROUP]`.
    pub(crate) fn from_group(group: &'a MachineGroupSection, cursor: Cursor<'a>) -> Self {
        let MachineGroupSection {
            count: _,
            size,
            memory,
            cpus,
            cpu_kind,
            command: _,
            standby: _,
        } = group;
        Self {
            size: size.as_ref(),
            memory: memory.as_ref(),
            memory_mb: None,
            cpus: *cpus,
            cpu_kind: *cpu_kind,
            vm: None,
            cursor,
        }
    }

    /// The layer of `[cron.NAME]`.
    pub(crate) fn from_cron(cron: &'a CronSection, cursor: Cursor<'a>) -> Self {
        Self {
            size: cron.size.as_ref(),
            memory: cron.memory.as_ref(),
            memory_mb: None,
            cpus: cron.cpus,
            cpu_kind: cron.cpu_kind,
            vm: None,
            cursor,
        }
    }
}

/// Where errors about the memory and about the CPUs point: at the layer that set them last.
struct GuestCursors<'a> {
    memory: Option<Cursor<'a>>,
    cpus: Option<Cursor<'a>>,
}

/// What `machine_config` says about CPUs and memory, below all layers.
pub(crate) struct BaseGuest<'a> {
    /// Its values, with Fly's defaults for what it leaves out.
    pub(crate) guest: MachineGuest,
    /// The memory, when it is set.
    pub(crate) memory: Option<Mib>,
    /// The key `machine_config`.
    pub(crate) cursor: Cursor<'a>,
}

/// Merges layers; without any the result is Fly's smallest machine.
pub(crate) fn lower_guest(
    layers: &[GuestLayer<'_>],
    diagnostics: &mut Diagnostics,
) -> MachineGuest {
    lower_guest_over_base(None, layers, diagnostics)
}

/// Merges layers over the guest of `machine_config`.
pub(crate) fn lower_guest_over_base(
    base: Option<&BaseGuest<'_>>,
    layers: &[GuestLayer<'_>],
    diagnostics: &mut Diagnostics,
) -> MachineGuest {
    let mut guest = base.map_or_else(MachineGuest::default, |base| base.guest.clone());
    let mut memory = base.and_then(|base| base.memory);
    let cursor = base.map(|base| base.cursor);
    let mut cursors = GuestCursors {
        memory: cursor,
        cpus: cursor,
    };
    for layer in layers {
        if let Some(preset) = layer.size {
            let cursor = layer.cursor.key("size");
            (guest.cpu_kind, guest.cpus) = parse_preset(&preset.0);
            // A preset replaces the memory of earlier layers: its own is the minimum for its CPUs.
            memory = None;
            cursors = GuestCursors {
                memory: Some(cursor),
                cpus: Some(cursor),
            };
        }
        if let Some(size) = layer.memory
            && let Some(parsed) =
                scalars::parse_memory(size, layer.cursor.key("memory"), diagnostics)
        {
            memory = Some(parsed);
            cursors.memory = Some(layer.cursor.key("memory"));
        }
        if let Some(megabytes) = layer.memory_mb {
            memory = Some(Mib(megabytes));
            cursors.memory = Some(layer.cursor.key("memory_mb"));
        }
        if let Some(cpus) = layer.cpus {
            guest.cpus = cpus;
            cursors.cpus = Some(layer.cursor.key("cpus"));
        }
        if let Some(kind) = layer.cpu_kind {
            guest.cpu_kind = cpu_kind_name(kind).to_owned();
            cursors.cpus = cursors.cpus.or(Some(layer.cursor.key("cpu_kind")));
        }
        if let Some(vm) = layer.vm {
            apply_vm_extras(&mut guest, vm);
        }
    }
    guest.memory_mb = memory.unwrap_or(Mib(memory_limits(&guest).0));
    check_guest(&guest, &cursors, diagnostics);
    guest
}

fn apply_vm_extras(guest: &mut MachineGuest, vm: &VmSection) {
    if !vm.kernel_args.is_empty() {
        guest.kernel_args.clone_from(&vm.kernel_args);
    }
    if vm.host_dedication_id.is_some() {
        guest.host_dedication_id.clone_from(&vm.host_dedication_id);
    }
    if let Some(persist) = vm.persist_rootfs {
        let word = match persist {
            PersistRootfs::Never => "never",
            PersistRootfs::Restart => "restart",
            PersistRootfs::Always => "always",
        };
        guest.persist_rootfs = Some(word.to_owned());
    }
}

fn cpu_kind_name(kind: CpuKind) -> &'static str {
    match kind {
        CpuKind::Shared => "shared",
        CpuKind::Performance => "performance",
    }
}

/// The CPU kind and count of a preset: `shared-cpu-2x` is two shared CPUs. A preset's memory is the
/// minimum for its CPUs.
fn parse_preset(preset: &str) -> (String, u32) {
    let kind = if preset.starts_with("shared") {
        "shared"
    } else {
        "performance"
    };
    let digits: String = preset.chars().filter(char::is_ascii_digit).collect();
    (kind.to_owned(), digits.parse().unwrap_or(1))
}

/// The minimum and maximum memory in megabytes, and the step between valid values.
fn memory_limits(guest: &MachineGuest) -> (u32, u32, u32) {
    let per_cpu = |megabytes: u32| guest.cpus.saturating_mul(megabytes);
    if guest.cpu_kind == "shared" {
        (per_cpu(256), per_cpu(2048), 256)
    } else {
        (per_cpu(2048), per_cpu(8192), 1024)
    }
}

/// Performance CPU counts beyond the presets.
const LARGE_PERFORMANCE_CPU_COUNTS: [u32; 3] = [32, 64, 128];

fn check_guest(guest: &MachineGuest, cursors: &GuestCursors<'_>, diagnostics: &mut Diagnostics) {
    let MachineGuest {
        cpu_kind,
        cpus,
        memory_mb,
        ..
    } = guest;
    let allowed: Vec<u32> = if cpu_kind == "shared" {
        SHARED_CPU_COUNTS.to_vec()
    } else {
        [&PERFORMANCE_CPU_COUNTS[..], &LARGE_PERFORMANCE_CPU_COUNTS].concat()
    };
    if !allowed.contains(cpus) {
        let counts: Vec<String> = allowed.iter().map(u32::to_string).collect();
        if let Some(cursor) = cursors.cpus {
            let diagnostic =
                cursor.diagnostic(format!("a machine cannot have {cpus} {cpu_kind} CPUs"));
            diagnostics.error(diagnostic.with_help(format!("Fly offers {}", counts.join(", "))));
        }
        return;
    }
    let (min, max, step) = memory_limits(guest);
    let megabytes = memory_mb.0;
    if (min..=max).contains(&megabytes) && megabytes.is_multiple_of(step) {
        return;
    }
    let rule = format!(
        "{cpus} {cpu_kind} {} {} to {} in steps of {step} MB",
        if *cpus == 1 { "CPU takes" } else { "CPUs take" },
        Mib(min),
        Mib(max),
    );
    let near = (megabytes.saturating_add(step - 1) / step * step).clamp(min, max);
    let cursor = cursors.memory.or(cursors.cpus);
    if let Some(cursor) = cursor {
        let diagnostic = cursor.diagnostic(format!(
            "{memory_mb} of memory is not valid for {cpus} {cpu_kind} CPU{}",
            if *cpus == 1 { "" } else { "s" }
        ));
        diagnostics.error(
            diagnostic
                .with_label(rule)
                .with_help(format!("the nearest valid size is `{}`", Mib(near))),
        );
    }
}
