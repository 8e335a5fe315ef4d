//! The operations behind the commands.

pub mod permissions;
