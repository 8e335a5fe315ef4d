//! The `Condition` element of a statement, and the request context that it is evaluated against.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::pattern::{matches_arn, matches_wildcard};
use crate::clock;

/// The request context: values by condition key. Keys are stored in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestContext(BTreeMap<String, Vec<String>>);

impl RequestContext {
    /// Adds a value to a key.
    pub(crate) fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0
            .entry(key.to_ascii_lowercase())
            .or_default()
            .push(value.into());
    }

    /// Adds a value to a key, if there is a value.
    pub(crate) fn add_optional(&mut self, key: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }

    /// Replaces the values of a key with one value, or with none.
    pub(crate) fn set(&mut self, key: &str, value: Option<&str>) {
        self.0.remove(&key.to_ascii_lowercase());
        self.add_optional(key, value);
    }

    /// Whether a key has a value.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        !self.get(key).is_empty()
    }

    fn get(&self, key: &str) -> &[String] {
        self.0
            .get(&key.to_ascii_lowercase())
            .map_or(&[], Vec::as_slice)
    }

    /// Replaces policy variables such as `${aws:username}`. Unknown variables stay as they are and so
    /// match nothing.
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

/// How a condition treats keys that have several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetOperator {
    Single,
    ForAnyValue,
    ForAllValues,
}

/// One operator applied to one key of a `Condition` element.
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

/// All operators without `ForAnyValue:`, `ForAllValues:` and `IfExists`: name in lower case, comparison,
/// and whether the result is negated.
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
    /// Parses an operator. `None` if AWS has no such operator.
    pub(crate) fn parse(operator: &str, key: &str, values: Vec<String>) -> Option<Self> {
        let operator = operator.to_ascii_lowercase();
        let (set_operator, name) = match operator.split_once(':') {
            Some(("foranyvalue", name)) => (SetOperator::ForAnyValue, name),
            Some(("forallvalues", name)) => (SetOperator::ForAllValues, name),
            Some(_) => return None,
            None => (SetOperator::Single, operator.as_str()),
        };
        let (name, if_exists) = name
            .strip_suffix("ifexists")
            .map_or((name, false), |name| (name, true));
        let (_, comparison, negated) = OPERATORS.iter().find(|(known, ..)| *known == name)?;
        if *comparison == Comparison::Null && if_exists {
            // AWS rejects `NullIfExists`: both ask whether the key exists.
            return None;
        }
        Some(Self {
            set_operator,
            comparison: *comparison,
            negated: *negated,
            if_exists,
            key: key.to_owned(),
            values,
        })
    }

    /// Whether the condition is met by a request.
    pub(crate) fn is_met(&self, context: &RequestContext) -> bool {
        let actual = context.get(&self.key);
        if self.comparison == Comparison::Null {
            return self
                .values
                .iter()
                .any(|value| (value == "true") == actual.is_empty());
        }
        let empty = match self.set_operator {
            SetOperator::Single => actual.is_empty(),
            // The set operators treat empty strings as missing values.
            SetOperator::ForAnyValue | SetOperator::ForAllValues => {
                actual.iter().all(String::is_empty)
            }
        };
        if empty {
            return match self.set_operator {
                // `IfExists` skips the condition only if the key is missing, not if its values are empty.
                _ if self.if_exists && actual.is_empty() => true,
                // A missing key differs from every value, so negated operators match it.
                SetOperator::Single => self.negated,
                // Holds for an empty set, as every "for all".
                SetOperator::ForAllValues => true,
                // There is no value that could match, negated or not.
                SetOperator::ForAnyValue => false,
            };
        }
        let values: Vec<String> = self
            .values
            .iter()
            .map(|value| context.expand_variables(value))
            .collect();
        let matches = |actual: &String| {
            values
                .iter()
                .any(|value| self.comparison.matches(value, actual))
                != self.negated
        };
        if self.set_operator == SetOperator::ForAllValues {
            actual.iter().all(matches)
        } else {
            actual.iter().any(matches)
        }
    }

    /// Whether the condition restricts its key to fixed values: no negation, no `IfExists`, no pattern that
    /// begins with a star.
    pub(crate) fn restricts_to_fixed_value(&self) -> bool {
        !self.negated
            && !self.if_exists
            && self.set_operator != SetOperator::ForAllValues
            && !self.values.iter().any(|v| v.starts_with('*'))
    }
}

impl Comparison {
    fn matches(self, expected: &str, actual: &str) -> bool {
        match self {
            Self::Equals => expected == actual,
            Self::EqualsIgnoreCase | Self::Bool => expected.eq_ignore_ascii_case(actual),
            Self::Like => matches_wildcard(expected, actual),
            Self::Arn => matches_arn(expected, actual),
            Self::IpAddress => cidr_contains(expected, actual).unwrap_or(false),
            Self::Numeric(relation) => match (actual.parse::<f64>(), expected.parse::<f64>()) {
                (Ok(actual), Ok(expected)) => relation.matches(actual.partial_cmp(&expected)),
                _ => false,
            },
            Self::Date(relation) => match (parse_date(actual), parse_date(expected)) {
                (Some(actual), Some(expected)) => relation.matches(Some(actual.cmp(&expected))),
                _ => false,
            },
            Self::Null => false,
        }
    }
}

impl Relation {
    fn matches(self, ordering: Option<std::cmp::Ordering>) -> bool {
        ordering.is_some_and(|ordering| match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        })
    }
}

/// Parses a date in ISO 8601, a day without a time, or seconds since 1970. Returns milliseconds.
fn parse_date(text: &str) -> Option<i64> {
    let day = || clock::parse_timestamp(&format!("{text}T00:00:00Z"));
    let epoch = || text.parse::<i64>().ok()?.checked_mul(1000);
    epoch()
        .or_else(|| clock::parse_timestamp(text))
        .or_else(day)
}

fn cidr_contains(range: &str, address: &str) -> Option<bool> {
    let (base, bits) = range.split_once('/').unwrap_or((range, ""));
    let to_bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let ((base, base_width), (address, address_width)) =
        (to_bits(base.parse().ok()?), to_bits(address.parse().ok()?));
    let bits: u32 = if bits.is_empty() {
        base_width
    } else {
        bits.parse().ok()?
    };
    // Both addresses are left-aligned in 128 bits, so the prefix is on the same side for IPv4 and IPv6.
    // A shift by all 128 bits yields `None`: a prefix of length 0 contains every address.
    let differing_bits = (base ^ address)
        .checked_shr(128_u32.checked_sub(bits)?)
        .unwrap_or(0);
    Some(base_width == address_width && differing_bits == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, key: &str, value: &str, actual: &[(&str, &str)]) -> bool {
        let mut context = RequestContext::default();
        for (key, value) in actual {
            context.add(key, *value);
        }
        PolicyCondition::parse(operator, key, vec![value.to_owned()])
            .unwrap()
            .is_met(&context)
    }

    #[test]
    fn operators_compare_as_documented() {
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
    fn missing_keys_are_handled_per_operator() {
        for (name, comparison, negated) in OPERATORS
            .iter()
            .filter(|(_, comparison, _)| *comparison != Comparison::Null)
        {
            let value = if *comparison == Comparison::Bool {
                "true"
            } else {
                "1"
            };
            for (operator, expected) in [
                (name.to_string(), *negated),
                (format!("{name}IfExists"), true),
                (format!("ForAllValues:{name}"), true),
                (format!("ForAllValues:{name}IfExists"), true),
                (format!("ForAnyValue:{name}"), false),
                (format!("ForAnyValue:{name}IfExists"), true),
            ] {
                assert_eq!(holds(&operator, "a", value, &[]), expected, "{operator}");
            }
        }
        // The set operators treat empty strings as missing; for a single-valued key an empty string counts.
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
