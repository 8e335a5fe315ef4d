//! Wildcards: `*` is any text, `?` any one character, in actions, resources and the values of conditions.

/// Whether a text matches a pattern.
pub(crate) fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // Where the last star stood, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((place, taken)) = star else {
                    return false;
                };
                star = Some((place, taken + 1));
                at = place + 1;
                seen = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// The same for names that are the same in any case, as those of actions are.
pub(crate) fn matches_wildcard_ignore_case(pattern: &str, text: &str) -> bool {
    matches_wildcard(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

/// The same for ARNs, part by part: no star reaches over a colon, except in the last part.
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
    fn stars_take_anything_and_question_marks_one() {
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
