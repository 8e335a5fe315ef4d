//! One statement: who may or may not do what, to what, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{
    describe,
    policy_string::{self, PolicyString, SelectSpelling},
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
    pub(super) fn as_str(self) -> &'static str {
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
    pub(super) principals: Option<PrincipalSet>,
    pub(super) actions: ElementValues,
    pub(super) resources: Option<ElementValues>,
    pub(super) conditions: Conditions,
    /// What we do not know.
    pub(super) other_elements: Map<String, Value>,
}

/// Operators, their keys, and the values that each key is compared with.
pub(super) type Conditions = BTreeMap<PolicyString, BTreeMap<PolicyString, BTreeSet<PolicyString>>>;

/// The sets of a statement, see [`Statement::sets`].
pub(super) type ValueSets = BTreeMap<(u8, Vec<String>), (String, BTreeSet<PolicyString>)>;

/// Actions or resources.
#[derive(Clone)]
pub(super) struct ElementValues {
    /// Whether it is everything but these.
    pub(super) negated: bool,
    pub(super) values: BTreeSet<PolicyString>,
}

/// Principals, by their type.
#[derive(Clone)]
pub(super) struct PrincipalSet {
    /// Whether it is everyone but these.
    pub(super) negated: bool,
    pub(super) by_type: BTreeMap<String, BTreeSet<PolicyString>>,
}

impl PrincipalSet {
    /// The type of accounts, roles and users.
    pub(super) const AWS: &'static str = "AWS";

    /// Whether the principals are everyone there is.
    pub(super) fn is_everyone(&self) -> bool {
        let mut all = self
            .by_type
            .iter()
            .flat_map(|(kind, members)| members.iter().map(move |one| (kind, one)));
        matches!((all.next(), all.next()), (Some((kind, one)), None) if kind == Self::AWS && one.normalized() == "*")
            && self.by_type.len() == 1
    }
}

/// The name of an element, or of its negation.
fn element_name(but: bool, name: &str) -> String {
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
    pub fn to_json(&self) -> Value {
        Value::Object(self.fields(PolicyString::original).into_iter().collect())
    }

    /// What it grants or denies, in one sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        describe::describe_statement(self)
    }

    /// Text that is the same for all statements that mean the same.
    pub(super) fn canonical_text(&self) -> String {
        let fields: Map<String, Value> =
            self.fields(PolicyString::normalized).into_iter().collect();
        Value::Object(fields).to_string()
    }

    /// In the order in which people write them.
    fn fields(&self, side: SelectSpelling) -> Vec<(String, Value)> {
        let Self {
            sid,
            effect,
            principals: principal,
            actions: action,
            resources: resource,
            conditions: condition,
            other_elements: rest,
        } = self;
        let mut out = Vec::new();
        out.extend(sid.iter().map(|sid| ("Sid".to_owned(), json!(sid))));
        out.push(("Effect".to_owned(), effect.as_str().into()));
        out.extend(principal.iter().map(|who| {
            let kind = |(kind, members): (&String, &_)| {
                (kind.clone(), policy_string::values_to_json(members, side))
            };
            let everyone = || json!("*");
            let named_ones = || Value::Object(who.by_type.iter().map(kind).collect());
            (
                element_name(who.negated, "Principal"),
                if who.is_everyone() {
                    everyone()
                } else {
                    named_ones()
                },
            )
        }));
        out.push((
            element_name(action.negated, "Action"),
            policy_string::values_to_json(&action.values, side),
        ));
        out.extend(resource.iter().map(|listed| {
            (
                element_name(listed.negated, "Resource"),
                policy_string::values_to_json(&listed.values, side),
            )
        }));
        if !condition.is_empty() {
            let key = |(key, values): (&PolicyString, &_)| {
                (
                    side(key).to_owned(),
                    policy_string::values_to_json(values, side),
                )
            };
            let operator = |(operator, keys): (
                &PolicyString,
                &BTreeMap<PolicyString, BTreeSet<PolicyString>>,
            )| {
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
    pub(super) fn value_sets(&self) -> ValueSets {
        let Self {
            sid,
            effect,
            principals: principal,
            actions: action,
            resources: resource,
            conditions: condition,
            other_elements: _,
        } = self;
        let mut out = ValueSets::new();
        let mut put = |rank: u8, key: &[&str], path: String, members: BTreeSet<PolicyString>| {
            out.insert(
                (rank, key.iter().map(|part| (*part).to_owned()).collect()),
                (path, members),
            );
        };
        let one = |text: &str| BTreeSet::from([PolicyString::case_sensitive(text)]);
        if let Some(sid) = sid {
            put(0, &[], "Sid".to_owned(), one(sid));
        }
        put(1, &[], "Effect".to_owned(), one(effect.as_str()));
        if let Some(who) = principal {
            let name = element_name(who.negated, "Principal");
            if who.is_everyone() || who.by_type.is_empty() {
                put(
                    2,
                    &[&name],
                    name.clone(),
                    who.by_type.values().flatten().cloned().collect(),
                );
            } else {
                for (kind, members) in &who.by_type {
                    put(2, &[&name, kind], format!("{name}.{kind}"), members.clone());
                }
            }
        }
        let resource = resource.iter().map(|listed| (4, "Resource", listed));
        for (
            rank,
            name,
            ElementValues {
                negated: but,
                values: members,
            },
        ) in [(3, "Action", action)].into_iter().chain(resource)
        {
            let name = element_name(*but, name);
            put(rank, &[&name], name.clone(), members.clone());
        }
        for (operator, keys) in condition {
            for (key, values) in keys {
                let path = format!("Condition.{}.{}", operator.original(), key.original());
                put(
                    5,
                    &[operator.normalized(), key.normalized()],
                    path,
                    values.clone(),
                );
            }
        }
        out
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.canonical_text() == other.canonical_text()
    }
}

impl Eq for Statement {}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

impl Serialize for Statement {
    /// As [`Statement::json`], in the order in which people write it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields(PolicyString::original))
    }
}
