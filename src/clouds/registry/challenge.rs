//! The bearer challenge by which a registry says where to request a token, and for what.

/// `Bearer realm="…",service="…",scope="…"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BearerChallenge {
    /// The URL of the token endpoint.
    pub(super) realm: String,
    /// The service that the token is for.
    pub(super) service: Option<String>,
    /// The requested permissions.
    pub(super) scope: Option<String>,
}

impl BearerChallenge {
    /// Parses a `WWW-Authenticate` header. `None` if it has no bearer challenge.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let at = header.to_ascii_lowercase().find("bearer ")?;
        let mut challenge = Self {
            realm: String::new(),
            service: None,
            scope: None,
        };
        let mut remaining = &header[at + "bearer ".len()..];
        while let Some((name, value, after)) = parse_parameter(remaining) {
            match name {
                "realm" => challenge.realm = value.to_owned(),
                "service" => challenge.service = Some(value.to_owned()),
                "scope" => challenge.scope = Some(value.to_owned()),
                _ => {}
            }
            remaining = after;
        }
        (!challenge.realm.is_empty()).then_some(challenge)
    }
}

/// Parses the first `name="value"` or `name=value`, and returns what follows. A quoted value may
/// contain commas.
fn parse_parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, remaining) = text.trim_start_matches([' ', ',']).split_once('=')?;
    if let Some(quoted) = remaining.strip_prefix('"') {
        let (value, remaining) = quoted.split_once('"')?;
        return Some((name.trim(), value, remaining));
    }
    let end = remaining.find(',').unwrap_or(remaining.len());
    Some((name.trim(), remaining[..end].trim(), &remaining[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_bearer_challenge_among_others() {
        let read = |header| BearerChallenge::parse(header).map(|c| (c.realm, c.service, c.scope));
        let some = |text: &str| Some(text.to_owned());
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        assert_eq!(
            read(hub),
            Some((
                "https://auth.docker.io/token".to_owned(),
                some("registry.docker.io"),
                some("repository:a/b:pull,push")
            ))
        );
        let two = r#"Basic realm="x", bearer error=invalid_token, realm="https://r/t""#;
        assert_eq!(read(two), Some(("https://r/t".to_owned(), None, None)));
        for none in [
            "",
            "Basic realm=\"x\"",
            "Bearer",
            "Bearer service=\"x\"",
            "Bearer realm=\"x",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
