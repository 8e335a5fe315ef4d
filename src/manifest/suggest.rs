//! "Did you mean": the nearest known word, when it is near enough to be meant.

/// The known word nearest to this one.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let score = |candidate: &str| strsim::jaro_winkler(&lower, &candidate.to_lowercase());
    let near = |candidate: &&str| {
        score(candidate) > 0.82
            || strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()) <= limit(&lower)
    };
    known.into_iter().filter(near).min_by(|a, b| score(b).total_cmp(&score(a)))
}

/// How many typing errors a word of this length may have.
fn limit(word: &str) -> usize {
    match word.chars().count() {
        0..=3 => 1,
        4..=8 => 2,
        _ => 3,
    }
}

/// Help in words: the nearest word, or all of them when they are few.
pub(super) fn help<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(nearest) = nearest(word, known.clone()) {
        return Some(format!("did you mean `{nearest}`?"));
    }
    list(known).map(|known| format!("known are {known}"))
}

/// `a`, `b` and `c`.
pub(super) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    let (last, rest) = quoted.split_last()?;
    if rest.is_empty() { Some(last.clone()) } else { Some(format!("{} and {last}", rest.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word() {
        assert_eq!(nearest("internl_port", ["internal_port", "force_https"]), Some("internal_port"));
        assert_eq!(nearest("ewf", ["ewr", "fra"]), Some("ewr"));
        assert_eq!(nearest("zebra", ["ewr", "fra"]), None);
    }

    #[test]
    fn few_words_are_listed() {
        assert_eq!(list(["a", "b", "c"]).unwrap(), "`a`, `b` and `c`");
        assert_eq!(list([]), None);
    }
}
