//! The challenge of a registry that hands out tokens: where to ask for one, and for what.

/// `Bearer realm="…",service="…",scope="…"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BearerChallenge {
    /// Where tokens are given out.
    pub(super) realm: String,
    /// For whom the token is meant.
    pub(super) service: Option<String>,
    /// What it is to allow.
    pub(super) scope: Option<String>,
}

impl BearerChallenge {
    /// Reads a `WWW-Authenticate` header; `None` when it asks for no token.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let at = header.to_ascii_lowercase().find("bearer ")?;
        let mut challenge = Self {
            realm: String::new(),
            service: None,
            scope: None,
        };
        let mut rest = &header[at + "bearer ".len()..];
        while let Some((name, value, after)) = parse_parameter(rest) {
            match name {
                "realm" => challenge.realm = value.to_owned(),
                "service" => challenge.service = Some(value.to_owned()),
                "scope" => challenge.scope = Some(value.to_owned()),
                _ => {}
            }
            rest = after;
        }
        (!challenge.realm.is_empty()).then_some(challenge)
    }
}

/// The first `name="value"` or `name=value`, and what follows. A value in quotes may hold commas.
fn parse_parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.trim_start_matches([' ', ',']).split_once('=')?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, rest) = quoted.split_once('"')?;
        return Some((name.trim(), value, rest));
    }
    let end = rest.find(',').unwrap_or(rest.len());
    Some((name.trim(), rest[..end].trim(), &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_whatever_stands_beside_it() {
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
