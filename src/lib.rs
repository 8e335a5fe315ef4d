//! trimtab keeps what runs on Fly.io and AWS the same as what the repository says.

pub mod sandbox;
