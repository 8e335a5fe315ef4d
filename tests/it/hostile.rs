//! Hostile input: files, responses, endpoints and certificates that are meant to do harm.

mod borrowed_marks;
mod editing_proxy;
mod insecure_endpoints;
mod large_inputs;
mod lying_lists;
mod output_escaping;
mod proxy;
mod raw_server;
mod redirects;
mod responses;
mod special_files;
mod tls;
