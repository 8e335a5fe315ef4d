//! `trimtab unlock`: who holds the lock of an environment, and ending it for a run that hangs or is dead.

use clap::Args;

use super::{
    Context, Failure, clock, exit, locking,
    session::{InputArgs, Session, Target},
};
use crate::{
    clouds::aws::{
        Reader, Writer,
        lock::{self, Place, Terms},
    },
    manifest::SecretsMode,
};

/// Show who holds the lock of an environment, or end it for a run that hangs or has died.
#[derive(Debug, Args)]
pub(super) struct Unlock {
    /// The environment: the stem of its manifest's file name
    #[arg(value_name = "ENV")]
    environment: String,
    #[command(flatten)]
    inputs: InputArgs,
    /// End the lock that has this id: so that it is not another's by the time you have looked
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

pub(super) async fn run(context: &Context<'_>, args: &Unlock) -> Result<u8, Failure> {
    let target = Target {
        environment: args.environment.clone(),
        inputs: args.inputs.clone(),
    };
    let session = Session::open(context, &target, SecretsMode::Lenient, &[]).await?;
    let result = answer(context, args, &session).await;
    session.close().await;
    result
}

async fn answer(context: &Context<'_>, args: &Unlock, session: &Session) -> Result<u8, Failure> {
    let place = locking::place(&session.loaded.desired.meta);
    let (Some(place), Some(reader)) = (place, &session.readers.aws) else {
        return Err(Failure::new(format!(
            "the environment {} has no lock: it has no bucket",
            args.environment
        ))
        .hint(
            "what keeps two runs apart are leases on machines, which run out by themselves within a minute",
        ));
    };
    let terms = Terms::at_speed(session.speed);
    match &args.id {
        Some(id) => release(context, reader, &place, id, terms).await,
        None => show(context, args, reader, &place, terms).await,
    }
}

async fn show(
    context: &Context<'_>,
    args: &Unlock,
    reader: &Reader,
    place: &Place,
    terms: Terms,
) -> Result<u8, Failure> {
    reader.check_account().await?;
    match lock::holder(reader, place).await? {
        None => context.ui.data("Nobody holds the lock.")?,
        Some(record) => {
            let (ends, free) = (record.expires_at, terms.free_at(&record));
            if record.unlocked {
                context.ui.data(&format!(
                    "The lock of {record} was ended; it is free after {free:.0}."
                ))?;
                return Ok(exit::OK);
            }
            context.ui.data(&format!(
                "{record} holds the lock until {ends:.0} unless it is renewed."
            ))?;
            context.ui.talk(&format!(
                "If that run hangs or is dead: trimtab unlock {} --id {}",
                args.environment,
                record.id()
            ));
        }
    }
    Ok(exit::OK)
}

async fn release(
    context: &Context<'_>,
    reader: &Reader,
    place: &Place,
    id: &str,
    terms: Terms,
) -> Result<u8, Failure> {
    reader.check_account().await?;
    let record = lock::unlock(&Writer::new(reader.clone()), place, id, clock::wall).await?;
    context.ui.data(&format!("Ended the lock of {record}."))?;
    if !record.released {
        context.ui.talk(&format!(
            "It is free after {:.0}, or as soon as that run has noticed: nobody can tell from here that it is dead.",
            terms.free_at(&record)
        ));
    }
    Ok(exit::OK)
}
