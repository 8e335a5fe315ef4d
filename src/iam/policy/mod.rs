//! A policy document of AWS as a value that can be compared: AWS gives back other text than it was given, and a plan
//! must neither see a change where there is none nor miss one.
//!
//! Facts are from the IAM User Guide ("IAM JSON policy elements", "Grammar of the IAM JSON policy language") and from its
//! policy checks ("Access Analyzer policy check reference"), which say that empty lists are accepted.

mod describe;
mod diff;
mod matching;
mod parse;
mod policy_string;
mod statement;
mod unique_keys;
mod validate;

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

pub use parse::InvalidPolicy;
pub use statement::{Effect, Statement};
pub use validate::PolicyUse;

use crate::model::DiffLine;

/// The version of the language when a document does not say it (IAM User Guide, "Version").
const DEFAULT_VERSION: &str = "2008-10-17";

/// A policy document in canonical form: two that mean the same are equal.
///
/// Spelling stays as the author chose it and counts for nothing in comparisons where AWS ignores it. What is equal:
///
/// - one value and a list of one; lists in any order and with repetitions; statements in any order;
/// - actions, condition operators and condition keys in upper or lower case;
/// - booleans and numbers in conditions, and the same as text;
/// - an account's id as a principal and the ARN of its root, in any partition: an account is in one partition only, and
///   nobody can name another's;
/// - everyone as `"*"` and as `{"AWS": "*"}`, which the guide calls equivalent ("Principal", "All principals"). Services
///   store either, so that telling them apart would show a change that an apply cannot end;
/// - an empty `Sid` and none, an empty condition and none, no `Version` and 2008-10-17.
///
/// Whatever is not known is kept, compared and shown.
#[derive(Clone)]
pub struct PolicyDocument {
    version: String,
    statements: Vec<Statement>,
    /// `Id`, and whatever else stands beside the statements.
    other_elements: Map<String, Value>,
}

impl PolicyDocument {
    /// Reads a document as AWS returns it, plain or percent-encoded (RFC 3986, so that `+` stays `+`), or as a user
    /// writes it.
    ///
    /// # Errors
    /// When it is not a policy document, says something twice, or is longer than any that AWS takes.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        parse::parse_text(text)
    }

    /// Reads a document that is JSON already.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_json(document: &Value) -> Result<Self, InvalidPolicy> {
        parse::parse_document(document)
    }

    /// The document as a value, with scalars where there is one value. The order of its keys is that of
    /// [`serde_json::Map`]; [`Self::text`] has the readable one.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.fields().into_iter().collect())
    }

    /// The document as text in the order in which people write it, without spaces: what is sent.
    #[must_use]
    pub fn to_json_string(&self) -> String {
        serde_json::to_string(self)
            .expect("keys are strings and nothing in it can fail to be written")
    }

    /// The statements, in the author's order.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter()
    }

    /// The difference, statement by statement; empty exactly when both are equal. Statements are named by their `Sid`,
    /// or by their place, counted from 0, in the document that has them (in `to`, when both do).
    #[must_use]
    pub fn diff_lines(path: &str, from: Option<&Self>, to: Option<&Self>) -> Vec<DiffLine> {
        diff::diff_lines(path, from, to)
    }

    /// What it grants or denies, in words a newcomer understands: one sentence for each statement. What these words do
    /// not know is said as the document has it.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        self.statements.iter().map(Statement::describe).collect()
    }

    fn fields(&self) -> Vec<(String, Value)> {
        let statements = match &*self.statements {
            [one] => one.to_json(),
            several => several.iter().map(Statement::to_json).collect(),
        };
        let mut fields = vec![("Version".to_owned(), self.version.clone().into())];
        fields.extend(self.other_elements.clone());
        fields.push(("Statement".to_owned(), statements));
        fields
    }

    /// The statements as canonical text, sorted: equal for documents whose statements are.
    fn canonical_statements(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .statements
            .iter()
            .map(Statement::canonical_text)
            .collect();
        all.sort_unstable();
        all
    }
}

impl PartialEq for PolicyDocument {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            version,
            statements: _,
            other_elements: rest,
        } = self;
        *version == other.version
            && *rest == other.other_elements
            && self.canonical_statements() == other.canonical_statements()
    }
}

impl Eq for PolicyDocument {}

impl fmt::Debug for PolicyDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json_string())
    }
}

impl Serialize for PolicyDocument {
    /// As [`Policy::json`], in the readable order.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            version,
            statements,
            other_elements: rest,
        } = self;
        let id = rest
            .iter()
            .map(|(key, value)| (key.as_str(), DocumentField::Plain(value)));
        let statements = match &**statements {
            [one] => DocumentField::One(one),
            several => DocumentField::Several(several),
        };
        let parts = [("Version", DocumentField::Text(version))]
            .into_iter()
            .chain(id)
            .chain([("Statement", statements)]);
        serializer.collect_map(parts)
    }
}

/// What can stand under a key of a document.
#[derive(Serialize)]
#[serde(untagged)]
enum DocumentField<'a> {
    Text(&'a str),
    Plain(&'a Value),
    One(&'a Statement),
    Several(&'a [Statement]),
}

#[cfg(test)]
mod tests;
