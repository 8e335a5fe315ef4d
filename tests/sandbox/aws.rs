//! The imitation of AWS, asked with AWS's own clients.

mod buckets;
mod conditional;
mod config;
mod faults;
mod kit;
mod state;
