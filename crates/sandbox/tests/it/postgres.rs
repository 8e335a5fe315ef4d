//! Postgres clusters: machines with Fly's image, the programs in them, and SQL.

mod apps;
mod managed;
mod nodes;
mod processes;
mod scripts;
mod sleep;
mod support;
