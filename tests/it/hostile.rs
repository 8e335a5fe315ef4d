//! What is meant to do harm: files, answers, addresses and certificates that no honest hand makes.

mod insecure_endpoints;
mod large_inputs;
mod output_escaping;
mod proxy;
mod raw_server;
mod redirects;
mod responses;
mod special_files;
mod tls;
