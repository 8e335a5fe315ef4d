//! One test binary for what crosses modules: the real client against the sandbox, and the rules of the house.

mod crash;
mod floors;
mod properties;
mod scripts;
mod story;
mod support;
