//! A policy document as a value that can be compared. AWS returns other text than it was given, and
//! a plan must neither show a change where there is none nor miss one.
//!
//! Sources: IAM User Guide ("IAM JSON policy elements", "Grammar of the IAM JSON policy language")
//! and "Access Analyzer policy check reference", which says that empty lists are accepted.

mod covering;
mod denial;
mod describe;
mod diff;
mod live;
mod matching;
mod operators;
mod parse;
mod policy_string;
mod public_access;
mod statement;
mod unique_keys;
mod validate;

use std::{collections::BTreeSet, fmt};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

pub use denial::{KnownRequest, session_role};
pub use live::LivePolicy;
pub use parse::InvalidPolicy;
pub use statement::{Effect, Statement};
pub use validate::PolicyUse;

use crate::model::DiffLine;

/// The version of the policy language if a document does not state it (IAM User Guide, "Version").
const DEFAULT_VERSION: &str = "2008-10-17";

/// A policy document. Two documents that mean the same are equal.
///
/// The author's spelling is kept, but where AWS ignores it, it does not count in comparisons. These
/// are equal:
///
/// - a value and a list of one; lists in any order and with repetitions; statements in any order;
/// - actions, condition operators and condition keys in upper or lower case;
/// - booleans and numbers in conditions, and the same as strings;
/// - an account ID as a principal and the ARN of its root, in any partition: an account belongs to
///   one partition only, so nobody else can be meant;
/// - everyone as `"*"` and as `{"AWS": "*"}`, which the guide calls equivalent ("Principal", "All
///   principals"). Services store either one, so a difference would be a change that no apply can
///   finish;
/// - an empty `Sid` and none, an empty condition and none, no `Version` and 2008-10-17.
///
/// Unknown elements are kept, compared and shown.
#[derive(Clone)]
pub struct PolicyDocument {
    version: String,
    statements: Vec<Statement>,
    /// `Id`, and unknown elements beside the statements.
    other_elements: Map<String, Value>,
}

impl PolicyDocument {
    /// Parses a document as AWS returns it, plain or percent-encoded (RFC 3986, so `+` stays `+`),
    /// or as a user writes it.
    ///
    /// # Errors
    /// When it is not a policy document, an element appears twice, or it is longer than any that
    /// AWS accepts.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        parse::parse_text(text)
    }

    /// Converts a JSON value.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_json(document: &Value) -> Result<Self, InvalidPolicy> {
        parse::parse_document(document)
    }

    /// The document as a JSON value, with a scalar instead of a list of one. Keys are in the order
    /// of [`serde_json::Map`]; see [`Self::to_json_string`] for the usual order.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.fields().into_iter().collect())
    }

    /// The document as compact JSON with its elements in the usual order: what is sent to AWS.
    #[must_use]
    pub fn to_json_string(&self) -> String {
        serde_json::to_string(self)
            .expect("keys are strings and nothing in it can fail to be written")
    }

    /// The statements, in the author's order.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter()
    }

    /// The principals of the type `AWS` that its statements name, or except, in the author's spelling.
    #[must_use]
    pub fn aws_principals(&self) -> BTreeSet<&str> {
        let principals = self
            .statements
            .iter()
            .flat_map(|statement| &statement.principals);
        principals
            .filter_map(|principals| principals.by_type.get(statement::PrincipalSet::AWS))
            .flatten()
            .map(policy_string::PolicyString::original)
            .collect()
    }

    /// What a statement is called in messages: its `Sid`, or its number from 1.
    #[must_use]
    pub fn statement_name(&self, index: usize) -> String {
        let sid = self.statements.get(index).and_then(Statement::sid);
        sid.map_or_else(|| (index + 1).to_string(), |sid| format!("`{sid}`"))
    }

    /// The difference, statement by statement; empty if and only if both are equal. A statement is
    /// named by its `Sid`, or by its index (from 0) in the document that has it (in `to`, if both
    /// do).
    #[must_use]
    pub fn diff_lines(path: &str, from: Option<&Self>, to: Option<&Self>) -> Vec<DiffLine> {
        diff::diff_lines(path, from, to)
    }

    /// What the policy grants or denies in plain words, one sentence for each statement. What
    /// cannot be expressed in words is quoted from the document.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        self.statements.iter().map(Statement::describe).collect()
    }

    fn fields(&self) -> Vec<(String, Value)> {
        let statements = match &*self.statements {
            [statement] => statement.to_json(),
            statements => statements.iter().map(Statement::to_json).collect(),
        };
        let mut fields = vec![("Version".to_owned(), self.version.clone().into())];
        fields.extend(self.other_elements.clone());
        fields.push(("Statement".to_owned(), statements));
        fields
    }

    /// The canonical texts of the statements, sorted: equal if and only if the statements are.
    fn canonical_statements(&self) -> Vec<String> {
        let mut texts: Vec<String> = self
            .statements
            .iter()
            .map(Statement::canonical_text)
            .collect();
        texts.sort_unstable();
        texts
    }
}

impl PartialEq for PolicyDocument {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            version,
            statements: _,
            other_elements,
        } = self;
        *version == other.version
            && *other_elements == other.other_elements
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
    /// As [`PolicyDocument::to_json`], with the elements in the usual order.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            version,
            statements,
            other_elements,
        } = self;
        let others = other_elements
            .iter()
            .map(|(key, value)| (key.as_str(), DocumentField::Plain(value)));
        let statements = match &**statements {
            [statement] => DocumentField::One(statement),
            statements => DocumentField::Several(statements),
        };
        let entries = [("Version", DocumentField::Text(version))]
            .into_iter()
            .chain(others)
            .chain([("Statement", statements)]);
        serializer.collect_map(entries)
    }
}

/// The value of a top-level element.
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
