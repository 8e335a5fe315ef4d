//! Characters that a reader does not see and that do something all the same: in text from outside, each is an attempt to
//! show another text than the one that counts.

/// Whether a terminal obeys a character, or it reorders, ends or hides what a reader sees.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control() || is_invisible_format(c)
}

/// Marks of direction, ends of lines where no line ends, and tags, which spell words that nobody sees.
fn is_invisible_format(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{e0000}'..='\u{e007f}'
    )
}
