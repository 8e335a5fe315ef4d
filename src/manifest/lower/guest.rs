//! CPUs and memory: presets and parts to what Fly takes, checked as Fly checks it.

use super::{Sink, scalars};
use crate::{
    kinds::fly::workload::config::Guest,
    manifest::{
        shape::{CpuKind, Cron, MachineGroup, PERFORMANCE, Persist, Preset, SHARED, Size, Vm},
        spot::Spot,
    },
    model::Mib,
};

/// What one place in the manifest says about CPUs and memory. A later layer wins over an earlier one.
pub(super) struct Layer<'a> {
    size: Option<&'a Preset>,
    memory: Option<&'a Size>,
    memory_mb: Option<u32>,
    cpus: Option<u32>,
    cpu_kind: Option<CpuKind>,
    vm: Option<&'a Vm>,
    at: Spot<'a>,
}

impl<'a> Layer<'a> {
    /// What `[vm]` says.
    pub(super) fn vm(vm: &'a Vm, at: Spot<'a>) -> Self {
        let Vm {
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
            at,
        }
    }

    /// What `[machines.GROUP]` says.
    pub(super) fn group(group: &'a MachineGroup, at: Spot<'a>) -> Self {
        let MachineGroup {
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
            at,
        }
    }

    /// What `[cron.NAME]` says.
    pub(super) fn cron(cron: &'a Cron, at: Spot<'a>) -> Self {
        Self {
            size: cron.size.as_ref(),
            memory: cron.memory.as_ref(),
            memory_mb: None,
            cpus: cron.cpus,
            cpu_kind: cron.cpu_kind,
            vm: None,
            at,
        }
    }
}

/// Where a wrong combination is shown.
struct Marks<'a> {
    memory: Option<Spot<'a>>,
    cpus: Option<Spot<'a>>,
}

/// What `machine_config` says of CPUs and memory, and where it stands.
pub(super) struct Ground<'a> {
    /// Its parts, with Fly's defaults for what it leaves out.
    pub(super) guest: Guest,
    /// The memory, when it says any.
    pub(super) memory: Option<Mib>,
    /// The key that holds it.
    pub(super) at: Spot<'a>,
}

/// The machine that some layers describe: Fly's smallest when they say nothing.
pub(super) fn guest(layers: &[Layer<'_>], sink: &mut Sink) -> Guest {
    guest_over(None, layers, sink)
}

/// The machine that some layers describe over a ground.
pub(super) fn guest_over(
    ground: Option<&Ground<'_>>,
    layers: &[Layer<'_>],
    sink: &mut Sink,
) -> Guest {
    let mut guest = ground.map_or_else(Guest::default, |ground| ground.guest.clone());
    let mut memory = ground.and_then(|ground| ground.memory);
    let at = ground.map(|ground| ground.at);
    let mut marks = Marks {
        memory: at,
        cpus: at,
    };
    for layer in layers {
        if let Some(preset) = layer.size {
            let at = layer.at.key("size");
            (guest.cpu_kind, guest.cpus) = preset_parts(&preset.0);
            memory = None;
            marks = Marks {
                memory: Some(at),
                cpus: Some(at),
            };
        }
        if let Some(size) = layer.memory
            && let Some(parsed) = scalars::memory(size, layer.at.key("memory"), sink)
        {
            memory = Some(parsed);
            marks.memory = Some(layer.at.key("memory"));
        }
        if let Some(megabytes) = layer.memory_mb {
            memory = Some(Mib(megabytes));
            marks.memory = Some(layer.at.key("memory_mb"));
        }
        if let Some(cpus) = layer.cpus {
            guest.cpus = cpus;
            marks.cpus = Some(layer.at.key("cpus"));
        }
        if let Some(kind) = layer.cpu_kind {
            guest.cpu_kind = kind_word(kind).to_owned();
            marks.cpus = marks.cpus.or(Some(layer.at.key("cpu_kind")));
        }
        if let Some(vm) = layer.vm {
            extras(&mut guest, vm);
        }
    }
    guest.memory_mb = memory.unwrap_or(Mib(limits(&guest).0));
    check(&guest, &marks, sink);
    guest
}

fn extras(guest: &mut Guest, vm: &Vm) {
    if !vm.kernel_args.is_empty() {
        guest.kernel_args.clone_from(&vm.kernel_args);
    }
    if vm.host_dedication_id.is_some() {
        guest.host_dedication_id.clone_from(&vm.host_dedication_id);
    }
    if let Some(persist) = vm.persist_rootfs {
        let word = match persist {
            Persist::Never => "never",
            Persist::Restart => "restart",
            Persist::Always => "always",
        };
        guest.persist_rootfs = Some(word.to_owned());
    }
}

fn kind_word(kind: CpuKind) -> &'static str {
    match kind {
        CpuKind::Shared => "shared",
        CpuKind::Performance => "performance",
    }
}

/// `shared-cpu-2x` is two shared CPUs. The preset's memory is the least that its CPUs may have.
fn preset_parts(preset: &str) -> (String, u32) {
    let kind = if preset.starts_with("shared") {
        "shared"
    } else {
        "performance"
    };
    let digits: String = preset.chars().filter(char::is_ascii_digit).collect();
    (kind.to_owned(), digits.parse().unwrap_or(1))
}

/// The least and the most memory in megabytes, and the step between.
fn limits(guest: &Guest) -> (u32, u32, u32) {
    let per_cpu = |megabytes: u32| guest.cpus.saturating_mul(megabytes);
    if guest.cpu_kind == "shared" {
        (per_cpu(256), per_cpu(2048), 256)
    } else {
        (per_cpu(2048), per_cpu(8192), 1024)
    }
}

/// Counts of performance CPUs beyond the presets.
const LARGE: [u32; 3] = [32, 64, 128];

fn check(guest: &Guest, marks: &Marks<'_>, sink: &mut Sink) {
    let Guest {
        cpu_kind,
        cpus,
        memory_mb,
        ..
    } = guest;
    let allowed: Vec<u32> = if cpu_kind == "shared" {
        SHARED.to_vec()
    } else {
        [&PERFORMANCE[..], &LARGE].concat()
    };
    if !allowed.contains(cpus) {
        let counts: Vec<String> = allowed.iter().map(u32::to_string).collect();
        if let Some(at) = marks.cpus {
            let problem = at.problem(format!("a machine cannot have {cpus} {cpu_kind} CPUs"));
            sink.error(problem.help(format!("Fly offers {}", counts.join(", "))));
        }
        return;
    }
    let (least, most, step) = limits(guest);
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
        let problem = at.problem(format!(
            "{memory_mb} of memory do not fit {cpus} {cpu_kind} CPU{}",
            if *cpus == 1 { "" } else { "s" }
        ));
        sink.error(
            problem
                .label(rule)
                .help(format!("the nearest that fits is `{}`", Mib(near))),
        );
    }
}
