//! "Did you mean": suggests the nearest known word, if it is near enough.

/// The maximum length of a word, in bytes, that is compared: the time is the product of the
/// lengths. The longest names on Fly and AWS have 255 characters.
const MAX_WORD_BYTES: usize = 256;
/// The maximum number of candidates: a file may have a hundred thousand unknown words, and each is
/// compared with all of them.
const MAX_CANDIDATES: usize = 200;
/// The maximum number of words that help lists.
const MAX_LISTED: usize = 40;

/// The known word nearest to this one.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD_BYTES {
        return None;
    }
    let known = known
        .into_iter()
        .filter(|known| known.len() <= MAX_WORD_BYTES)
        .take(MAX_CANDIDATES);
    let lower = word.to_lowercase();
    let score = |candidate: &str| strsim::jaro_winkler(&lower, &candidate.to_lowercase());
    let near = |candidate: &&str| {
        score(candidate) > 0.82
            || strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()) <= max_typos(&lower)
    };
    known
        .filter(near)
        .min_by(|a, b| score(b).total_cmp(&score(a)))
}

/// How many typos a word of this length may have.
fn max_typos(word: &str) -> usize {
    match word.chars().count() {
        0..=3 => 1,
        4..=8 => 2,
        _ => 3,
    }
}

/// Help for an unknown word: the nearest known one, or the list of all when they are few.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(nearest) = nearest(word, known.clone()) {
        return Some(format!("did you mean `{nearest}`?"));
    }
    let more = known.clone().into_iter().nth(MAX_LISTED).is_some();
    let listed = join_with("or", known.into_iter().take(MAX_LISTED))
        .filter(|listed| listed.len() <= MAX_LISTED * MAX_WORD_BYTES);
    listed.map(|known| {
        if more {
            format!("expected {known}, among others")
        } else {
            format!("expected {known}")
        }
    })
}

/// Joins words: `a`, `b` and `c`.
pub(crate) fn join_quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    join_with("and", words)
}

fn join_with<'a>(conjunction: &str, words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    let (last, rest) = quoted.split_last()?;
    if rest.is_empty() {
        Some(last.clone())
    } else {
        Some(format!("{} {conjunction} {last}", rest.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_closest_word() {
        assert_eq!(
            nearest("internl_port", ["internal_port", "force_https"]),
            Some("internal_port")
        );
        assert_eq!(nearest("ewf", ["ewr", "fra"]), Some("ewr"));
        assert_eq!(nearest("zebra", ["ewr", "fra"]), None);
    }

    #[test]
    fn joins_quoted_words() {
        assert_eq!(join_quoted(["a", "b", "c"]).unwrap(), "`a`, `b` and `c`");
        assert_eq!(join_quoted([]), None);
    }
}
