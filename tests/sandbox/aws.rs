//! The imitation of AWS, asked with AWS's own clients.

mod buckets;
mod kit;
