//! CPUs and memory: presets and parts to what Fly takes, checked as Fly checks it.

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

/// What one place in the manifest says about CPUs and memory. A later layer wins over an earlier one.
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
    /// What `[vm]` says.
    pub(crate) fn from_vm(vm: &'a VmSection, at: Cursor<'a>) -> Self {
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
            cursor: at,
        }
    }

    /// What `[machines.GROUP]` says.
    pub(crate) fn from_group(group: &'a MachineGroupSection, at: Cursor<'a>) -> Self {
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
            cursor: at,
        }
    }

    /// What `[cron.NAME]` says.
    pub(crate) fn from_cron(cron: &'a CronSection, at: Cursor<'a>) -> Self {
        Self {
            size: cron.size.as_ref(),
            memory: cron.memory.as_ref(),
            memory_mb: None,
            cpus: cron.cpus,
            cpu_kind: cron.cpu_kind,
            vm: None,
            cursor: at,
        }
    }
}

/// Where a wrong combination is shown.
struct GuestCursors<'a> {
    memory: Option<Cursor<'a>>,
    cpus: Option<Cursor<'a>>,
}

/// What `machine_config` says of CPUs and memory, and where it stands.
pub(crate) struct BaseGuest<'a> {
    /// Its parts, with Fly's defaults for what it leaves out.
    pub(crate) guest: MachineGuest,
    /// The memory, when it says any.
    pub(crate) memory: Option<Mib>,
    /// The key that holds it.
    pub(crate) cursor: Cursor<'a>,
}

/// The machine that some layers describe: Fly's smallest when they say nothing.
pub(crate) fn lower_guest(layers: &[GuestLayer<'_>], sink: &mut Diagnostics) -> MachineGuest {
    lower_guest_over_base(None, layers, sink)
}

/// The machine that some layers describe over a ground.
pub(crate) fn lower_guest_over_base(
    ground: Option<&BaseGuest<'_>>,
    layers: &[GuestLayer<'_>],
    sink: &mut Diagnostics,
) -> MachineGuest {
    let mut guest = ground.map_or_else(MachineGuest::default, |ground| ground.guest.clone());
    let mut memory = ground.and_then(|ground| ground.memory);
    let at = ground.map(|ground| ground.cursor);
    let mut marks = GuestCursors {
        memory: at,
        cpus: at,
    };
    for layer in layers {
        if let Some(preset) = layer.size {
            let at = layer.cursor.key("size");
            (guest.cpu_kind, guest.cpus) = parse_preset(&preset.0);
            memory = None;
            marks = GuestCursors {
                memory: Some(at),
                cpus: Some(at),
            };
        }
        if let Some(size) = layer.memory
            && let Some(parsed) = scalars::parse_memory(size, layer.cursor.key("memory"), sink)
        {
            memory = Some(parsed);
            marks.memory = Some(layer.cursor.key("memory"));
        }
        if let Some(megabytes) = layer.memory_mb {
            memory = Some(Mib(megabytes));
            marks.memory = Some(layer.cursor.key("memory_mb"));
        }
        if let Some(cpus) = layer.cpus {
            guest.cpus = cpus;
            marks.cpus = Some(layer.cursor.key("cpus"));
        }
        if let Some(kind) = layer.cpu_kind {
            guest.cpu_kind = cpu_kind_name(kind).to_owned();
            marks.cpus = marks.cpus.or(Some(layer.cursor.key("cpu_kind")));
        }
        if let Some(vm) = layer.vm {
            apply_vm_extras(&mut guest, vm);
        }
    }
    guest.memory_mb = memory.unwrap_or(Mib(memory_limits(&guest).0));
    check_guest(&guest, &marks, sink);
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

/// `shared-cpu-2x` is two shared CPUs. The preset's memory is the least that its CPUs may have.
fn parse_preset(preset: &str) -> (String, u32) {
    let kind = if preset.starts_with("shared") {
        "shared"
    } else {
        "performance"
    };
    let digits: String = preset.chars().filter(char::is_ascii_digit).collect();
    (kind.to_owned(), digits.parse().unwrap_or(1))
}

/// The least and the most memory in megabytes, and the step between.
fn memory_limits(guest: &MachineGuest) -> (u32, u32, u32) {
    let per_cpu = |megabytes: u32| guest.cpus.saturating_mul(megabytes);
    if guest.cpu_kind == "shared" {
        (per_cpu(256), per_cpu(2048), 256)
    } else {
        (per_cpu(2048), per_cpu(8192), 1024)
    }
}

/// Counts of performance CPUs beyond the presets.
const LARGE_PERFORMANCE_CPU_COUNTS: [u32; 3] = [32, 64, 128];

fn check_guest(guest: &MachineGuest, marks: &GuestCursors<'_>, sink: &mut Diagnostics) {
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
        if let Some(at) = marks.cpus {
            let problem = at.diagnostic(format!("a machine cannot have {cpus} {cpu_kind} CPUs"));
            sink.error(problem.with_help(format!("Fly offers {}", counts.join(", "))));
        }
        return;
    }
    let (least, most, step) = memory_limits(guest);
    let megabytes = memory_mb.0;
    if (least..=most).contains(&megabytes) && megabytes.is_multiple_of(step) {
        return;
    }
    let rule = format!(
        "{cpus} {cpu_kind} {} {} to {} in steps of {step} MB",
        if *cpus == 1 { "CPU takes" } else { "CPUs take" },
        Mib(least),
        Mib(most),
    );
    let near = (megabytes.saturating_add(step - 1) / step * step).clamp(least, most);
    let at = marks.memory.or(marks.cpus);
    if let Some(at) = at {
        let problem = at.diagnostic(format!(
            "{memory_mb} of memory do not fit {cpus} {cpu_kind} CPU{}",
            if *cpus == 1 { "" } else { "s" }
        ));
        sink.error(
            problem
                .with_label(rule)
                .with_help(format!("the nearest that fits is `{}`", Mib(near))),
        );
    }
}
