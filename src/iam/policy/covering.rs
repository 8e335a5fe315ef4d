//! Whether a document grants at least what another one does, as far as it can be told from the
//! statements without knowing what exists.

use super::{
    PolicyDocument, Statement,
    statement::{Effect, ElementValues},
};

impl PolicyDocument {
    /// Whether everything that `other` allows is allowed here, and nothing is denied that `other` does
    /// not deny. False where it cannot be told.
    #[must_use]
    pub fn grants_all_of(&self, other: &Self) -> bool {
        let with_effect = |document: &Self, effect: Effect| {
            let statements = document.statements.iter();
            statements
                .filter(|statement| statement.effect == effect)
                .cloned()
                .collect::<Vec<_>>()
        };
        let all_covered = |wide: Vec<Statement>, narrow: Vec<Statement>| {
            narrow
                .iter()
                .all(|narrow| wide.iter().any(|wide| wide.covers(narrow)))
        };
        self.version == other.version
            && all_covered(
                with_effect(self, Effect::Allow),
                with_effect(other, Effect::Allow),
            )
            && all_covered(
                with_effect(other, Effect::Deny),
                with_effect(self, Effect::Deny),
            )
    }
}

impl Statement {
    /// Whether this statement applies to every request that `other`, of the same effect, applies to.
    fn covers(&self, other: &Self) -> bool {
        let contains = |wide: &ElementValues, narrow: &ElementValues| {
            !wide.negated && !narrow.negated && narrow.values.is_subset(&wide.values)
        };
        let covers_resources = match (&self.resources, &other.resources) {
            (Some(wide), Some(narrow)) => contains(wide, narrow),
            (None, None) => true,
            _ => false,
        };
        // Equal statements may have negated elements, which are not compared one by one.
        let same_but_sid = Self {
            sid: other.sid.clone(),
            ..self.clone()
        } == *other;
        same_but_sid
            || (self.conditions == other.conditions
                && self.principals.is_none()
                && other.principals.is_none()
                && self.other_elements == other.other_elements
                && contains(&self.actions, &other.actions)
                && covers_resources)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(statements: &Value) -> PolicyDocument {
        PolicyDocument::from_json(&json!({ "Version": "2012-10-17", "Statement": statements }))
            .unwrap()
    }

    #[test]
    fn more_actions_and_fewer_denials_grant_at_least_as_much() {
        let read =
            json!({ "Sid": "A", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" });
        let both = json!({ "Sid": "B", "Effect": "Allow", "Action": ["s3:getobject", "s3:PutObject"], "Resource": "*" });
        let only_tls = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*",
            "Condition": { "Bool": { "aws:SecureTransport": "true" } } });
        let deny = json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*" });
        let all_but = json!({ "Effect": "Allow", "NotAction": "iam:*", "Resource": "*" });
        let grants = |to: Value, from: Value| document(&to).grants_all_of(&document(&from));
        assert!(grants(json!([both]), json!([read])));
        assert!(!grants(json!([read]), json!([both])));
        assert!(!grants(json!([only_tls]), json!([read])));
        assert!(!grants(json!([read, deny]), json!([read])));
        assert!(grants(json!([read]), json!([read, deny])));
        assert!(grants(json!([all_but]), json!([all_but])));
    }
}
