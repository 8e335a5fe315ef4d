//! trimtab keeps what runs on Fly.io and AWS the same as what the repository says.

pub mod apply;
pub mod cli;
pub mod clouds;
pub mod kinds;
pub mod manifest;
pub mod model;
pub mod observe;
pub mod plan;
pub mod render;
pub mod sandbox;
