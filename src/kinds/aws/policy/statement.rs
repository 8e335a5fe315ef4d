//! One statement: who may or may not do what, to what, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{
    word::{self, Side, Word},
    words,
};

/// Whether a statement grants or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It grants.
    Allow,
    /// It denies, whatever another statement grants.
    Deny,
}

impl Effect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

/// One statement of a [`super::Policy`]; equal to another that means the same.
#[derive(Clone)]
pub struct Statement {
    pub(super) sid: Option<String>,
    pub(super) effect: Effect,
    pub(super) principal: Option<Who>,
    pub(super) action: Listed,
    pub(super) resource: Option<Listed>,
    pub(super) condition: Condition,
    /// What we do not know.
    pub(super) rest: Map<String, Value>,
}

/// Operators, their keys, and the values that each key is compared with.
pub(super) type Condition = BTreeMap<Word, BTreeMap<Word, BTreeSet<Word>>>;

/// The sets of a statement, see [`Statement::sets`].
pub(super) type Sets = BTreeMap<(u8, Vec<String>), (String, BTreeSet<Word>)>;

/// Actions or resources.
#[derive(Clone)]
pub(super) struct Listed {
    /// Whether it is everything but these.
    pub(super) but: bool,
    pub(super) members: BTreeSet<Word>,
}

/// Principals, by their type.
#[derive(Clone)]
pub(super) struct Who {
    /// Whether it is everyone but these.
    pub(super) but: bool,
    pub(super) kinds: BTreeMap<String, BTreeSet<Word>>,
}

impl Who {
    /// The type of accounts, roles and users.
    pub(super) const AWS: &'static str = "AWS";

    /// Whether the principals are everyone there is.
    pub(super) fn is_everyone(&self) -> bool {
        let mut all = self
            .kinds
            .iter()
            .flat_map(|(kind, members)| members.iter().map(move |one| (kind, one)));
        matches!((all.next(), all.next()), (Some((kind, one)), None) if kind == Self::AWS && one.key() == "*")
            && self.kinds.len() == 1
    }
}

/// The name of an element, or of its negation.
fn named(but: bool, name: &str) -> String {
    if but {
        format!("Not{name}")
    } else {
        name.to_owned()
    }
}

impl Statement {
    /// Its name within the document, when it has one.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Whether it grants or denies.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// As a value, with scalars where there is one value.
    #[must_use]
    pub fn json(&self) -> Value {
        Value::Object(self.fields(Word::text).into_iter().collect())
    }

    /// What it grants or denies, in one sentence.
    #[must_use]
    pub fn words(&self) -> String {
        words::sentence(self)
    }

    /// Text that is the same for all statements that mean the same.
    pub(super) fn meaning(&self) -> String {
        let fields: Map<String, Value> = self.fields(Word::key).into_iter().collect();
        Value::Object(fields).to_string()
    }

    /// In the order in which people write them.
    fn fields(&self, side: Side) -> Vec<(String, Value)> {
        let Self {
            sid,
            effect,
            principal,
            action,
            resource,
            condition,
            rest,
        } = self;
        let mut out = Vec::new();
        out.extend(sid.iter().map(|sid| ("Sid".to_owned(), json!(sid))));
        out.push(("Effect".to_owned(), effect.name().into()));
        out.extend(principal.iter().map(|who| {
            let kind = |(kind, members): (&String, &_)| (kind.clone(), word::value(members, side));
            let everyone = || json!("*");
            let named_ones = || Value::Object(who.kinds.iter().map(kind).collect());
            (
                named(who.but, "Principal"),
                if who.is_everyone() {
                    everyone()
                } else {
                    named_ones()
                },
            )
        }));
        out.push((
            named(action.but, "Action"),
            word::value(&action.members, side),
        ));
        out.extend(resource.iter().map(|listed| {
            (
                named(listed.but, "Resource"),
                word::value(&listed.members, side),
            )
        }));
        if !condition.is_empty() {
            let key =
                |(key, values): (&Word, &_)| (side(key).to_owned(), word::value(values, side));
            let operator = |(operator, keys): (&Word, &BTreeMap<Word, BTreeSet<Word>>)| {
                (
                    side(operator).to_owned(),
                    Value::Object(keys.iter().map(key).collect()),
                )
            };
            out.push((
                "Condition".to_owned(),
                Value::Object(condition.iter().map(operator).collect()),
            ));
        }
        out.extend(rest.clone());
        out
    }

    /// Every set of texts in it, in the order in which people write them. The key tells sets apart; the text beside the
    /// set is its path as the author spelt it.
    pub(super) fn sets(&self) -> Sets {
        let Self {
            sid,
            effect,
            principal,
            action,
            resource,
            condition,
            rest: _,
        } = self;
        let mut out = Sets::new();
        let mut put = |rank: u8, key: &[&str], path: String, members: BTreeSet<Word>| {
            out.insert(
                (rank, key.iter().map(|part| (*part).to_owned()).collect()),
                (path, members),
            );
        };
        let one = |text: &str| BTreeSet::from([Word::exact(text)]);
        if let Some(sid) = sid {
            put(0, &[], "Sid".to_owned(), one(sid));
        }
        put(1, &[], "Effect".to_owned(), one(effect.name()));
        if let Some(who) = principal {
            let name = named(who.but, "Principal");
            if who.is_everyone() || who.kinds.is_empty() {
                put(
                    2,
                    &[&name],
                    name.clone(),
                    who.kinds.values().flatten().cloned().collect(),
                );
            } else {
                for (kind, members) in &who.kinds {
                    put(2, &[&name, kind], format!("{name}.{kind}"), members.clone());
                }
            }
        }
        let resource = resource.iter().map(|listed| (4, "Resource", listed));
        for (rank, name, Listed { but, members }) in
            [(3, "Action", action)].into_iter().chain(resource)
        {
            let name = named(*but, name);
            put(rank, &[&name], name.clone(), members.clone());
        }
        for (operator, keys) in condition {
            for (key, values) in keys {
                let path = format!("Condition.{}.{}", operator.text(), key.text());
                put(5, &[operator.key(), key.key()], path, values.clone());
            }
        }
        out
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.meaning() == other.meaning()
    }
}

impl Eq for Statement {}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.json())
    }
}

impl Serialize for Statement {
    /// As [`Statement::json`], in the order in which people write it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields(Word::text))
    }
}
