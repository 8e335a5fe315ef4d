//! The subset of XML that S3, IAM and STS use: elements with text or children. Attributes are written
//! where clients need them, and dropped when a document is parsed, because no operation reads any.
//!
//! Bucket configurations are stored as such trees, so that a client gets back what it sent, including
//! legacy forms.

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde::{Deserialize, Serialize};

/// The deepest nesting that is parsed. No request of these APIs comes close.
const NESTING_MAX: usize = 32;

/// An XML element.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct XmlNode {
    pub(crate) name: String,
    #[serde(skip)]
    attributes: Vec<(&'static str, String)>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) children: Vec<XmlNode>,
}

impl XmlNode {
    /// An empty element.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// An element that contains only text.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and texts are both given as they are"
    )]
    pub(crate) fn leaf(name: impl Into<String>, text: impl ToString) -> Self {
        Self {
            name: name.into(),
            text: text.to_string(),
            ..Self::default()
        }
    }

    /// Adds an attribute.
    pub(crate) fn with_attribute(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Adds a child.
    pub(crate) fn with_child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Adds a child that contains only text.
    pub(crate) fn with_text(self, name: &str, text: impl ToString) -> Self {
        self.with_child(Self::leaf(name, text))
    }

    /// Adds a child that contains only text, if there is a text.
    pub(crate) fn with_optional_text(self, name: &str, text: Option<impl ToString>) -> Self {
        match text {
            Some(text) => self.with_text(name, text),
            None => self,
        }
    }

    /// Adds all `children`.
    pub(crate) fn with_children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// The first child with this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child with this name.
    pub(crate) fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// All children with this name.
    pub(crate) fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Renders the element as a document. `namespace` becomes the `xmlns` of the root.
    pub(crate) fn to_document(&self, namespace: Option<&str>) -> Vec<u8> {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write_to(namespace, &mut out);
        out.into_bytes()
    }

    fn write_to(&self, namespace: Option<&str>, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        if let Some(namespace) = namespace {
            out.push_str(" xmlns=\"");
            out.push_str(namespace);
            out.push('"');
        }
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}=\"{}\"", escape(value.as_str())));
        }
        out.push('>');
        out.push_str(&escape(self.text.as_str()).replace('\r', "&#13;"));
        for child in &self.children {
            child.write_to(None, out);
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

/// Parses a document. `None` if it is not well-formed, too deep or has a document type.
pub(crate) fn parse(bytes: &[u8]) -> Option<XmlNode> {
    let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
    let mut open_elements: Vec<XmlNode> = Vec::new();
    loop {
        let closed = match reader.read_event().ok()? {
            Event::Start(start) if open_elements.len() < NESTING_MAX => {
                open_elements.push(open_element(&start)?);
                None
            }
            Event::Empty(start) => Some(open_element(&start)?),
            Event::End(_) => Some(open_elements.pop()?),
            Event::Text(text) => append_text(&mut open_elements, &text.decode().ok()?),
            Event::CData(text) => append_text(&mut open_elements, &text.decode().ok()?),
            Event::GeneralRef(entity) => append_text(&mut open_elements, &resolve_entity(&entity)?),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => None,
            Event::Start(_) | Event::DocType(_) | Event::Eof => return None,
        };
        let Some(mut closed) = closed else { continue };
        if !closed.children.is_empty() {
            // The text between child elements is indentation.
            closed.text.clear();
        }
        match open_elements.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => return Some(closed),
        }
    }
}

fn open_element(start: &BytesStart<'_>) -> Option<XmlNode> {
    let name = start.local_name();
    Some(XmlNode::new(std::str::from_utf8(name.as_ref()).ok()?))
}

fn append_text(open_elements: &mut [XmlNode], text: &str) -> Option<XmlNode> {
    if let Some(node) = open_elements.last_mut() {
        node.text.push_str(text);
    }
    None
}

fn resolve_entity(entity: &BytesRef<'_>) -> Option<String> {
    if let Some(letter) = entity.resolve_char_ref().ok()? {
        return Some(letter.to_string());
    }
    resolve_predefined_entity(&entity.decode().ok()?).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_round_trip() {
        let node = XmlNode::new("A")
            .with_text("B", "a < b & \"c\"\r\n")
            .with_child(XmlNode::new("C"))
            .with_text("B", "2");
        assert_eq!(parse(&node.to_document(Some("urn:x"))), Some(node));
    }

    #[test]
    fn malformed_documents_are_rejected() {
        for wrong in [
            "",
            "<A>",
            "<A></B>",
            "text",
            "<A>&what;</A>",
            "<!DOCTYPE a><A/>",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(parse(&b"<A>".repeat(1000)), None);
    }
}
