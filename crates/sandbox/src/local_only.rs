//! Keeps web pages out. The APIs listen on loopback, where every browser of this machine reaches them
//! as well: a page could send requests to them, and by DNS rebinding, where its own host name
//! suddenly leads to loopback, even read the responses. Programs name the address that they talk to
//! and send none of the headers that browsers add.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

use crate::api::ApiError;

/// Checks that a request comes from a program on this machine, or from a page that the sandbox itself
/// serves.
///
/// # Errors
/// `403` when it names another host, or was sent by a page of another site.
pub(crate) fn check_local(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let host = text(header::HOST.as_str());
    if host.is_some_and(|host| !is_loopback(host)) {
        return Err(ApiError::new(
            403,
            "the sandbox answers requests for loopback addresses and for the host names of its apps only",
        ));
    }
    let own_origin = format!("http://{}", host.unwrap_or_default());
    let from_other_origin = text("origin").is_some_and(|origin| origin != own_origin);
    let from_other_site =
        text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    match from_other_origin || from_other_site {
        true => Err(ApiError::new(
            403,
            "the sandbox does not answer pages of other sites",
        )),
        false => Ok(()),
    }
}

/// Whether a `Host` header names this machine. `localhost` and the names below it never leave it.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>()
        .map_or(name == "localhost" || name.ends_with(".localhost"), |ip| {
            ip.is_loopback()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:4280",
            "127.8.8.8:1",
            "[::1]:80",
            "[::1]",
            "localhost",
            "LOCALHOST:80",
            "bucket.localhost:80",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "127.0.0.1.example.com:80",
            "localhost.example.com",
            "10.0.0.1:80",
            "[::2]:80",
            "notlocalhost",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
