//! Recognizes values that look like secrets, so that trimtab can warn of them and never shows them.

/// Parts of the names of secrets.
const SECRET_NAME_PARTS: [&str; 8] = [
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
];
/// The prefixes of keys that known services issue.
pub(crate) const SECRET_PREFIXES: [&str; 16] = [
    "sk-",
    "sk_live_",
    "rk_live_",
    "ghp_",
    "gho_",
    "github_pat_",
    "AKIA",
    "xoxb-",
    "xoxp-",
    "-----BEGIN",
    "FlyV1 ",
    "fm1r_",
    "fm1a_",
    "fm2_",
    "fo1_",
    "AIza",
];

/// Whether a text can be the name of an environment variable.
pub(crate) fn is_variable_name(key: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    key.chars().all(fits) && key.starts_with(|c: char| !c.is_ascii_digit())
}

/// Whether a key takes a secret or says where one is: by its name, or because it is a misspelled
/// `token` or `secrets`.
pub(crate) fn takes_secret(key: &str) -> bool {
    let (lower, upper) = (key.to_lowercase(), key.to_uppercase());
    // One typing error: `tokyo` is a region.
    let is_misspelled = |word: &str| {
        key.len().abs_diff(word.len()) <= 1 && strsim::damerau_levenshtein(&lower, word) <= 1
    };
    let is_named = SECRET_NAME_PARTS.iter().any(|part| upper.contains(part));
    // The name of a secret is none.
    key != "secret_name" && (is_named || is_misspelled("token") || is_misspelled("secrets"))
}

/// Whether a value looks like a secret.
pub(crate) fn looks_like_secret(key: &str, value: &str) -> bool {
    let upper = key.to_uppercase();
    let issued = SECRET_PREFIXES.iter().any(|start| value.starts_with(start));
    let named =
        SECRET_NAME_PARTS.iter().any(|word| upper.contains(word)) && !upper.ends_with("_FILE");
    let random = value.len() >= 12 && !value.contains([' ', '/', '$']);
    issued || (named && random) || has_url_password(value)
}

/// Whether a URL contains a password: `scheme://user:password@host`.
fn has_url_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else {
        return false;
    };
    user.split_once(':')
        .is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_plain_text_secrets() {
        for (key, value) in [
            ("DATABASE_URL", "postgres://app:hunter2@db/app"),
            ("OPENAI", "sk-abc"),
            ("SESSION_SECRET", "4f9a8c7d6e5b"),
        ] {
            assert!(looks_like_secret(key, value), "{key}");
        }
        for (key, value) in [
            ("DATABASE_URL", "sqlite:////data/app.db"),
            ("TOKEN_TTL", "3600"),
            ("SECRET_FILE", "aaaaaaaaaaaaaaaaaa"),
            ("API_URL", "https://api.example.com"),
        ] {
            assert!(!looks_like_secret(key, value), "{key}");
        }
    }

    #[test]
    fn recognises_variable_names() {
        assert!(
            is_variable_name("LOG_LEVEL")
                && is_variable_name("_X1")
                && !is_variable_name("1X")
                && !is_variable_name("A-B")
                && !is_variable_name("")
        );
    }
}
