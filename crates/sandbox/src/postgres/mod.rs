//! A model of a PostgreSQL server: roles, databases, privileges, comments, settings, the log, and the
//! part of SQL with which they are managed and observed.
//!
//! Statements are parsed and evaluated, so a client is free in how it writes them; tables of the
//! catalog are computed from the state ([`catalog`]). A statement that PostgreSQL knows and this model
//! does not fails with SQLSTATE 0A000. Messages, SQLSTATEs and the output of `psql` were compared with
//! PostgreSQL 15. Every session is one of a superuser, as those of `psql` inside a machine are; what
//! other roles may do is only modelled for their login.

mod aggregates;
mod ast;
mod catalog;
mod databases;
mod error;
mod eval;
mod functions;
mod lexer;
mod login;
mod operators;
mod parser;
mod psql;
mod psql_commands;
mod psql_options;
mod roles;
mod scram;
mod select;
mod session;
mod settings;
mod state;
mod value;

pub(crate) use login::try_login;
pub(crate) use psql::{PsqlOutput, run_psql};
pub(crate) use psql_options::parse_arguments;
pub(crate) use scram::matches_password;
pub(crate) use state::{ClientSession, PgServer};

#[cfg(test)]
mod tests;
