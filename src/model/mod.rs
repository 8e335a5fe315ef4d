//! The vocabulary of the other modules: names, addresses, images, sizes, regions, secrets, diff
//! lines. No I/O, no async, and no dependency on any other module of trimtab.

mod address;
mod diff_line;
mod duration;
mod fingerprint;
pub mod fly_limits;
mod image;
mod name;
mod ownership;
mod redact;
mod region;
mod resource_map;
mod rollout;
pub mod s3;
mod secret;
mod size;
mod unprintable;

pub use address::{Address, KindName, ParseAddressError, ResourceRef};
pub use diff_line::{DiffLine, DisplayValue};
pub use duration::{GoDuration, ParseDurationError};
pub use fingerprint::{Fingerprint, Salt};
pub use image::{Image, ParseImageError};
pub use name::{Name, ParseNameError};
pub use ownership::{Ownership, OwnershipMark};
pub(crate) use redact::{
    contains_secret, is_redacted, redact, redact_json, redact_output, register_public_name,
    register_secret, secret_spans,
};
pub use region::{KNOWN_REGIONS, RETIRED_REGIONS, Region, UnknownRegion};
pub use resource_map::{ResourceMap, resources_in_app};
pub use rollout::{RolloutPolicy, RolloutStrategy};
pub use secret::Secret;
pub use size::{Gib, Mib, ParseSizeError};
pub use unprintable::is_unprintable;
