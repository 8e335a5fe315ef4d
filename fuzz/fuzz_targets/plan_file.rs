//! Fuzzes `entries::plan_file`, which states the properties.

#![no_main]

#[path = "../entries.rs"]
#[allow(dead_code, reason = "each target takes one of them")]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::plan_file(data));
