//! The imitation of AWS, asked with AWS's own clients.

mod buckets;
mod conditional;
mod config;
mod copies;
mod deletes;
mod faults;
mod iam;
mod kit;
mod kms;
mod objects;
mod policies;
mod principals;
mod sessions;
mod state;
mod texts;
mod tokens;
mod writes;
