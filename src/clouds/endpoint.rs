//! Where a token may go, and how much of an answer is taken. A base address comes from a variable or a file, so one with
//! a slip in it, or with malice, must not send the token in the clear or to somebody else, and no server can fill the
//! memory.

use reqwest::{Response, Url, header::LOCATION};

use super::{CloudError, ErrorKind, http::connection_error};
use crate::model::is_unprintable;

/// The most that an answer may hold, in bytes: the list of an app's machines is the longest there is, some 5 kB for each,
/// and Fly runs no app with thousands.
pub(super) const MAX_BODY_BYTES: usize = 32 << 20;
/// The most that is read of an answer that says no: what it says is shortened anyway.
const MAX_ERROR_BODY_BYTES: usize = 64 << 10;
/// How many characters of what a server says are shown. The API's own longest sentences have a fifth of it.
const MAX_MESSAGE_CHARS: usize = 1000;

/// An address that a token may be sent to: over TLS, or on this machine. Names are not looked up, so of them only
/// `localhost` is this machine.
///
/// # Errors
/// When it is none, in words that show no password.
pub(super) fn parse_token_url(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|error| format!("an address is not one: {error}"))?;
    let shown = display_url(&url);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "the address {shown} names a user, who would be sent instead of the token"
        ));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err(format!(
                "the address {shown} is plain HTTP to another machine, where everybody on the way could read the token: \
                 use https, or a server on this machine such as http://127.0.0.1:8080"
            ));
        }
        other => {
            return Err(format!(
                "the address {shown} is of the scheme {other}, and not https"
            ));
        }
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "the address {shown} has more behind its path, where nothing can be added"
        ));
    }
    Ok(url)
}

/// Whether an address is spoken to in the clear, however its scheme is written.
pub(super) fn is_plain_http(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.scheme() == "http")
}

/// Whether a host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// An address without what may be a secret in it: no user, no query.
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

/// Where a redirect points to.
pub(super) fn redirect_target(answer: &Response) -> Option<String> {
    let location = answer
        .headers()
        .get(LOCATION)
        .filter(|_| answer.status().is_redirection())?;
    let url = answer
        .url()
        .join(&String::from_utf8_lossy(location.as_bytes()));
    Some(url.map_or_else(
        |_| "an address that is none".to_owned(),
        |url| display_url(&url),
    ))
}

/// The whole body of an answer that says yes.
///
/// # Errors
/// When the connection is lost, and when there is more of it than any honest answer has.
pub(super) async fn read_body(doing: &str, answer: Response) -> Result<Vec<u8>, CloudError> {
    let most = u64::try_from(MAX_BODY_BYTES).unwrap_or(u64::MAX);
    let announced = answer.content_length().is_some_and(|length| length > most);
    match if announced {
        None
    } else {
        read_at_most(doing, answer, MAX_BODY_BYTES).await?
    } {
        Some(body) => Ok(body),
        None => {
            let what = format!(
                "the answer has more than {} MiB, which is the most",
                MAX_BODY_BYTES >> 20
            );
            Err(CloudError::new(doing, ErrorKind::InvalidResponse, what))
        }
    }
}

/// The beginning of what an answer says that says no, as one line.
pub(super) async fn read_error_body(
    doing: &str,
    mut answer: Response,
) -> Result<String, CloudError> {
    let mut body = Vec::new();
    while body.len() < MAX_ERROR_BODY_BYTES {
        match answer
            .chunk()
            .await
            .map_err(|error| connection_error(doing, &error))?
        {
            Some(part) => body.extend_from_slice(&part),
            None => break,
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

async fn read_at_most(
    doing: &str,
    mut answer: Response,
    most: usize,
) -> Result<Option<Vec<u8>>, CloudError> {
    let mut body = Vec::new();
    while let Some(part) = answer
        .chunk()
        .await
        .map_err(|error| connection_error(doing, &error))?
    {
        if body.len() + part.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&part);
    }
    Ok(Some(body))
}

/// What a server says as one line of bearable length, without anything that a terminal obeys.
pub(super) fn to_single_line(text: &str) -> String {
    let mut out = String::new();
    for (at, word) in text
        .split(|c: char| c.is_whitespace() || is_unprintable(c))
        .filter(|word| !word.is_empty())
        .enumerate()
    {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(word);
        if let Some((end, _)) = out.char_indices().nth(MAX_MESSAGE_CHARS) {
            return format!("{}…", &out[..end]);
        }
    }
    out
}

/// What an answer that is no JSON says: itself, or of a page in HTML its title.
pub(super) fn summarize_text(text: &str) -> String {
    summarize_html(text).unwrap_or_else(|| to_single_line(text))
}

/// What to say of a page in HTML: its title.
pub(super) fn summarize_html(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.to_ascii_lowercase();
    if !(lower.starts_with("<!doctype") || lower.starts_with("<html")) {
        return None;
    }
    let title = lower.find("<title>").map(|at| at + "<title>".len());
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
    fn a_token_goes_over_tls_or_stays_on_this_machine() {
        for fine in [
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
                parse_token_url(fine).is_ok(),
                "{fine}: {:?}",
                parse_token_url(fine)
            );
        }
        for (wrong, why) in [
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
            match parse_token_url(wrong) {
                Err(said) => assert!(
                    said.contains(why) && !said.contains("hunter2"),
                    "{wrong}: {said}"
                ),
                Ok(url) => assert!(
                    is_loopback(&url) && why == "has",
                    "{wrong} is taken for {url}"
                ),
            }
        }
    }

    #[test]
    fn plain_http_is_known_however_it_is_written() {
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
    fn what_a_server_says_is_one_line() {
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
