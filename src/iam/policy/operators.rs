//! The condition operators of the policy language (IAM User Guide, "IAM JSON policy elements:
//! Condition operators").

/// All operators in lower case, without set operators and `IfExists`.
const OPERATORS: [&str; 27] = [
    "arnequals",
    "arnlike",
    "arnnotequals",
    "arnnotlike",
    "binaryequals",
    "bool",
    "dateequals",
    "dategreaterthan",
    "dategreaterthanequals",
    "datelessthan",
    "datelessthanequals",
    "datenotequals",
    "ipaddress",
    "notipaddress",
    "null",
    "numericequals",
    "numericgreaterthan",
    "numericgreaterthanequals",
    "numericlessthan",
    "numericlessthanequals",
    "numericnotequals",
    "stringequals",
    "stringequalsignorecase",
    "stringlike",
    "stringnotequals",
    "stringnotequalsignorecase",
    "stringnotlike",
];

/// An operator with its parts told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator<'a> {
    /// `forallvalues` or `foranyvalue`.
    pub(super) set_operator: Option<&'a str>,
    /// Its name in lower case, without the parts around it.
    pub(super) name: &'a str,
    /// Whether a key that is absent meets the condition.
    pub(super) if_exists: bool,
}

impl<'a> Operator<'a> {
    /// Parses an operator in lower case; `None` if AWS has no such operator.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (set_operator, name) = match text.split_once(':') {
            Some((set @ ("forallvalues" | "foranyvalue"), name)) => (Some(set), name),
            Some(_) => return None,
            None => (None, text),
        };
        let (name, if_exists) = name
            .strip_suffix("ifexists")
            .map_or((name, false), |name| (name, true));
        // `Null` itself asks whether the key exists.
        let is_known = OPERATORS.contains(&name) && !(name == "null" && if_exists);
        is_known.then_some(Self {
            set_operator,
            name,
            if_exists,
        })
    }

    /// Whether it asks that the key has none of the values.
    pub(super) fn is_negated(self) -> bool {
        self.name.contains("not")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_known_operators_from_others() {
        for (text, is_known) in [
            ("stringequals", true),
            ("foranyvalue:stringlikeifexists", true),
            ("null", true),
            ("nullifexists", false),
            ("stringmatches", false),
            ("forsomevalues:stringequals", false),
            ("ifexists", false),
        ] {
            assert_eq!(Operator::parse(text).is_some(), is_known, "{text}");
        }
        assert!(Operator::parse("notipaddress").unwrap().is_negated());
        assert!(!Operator::parse("null").unwrap().is_negated());
    }
}
