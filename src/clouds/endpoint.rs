//! Which addresses a token may be sent to, and how much of a response is read. Base URLs come from
//! variables and files, so a wrong or malicious one must not make us send the token unencrypted or
//! to somebody else, and no server can exhaust the memory.

use reqwest::{Response, Url, header::LOCATION};

use super::{CloudError, ErrorKind, http_errors::connection_error};
use crate::model::is_unprintable;

/// The largest response body that is accepted, in bytes. The list of an app's machines is the
/// longest response, at some 5 kB each, and no Fly app has thousands.
pub(super) const MAX_BODY_BYTES: usize = 32 << 20;
/// How much of an error response is read, in bytes. Its message is shortened anyway.
const MAX_ERROR_BODY_BYTES: usize = 64 << 10;
/// How many characters of a server's message are shown. The API's longest messages have a fifth of
/// that.
const MAX_MESSAGE_CHARS: usize = 1000;

/// Parses an address that a token may be sent to: with TLS, or on this machine. Host names are not
/// resolved, so `localhost` is the only name that counts as this machine.
///
/// # Errors
/// When the token must not be sent there. The message contains no password.
pub(super) fn parse_token_url(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|error| format!("an address is not one: {error}"))?;
    let display = display_url(&url);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "the address {display} names a user, who would be sent instead of the token"
        ));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err(format!(
                "the address {display} is plain HTTP to another machine, where everybody on the way could read the token: \
                 use https, or a server on this machine such as http://127.0.0.1:8080"
            ));
        }
        scheme => {
            return Err(format!(
                "the address {display} is of the scheme {scheme}, and not https"
            ));
        }
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "the address {display} has more behind its path, where nothing can be added"
        ));
    }
    Ok(url)
}

/// Whether an address uses plain HTTP, whatever the case of its scheme.
pub(super) fn is_plain_http(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.scheme() == "http")
}

/// Whether a URL's host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A URL without user, password and query, which may contain secrets.
pub(super) fn display_url(url: &Url) -> String {
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    to_single_line(&format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    ))
}

/// Where a redirect points, for the error message.
pub(super) fn redirect_target(response: &Response) -> Option<String> {
    let location = response
        .headers()
        .get(LOCATION)
        .filter(|_| response.status().is_redirection())?;
    let url = response
        .url()
        .join(&String::from_utf8_lossy(location.as_bytes()));
    Some(url.map_or_else(
        |_| "an address that is none".to_owned(),
        |url| display_url(&url),
    ))
}

/// Reads the whole body of a successful response.
///
/// # Errors
/// When the connection is lost, or the body is larger than [`MAX_BODY_BYTES`].
pub(super) async fn read_body(operation: &str, response: Response) -> Result<Vec<u8>, CloudError> {
    let limit = u64::try_from(MAX_BODY_BYTES).unwrap_or(u64::MAX);
    let is_too_large = response
        .content_length()
        .is_some_and(|length| length > limit);
    match if is_too_large {
        None
    } else {
        read_at_most(operation, response, MAX_BODY_BYTES).await?
    } {
        Some(body) => Ok(body),
        None => {
            let message = format!(
                "the answer has more than {} MiB, which is the most",
                MAX_BODY_BYTES >> 20
            );
            Err(CloudError::new(
                operation,
                ErrorKind::InvalidResponse,
                message,
            ))
        }
    }
}

/// Reads the beginning of the body of an error response.
pub(super) async fn read_error_body(
    operation: &str,
    mut response: Response,
) -> Result<String, CloudError> {
    let mut body = Vec::new();
    while body.len() < MAX_ERROR_BODY_BYTES {
        match response
            .chunk()
            .await
            .map_err(|error| connection_error(operation, &error))?
        {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

async fn read_at_most(
    operation: &str,
    mut response: Response,
    limit: usize,
) -> Result<Option<Vec<u8>>, CloudError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| connection_error(operation, &error))?
    {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// A server's message on one line, shortened, and without unprintable characters.
pub(super) fn to_single_line(text: &str) -> String {
    let mut out = String::new();
    for (index, word) in text
        .split(|c: char| c.is_whitespace() || is_unprintable(c))
        .filter(|word| !word.is_empty())
        .enumerate()
    {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(word);
        if let Some((end, _)) = out.char_indices().nth(MAX_MESSAGE_CHARS) {
            return format!("{}…", &out[..end]);
        }
    }
    out
}

/// A response that is not JSON on one line; for an HTML page its title.
pub(super) fn summarize_text(text: &str) -> String {
    summarize_html(text).unwrap_or_else(|| to_single_line(text))
}

/// The description of an HTML page by its title. `None` if the text is not HTML.
pub(super) fn summarize_html(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.to_ascii_lowercase();
    if !(lower.starts_with("<!doctype") || lower.starts_with("<html")) {
        return None;
    }
    let title = lower.find("<title>").map(|index| index + "<title>".len());
    let title = title.and_then(|from| Some(&text[from..from + lower[from..].find("</title>")?]));
    let title = title.map(to_single_line).filter(|title| !title.is_empty());
    Some(match title {
        Some(title) => format!("a web page instead of an answer: {title}"),
        None => "a web page instead of an answer".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_url_needs_tls_or_loopback() {
        for allowed in [
            "https://api.machines.dev",
            "https://api.machines.dev:8443/base/",
            "http://127.0.0.1:4280",
            "http://localhost:1",
            "http://LOCALHOST:1",
            "http://[::1]:1",
            "http://127.1:1",
            "http://2130706433",
            "http://0x7f.1",
        ] {
            assert!(
                parse_token_url(allowed).is_ok(),
                "{allowed}: {:?}",
                parse_token_url(allowed)
            );
        }
        for (rejected, expected) in [
            ("http://api.machines.dev", "plain HTTP"),
            ("http://localhost.evil.com", "plain HTTP"),
            ("http://127.0.0.1.evil.com", "plain HTTP"),
            ("http://evil.localhost", "plain HTTP"),
            ("http://localhost.", "plain HTTP"),
            ("http://0.0.0.0:1", "plain HTTP"),
            ("http://3232235777", "http://192.168.1.1/ is plain HTTP"),
            ("http://[::ffff:10.0.0.1]", "plain HTTP"),
            ("http://127.0.0.1@evil.com", "names a user"),
            ("https://me:hunter2@api.machines.dev", "names a user"),
            ("http://127.0.0.1\\@evil.com", "has"),
            ("ftp://127.0.0.1", "scheme ftp"),
            ("file:///etc/passwd", "scheme file"),
            ("https://api.machines.dev?x=", "more behind its path"),
            ("https://api.machines.dev#", "more behind its path"),
            ("api.machines.dev", "not one"),
            ("", "not one"),
        ] {
            match parse_token_url(rejected) {
                Err(message) => assert!(
                    message.contains(expected) && !message.contains("hunter2"),
                    "{rejected}: {message}"
                ),
                Ok(url) => assert!(
                    is_loopback(&url) && expected == "has",
                    "{rejected} is taken for {url}"
                ),
            }
        }
    }

    #[test]
    fn plain_http_is_recognised_in_every_spelling() {
        for address in [
            "http://127.0.0.1:1",
            "HTTP://127.0.0.1:1",
            " hTTp://localhost/x",
        ] {
            assert!(
                parse_token_url(address).is_ok() && is_plain_http(address),
                "{address}"
            );
        }
        for address in [
            "https://localhost",
            "HTTPS://api.machines.dev",
            "https://",
            "",
        ] {
            assert!(!is_plain_http(address), "{address}");
        }
    }

    #[test]
    fn server_messages_become_one_line() {
        assert_eq!(
            to_single_line("a\r\n::error::b\u{1b}[31m\u{9b}c\u{0}"),
            "a ::error::b [31m c"
        );
        assert_eq!(
            to_single_line(&"x".repeat(5000)).chars().count(),
            MAX_MESSAGE_CHARS + 1
        );
        assert_eq!(
            summarize_text("<!DOCTYPE html><head><TITLE>502\n Bad</title>x"),
            "a web page instead of an answer: 502 Bad"
        );
        assert_eq!(summarize_text("<html>"), "a web page instead of an answer");
        assert_eq!(summarize_text("<title>"), "<title>");
    }
}
