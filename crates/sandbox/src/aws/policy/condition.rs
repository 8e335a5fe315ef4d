//! The conditions of a statement, and what they are compared with.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::pattern::{matches_arn, matches_wildcard};
use crate::clock;

/// What is known about a request, by condition key in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestContext(BTreeMap<String, Vec<String>>);

impl RequestContext {
    /// Adds a value.
    pub(crate) fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0
            .entry(key.to_ascii_lowercase())
            .or_default()
            .push(value.into());
    }

    /// Adds a value if there is one.
    pub(crate) fn add_optional(&mut self, key: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }

    /// Gives a key another value, or none.
    pub(crate) fn set(&mut self, key: &str, value: Option<&str>) {
        self.0.remove(&key.to_ascii_lowercase());
        self.add_optional(key, value);
    }

    fn get(&self, key: &str) -> &[String] {
        self.0
            .get(&key.to_ascii_lowercase())
            .map_or(&[], Vec::as_slice)
    }

    /// A pattern with its variables (`${aws:username}`) replaced; what is unknown stays and matches nothing.
    pub(crate) fn expand_variables(&self, pattern: &str) -> String {
        let mut out = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, tail)) = after.split_once('}') else {
                break;
            };
            out.push_str(before);
            match self.get(name).first() {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("${{{name}}}")),
            }
            rest = tail;
        }
        out + rest
    }
}

/// How a condition treats keys with several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetOperator {
    Single,
    ForAnyValue,
    ForAllValues,
}

/// One line of a statement's `Condition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyCondition {
    set_operator: SetOperator,
    comparison: Comparison,
    negated: bool,
    if_exists: bool,
    pub(crate) key: String,
    pub(crate) values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equals,
    EqualsIgnoreCase,
    Like,
    Arn,
    Bool,
    Null,
    IpAddress,
    Numeric(Relation),
    Date(Relation),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Every operator without its prefix and suffix, what it asks, and whether it asks for the contrary.
const OPERATORS: &[(&str, Comparison, bool)] = &[
    ("stringequals", Comparison::Equals, false),
    ("stringnotequals", Comparison::Equals, true),
    (
        "stringequalsignorecase",
        Comparison::EqualsIgnoreCase,
        false,
    ),
    (
        "stringnotequalsignorecase",
        Comparison::EqualsIgnoreCase,
        true,
    ),
    ("stringlike", Comparison::Like, false),
    ("stringnotlike", Comparison::Like, true),
    ("arnequals", Comparison::Arn, false),
    ("arnlike", Comparison::Arn, false),
    ("arnnotequals", Comparison::Arn, true),
    ("arnnotlike", Comparison::Arn, true),
    ("bool", Comparison::Bool, false),
    ("null", Comparison::Null, false),
    ("ipaddress", Comparison::IpAddress, false),
    ("notipaddress", Comparison::IpAddress, true),
    ("binaryequals", Comparison::Equals, false),
    ("numericequals", Comparison::Numeric(Relation::Equal), false),
    (
        "numericnotequals",
        Comparison::Numeric(Relation::Equal),
        true,
    ),
    (
        "numericlessthan",
        Comparison::Numeric(Relation::Less),
        false,
    ),
    (
        "numericlessthanequals",
        Comparison::Numeric(Relation::LessOrEqual),
        false,
    ),
    (
        "numericgreaterthan",
        Comparison::Numeric(Relation::Greater),
        false,
    ),
    (
        "numericgreaterthanequals",
        Comparison::Numeric(Relation::GreaterOrEqual),
        false,
    ),
    ("dateequals", Comparison::Date(Relation::Equal), false),
    ("datenotequals", Comparison::Date(Relation::Equal), true),
    ("datelessthan", Comparison::Date(Relation::Less), false),
    (
        "datelessthanequals",
        Comparison::Date(Relation::LessOrEqual),
        false,
    ),
    (
        "dategreaterthan",
        Comparison::Date(Relation::Greater),
        false,
    ),
    (
        "dategreaterthanequals",
        Comparison::Date(Relation::GreaterOrEqual),
        false,
    ),
];

impl PolicyCondition {
    /// Reads an operator; `None` when there is no such one.
    pub(crate) fn parse(operator: &str, key: &str, values: Vec<String>) -> Option<Self> {
        let operator = operator.to_ascii_lowercase();
        let (set, rest) = match operator.split_once(':') {
            Some(("foranyvalue", rest)) => (SetOperator::ForAnyValue, rest),
            Some(("forallvalues", rest)) => (SetOperator::ForAllValues, rest),
            Some(_) => return None,
            None => (SetOperator::Single, operator.as_str()),
        };
        let (rest, if_exists) = rest
            .strip_suffix("ifexists")
            .map_or((rest, false), |rest| (rest, true));
        let (_, test, negative) = OPERATORS.iter().find(|(name, ..)| *name == rest)?;
        if *test == Comparison::Null && if_exists {
            // To ask whether a key is there, if it is there, asks nothing.
            return None;
        }
        Some(Self {
            set_operator: set,
            comparison: *test,
            negated: *negative,
            if_exists,
            key: key.to_owned(),
            values,
        })
    }

    /// Whether it holds.
    pub(crate) fn is_met(&self, context: &RequestContext) -> bool {
        let said = context.get(&self.key);
        if self.comparison == Comparison::Null {
            return self
                .values
                .iter()
                .any(|value| (value == "true") == said.is_empty());
        }
        let empty = match self.set_operator {
            SetOperator::Single => said.is_empty(),
            // A set of empty texts is no set.
            SetOperator::ForAnyValue | SetOperator::ForAllValues => {
                said.iter().all(String::is_empty)
            }
        };
        if empty {
            return match self.set_operator {
                _ if self.if_exists && said.is_empty() => true,
                // The contrary of something is true of nothing.
                SetOperator::Single => self.negated,
                SetOperator::ForAllValues => true,
                // Of nothing there is not one, whatever it should be or not be.
                SetOperator::ForAnyValue => false,
            };
        }
        let values: Vec<String> = self
            .values
            .iter()
            .map(|value| context.expand_variables(value))
            .collect();
        let one = |said: &String| {
            values
                .iter()
                .any(|value| self.comparison.matches(value, said))
                != self.negated
        };
        if self.set_operator == SetOperator::ForAllValues {
            said.iter().all(one)
        } else {
            said.iter().any(one)
        }
    }

    /// Whether it asks for one fixed value, not for the contrary of one or for a pattern of everything.
    pub(crate) fn restricts_to_fixed_value(&self) -> bool {
        !self.negated
            && !self.if_exists
            && self.set_operator != SetOperator::ForAllValues
            && !self.values.iter().any(|v| v.starts_with('*'))
    }
}

impl Comparison {
    fn matches(self, wanted: &str, said: &str) -> bool {
        match self {
            Self::Equals => wanted == said,
            Self::EqualsIgnoreCase | Self::Bool => wanted.eq_ignore_ascii_case(said),
            Self::Like => matches_wildcard(wanted, said),
            Self::Arn => matches_arn(wanted, said),
            Self::IpAddress => cidr_contains(wanted, said).unwrap_or(false),
            Self::Numeric(order) => match (said.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(said), Ok(wanted)) => order.matches(said.partial_cmp(&wanted)),
                _ => false,
            },
            Self::Date(order) => {
                let read = parse_date;
                matches!((read(said), read(wanted)), (Some(said), Some(wanted)) if order.matches(Some(said.cmp(&wanted))))
            }
            Self::Null => false,
        }
    }
}

impl Relation {
    fn matches(self, found: Option<std::cmp::Ordering>) -> bool {
        found.is_some_and(|found| match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        })
    }
}

/// A moment in ISO 8601, as a day alone, or in seconds since 1970.
fn parse_date(text: &str) -> Option<i64> {
    let day = || clock::parse_timestamp(&format!("{text}T00:00:00Z"));
    let epoch = || text.parse::<i64>().ok()?.checked_mul(1000);
    epoch()
        .or_else(|| clock::parse_timestamp(text))
        .or_else(day)
}

fn cidr_contains(range: &str, address: &str) -> Option<bool> {
    let (base, bits) = range.split_once('/').unwrap_or((range, ""));
    let wide = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let ((base, width), (address, other)) = (wide(base.parse().ok()?), wide(address.parse().ok()?));
    let bits: u32 = if bits.is_empty() {
        width
    } else {
        bits.parse().ok()?
    };
    let differ = (base ^ address)
        .checked_shr(128_u32.checked_sub(bits)?)
        .unwrap_or(0);
    Some(width == other && differ == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, key: &str, value: &str, said: &[(&str, &str)]) -> bool {
        let mut context = RequestContext::default();
        for (key, value) in said {
            context.add(key, *value);
        }
        PolicyCondition::parse(operator, key, vec![value.to_owned()])
            .unwrap()
            .is_met(&context)
    }

    #[test]
    fn each_operator_says_what_its_name_says() {
        let tls = [("aws:SecureTransport", "true")];
        assert!(!holds("Bool", "aws:securetransport", "false", &tls));
        assert!(holds("Bool", "aws:SecureTransport", "true", &tls));
        assert!(!holds("StringEquals", "s3:prefix", "a/", &[]));
        assert!(holds("StringEqualsIfExists", "s3:prefix", "a/", &[]));
        assert!(holds("StringNotEquals", "s3:prefix", "a/", &[]));
        assert!(holds("Null", "s3:prefix", "true", &[]));
        assert!(!holds("Null", "s3:prefix", "true", &[("s3:prefix", "")]));
        assert!(holds(
            "StringLike",
            "s3:prefix",
            "a/*",
            &[("s3:prefix", "a/b")]
        ));
        let tags = [("aws:TagKeys", "a"), ("aws:TagKeys", "b")];
        assert!(!holds(
            "ForAllValues:StringEquals",
            "aws:TagKeys",
            "a",
            &tags
        ));
        assert!(holds("ForAnyValue:StringEquals", "aws:TagKeys", "a", &tags));
        assert!(holds(
            "NumericLessThanEquals",
            "s3:max-keys",
            "10",
            &[("s3:max-keys", "10")]
        ));
        assert!(holds(
            "IpAddress",
            "aws:SourceIp",
            "127.0.0.0/8",
            &[("aws:SourceIp", "127.1.2.3")]
        ));
        assert!(!holds(
            "IpAddress",
            "aws:SourceIp",
            "10.0.0.0/8",
            &[("aws:SourceIp", "127.1.2.3")]
        ));
        assert!(holds(
            "IpAddress",
            "aws:SourceIp",
            "::/0",
            &[("aws:SourceIp", "::1")]
        ));
        assert!(holds(
            "StringEquals",
            "a",
            "x-${aws:username}",
            &[("a", "x-me"), ("aws:username", "me")]
        ));
        assert_eq!(PolicyCondition::parse("StringIs", "a", Vec::new()), None);
        assert_eq!(
            PolicyCondition::parse("NullIfExists", "a", Vec::new()),
            None
        );
        let time = [
            ("aws:CurrentTime", "2026-01-01T00:00:00Z"),
            ("aws:EpochTime", "1767225600"),
        ];
        assert!(holds(
            "DateLessThan",
            "aws:CurrentTime",
            "2026-01-02",
            &time
        ));
        assert!(holds(
            "DateEquals",
            "aws:EpochTime",
            "2026-01-01T00:00:00Z",
            &time
        ));
        assert!(!holds(
            "DateLessThan",
            "aws:CurrentTime",
            "1767225600",
            &time
        ));
    }

    #[test]
    fn of_a_missing_key_each_operator_knows_what_to_say() {
        for (name, test, negative) in OPERATORS
            .iter()
            .filter(|(_, test, _)| *test != Comparison::Null)
        {
            let value = if *test == Comparison::Bool {
                "true"
            } else {
                "1"
            };
            for (operator, expected) in [
                (name.to_string(), *negative),
                (format!("{name}IfExists"), true),
                (format!("ForAllValues:{name}"), true),
                (format!("ForAllValues:{name}IfExists"), true),
                (format!("ForAnyValue:{name}"), false),
                (format!("ForAnyValue:{name}IfExists"), true),
            ] {
                assert_eq!(holds(&operator, "a", value, &[]), expected, "{operator}");
            }
        }
        // Sets of empty texts are like no sets; for a single key, an empty text is one.
        let empty = [("a", "")];
        assert!(holds("ForAllValues:StringEquals", "a", "x", &empty));
        assert!(!holds("ForAnyValue:StringNotEquals", "a", "x", &empty));
        assert!(!holds(
            "ForAnyValue:StringNotEqualsIfExists",
            "a",
            "x",
            &empty
        ));
        assert!(holds("StringNotEquals", "a", "x", &empty));
        assert!(!holds("StringEqualsIfExists", "a", "x", &empty));
        assert!(holds(
            "ForAnyValue:StringNotEquals",
            "a",
            "x",
            &[("a", "x"), ("a", "y")]
        ));
        assert!(!holds(
            "ForAnyValue:StringNotEquals",
            "a",
            "x",
            &[("a", "x")]
        ));
    }
}
