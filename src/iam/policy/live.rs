//! The policy document of a live resource. AWS may hold a text that is no document by the rules of
//! this module, such as one with a key twice. It differs from whatever a manifest says, and an apply
//! replaces it; it must not stop everything else.

use serde::{Serialize, Serializer};

use super::PolicyDocument;
use crate::model::DiffLine;

/// What AWS returned as a policy document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LivePolicy {
    /// A document.
    Document(PolicyDocument),
    /// A text that cannot be read as a document, and so equals no document.
    Unreadable {
        /// The text as AWS returned it.
        text: String,
        /// Why it cannot be read.
        reason: String,
    },
}

impl LivePolicy {
    /// Parses a document as AWS returns it, see [`PolicyDocument::parse`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match PolicyDocument::parse(text) {
            Ok(document) => Self::Document(document),
            Err(error) => Self::Unreadable {
                text: text.to_owned(),
                reason: error.to_string(),
            },
        }
    }

    /// The document, if it can be read.
    #[must_use]
    pub fn document(&self) -> Option<&PolicyDocument> {
        match self {
            Self::Document(document) => Some(document),
            Self::Unreadable { .. } => None,
        }
    }

    /// What it grants or denies in plain words, see [`PolicyDocument::describe`].
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        match self {
            Self::Document(document) => document.describe(),
            Self::Unreadable { reason, .. } => {
                vec![format!("what cannot be told: it is {reason}")]
            }
        }
    }

    /// The lines of the change to a document of the manifest; none if both are equal.
    #[must_use]
    pub fn diff_lines(
        path: &str,
        from: Option<&Self>,
        to: Option<&PolicyDocument>,
    ) -> Vec<DiffLine> {
        let from = match from {
            None => None,
            Some(Self::Document(document)) => Some(document),
            Some(Self::Unreadable { reason, .. }) => {
                let mut lines = vec![DiffLine::remove_text(
                    path,
                    format!("a text that is {reason}"),
                )];
                lines.extend(PolicyDocument::diff_lines(path, None, to));
                return lines;
            }
        };
        PolicyDocument::diff_lines(path, from, to)
    }
}

impl From<PolicyDocument> for LivePolicy {
    fn from(document: PolicyDocument) -> Self {
        Self::Document(document)
    }
}

impl PartialEq<PolicyDocument> for LivePolicy {
    fn eq(&self, other: &PolicyDocument) -> bool {
        self.document() == Some(other)
    }
}

impl Serialize for LivePolicy {
    /// The document, or the text that cannot be read.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Document(document) => document.serialize(serializer),
            Self::Unreadable { text, .. } => serializer.serialize_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_text_differs_from_every_document() {
        let text = r#"{"Statement":[],"Statement":[]}"#;
        let live = LivePolicy::parse(text);
        let document = PolicyDocument::parse(
            r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#,
        )
        .unwrap();
        assert_ne!(live, document);
        assert_eq!(live, LivePolicy::parse(text));
        let lines = LivePolicy::diff_lines("trust", Some(&live), Some(&document));
        let json = serde_json::to_value(&lines).unwrap();
        let words = json[0]["from"]["words"].as_str().unwrap();
        assert!(
            words.starts_with(
                "a text that is not a policy document: `Statement` appears twice in one object"
            ),
            "{words}"
        );
        assert!(lines.len() > 1, "what is granted from then on is shown too");
    }
}
