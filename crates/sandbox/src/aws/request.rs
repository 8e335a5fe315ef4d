//! A parsed request to the AWS port: path, query parameters, headers, and the body with its
//! `aws-chunked` encoding removed.

use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::response::AwsError;

/// Everything but the unreserved characters of RFC 3986. Signatures and the documents in IAM's
/// responses are encoded so.
const RFC3986_ENCODE_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Names and values in the order in which they were sent. Names can repeat.
type NameValuePairs = Vec<(String, String)>;

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RFC3986_ENCODE_SET).to_string()
}

/// Decodes percent-encoding. Invalid UTF-8 becomes U+FFFD.
pub(crate) fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Parses and decodes a query string. A `+` stays a plus sign.
fn parse_pairs(query: &str) -> NameValuePairs {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let split = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (percent_decode(name), percent_decode(value))
    };
    parts.map(split).collect()
}

/// A request before it is known which operation it is for.
#[derive(Clone, Debug)]
pub(crate) struct AwsRequest {
    pub(crate) method: String,
    /// The path as it was sent, still percent-encoded.
    pub(crate) path: String,
    pub(crate) raw_query: String,
    pub(crate) query_pairs: NameValuePairs,
    pub(crate) headers: HeaderMap,
    /// The body as it was sent, `aws-chunked` framing included.
    pub(crate) body: Bytes,
}

impl AwsRequest {
    pub(crate) fn new(method: String, uri: &Uri, headers: HeaderMap, body: Bytes) -> Self {
        let raw_query = uri.query().unwrap_or_default().to_owned();
        Self {
            method,
            path: uri.path().to_owned(),
            query_pairs: parse_pairs(&raw_query),
            raw_query,
            headers,
            body,
        }
    }

    /// The value of a header, if it is visible ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a query parameter.
    pub(crate) fn query_parameter(&self, name: &str) -> Option<&str> {
        self.query_pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter, if it is not empty.
    pub(crate) fn nonempty_query_parameter(&self, name: &str) -> Option<&str> {
        self.query_parameter(name).filter(|value| !value.is_empty())
    }

    /// A page size from the query: `limit` if the parameter is missing or larger than `limit`.
    ///
    /// # Errors
    /// `400 InvalidArgument` if the parameter is not a non-negative integer.
    pub(crate) fn query_number(&self, name: &str, limit: usize) -> Result<usize, AwsError> {
        let Some(text) = self.nonempty_query_parameter(name) else {
            return Ok(limit);
        };
        let number = text.parse::<usize>();
        number.map(|number| number.min(limit)).map_err(|_| {
            AwsError::invalid_argument(format!(
                "Provided {name} not an integer or within integer range"
            ))
            .with_element("ArgumentName", name)
            .with_element("ArgumentValue", text)
        })
    }

    /// The bucket and the key of a path-style path, decoded. Either can be empty.
    pub(crate) fn bucket_and_key(&self) -> (String, String) {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        (percent_decode(bucket), percent_decode(key))
    }

    /// The parameters of a Query protocol request, from the query string and the form in the body. In
    /// the form a `+` is a space.
    pub(crate) fn form_parameters(&self) -> NameValuePairs {
        let mut form = self.query_pairs.clone();
        form.extend(parse_pairs(
            &String::from_utf8_lossy(&self.body).replace('+', "%20"),
        ));
        form
    }

    /// The body without `aws-chunked` framing, and the trailing headers.
    ///
    /// # Errors
    /// `400 IncompleteBody` if the framing is broken or the length is not the declared one.
    pub(crate) fn decode_body(&self) -> Result<(Bytes, NameValuePairs), AwsError> {
        let is_chunked = self
            .header("x-amz-content-sha256")
            .is_some_and(|hash| hash.starts_with("STREAMING-"));
        if !is_chunked {
            return Ok((self.body.clone(), Vec::new()));
        }
        let incomplete_body = || {
            let message = "You did not provide the number of bytes specified by the Content-Length HTTP header";
            AwsError::new(400, "IncompleteBody", message)
        };
        let (content, trailer) = decode_aws_chunked(&self.body).ok_or_else(incomplete_body)?;
        let declared_length = self
            .header("x-amz-decoded-content-length")
            .and_then(|text| text.parse().ok());
        match declared_length.is_some_and(|declared_length: usize| declared_length != content.len())
        {
            true => Err(incomplete_body()),
            false => Ok((content.into(), trailer)),
        }
    }
}

/// Decodes an `aws-chunked` body: chunks with a hexadecimal size and perhaps a signature, a chunk of
/// size 0, then trailing headers. `None` if it is malformed.
fn decode_aws_chunked(mut rest: &[u8]) -> Option<(Vec<u8>, NameValuePairs)> {
    let mut content = Vec::with_capacity(rest.len());
    loop {
        // `SIZE;chunk-signature=…`. Chunk signatures are not verified: the size and the checksums of the
        // content are enough to notice a broken client.
        let (line, tail) = split_line(rest)?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = tail;
        if size == 0 {
            break;
        }
        content.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut trailer = Vec::new();
    while let Some((line, tail)) = split_line(rest) {
        if let Some((name, value)) = line.split_once(':') {
            trailer.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        rest = tail;
    }
    Some((content, trailer))
}

fn split_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_chunked_bodies_are_decoded() {
        let body =
            b"5;chunk-signature=ab\r\nhello\r\n1\r\n!\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        let trailer = vec![("x-amz-checksum-crc32".to_owned(), "AAAA".to_owned())];
        assert_eq!(
            decode_aws_chunked(body),
            Some((b"hello!".to_vec(), trailer))
        );
        assert_eq!(decode_aws_chunked(b"5\r\nhell"), None);
        assert_eq!(decode_aws_chunked(b"zz\r\n"), None);
    }

    #[test]
    fn path_style_paths_name_bucket_and_key() {
        let uri = "/b/a%20b/c+d?uploads&x=1%2B".parse().unwrap();
        let request = AwsRequest::new("GET".to_owned(), &uri, HeaderMap::new(), Bytes::new());
        assert_eq!(
            request.bucket_and_key(),
            ("b".to_owned(), "a b/c+d".to_owned())
        );
        assert_eq!(
            (
                request.query_parameter("uploads"),
                request.query_parameter("x")
            ),
            (Some(""), Some("1+"))
        );
    }
}
