//! A request to the AWS port, taken apart: path, query, headers, and the body without the frame of its chunks.

use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::response::AwsError;

/// What RFC 3986 leaves as it is; signatures and IAM's documents encode everything else.
const RFC3986_ENCODE_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Names and values, in the order in which they were sent.
type NameValuePairs = Vec<(String, String)>;

/// Percent-encodes as RFC 3986 does.
pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RFC3986_ENCODE_SET).to_string()
}

/// Takes percent-encoding back.
pub(crate) fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Pairs of a query, decoded; a `+` is a plus here.
fn parse_pairs(query: &str) -> NameValuePairs {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let split = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (percent_decode(name), percent_decode(value))
    };
    parts.map(split).collect()
}

/// A request before anybody knows what it asks.
#[derive(Clone, Debug)]
pub(crate) struct AwsRequest {
    pub(crate) method: String,
    /// As it was sent, still encoded.
    pub(crate) path: String,
    pub(crate) raw_query: String,
    pub(crate) query_pairs: NameValuePairs,
    pub(crate) headers: HeaderMap,
    /// As it was sent, the frame of chunks included.
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

    /// A header, when it is a text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A query parameter.
    pub(crate) fn query_parameter(&self, name: &str) -> Option<&str> {
        self.query_pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The same, when it is not empty.
    pub(crate) fn nonempty_query_parameter(&self, name: &str) -> Option<&str> {
        self.query_parameter(name).filter(|value| !value.is_empty())
    }

    /// A number in the query between 0 and a limit; more than the limit is the limit.
    ///
    /// # Errors
    /// `400` when it is there and is none.
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

    /// The bucket and the key that the path names, in path style.
    pub(crate) fn bucket_and_key(&self) -> (String, String) {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        (percent_decode(bucket), percent_decode(key))
    }

    /// The form of a request in the query protocol; `+` is a space in it.
    pub(crate) fn form_parameters(&self) -> NameValuePairs {
        let mut form = self.query_pairs.clone();
        form.extend(parse_pairs(
            &String::from_utf8_lossy(&self.body).replace('+', "%20"),
        ));
        form
    }

    /// What the body means once the frame of its chunks is gone, and what was said after its end.
    ///
    /// # Errors
    /// `400 IncompleteBody` when the frame is broken.
    pub(crate) fn decode_body(&self) -> Result<(Bytes, NameValuePairs), AwsError> {
        let framed = self
            .header("x-amz-content-sha256")
            .is_some_and(|hash| hash.starts_with("STREAMING-"));
        if !framed {
            return Ok((self.body.clone(), Vec::new()));
        }
        let broken = || {
            let message = "You did not provide the number of bytes specified by the Content-Length HTTP header";
            AwsError::new(400, "IncompleteBody", message)
        };
        let (content, trailer) = decode_aws_chunked(&self.body).ok_or_else(broken)?;
        let promised = self
            .header("x-amz-decoded-content-length")
            .and_then(|text| text.parse().ok());
        match promised.is_some_and(|promised: usize| promised != content.len()) {
            true => Err(broken()),
            false => Ok((content.into(), trailer)),
        }
    }
}

/// Undoes `aws-chunked`: sized pieces, each perhaps with its signature, then lines like headers.
fn decode_aws_chunked(mut rest: &[u8]) -> Option<(Vec<u8>, NameValuePairs)> {
    let mut content = Vec::with_capacity(rest.len());
    loop {
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
    fn a_framed_body_loses_its_frame() {
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
    fn a_path_names_bucket_and_key() {
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
