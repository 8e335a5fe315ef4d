//! One line of a diff: one changed attribute, as shown to the user and in the machine-readable
//! formats.

use serde::Serialize;
use serde_json::Value;

/// One changed attribute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiffLine {
    /// The attribute's path in the manifest's vocabulary, such as `env.LOG_LEVEL`.
    pub path: String,
    /// The current value; `None` if there is none.
    pub from: Option<DisplayValue>,
    /// The desired value; `None` if the attribute is removed.
    pub to: Option<DisplayValue>,
    /// A remark, such as why this change forces a replacement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether this change forces a replacement.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

/// A value as it is shown to the user.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisplayValue {
    /// A value that may be shown.
    Value(Value),
    /// A secret; its value is not shown.
    Sensitive,
    /// Not known until the step that creates it has run.
    KnownAfterApply,
    /// A description in words; it is never truncated.
    Words(String),
}

impl DiffLine {
    /// An attribute whose value changes.
    #[must_use]
    pub fn change(path: impl Into<String>, from: impl Into<Value>, to: impl Into<Value>) -> Self {
        Self::new(
            path,
            Some(DisplayValue::Value(from.into())),
            Some(DisplayValue::Value(to.into())),
        )
    }

    /// An attribute that is added.
    #[must_use]
    pub fn add(path: impl Into<String>, to: impl Into<Value>) -> Self {
        Self::new(path, None, Some(DisplayValue::Value(to.into())))
    }

    /// An attribute that is removed.
    #[must_use]
    pub fn remove(path: impl Into<String>, from: impl Into<Value>) -> Self {
        Self::new(path, Some(DisplayValue::Value(from.into())), None)
    }

    /// An addition described in words.
    #[must_use]
    pub fn add_text(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(path, None, Some(DisplayValue::Words(text.into())))
    }

    /// A removal described in words.
    #[must_use]
    pub fn remove_text(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(path, Some(DisplayValue::Words(text.into())), None)
    }

    /// A line with these values and no note.
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

    /// The same line, marked as forcing a replacement.
    #[must_use]
    pub fn forcing_replacement(mut self) -> Self {
        self.replaces = true;
        self
    }
}
