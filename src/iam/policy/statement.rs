//! A statement of a policy: who may or may not do what, on which resources, and when.

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
    /// Grants access.
    Allow,
    /// Denies access, whatever another statement grants.
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

/// A statement of a [`super::PolicyDocument`]. Two statements that mean the same are equal.
#[derive(Clone)]
pub struct Statement {
    pub(super) sid: Option<String>,
    pub(super) effect: Effect,
    pub(super) principals: Option<PrincipalSet>,
    pub(super) actions: ElementValues,
    pub(super) resources: Option<ElementValues>,
    pub(super) conditions: Conditions,
    /// Unknown elements.
    pub(super) other_elements: Map<String, Value>,
}

/// Condition operators, their keys, and the values of each key.
pub(super) type Conditions = BTreeMap<PolicyString, BTreeMap<PolicyString, BTreeSet<PolicyString>>>;

/// The value sets of a statement, see [`Statement::value_sets`].
pub(super) type ValueSets = BTreeMap<(u8, Vec<String>), (String, BTreeSet<PolicyString>)>;

/// The values of `Action` or `Resource`.
#[derive(Clone)]
pub(super) struct ElementValues {
    /// Whether it is `NotAction` or `NotResource`: everything except these.
    pub(super) negated: bool,
    pub(super) values: BTreeSet<PolicyString>,
}

/// Principals, by type.
#[derive(Clone)]
pub(super) struct PrincipalSet {
    /// Whether it is `NotPrincipal`: everyone except these.
    pub(super) negated: bool,
    pub(super) by_type: BTreeMap<String, BTreeSet<PolicyString>>,
}

impl PrincipalSet {
    /// The type of accounts, roles and users.
    pub(super) const AWS: &'static str = "AWS";

    /// Whether the only principal is `*` of the type `AWS`.
    pub(super) fn is_everyone(&self) -> bool {
        let mut all = self
            .by_type
            .iter()
            .flat_map(|(kind, values)| values.iter().map(move |single| (kind, single)));
        matches!((all.next(), all.next()), (Some((kind, single)), None) if kind == Self::AWS && single.normalized() == "*")
            && self.by_type.len() == 1
    }
}

/// The name of an element, or of its negation.
fn element_name(negated: bool, name: &str) -> String {
    if negated {
        format!("Not{name}")
    } else {
        name.to_owned()
    }
}

impl Statement {
    /// The statement's `Sid`, if it has one.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Whether the statement grants or denies.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The statement as a JSON value, with a scalar instead of a list of one.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.fields(PolicyString::original).into_iter().collect())
    }

    /// What the statement grants or denies, in one sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        describe::describe_statement(self)
    }

    /// Text that is equal for all statements that mean the same.
    pub(super) fn canonical_text(&self) -> String {
        let fields: Map<String, Value> =
            self.fields(PolicyString::normalized).into_iter().collect();
        Value::Object(fields).to_string()
    }

    /// The elements in the usual order, in the original or the normalized spelling.
    fn fields(&self, select_spelling: SelectSpelling) -> Vec<(String, Value)> {
        let Self {
            sid,
            effect,
            principals: principal,
            actions: action,
            resources: resource,
            conditions: condition,
            other_elements: rest,
        } = self;
        let mut elements = Vec::new();
        elements.extend(sid.iter().map(|sid| ("Sid".to_owned(), json!(sid))));
        elements.push(("Effect".to_owned(), effect.as_str().into()));
        elements.extend(principal.iter().map(|principals| {
            let kind = |(kind, values): (&String, &_)| {
                (
                    kind.clone(),
                    policy_string::values_to_json(values, select_spelling),
                )
            };
            let everyone = || json!("*");
            let by_type = || Value::Object(principals.by_type.iter().map(kind).collect());
            (
                element_name(principals.negated, "Principal"),
                if principals.is_everyone() {
                    everyone()
                } else {
                    by_type()
                },
            )
        }));
        elements.push((
            element_name(action.negated, "Action"),
            policy_string::values_to_json(&action.values, select_spelling),
        ));
        elements.extend(resource.iter().map(|element| {
            (
                element_name(element.negated, "Resource"),
                policy_string::values_to_json(&element.values, select_spelling),
            )
        }));
        if !condition.is_empty() {
            let key = |(key, values): (&PolicyString, &_)| {
                (
                    select_spelling(key).to_owned(),
                    policy_string::values_to_json(values, select_spelling),
                )
            };
            let operator = |(operator, keys): (
                &PolicyString,
                &BTreeMap<PolicyString, BTreeSet<PolicyString>>,
            )| {
                (
                    select_spelling(operator).to_owned(),
                    Value::Object(keys.iter().map(key).collect()),
                )
            };
            elements.push((
                "Condition".to_owned(),
                Value::Object(condition.iter().map(operator).collect()),
            ));
        }
        elements.extend(rest.clone());
        elements
    }

    /// Every set of values of the statement, in the usual order of elements. The key identifies the
    /// set; beside the set is its path in the author's spelling.
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
        let mut elements = ValueSets::new();
        let mut insert = |rank: u8, key: &[&str], path: String, values: BTreeSet<PolicyString>| {
            elements.insert(
                (rank, key.iter().map(|part| (*part).to_owned()).collect()),
                (path, values),
            );
        };
        let single = |text: &str| BTreeSet::from([PolicyString::case_sensitive(text)]);
        if let Some(sid) = sid {
            insert(0, &[], "Sid".to_owned(), single(sid));
        }
        insert(1, &[], "Effect".to_owned(), single(effect.as_str()));
        if let Some(principals) = principal {
            let name = element_name(principals.negated, "Principal");
            if principals.is_everyone() || principals.by_type.is_empty() {
                insert(
                    2,
                    &[&name],
                    name.clone(),
                    principals.by_type.values().flatten().cloned().collect(),
                );
            } else {
                for (kind, values) in &principals.by_type {
                    insert(2, &[&name, kind], format!("{name}.{kind}"), values.clone());
                }
            }
        }
        let resource = resource.iter().map(|element| (4, "Resource", element));
        for (rank, name, ElementValues { negated, values }) in
            [(3, "Action", action)].into_iter().chain(resource)
        {
            let name = element_name(*negated, name);
            insert(rank, &[&name], name.clone(), values.clone());
        }
        for (operator, keys) in condition {
            for (key, values) in keys {
                let path = format!("Condition.{}.{}", operator.original(), key.original());
                insert(
                    5,
                    &[operator.normalized(), key.normalized()],
                    path,
                    values.clone(),
                );
            }
        }
        elements
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
    /// As [`Statement::to_json`], with the elements in the usual order.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields(PolicyString::original))
    }
}
