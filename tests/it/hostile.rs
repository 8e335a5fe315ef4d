//! What is meant to do harm: files, answers, addresses and certificates that no honest hand makes.

mod addresses;
mod answers;
mod files;
mod odd;
mod proxy;
mod redirects;
mod shown;
mod sizes;
mod tls;
