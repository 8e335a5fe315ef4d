//! Words: the values that every other module talks in. No I/O, no async, and nothing of ours is named here, so
//! that a reader can start at this floor and never look down.

mod address;
mod image;
mod line;
mod mark;
mod name;
pub mod pace;
mod region;
mod rollout;
pub mod s3;
mod secret;
mod size;
mod span;
mod unseen;
mod veil;

pub use address::{
    Address, KindName, ParseAddressError, ResourceMap, ResourceRef, resources_in_app,
};
pub use image::{Image, ParseImageError};
pub use line::{DiffLine, DisplayValue};
pub use mark::{Ownership, OwnershipMark};
pub use name::{Name, ParseNameError};
pub use region::{KNOWN_REGIONS, Region, UnknownRegion};
pub use rollout::{RolloutPolicy, RolloutStrategy};
pub use secret::{Fingerprint, Salt, Secret};
pub use size::{Gib, Mib, ParseSizeError};
pub use span::{GoDuration, ParseDurationError};
pub use unseen::is_unprintable;
pub(crate) use veil::{contains_secret, redact, register_secret};
