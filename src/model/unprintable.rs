//! Characters that are invisible or that control the terminal. In text from outside, such a
//! character could make the user see something else than what the text says.

/// Whether `c` is a control character, or reorders, breaks or hides text.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control() || is_invisible_format(c)
}

/// Bidirectional formatting characters, Unicode line separators, and the invisible tag characters.
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
