//! `trimtab unlock`: shows who holds the environment lock, and ends the lock of a run that hangs or has died.

use clap::Args;

use super::{
    CommandContext, CommandError, clock, exit,
    session::{InputArgs, PlanningArgs, Session, TargetArgs},
    signals::SignalCounter,
};
use crate::{
    clouds::aws::{AwsReader, AwsWriter},
    lock::{self, LockLocation, LockTimings},
    manifest::SecretsMode,
    ops::lock_location,
};

/// Show who holds the lock of an environment, or end the lock of a run that hangs or has died.
///
/// An ended lock is not renewed any more. It is free when it expires, plus a margin for clocks that differ, or earlier if its
/// run notices and stops.
#[derive(Debug, Args)]
pub(super) struct Unlock {
    /// The environment: the stem of its manifest's file name
    #[arg(value_name = "ENV")]
    environment: String,
    #[command(flatten)]
    inputs: InputArgs,
    /// End the lock with this id; the id makes sure that it is still the lock you saw
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Unlock) -> Result<u8, CommandError> {
    let target = TargetArgs {
        environment: args.environment.clone(),
        inputs: args.inputs.clone(),
    };
    let session = Session::open(
        context,
        &target,
        SecretsMode::Lenient,
        &PlanningArgs::default(),
    )
    .await?;
    let result = run_with_session(context, args, &session).await;
    session.close().await;
    result
}

async fn run_with_session(
    context: &CommandContext<'_>,
    args: &Unlock,
    session: &Session,
) -> Result<u8, CommandError> {
    let location = lock_location(&session.desired().meta);
    let (Some(location), Some(reader)) = (location, &session.workspace.readers.aws) else {
        return Err(CommandError::new(format!(
            "the environment {} has no lock: it has no bucket",
            args.environment
        ))
        .with_hint(
            "what keeps two runs apart are leases on machines, which run out by themselves within a minute",
        ));
    };
    let timings = LockTimings::at_speed(session.workspace.speed());
    match &args.id {
        Some(id) => end_lock(context, reader, &location, id, timings).await,
        None => print_holder(context, args, reader, &location, timings).await,
    }
}

async fn print_holder(
    context: &CommandContext<'_>,
    args: &Unlock,
    reader: &AwsReader,
    location: &LockLocation,
    timings: LockTimings,
) -> Result<u8, CommandError> {
    reader.check_account().await?;
    match lock::find_holder(reader, location).await? {
        None => context.ui.print("Nobody holds the lock.")?,
        Some(record) => {
            let (ends, free) = (record.expires_at, timings.available_at(&record));
            if record.unlocked {
                context.ui.print(&format!(
                    "The lock of {record} was ended; it is free after {free:.0}."
                ))?;
                return Ok(exit::OK);
            }
            context.ui.print(&format!(
                "{record} holds the lock until {ends:.0} unless it is renewed."
            ))?;
            context.ui.eprint(&format!(
                "If that run hangs or is dead: trimtab unlock {} --id {}",
                args.environment,
                record.short_id()
            ));
        }
    }
    Ok(exit::OK)
}

async fn end_lock(
    context: &CommandContext<'_>,
    reader: &AwsReader,
    location: &LockLocation,
    id: &str,
    timings: LockTimings,
) -> Result<u8, CommandError> {
    reader.check_account().await?;
    let writer = AwsWriter::new(reader.clone());
    let signals = SignalCounter::start();
    let record = tokio::select! {
        record = lock::unlock(&writer, location, id, clock::current_time) => record?,
        () = signals.wait_for(1) => {
            return Err(CommandError::new(
                "stopped by a signal, and it is not known whether the lock was ended",
            )
            .with_hint("run the same command again")
            .with_exit_code(exit::INCOMPLETE));
        }
    };
    context.ui.print(&format!("Ended the lock of {record}."))?;
    if !record.released {
        context.ui.eprint(&format!(
            "It is free after {:.0}, or as soon as that run has noticed: nobody can tell from here that it is dead.",
            timings.available_at(&record)
        ));
    }
    Ok(exit::OK)
}
