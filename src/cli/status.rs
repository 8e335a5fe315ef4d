//! `trimtab status`: what runs, from one look.

use clap::Args;
use serde_json::json;

use super::{
    Context, Failure, exit,
    session::{Session, Target},
};
use crate::{
    kinds::{World, fly::workload::WorkloadLive},
    manifest::SecretsMode,
    model::Name,
};

/// Show what runs.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    target: Target,
    /// How it is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// How a status is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

pub(super) async fn run(context: &Context<'_>, args: &Status) -> Result<u8, Failure> {
    let session = Session::open(context, &args.target, SecretsMode::Lenient, &[]).await?;
    let world = session.observe(context).await;
    session.close().await;
    let world = world?;
    let text = match args.format {
        Format::Text => text(&world),
        Format::Json => serde_json::to_string_pretty(&json(&world)).unwrap_or_default(),
    };
    context.ui.data(&text)?;
    Ok(exit::OK)
}

fn json(world: &World) -> serde_json::Value {
    json!({
        "format_version": "1.0",
        "apps": world.fly_app, "ips": world.fly_ip, "certificates": world.fly_certificate,
        "secrets": world.fly_secrets, "volumes": world.fly_volume, "machines": world.fly_machine,
        "cron": world.fly_cron, "unmanaged": world.found.unmanaged, "warnings": world.found.warnings,
    })
}

fn text(world: &World) -> String {
    let mut out = Vec::new();
    for (key, app) in &world.fly_app {
        out.push(format!("{key}  {}  ({})", app.name, app.org));
        let inside = |name: &Name| name.root() == *key;
        let machines = world.fly_machine.iter().filter(|(name, _)| inside(name));
        out.extend(machines.map(|(name, machine)| row("machine", name, &machine_words(&machine.workload))));
        for (name, cron) in world.fly_cron.iter().filter(|(name, _)| inside(name)) {
            let schedule = cron.workload.config.schedule.as_deref().unwrap_or("no schedule");
            out.push(row("cron", name, &format!("{schedule}  {}", machine_words(&cron.workload))));
        }
        for (name, volume) in world.fly_volume.iter().filter(|(name, _)| inside(name)) {
            let held = volume.attached_machine.as_deref().unwrap_or("free");
            out.push(row(
                "volume",
                name,
                &format!("{}  {}  {}  {held}", volume.id, volume.size, volume.state),
            ));
        }
        for (name, ip) in world.fly_ip.iter().filter(|(name, _)| inside(name)) {
            out.push(row("ip", name, &ip.address));
        }
        for (name, certificate) in world.fly_certificate.iter().filter(|(name, _)| inside(name)) {
            let state = if certificate.configured { "configured" } else { "waits for DNS" };
            out.push(row("certificate", name, state));
        }
        if let Some(secrets) = world.fly_secrets.get(key) {
            let names: Vec<&str> = secrets.present.keys().map(String::as_str).collect();
            out.push(row("secrets", key, &names.join(", ")));
        }
    }
    if out.is_empty() {
        out.push("Nothing is there.".to_owned());
    }
    out.join("\n")
}

fn row(kind: &str, name: &Name, rest: &str) -> String {
    format!("  {kind:<12}{:<28}{rest}", name.as_str())
}

/// State, health and image of one machine.
fn machine_words(machine: &WorkloadLive) -> String {
    let (passing, all) = machine.health.checks;
    let checks = if all == 0 { String::new() } else { format!("  {passing}/{all} checks") };
    let cordoned = if machine.health.cordoned { "  cordoned" } else { "" };
    let host = if machine.health.host_ok { "" } else { "  host unreachable" };
    let image = machine.config.image.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}  {}{checks}{cordoned}{host}  {image}", machine.id, machine.state)
}
