//! Wildcards in actions, resources and condition values: `*` matches any text, `?` any one character.

/// Whether the whole text matches the pattern.
pub(crate) fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut pattern_index, mut text_index) = (0, 0);
    // Backtracking needs only the last star: its position, and where in the text its match ends so far.
    let mut star: Option<(usize, usize)> = None;
    while text_index < text.len() {
        match pattern.get(pattern_index) {
            Some('*') => {
                star = Some((pattern_index, text_index));
                pattern_index += 1;
            }
            Some(c) if *c == '?' || *c == text[text_index] => {
                pattern_index += 1;
                text_index += 1;
            }
            _ => {
                // A mismatch: let the last star match one character more, and try again from there.
                let Some((star_index, match_end)) = star else {
                    return false;
                };
                star = Some((star_index, match_end + 1));
                pattern_index = star_index + 1;
                text_index = match_end + 1;
            }
        }
    }
    pattern[pattern_index..].iter().all(|c| *c == '*')
}

/// Like [`matches_wildcard`], ignoring ASCII case. Action names are case-insensitive.
pub(crate) fn matches_wildcard_ignore_case(pattern: &str, text: &str) -> bool {
    matches_wildcard(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

/// Like [`matches_wildcard`] for each part of an ARN: a star does not match a colon, except in the
/// last part.
pub(crate) fn matches_arn(pattern: &str, arn: &str) -> bool {
    let (pattern, arn): (Vec<&str>, Vec<&str>) = (
        pattern.splitn(6, ':').collect(),
        arn.splitn(6, ':').collect(),
    );
    pattern.len() == arn.len()
        && pattern
            .iter()
            .zip(&arn)
            .all(|(pattern, part)| matches_wildcard(pattern, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("acme:shop:*", "acme:shop-two:m", false),
            ("", "a", false),
        ] {
            assert_eq!(matches_wildcard(pattern, text), matches, "{pattern} {text}");
        }
        assert!(matches_wildcard_ignore_case("S3:get*", "s3:GetObject"));
        assert!(!matches_arn("arn:aws:*:role/x", "arn:aws:iam::1:role/x"));
        assert!(matches_arn(
            "arn:aws:iam::*:role/x/*",
            "arn:aws:iam::1:role/x/y"
        ));
    }
}
