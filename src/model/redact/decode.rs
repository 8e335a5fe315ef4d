//! Undoes encodings while remembering which part of the original each decoded byte came from, so that a secret which is
//! found in decoded text can be removed from the text as it was written.
//!
//! Encodings are decoded rather than listed: a value has one plain form, but every program has its own idea of which
//! characters to escape, in which case, and how many times.

use super::{byte_lists, entities};

/// How often escapes are decoded. JSON inside a JSON string inside a log line of JSON takes three rounds.
const MAX_ROUNDS: usize = 5;
/// How deep base64 and hexadecimal are decoded: Kubernetes stores base64 of what may be base64 already.
const MAX_DEPTH: usize = 2;
/// The shortest run of base64 or hexadecimal digits that is decoded: eight bytes of base64. Shorter secrets are decoded only
/// together with what surrounds them, such as the user in `Basic` authentication; nearly every word is a shorter run.
const MIN_RUN: usize = 11;
/// MIME and PEM break lines of base64 after 76 or 64 digits; a line break after a shorter line ends the run.
const MIN_WRAPPED_LINE: usize = 60;

/// Bytes, each with the range of the original text that it was decoded from.
#[derive(Clone, Default)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    pub(super) origins: Vec<Origin>,
}

/// A range of the original text, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Decoded {
    /// A text as it is.
    pub(super) fn new(text: &str) -> Self {
        let origin = |start| Origin {
            start,
            end: start + 1,
        };
        Self {
            bytes: text.as_bytes().to_vec(),
            origins: (0..text.len()).map(origin).collect(),
        }
    }

    pub(super) fn push(&mut self, byte: u8, origin: Origin) {
        self.bytes.push(byte);
        self.origins.push(origin);
    }

    /// The origin of some bytes, which is that of the first up to that of the last.
    pub(super) fn origin_of(&self, first: usize, last: usize) -> Origin {
        Origin {
            start: self.origins[first].start,
            end: self.origins[last].end,
        }
    }
}

/// Every form of a text that a secret has to be searched in: as it is, with its escapes decoded once and more often, and
/// what its runs of base64 and hexadecimal digits stand for. All are squeezed.
pub(super) fn searchable_forms(text: &Decoded) -> Vec<Decoded> {
    let mut forms = Vec::new();
    collect_forms(text, 0, &mut forms);
    forms
}

fn collect_forms(text: &Decoded, depth: usize, forms: &mut Vec<Decoded>) {
    let rounds = decode_rounds(text);
    if depth < MAX_DEPTH {
        for round in [rounds.first(), rounds.get(1..).and_then(<[_]>::last)]
            .into_iter()
            .flatten()
        {
            let mut digits = decode_digit_runs(round);
            byte_lists::decode(round, &mut digits);
            if !digits.bytes.is_empty() {
                collect_forms(&digits, depth + 1, forms);
            }
        }
    }
    forms.extend(rounds.iter().map(squeeze));
}

/// The text, and the text after each round of decoding escapes, until nothing is left to decode.
fn decode_rounds(text: &Decoded) -> Vec<Decoded> {
    let mut rounds = vec![text.clone()];
    while rounds.len() <= MAX_ROUNDS {
        match rounds.last().and_then(decode_escapes) {
            Some(next) => rounds.push(next),
            None => break,
        }
    }
    rounds
}

/// A value with all of its escapes decoded, and squeezed.
pub(super) fn plain_form(value: &str) -> Vec<u8> {
    let rounds = decode_rounds(&Decoded::new(value));
    rounds
        .last()
        .map(|last| squeeze(last).bytes)
        .unwrap_or_default()
}

/// Decodes escapes once: of JSON and programming languages, of URLs, and of HTML and XML. `None` if there are none.
fn decode_escapes(text: &Decoded) -> Option<Decoded> {
    if !text.bytes.iter().any(|byte| b"\\%&".contains(byte)) {
        return None;
    }
    let mut out = Decoded::default();
    let (mut at, mut changed) = (0, false);
    while let Some(byte) = text.bytes.get(at) {
        let rest = &text.bytes[at..];
        let escape = match byte {
            b'\\' => decode_backslash(rest),
            b'%' => hex_number(rest.get(1..3)).map(|byte| (Unit::Byte(low_byte(byte)), 3)),
            b'&' => entities::decode(rest).map(|(c, length)| (Unit::Char(c), length)),
            _ => None,
        };
        let Some((unit, length)) = escape else {
            out.push(*byte, text.origins[at]);
            at += 1;
            continue;
        };
        let origin = text.origin_of(at, at + length - 1);
        match unit {
            Unit::Byte(byte) => out.push(byte, origin),
            Unit::Char(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    out.push(byte, origin);
                }
            }
        }
        (at, changed) = (at + length, true);
    }
    changed.then(|| latin1_to_utf8(&out))
}

/// What an escape stands for. `\xc3\xa9` and `%C3%A9` are two bytes of one character.
enum Unit {
    Byte(u8),
    Char(char),
}

/// Decodes an escape that begins with a backslash, and says how long it is.
fn decode_backslash(text: &[u8]) -> Option<(Unit, usize)> {
    let unit = |from: usize| {
        (text.get(from..from + 2)? == b"\\u").then(|| hex_number(text.get(from + 2..from + 6)))?
    };
    let escape = match text.get(1)? {
        b'u' if text.get(2) == Some(&b'{') => {
            let length = text.iter().take(10).position(|byte| *byte == b'}')?;
            (
                Unit::Char(char::from_u32(hex_number(text.get(3..length))?)?),
                length + 1,
            )
        }
        b'u' => {
            let first = unit(0)?;
            match (first, unit(6)) {
                (0xD800..=0xDBFF, Some(second @ 0xDC00..=0xDFFF)) => {
                    let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                    (Unit::Char(char::from_u32(code)?), 12)
                }
                _ => (Unit::Char(char::from_u32(first)?), 6),
            }
        }
        b'U' => (
            Unit::Char(char::from_u32(hex_number(text.get(2..10))?)?),
            10,
        ),
        b'x' => (Unit::Byte(low_byte(hex_number(text.get(2..4))?)), 4),
        b'n' | b'r' | b't' | b'f' | b'v' => (Unit::Byte(b' '), 2),
        b'0'..=b'3'
            if text
                .get(2..4)
                .is_some_and(|rest| rest.iter().all(|digit| (b'0'..=b'7').contains(digit))) =>
        {
            let digits = std::str::from_utf8(text.get(1..4)?).ok()?;
            (Unit::Byte(u8::from_str_radix(digits, 8).ok()?), 4)
        }
        character if character.is_ascii_punctuation() => (Unit::Byte(*character), 2),
        _ => return None,
    };
    Some(escape)
}

/// The number that these hexadecimal digits are; `None` for anything else.
fn hex_number(digits: Option<&[u8]>) -> Option<u32> {
    let digits = digits.filter(|digits| {
        !digits.is_empty() && digits.len() <= 8 && digits.iter().all(u8::is_ascii_hexdigit)
    })?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn low_byte(number: u32) -> u8 {
    u8::try_from(number & 0xFF).unwrap_or_default()
}

/// Turns bytes that are no UTF-8 into the characters that they are in Latin-1: `\xe9` in Python and `%E9` in old
/// JavaScript are an `é`.
fn latin1_to_utf8(text: &Decoded) -> Decoded {
    let mut out = Decoded::default();
    let mut at = 0;
    for chunk in text.bytes.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            out.push(byte, text.origins[at]);
            at += 1;
        }
        for byte in chunk.invalid() {
            for part in char::from(*byte).encode_utf8(&mut [0; 4]).bytes() {
                out.push(part, text.origins[at]);
            }
            at += 1;
        }
    }
    out
}

/// Leaves out what programs add or drop around a value: quotes, backslashes, invisible characters, colours, and how words
/// are spaced. A `+` is a space in form data. So a value that a layout has wrapped is found, and one whose quotes a shell
/// needs to have doubled.
pub(super) fn squeeze(text: &Decoded) -> Decoded {
    let mut out = Decoded::default();
    let mut color_end = 0;
    for (start, length) in CharStarts::new(&text.bytes) {
        color_end = color_end.max(start + control_sequence_len(&text.bytes[start..]));
        if start < color_end {
            continue;
        }
        let bytes = &text.bytes[start..start + length];
        let shown = match bytes {
            [b'\'' | b'"' | b'\\' | b'`'] => continue,
            [b'+' | 0x09..=0x0D | b' '] | b"\xC2\xA0" => b" ",
            // A zero byte separates runs of digits, and is no part of any value.
            [0] => bytes,
            [0x01..=0x1F | 0x7F]
            | b"\xE2\x80\x8B"
            | b"\xE2\x81\xA0"
            | b"\xC2\xAD"
            | b"\xEF\xBB\xBF" => continue,
            other => other,
        };
        if shown == b" " && out.bytes.last().is_none_or(|last| *last == b' ') {
            continue;
        }
        let origin = text.origin_of(start, start + length - 1);
        for byte in shown {
            out.push(*byte, origin);
        }
    }
    out
}

/// The length of the control sequence that a text begins with, such as a colour: its last letter would seem to belong to
/// the word that follows. 0 if there is none.
pub(super) fn control_sequence_len(text: &[u8]) -> usize {
    let Some(rest) = text.strip_prefix(b"\x1b[") else {
        return 0;
    };
    let is_end = |byte: &u8| matches!(byte, 0x40..=0x7E);
    rest.iter().position(is_end).map_or(0, |at| at + 3)
}

/// The start and the length of each character; a byte that is no UTF-8 counts as one.
struct CharStarts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> CharStarts<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl Iterator for CharStarts<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let length = match self.bytes.get(start)? {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        let length = length.min(self.bytes.len() - start);
        self.at += length;
        Some((start, length))
    }
}

/// What the runs of base64 and hexadecimal digits in a text stand for, separated by zero bytes. Nobody knows where in a run
/// the encoding begins, so each is decoded from every offset.
fn decode_digit_runs(text: &Decoded) -> Decoded {
    let mut out = Decoded::default();
    let mut at = 0;
    while at < text.bytes.len() {
        let run = digit_run(&text.bytes, at);
        let Some(last) = run.last() else {
            at += 1;
            continue;
        };
        at = last + 1;
        if run.len() >= MIN_RUN {
            for offset in 0..4 {
                decode_digits(text, run.get(offset..).unwrap_or_default(), 6, &mut out);
            }
            for hex in run.split(|at| !text.bytes[*at].is_ascii_hexdigit()) {
                for offset in 0..2 {
                    decode_digits(text, hex.get(offset..).unwrap_or_default(), 4, &mut out);
                }
            }
        }
    }
    out
}

/// The places of the base64 digits from `start` on, in both alphabets, across the line breaks of MIME.
fn digit_run(bytes: &[u8], start: usize) -> Vec<usize> {
    let mut run = Vec::new();
    let (mut at, mut line_length) = (start, 0);
    while let Some(byte) = bytes.get(at) {
        if base64_digit(*byte).is_some() {
            run.push(at);
            line_length += 1;
        } else if line_length >= MIN_WRAPPED_LINE && matches!(byte, b'\n' | b'\r' | b' ') {
            let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r' | b' ');
            let next = bytes[at..].iter().position(|byte| !is_break(byte));
            match next.map(|skipped| at + skipped) {
                Some(next) if base64_digit(bytes[next]).is_some() => {
                    (at, line_length) = (next, 0);
                    continue;
                }
                _ => break,
            }
        } else {
            break;
        }
        at += 1;
    }
    run
}

/// Decodes digits of so many bits each. Each byte comes from all digits that hold a bit of it.
fn decode_digits(text: &Decoded, run: &[usize], bits: usize, out: &mut Decoded) {
    if run.len() < MIN_RUN {
        return;
    }
    let value = |at: &usize| {
        let byte = text.bytes[*at];
        if bits == 6 {
            base64_digit(byte)
        } else {
            char::from(byte).to_digit(16)
        }
    };
    let (mut held, mut held_bits) = (0, 0);
    for (index, at) in run.iter().enumerate() {
        held = ((held << bits) | value(at).unwrap_or_default()) & 0xFFFF;
        held_bits += bits;
        if held_bits >= 8 {
            held_bits -= 8;
            // The byte's first bit is eight bits, and the bits still held, before the end of this digit.
            let first = ((index + 1) * bits - held_bits - 8) / bits;
            let origin = text.origin_of(run[first], *at);
            out.push(low_byte(held >> held_bits), origin);
        }
    }
    out.push(0, text.origins[run[run.len() - 1]]);
}

fn base64_digit(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}
