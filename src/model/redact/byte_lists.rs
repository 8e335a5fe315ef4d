//! Decodes lists of bytes: `[122, 81, 55]` as JSON has them, `[122 81 55]` as Go prints them, `0x7a, 0x51`, and `7a:51:37`.

use super::decode::Decoded;

/// The fewest bytes of a list that is decoded: as many as the shortest secret has. Dates and addresses are shorter.
const MIN_BYTES: usize = 6;
/// The longest text between two bytes: a comma, a line break and how far the next line is indented.
const MAX_SEPARATOR: usize = 40;

/// One way to write a byte.
type ParseByte = fn(&[u8]) -> Option<u8>;

/// The ways to write a byte in a list.
const NOTATIONS: [ParseByte; 3] = [parse_decimal, parse_prefixed_hex, parse_hex_pair];

/// Adds what the lists of bytes in a text stand for, separated by zero bytes.
pub(super) fn decode(text: &Decoded, out: &mut Decoded) {
    let words = words(&text.bytes);
    for parse in NOTATIONS {
        let mut list: Vec<(u8, usize, usize)> = Vec::new();
        let mut previous_end = 0;
        for &(start, end) in &words {
            let is_list = is_separator(&text.bytes[previous_end..start]);
            let byte = parse(&text.bytes[start..end]);
            if byte.is_none() || !is_list {
                flush(text, &mut list, out);
            }
            list.extend(byte.map(|byte| (byte, start, end)));
            previous_end = end;
        }
        flush(text, &mut list, out);
    }
}

fn flush(text: &Decoded, list: &mut Vec<(u8, usize, usize)>, out: &mut Decoded) {
    if list.len() >= MIN_BYTES {
        for (byte, start, end) in &*list {
            out.push(*byte, text.origin_of(*start, end - 1));
        }
        if let Some((_, _, end)) = list.last() {
            out.push(0, text.origins[end - 1]);
        }
    }
    list.clear();
}

/// The start and the end of each run of letters and digits.
fn words(text: &[u8]) -> Vec<(usize, usize)> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let length = text[at..]
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric())
            .unwrap_or(text.len() - at);
        if length > 0 {
            words.push((at, at + length));
        }
        at += length + 1;
    }
    words
}

fn is_separator(text: &[u8]) -> bool {
    !text.is_empty()
        && text.len() <= MAX_SEPARATOR
        && text.iter().all(|byte| b" ,:;-\t\r\n".contains(byte))
}

fn parse_decimal(word: &[u8]) -> Option<u8> {
    let word = std::str::from_utf8(word)
        .ok()
        .filter(|word| word.len() <= 3)?;
    word.parse().ok()
}

fn parse_prefixed_hex(word: &[u8]) -> Option<u8> {
    let digits = word
        .strip_prefix(b"0x")
        .or_else(|| word.strip_prefix(b"0X"))?;
    parse_hex(digits).filter(|_| digits.len() <= 2)
}

fn parse_hex_pair(word: &[u8]) -> Option<u8> {
    parse_hex(word).filter(|_| word.len() == 2)
}

fn parse_hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_bytes_are_decoded() {
        for text in [
            "[122, 81, 55, 33, 112, 97]",
            "[122 81 55 33 112 97]",
            "0x7a, 0x51, 0x37, 0x21, 0x70, 0x61",
            "7a:51:37:21:70:61",
            "7A 51 37 21 70 61",
            "[\n  122,\n  81,\n  55,\n  33,\n  112,\n  97\n]",
        ] {
            let mut out = Decoded::default();
            decode(&Decoded::new(text), &mut out);
            assert!(
                out.bytes.windows(6).any(|window| window == b"zQ7!pa"),
                "{text}: {:?}",
                out.bytes
            );
        }
        let mut out = Decoded::default();
        decode(&Decoded::new("2026-11-29 10:20:30 in 3 of 7"), &mut out);
        assert_eq!(out.bytes, b"");
    }
}
