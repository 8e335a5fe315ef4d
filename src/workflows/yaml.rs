//! YAML as workflows have it: maps whose order and comments are kept. The writer alone knows
//! indentation and quoting.

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yaml {
    /// Nothing, as behind `workflow_dispatch:`.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number.
    Number(u64),
    /// A text. One of several lines is written as a block.
    Text(String),
    /// A text that is long, in parts that are joined by spaces. Each part gets its line.
    Folded(Vec<String>),
    /// A list.
    List(Vec<Yaml>),
    /// A map.
    Map(Vec<YamlEntry>),
}

/// An entry of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlEntry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Yaml,
    /// A comment in the lines above.
    pub comment_above: Option<String>,
    /// A comment behind the key, or behind the value in its line.
    pub comment: Option<String>,
}

impl Yaml {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts, or the text alone if there is one.
    #[must_use]
    pub fn one_or_many(texts: &[String]) -> Self {
        match texts {
            [only] => Self::text(only),
            texts => Self::texts(texts),
        }
    }

    /// A list of texts.
    #[must_use]
    pub fn texts(texts: &[String]) -> Self {
        Self::List(texts.iter().map(Self::text).collect())
    }

    fn is_plain_scalar(&self) -> bool {
        match self {
            Self::Null | Self::Boolean(_) | Self::Number(_) => true,
            Self::Text(text) => !text.contains('\n'),
            Self::Folded(_) | Self::List(_) | Self::Map(_) => false,
        }
    }
}

impl YamlEntry {
    /// An entry without comments.
    pub fn new(key: impl Into<String>, value: Yaml) -> Self {
        Self {
            key: key.into(),
            value,
            comment_above: None,
            comment: None,
        }
    }

    /// Adds a comment behind the key or the value.
    #[must_use]
    pub fn with_comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Adds a comment in the line above.
    #[must_use]
    pub fn with_comment_above(mut self, comment: impl Into<String>) -> Self {
        self.comment_above = Some(comment.into());
        self
    }
}

/// Writes the entries of a document.
#[must_use]
pub fn write_document(entries: &[YamlEntry]) -> String {
    let mut out = String::new();
    write_map(&mut out, entries, 0);
    out
}

/// What one level is indented by.
const INDENT: usize = 2;

fn write_map(out: &mut String, entries: &[YamlEntry], indent: usize) {
    for entry in entries {
        push_indent(out, indent);
        write_entry(out, entry, indent);
    }
}

/// Writes an entry whose first line is indented already.
fn write_entry(out: &mut String, entry: &YamlEntry, indent: usize) {
    if let Some(comment) = &entry.comment_above {
        write_comment(out, comment);
        push_indent(out, indent);
    }
    out.push_str(&key(&entry.key));
    out.push(':');
    let comment = entry.comment.as_deref();
    match &entry.value {
        Yaml::Map(inner) if !inner.is_empty() => {
            end_line(out, comment);
            write_map(out, inner, indent + INDENT);
        }
        Yaml::List(items) if !items.iter().all(Yaml::is_plain_scalar) => {
            end_line(out, comment);
            items
                .iter()
                .for_each(|item| write_item(out, item, indent + INDENT));
        }
        value => write_scalar(out, value, indent + INDENT, comment),
    }
}

/// Writes an item of a list, with a dash in front.
fn write_item(out: &mut String, item: &Yaml, indent: usize) {
    push_indent(out, indent);
    match item {
        Yaml::Map(entries) if !entries.is_empty() => {
            let above = entries
                .first()
                .and_then(|first| first.comment_above.as_ref());
            if let Some(comment) = above {
                write_comment(out, comment);
                push_indent(out, indent);
            }
            out.push_str("- ");
            for (index, entry) in entries.iter().enumerate() {
                let mut entry = entry.clone();
                if index == 0 {
                    entry.comment_above = None;
                } else {
                    push_indent(out, indent + INDENT);
                }
                write_entry(out, &entry, indent + INDENT);
            }
        }
        Yaml::List(items) if !items.iter().all(Yaml::is_plain_scalar) => {
            out.push_str("-\n");
            items
                .iter()
                .for_each(|item| write_item(out, item, indent + INDENT));
        }
        value => {
            out.push('-');
            write_scalar(out, value, indent + INDENT, None);
        }
    }
}

/// Writes a value that begins in the line of its key, and ends the line.
fn write_scalar(out: &mut String, value: &Yaml, indent: usize, comment: Option<&str>) {
    match value {
        Yaml::Text(text) if is_block(text) => {
            out.push_str(if text.ends_with('\n') {
                " |\n"
            } else {
                " |-\n"
            });
            for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
                if !line.is_empty() {
                    push_indent(out, indent);
                }
                out.push_str(line);
                out.push('\n');
            }
        }
        Yaml::Folded(parts) if parts.len() > 1 && parts.iter().all(|part| is_fold(part)) => {
            out.push_str(" >-\n");
            for part in parts {
                push_indent(out, indent);
                out.push_str(part);
                out.push('\n');
            }
        }
        value => {
            let text = flow(value, false);
            if !text.is_empty() {
                out.push(' ');
                out.push_str(&text);
            }
            end_line(out, comment);
        }
    }
}

/// A value within a line. In a list some characters mean more.
fn flow(value: &Yaml, is_in_list: bool) -> String {
    match value {
        Yaml::Null if is_in_list => "null".to_owned(),
        Yaml::Null => String::new(),
        Yaml::Boolean(boolean) => boolean.to_string(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Text(text) => quote(text, is_in_list),
        Yaml::Folded(parts) => quote(&parts.join(" "), is_in_list),
        Yaml::List(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, true)).collect();
            format!("[{}]", items.join(", "))
        }
        Yaml::Map(_) => "{}".to_owned(),
    }
}

fn key(text: &str) -> String {
    // YAML 1.1 reads `on` as a boolean, but GitHub reads YAML 1.2.
    if text == "on" {
        text.to_owned()
    } else {
        quote(text, false)
    }
}

/// A text on one line, in the simplest style that gives it back.
fn quote(text: &str, is_in_list: bool) -> String {
    if text.chars().any(needs_escape) {
        let mut out = String::from("\"");
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                c if needs_escape(c) => out.push_str(&format!("\\U{:08X}", u32::from(c))),
                c => out.push(c),
            }
        }
        out + "\""
    } else if is_plain(text, is_in_list) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Whether a character cannot stand for itself in a quoted text of one line.
fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// Whether a text needs no quotes.
fn is_plain(text: &str, is_in_list: bool) -> bool {
    let begins_well = |c: char| c.is_ascii_alphanumeric() || "_./$".contains(c);
    let has_meaning = text.contains(": ")
        || text.contains(" #")
        || text.ends_with([':', ' '])
        || (is_in_list && text.contains([',', '[', ']', '{', '}', ':']));
    let is_number_like = text
        .chars()
        .all(|c| c.is_ascii_hexdigit() || "._+-:xXoO".contains(c))
        && text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.starts_with(begins_well)
        && !has_meaning
        && !is_number_like
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// What some version of YAML does not read as a text.
const WORDS: [&str; 11] = [
    "true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan",
];

/// Whether a text can be written as a block of lines.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\t', '\n'])
        && !text.ends_with("\n\n")
        && text.chars().all(|c| c == '\n' || !needs_escape(c))
        && text
            .lines()
            .all(|line| !line.starts_with('\t') && line.trim_end() == line)
}

/// Whether a text can be one line of a folded text.
fn is_fold(part: &str) -> bool {
    !part.is_empty() && part.trim() == part && !part.chars().any(needs_escape)
}

fn write_comment(out: &mut String, comment: &str) {
    out.push_str("# ");
    out.push_str(comment);
    out.push('\n');
}

fn end_line(out: &mut String, comment: Option<&str>) {
    if let Some(comment) = comment {
        out.push_str(" # ");
        out.push_str(comment);
    }
    out.push('\n');
}

fn push_indent(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}
