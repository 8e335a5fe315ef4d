//! One line of a difference: what the user reads, and what the machine formats carry.

use serde::Serialize;
use serde_json::Value;

/// One attribute that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiffLine {
    /// Where, in the manifest's vocabulary, such as `env.LOG_LEVEL`.
    pub path: String,
    /// The value that is there; `None` when there is none.
    pub from: Option<DisplayValue>,
    /// The value that shall be there; `None` when it goes away.
    pub to: Option<DisplayValue>,
    /// A remark, such as why this change forces a replacement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether this line alone makes a replacement necessary.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

/// A value as it may be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisplayValue {
    /// In the open.
    Value(Value),
    /// A secret: only that there is one.
    Sensitive,
    /// Not known before the step that makes it has run.
    KnownAfterApply,
    /// A sentence about it, which is never cut.
    Words(String),
}

impl DiffLine {
    /// A value that changes.
    #[must_use]
    pub fn change(path: impl Into<String>, from: impl Into<Value>, to: impl Into<Value>) -> Self {
        Self::new(
            path,
            Some(DisplayValue::Value(from.into())),
            Some(DisplayValue::Value(to.into())),
        )
    }

    /// A value that appears.
    #[must_use]
    pub fn add(path: impl Into<String>, to: impl Into<Value>) -> Self {
        Self::new(path, None, Some(DisplayValue::Value(to.into())))
    }

    /// A value that goes away.
    #[must_use]
    pub fn remove(path: impl Into<String>, from: impl Into<Value>) -> Self {
        Self::new(path, Some(DisplayValue::Value(from.into())), None)
    }

    /// A sentence about what it will then be.
    #[must_use]
    pub fn add_text(path: impl Into<String>, words: impl Into<String>) -> Self {
        Self::new(path, None, Some(DisplayValue::Words(words.into())))
    }

    /// A sentence about what it will no longer be.
    #[must_use]
    pub fn remove_text(path: impl Into<String>, words: impl Into<String>) -> Self {
        Self::new(path, Some(DisplayValue::Words(words.into())), None)
    }

    /// Any combination.
    #[must_use]
    pub fn new(
        path: impl Into<String>,
        from: Option<DisplayValue>,
        to: Option<DisplayValue>,
    ) -> Self {
        Self {
            path: path.into(),
            from,
            to,
            note: None,
            replaces: false,
        }
    }

    /// The same line with a remark.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// The same line, marked as the cause of a replacement.
    #[must_use]
    pub fn forcing_replacement(mut self) -> Self {
        self.replaces = true;
        self
    }
}
