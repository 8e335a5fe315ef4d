//! The secrets that this process knows, in the form in which they are searched for.

use std::collections::{BTreeMap, BTreeSet};

use super::decode::{Decoded, Origin, control_sequence_len, plain_form, searchable_forms, squeeze};

/// Shorter values are never hidden: a value of three characters stands in every other line by chance.
const MIN_LEN: usize = 4;
/// Numbers below this many digits are ports, sizes and counts.
const MIN_DIGITS: usize = 6;
/// From this length on a value is hidden also inside longer words.
const MIN_LEN_INSIDE_WORDS: usize = 8;
/// From this length on letters alone are no ordinary word.
const MIN_LETTERS: usize = 16;
/// Values that say nothing.
const NEVER_SECRET: [&str; 9] = [
    "true",
    "false",
    "null",
    "none",
    "auto",
    "default",
    "localhost",
    "127.0.0.1",
    "0.0.0.0",
];
/// The least length of a part of a value that counts as a secret by itself, such as one of the macaroons in a Fly token.
const MIN_PART_LEN: usize = 16;
/// The longest name that a secret may have in common with a resource.
const MAX_PUBLIC_NAME_LEN: usize = 24;
/// The beginnings of keys and tokens that services issue. Nothing else looks like that, so such a key is hidden also when
/// nobody has said that it is a secret.
const ISSUED_PREFIXES: [&str; 14] = [
    "sk_live_",
    "rk_live_",
    "whsec_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AIza",
    "fo1_",
    "fm1_",
    "fm2_",
];
/// The least number of characters after such a prefix.
const MIN_ISSUED_LEN: usize = 12;
/// Patterns are found by their first bytes.
const KEY_LEN: usize = 4;
const _: () = assert!(KEY_LEN <= MIN_LEN, "every pattern has a key");

/// Where a value is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// Everywhere, also inside words.
    Anywhere,
    /// Everywhere, as a whole word.
    Words,
    /// As a whole word of a value. An ordinary word such as `postgres` may also be one of ours.
    WordsOfValues,
}

/// What kind of text is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextKind {
    /// A value, or what another program wrote.
    Value,
    /// Values and words of our own.
    Output,
}

/// All known secrets, and the names that are public.
pub(super) struct Registry {
    patterns: BTreeMap<[u8; KEY_LEN], BTreeMap<Vec<u8>, Reach>>,
    /// Whether any pattern begins with these two bytes, by their number. Most places in a text need no more than this.
    first_pairs: Vec<bool>,
    public_names: BTreeSet<Vec<u8>>,
}

impl Registry {
    pub(super) const fn new() -> Self {
        Self {
            patterns: BTreeMap::new(),
            first_pairs: Vec::new(),
            public_names: BTreeSet::new(),
        }
    }

    /// Adds a value, its lines, its long parts, and the password of a URL.
    pub(super) fn add(&mut self, value: &str) {
        self.add_pattern(value, reach_of(value.trim()));
        if let Some(password) = url_password(value) {
            self.add_pattern(password, reach_of(password));
        }
        // What surrounds the key in a PEM file is the same in all of them.
        let lines = value.lines().filter(|line| !line.starts_with("-----"));
        let lines = lines
            .map(str::trim)
            .filter(|line| reach_of(line) == Some(Reach::Anywhere));
        let parts = value
            .split([',', ' ', '\n'])
            .filter(|part| part.len() >= MIN_PART_LEN);
        for part in lines.chain(parts) {
            self.add_pattern(part, Some(Reach::Anywhere));
        }
    }

    fn add_pattern(&mut self, value: &str, reach: Option<Reach>) {
        let Some(reach) = reach else { return };
        // Escapes may be part of the value itself, so both forms are searched for.
        for mut pattern in [squeezed(value), plain_form(value)] {
            if pattern.last() == Some(&b' ') {
                pattern.pop();
            }
            if let Some(key) = pattern.first_chunk::<KEY_LEN>() {
                self.first_pairs.resize(1 << 16, false);
                self.first_pairs[pair_number(key[0], key[1])] = true;
                let same_start = self.patterns.entry(*key).or_default();
                let known = same_start.entry(pattern).or_insert(reach);
                *known = (*known).min(reach);
            }
        }
    }

    /// Declares the name of a resource: a secret that is no more than that name hides nothing.
    pub(super) fn add_public_name(&mut self, name: &str) {
        let is_name =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if name.len() <= MAX_PUBLIC_NAME_LEN && name.chars().all(is_name) {
            self.public_names.insert(name.as_bytes().to_vec());
        }
    }

    /// The parts of a text that contain a secret, in order and without overlaps.
    pub(super) fn find(&self, text: &str, kind: TextKind) -> Vec<Origin> {
        let mut found = find_issued_keys(text);
        if !self.patterns.is_empty() && text.len() >= MIN_LEN {
            for form in searchable_forms(&Decoded::new(text)) {
                self.find_in_form(&form, kind, &mut found);
            }
        }
        found.sort_by_key(|part| (part.start, part.end));
        let mut merged: Vec<Origin> = Vec::new();
        for part in found {
            match merged.last_mut() {
                Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
                _ => merged.push(part),
            }
        }
        merged
    }

    fn find_in_form(&self, form: &Decoded, kind: TextKind, found: &mut Vec<Origin>) {
        for (at, key) in form.bytes.windows(KEY_LEN).enumerate() {
            if !self.first_pairs[pair_number(key[0], key[1])] {
                continue;
            }
            let Some(candidates) = <[u8; KEY_LEN]>::try_from(key)
                .ok()
                .and_then(|key| self.patterns.get(&key))
            else {
                continue;
            };
            for (pattern, reach) in candidates {
                let end = at + pattern.len();
                let fits = match reach {
                    Reach::Anywhere => true,
                    Reach::Words => is_whole_word(&form.bytes, at, end),
                    Reach::WordsOfValues => {
                        kind == TextKind::Value && is_whole_word(&form.bytes, at, end)
                    }
                };
                if fits
                    && form.bytes[at..].starts_with(pattern)
                    && !self.public_names.contains(pattern)
                {
                    found.push(form.origin_of(at, end - 1));
                }
            }
        }
    }
}

fn pair_number(first: u8, second: u8) -> usize {
    usize::from(u16::from_be_bytes([first, second]))
}

/// Finds keys that services issue.
fn find_issued_keys(text: &str) -> Vec<Origin> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let mut found = Vec::new();
    for prefix in ISSUED_PREFIXES {
        // Fly's tokens are base64.
        let continues = |c: char| is_part(c) || prefix.starts_with("fm") && "+/=".contains(c);
        for (start, _) in text.match_indices(prefix) {
            let rest = &text[start + prefix.len()..];
            let length = rest.find(|c| !continues(c)).unwrap_or(rest.len());
            let before = &text[..start];
            let color = before.rfind('\u{1b}').map_or("", |at| &before[at..]);
            let is_colored =
                !color.is_empty() && control_sequence_len(color.as_bytes()) == color.len();
            let begins = is_colored || !before.ends_with(is_part);
            if length >= MIN_ISSUED_LEN && begins {
                let end = start + prefix.len() + length;
                found.push(Origin { start, end });
            }
        }
    }
    found
}

/// A value as it is written, but squeezed.
fn squeezed(value: &str) -> Vec<u8> {
    squeeze(&Decoded::new(value)).bytes
}

/// Where a value has to be searched for; `None` if it is too ordinary to be hidden.
fn reach_of(value: &str) -> Option<Reach> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphabetic());
    let length = value.len();
    let is_ordinary = length < MIN_LEN
        || NEVER_SECRET.contains(&value.to_ascii_lowercase().as_str())
        || is_number && length < MIN_DIGITS;
    if is_ordinary {
        return None;
    }
    Some(if is_word && length < MIN_LETTERS {
        Reach::WordsOfValues
    } else if length < MIN_LEN_INSIDE_WORDS {
        Reach::Words
    } else {
        Reach::Anywhere
    })
}

/// The password of `scheme://user:password@host`. Servers repeat it without the rest.
fn url_password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

/// Whether neither neighbour of a range belongs to the same word.
fn is_whole_word(text: &[u8], start: usize, end: usize) -> bool {
    let continues = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..))
    };
    let before = start.checked_sub(1).and_then(|before| text.get(before));
    !continues(before) && !continues(text.get(end))
}
