//! What a route is: method, path, endpoint, and the bucket that limits it.

use super::answer::{Call, Reply};
use super::limits::Rate;
use super::world::World;

/// An endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    /// It answers at once.
    Now(fn(&mut World, &Call) -> Reply),
    /// It may not have an answer yet, and then says until when it would wait for one.
    Waits(fn(&mut World, &Call) -> Result<Reply, i64>),
}

/// Which part of a call the rate limit counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identifier {
    /// The most specific thing that the path names.
    Path,
    /// Whoever asks.
    Token,
}

/// A route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
    pub(crate) rate: Option<Rate>,
    pub(crate) identifier: Identifier,
    /// Whether a read-only token is refused.
    pub(crate) writes: bool,
    /// Whether the endpoint itself decides about somebody without a token, and takes it as a password too.
    pub(crate) open: bool,
}

/// An ordinary route: `GET` reads, everything else writes, all are limited per identifier in the path.
pub(crate) fn route(
    method: &'static str,
    path: &'static str,
    run: fn(&mut World, &Call) -> Reply,
) -> Route {
    let identifier = if path.contains('{') {
        Identifier::Path
    } else {
        Identifier::Token
    };
    Route {
        method,
        path,
        handler: Handler::Now(run),
        rate: Some(Rate::ORDINARY),
        identifier,
        writes: method != "GET",
        open: false,
    }
}

impl Route {
    /// The same with a rate limit of its own.
    pub(crate) fn rated(self, rate: Rate, identifier: Identifier) -> Self {
        Self {
            rate: Some(rate),
            identifier,
            ..self
        }
    }

    /// The same without a rate limit: the documentation limits the Machines API only.
    pub(crate) fn unlimited(self) -> Self {
        Self { rate: None, ..self }
    }

    /// The same, open to read-only tokens although its method is not `GET`.
    pub(crate) fn reading(self) -> Self {
        Self {
            writes: false,
            ..self
        }
    }

    /// What the rate limit of a call counts by. For things under an application the application is part of it,
    /// because names of secrets and certificates are only unique there.
    pub(crate) fn identify(&self, call: &Call) -> String {
        match self.identifier {
            Identifier::Path => call.params.values().cloned().collect::<Vec<_>>().join("/"),
            Identifier::Token => call
                .who
                .tokens
                .first()
                .map(|token| token.id.clone())
                .unwrap_or_default(),
        }
    }
}
