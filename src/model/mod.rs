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

pub use address::{Address, AddressError, Named, Ref, Table, within};
pub use image::{Image, NotAnImage};
pub use line::{Line, Shown};
pub use mark::{Mark, Ownership};
pub use name::{Name, NotAName};
pub use region::{KNOWN_REGIONS, Region, UnknownRegion};
pub use rollout::{Strategy, Turns};
pub use secret::{Fingerprint, Salt, Secret};
pub use size::{Gib, Mib, NotASize};
pub use span::{NotASpan, Span};
pub use unseen::is_unseen;
pub(crate) use veil::{holds_secret, know, veiled};
