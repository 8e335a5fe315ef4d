//! Encodes what goes into the address of a request. Names and ids come from responses too, and none of them may lead a request
//! to another object than the one that was meant.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a query value encodes: everything but RFC 3986's unreserved characters.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// What a segment of a path encodes: the characters that RFC 3986 allows in one stay as they are.
const SEGMENT: &AsciiSet = &QUERY_VALUE
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Encodes a text as one segment of a path. The segments `.` and `..` cannot be encoded, since a URL parser decodes them first;
/// [`has_plain_segments`] finds them.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Encodes a value for a query string.
pub(super) fn query_value(text: &str) -> String {
    utf8_percent_encode(text, QUERY_VALUE).to_string()
}

/// Whether no segment of a path is empty or leads to another place, as `.` and `..` do.
pub(super) fn has_plain_segments(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let mut segments = path.split('/').skip(1);
    segments.all(|segment| !["", ".", ".."].contains(&segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stays_one_segment() {
        for (text, encoded) in [
            ("web-1_a.b", "web-1_a.b"),
            ("*.example.com", "*.example.com"),
            ("2a09:8280:1::1", "2a09:8280:1::1"),
            ("../../victim", "..%2F..%2Fvictim"),
            ("%2e%2e", "%252e%252e"),
            ("x?force=true#y", "x%3Fforce=true%23y"),
        ] {
            assert_eq!(segment(text), encoded);
        }
        assert_eq!(query_value("a&b=c"), "a%26b%3Dc");
    }

    #[test]
    fn a_path_with_an_empty_or_relative_segment_is_found() {
        for path in ["/v1/apps/web/machines/a?force=true", "/v1/apps/web/a..b"] {
            assert!(has_plain_segments(path), "{path}");
        }
        for path in [
            "/v1/apps//machines",
            "/v1/apps/web/machines/?force=true",
            "/v1/apps/web/..",
            "/v1/apps/./machines",
        ] {
            assert!(!has_plain_segments(path), "{path}");
        }
    }
}
