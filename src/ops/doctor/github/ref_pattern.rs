//! Patterns of branches, tags and actions, as GitHub matches them (Ruby's `File.fnmatch`).

/// Whether a name fits a pattern in which `*` stands for any characters but `/`, and `**` for those as well.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    fits(pattern.as_bytes(), name.as_bytes(), false)
}

/// The same where `*` stands for `/` too.
pub(super) fn matches_any(pattern: &str, name: &str) -> bool {
    fits(pattern.as_bytes(), name.as_bytes(), true)
}

fn fits(pattern: &[u8], name: &[u8], crosses: bool) -> bool {
    match pattern {
        [] => name.is_empty(),
        // `**/` also stands for no folder at all.
        [b'*', b'*', b'/', rest @ ..] if fits(rest, name, crosses) => true,
        [b'*', b'*', rest @ ..] => (0..=name.len()).any(|at| fits(rest, &name[at..], crosses)),
        [b'*', rest @ ..] => {
            let reach = name.iter().position(|c| *c == b'/' && !crosses);
            let reach = reach.unwrap_or(name.len());
            (0..=reach).any(|at| fits(rest, &name[at..], crosses))
        }
        [b'?', rest @ ..] => {
            matches!(name, [c, more @ ..] if (*c != b'/' || crosses) && fits(rest, more, crosses))
        }
        [c, rest @ ..] => {
            matches!(name, [d, more @ ..] if c == d && fits(rest, more, crosses))
        }
    }
}

/// Whether everything that fits `trigger` fits `pattern`, as far as that can be told from the two texts: the wildcards of the
/// trigger count as characters that only a wildcard matches.
pub(super) fn covers(pattern: &str, trigger: &str) -> bool {
    let crosses = trigger.contains("**");
    pattern == trigger || (matches(pattern, trigger) && (!crosses || pattern.contains("**")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_on_github() {
        for (pattern, name, fits) in [
            ("main", "main", true),
            ("main", "main2", false),
            ("v*", "v1.2.3", true),
            ("release/*", "release/1", true),
            ("release/*", "release/1/2", false),
            ("*", "feature/a", false),
            ("**/*", "feature/a", true),
            ("**/*", "main", true),
            ("refs/pull/*/merge", "refs/pull/42/merge", true),
            ("v?", "v1", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
        assert!(matches_any(
            "superfly/*",
            "superfly/flyctl-actions/setup-flyctl"
        ));
    }

    #[test]
    fn a_pattern_covers_another() {
        assert!(covers("v*", "v*"));
        assert!(covers("*", "v*"));
        assert!(covers("v*", "v1.*"));
        assert!(!covers("v1.*", "v*"));
        assert!(covers("release/**", "release/**"));
        assert!(!covers("release/*", "release/**"));
    }
}
