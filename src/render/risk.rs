//! What a reviewer must not miss in a change: that it deletes, opens or grants something. Where there is no room for
//! everything, this is what is shown first.

use serde_json::Value;

use super::change_groups::ChangeGroup;
use crate::{
    kinds::fly::Ip,
    model::{DiffLine, DisplayValue, KindName as _},
    plan::{Change, Verb},
};

/// How dangerous a change or a line of it is, the most dangerous first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Risk {
    LosesData,
    /// Everything is granted, or something is granted to everyone.
    GrantsEverything,
    /// The public may get in.
    Opens,
    Deletes,
    /// Something more is granted.
    Grants,
    /// An app gets an address that the internet reaches.
    PublicAddress,
    /// Something becomes less safe, such as a bucket without versions.
    Weakens,
    Ordinary,
}

impl Risk {
    /// The risk in a few words; `None` for what the verb says already, and for an ordinary change.
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Self::GrantsEverything => Some("grants EVERYTHING or to EVERYONE"),
            Self::Opens => Some("opens to the public"),
            Self::Grants => Some("grants access"),
            Self::PublicAddress => Some("public address"),
            Self::Weakens => Some("weakens protection"),
            Self::LosesData | Self::Deletes | Self::Ordinary => None,
        }
    }

    /// Whether nobody may overlook it.
    pub(super) fn is_grave(self) -> bool {
        self <= Self::Opens
    }
}

impl ChangeGroup {
    /// The gravest risk of the change.
    pub(super) fn risk(&self) -> Risk {
        let lines = self.lines.iter().map(line_risk);
        lines
            .chain([self.verb_risk()])
            .min()
            .unwrap_or(Risk::Ordinary)
    }

    /// The risks of the lines, each once, the gravest first.
    pub(super) fn line_risks(&self) -> Vec<Risk> {
        let mut risks: Vec<Risk> = self.lines.iter().map(line_risk).collect();
        risks.push(self.verb_risk());
        risks.sort_unstable();
        risks.dedup();
        risks
    }

    fn verb_risk(&self) -> Risk {
        match self.verb() {
            _ if self.loses_data() => Risk::LosesData,
            Verb::Destroy | Verb::Replace => Risk::Deletes,
            Verb::Create if self.is_public_address() => Risk::PublicAddress,
            _ => Risk::Ordinary,
        }
    }

    /// Whether this is an address that the internet reaches.
    fn is_public_address(&self) -> bool {
        let is_address = |change: &Change| change.address.kind() == Ip::NAME;
        let private = |line: &DiffLine| shown_text(line.to.as_ref()).contains("private");
        self.members().iter().all(is_address) && !self.lines.iter().any(private)
    }
}

/// The risk of one line.
pub(super) fn line_risk(line: &DiffLine) -> Risk {
    let (path, note) = (line.path.as_str(), line.note.as_deref().unwrap_or_default());
    let to = shown_text(line.to.as_ref());
    let field = path.rsplit('.').next().unwrap_or_default();
    let is_policy = ["grants", "policy", "trust", "managed_policies"]
        .iter()
        .any(|start| path == *start || path.starts_with(&format!("{start}.")));
    if is_policy {
        // The description in words shouts where all is granted.
        let everything = [note, to.as_str()]
            .iter()
            .any(|text| text.contains("EVERYTHING") || text.contains("EVERYONE"));
        let is_wildcard = match &line.to {
            Some(DisplayValue::Value(Value::Object(statement))) if field != "Principal" => {
                let keys = ["Action", "Principal"];
                keys.iter()
                    .any(|key| statement.get(*key).is_some_and(has_wildcard))
            }
            Some(DisplayValue::Value(value)) => {
                matches!(field, "Action" | "Principal") && has_wildcard(value)
            }
            _ => false,
        };
        let is_administrator = path == "managed_policies" && to.contains("AdministratorAccess");
        let is_removal = line.to.is_none();
        let is_denial = to.contains("\"Effect\":\"Deny\"") || to.contains(" may never ");
        return match () {
            () if is_removal && path.contains(".Condition") => Risk::Grants,
            () if is_removal || is_denial => Risk::Ordinary,
            () if everything || is_administrator || is_wildcard => Risk::GrantsEverything,
            () => Risk::Grants,
        };
    }
    match path.split('.').next().unwrap_or_default() {
        "public_access_block" if to == "false" || to == "\"none\"" => Risk::Opens,
        "permissions_boundary" if line.to.is_none() => Risk::Grants,
        "versioning" if to == "false" => Risk::Weakens,
        // Such a note is there only where objects expire that did not before.
        "lifecycle" if !note.is_empty() => Risk::Deletes,
        "protected" if to == "false" => Risk::Weakens,
        _ => Risk::Ordinary,
    }
}

fn shown_text(value: Option<&DisplayValue>) -> String {
    match value {
        Some(DisplayValue::Value(json)) => json.to_string(),
        Some(DisplayValue::Words(words)) => words.clone(),
        Some(DisplayValue::Sensitive | DisplayValue::KnownAfterApply) | None => String::new(),
    }
}

/// Whether a value, or an item of it, is `*`.
fn has_wildcard(value: &Value) -> bool {
    match value {
        Value::String(text) => text == "*" || text == "*:*",
        Value::Array(items) => items.iter().any(has_wildcard),
        Value::Object(entries) => entries.values().any(has_wildcard),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grants_everything_is_recognized() {
        let everything = [
            DiffLine::add_text("grants", "may do EVERYTHING"),
            DiffLine::change("policy.p.S0.Action", "s3:GetObject", "*"),
            DiffLine::change(
                "policy.S0.Principal",
                "123",
                serde_json::json!({ "AWS": "*" }),
            ),
            DiffLine::add(
                "managed_policies",
                "arn:aws:iam::aws:policy/AdministratorAccess",
            ),
            DiffLine::add(
                "policy.p.Admin",
                serde_json::json!({ "Action": "*", "Effect": "Allow" }),
            ),
        ];
        for line in everything {
            assert_eq!(line_risk(&line), Risk::GrantsEverything, "{}", line.path);
        }
    }

    #[test]
    fn what_takes_away_is_no_risk() {
        let denial = serde_json::json!({ "Action": "*", "Effect": "Deny", "Principal": "*" });
        assert_eq!(
            line_risk(&DiffLine::add("policy.S0", denial)),
            Risk::Ordinary
        );
        for line in [
            DiffLine::remove_text("grants", "may do EVERYTHING"),
            DiffLine::remove("policy.p.Admin", "x"),
            DiffLine::change("public_access_block.acls", false, true),
            DiffLine::change("env.LOG_LEVEL", "info", "debug"),
        ] {
            assert_eq!(line_risk(&line), Risk::Ordinary, "{}", line.path);
        }
        let opened = DiffLine::change("public_access_block.acls", true, false);
        assert_eq!(line_risk(&opened), Risk::Opens);
    }
}
