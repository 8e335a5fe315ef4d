//! The layout of a written manifest: values before tables, comments above what they explain, and small tables in one line.

use serde_json::Value as Json;

/// A key of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    key: String,
    comment: Option<String>,
    node: Node,
}

/// What a key has.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A value in one line.
    Value(Json),
    /// A table with a header of its own.
    Table(Vec<Entry>),
    /// A list of tables.
    List(Vec<Vec<Entry>>),
}

impl Default for Node {
    fn default() -> Self {
        Self::Table(Vec::new())
    }
}

impl Entry {
    pub(super) fn new(key: &str, node: Node) -> Self {
        Self {
            key: key.to_owned(),
            comment: None,
            node,
        }
    }

    pub(super) fn value(key: &str, value: Json) -> Self {
        Self::new(key, Node::Value(value))
    }

    pub(super) fn table(key: &str, entries: Vec<Self>) -> Self {
        Self::new(key, Node::Table(entries))
    }

    pub(super) fn with_comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    fn is_empty(&self) -> bool {
        match &self.node {
            Node::Value(Json::Array(items)) => items.is_empty() && self.key != "ips",
            Node::Value(value) => value.is_null(),
            Node::Table(entries) => entries.iter().all(Self::is_empty),
            Node::List(tables) => tables.is_empty(),
        }
    }
}

/// Renders a table below its header.
pub(super) fn render(header: &[String], entries: &[Entry]) -> String {
    let mut out = format!("\n[{}]\n", path(header));
    render_entries(header, entries, &mut out);
    out
}

fn render_entries(header: &[String], entries: &[Entry], out: &mut String) {
    let entries = || entries.iter().filter(|entry| !entry.is_empty());
    // TOML has the values of a table before its tables.
    for entry in entries() {
        if let Node::Value(value) = &entry.node {
            render_comment(entry, out);
            *out += &format!("{} = {}\n", key(&entry.key), inline(value));
        }
    }
    for entry in entries() {
        let below: Vec<String> = header.iter().chain([&entry.key]).cloned().collect();
        match &entry.node {
            Node::Value(_) => {}
            Node::Table(inner) if has_values(inner) => {
                out.push('\n');
                render_comment(entry, out);
                *out += &format!("[{}]\n", path(&below));
                render_entries(&below, inner, out);
            }
            // A table of tables needs no header, and its comment belongs to the first of them.
            Node::Table(inner) => {
                let inner = inner.iter().filter(|one| !one.is_empty());
                let mut inner: Vec<Entry> = inner.cloned().collect();
                if let Some(first) = inner.first_mut() {
                    let comments = [entry.comment.clone(), first.comment.take()];
                    let comments: Vec<String> = comments.into_iter().flatten().collect();
                    first.comment = (!comments.is_empty()).then(|| comments.join("\n"));
                }
                render_entries(&below, &inner, out);
            }
            Node::List(tables) => {
                for (index, table) in tables.iter().enumerate() {
                    out.push('\n');
                    if index == 0 {
                        render_comment(entry, out);
                    }
                    *out += &format!("[[{}]]\n", path(&below));
                    render_entries(&below, table, out);
                }
            }
        }
    }
}

fn has_values(entries: &[Entry]) -> bool {
    let mut entries = entries.iter();
    entries.any(|entry| matches!(entry.node, Node::Value(_)) && !entry.is_empty())
}

fn render_comment(entry: &Entry, out: &mut String) {
    for line in entry.comment.iter().flat_map(|comment| comment.lines()) {
        *out += &format!("# {line}\n");
    }
}

fn path(keys: &[String]) -> String {
    let keys: Vec<String> = keys.iter().map(|one| key(one)).collect();
    keys.join(".")
}

fn key(text: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !text.is_empty() && text.chars().all(is_bare) {
        text.to_owned()
    } else {
        string(text)
    }
}

/// A string that a manifest takes as it is: `${` begins a reference there.
pub(super) fn string(text: &str) -> String {
    toml::Value::String(text.replace("${", "$${")).to_string()
}

/// A value in one line.
fn inline(value: &Json) -> String {
    match value {
        Json::String(text) if text.contains('\n') => {
            // One line, whatever the text has in it.
            serde_json::Value::String(text.replace("${", "$${"))
                .to_string()
                .replace('\u{7f}', "\\u007F")
        }
        Json::String(text) => string(text),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(entries) => {
            let entries = entries.iter();
            let entries: Vec<String> = entries
                .map(|(name, value)| format!("{} = {}", key(name), inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_read_back_as_it_was() {
        for text in [
            "plain",
            "quotes \" and '",
            "two\nlines\u{7f}\t",
            "back\\slash",
            "ünïcode",
        ] {
            let entries = [Entry::value("a.b", json!(text))];
            let rendered = render(&["apps".to_owned(), "web".to_owned()], &entries);
            let read: toml::Table = rendered.parse().unwrap();
            assert_eq!(
                read["apps"]["web"]["a.b"].as_str(),
                Some(text),
                "{rendered}"
            );
        }
        assert_eq!(string("${x}"), "\"$${x}\"");
    }

    #[test]
    fn values_stand_before_tables_and_empty_ones_nowhere() {
        let entries = [
            Entry::table("env", vec![Entry::value("A", json!("1"))]).with_comment("Why."),
            Entry::table("empty", vec![Entry::value("list", json!([]))]),
            Entry::table(
                "outer",
                vec![Entry::table("inner", vec![Entry::value("n", json!(2))])],
            )
            .with_comment("All of them."),
            Entry::value("name", json!("x")),
            Entry::value("none", json!(null)),
        ];
        assert_eq!(
            render(&["apps".to_owned()], &entries),
            "\n[apps]\nname = \"x\"\n\n# Why.\n[apps.env]\nA = \"1\"\n\n# All of them.\n[apps.outer.inner]\nn = 2\n"
        );
    }
}
