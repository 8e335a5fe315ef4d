//! Parses policy documents and rejects those that AWS rejects, with AWS's messages.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::condition::PolicyCondition;

/// A parsed policy document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyDocument {
    pub(crate) statements: Vec<PolicyStatement>,
}

/// An `Action` or `Resource` element, or its negated form (`NotAction`, `NotResource`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PatternSet {
    pub(crate) negated: bool,
    pub(crate) patterns: Vec<String>,
}

/// A `Principal` or `NotPrincipal` element: names by principal type (`AWS`, `Federated`, `Service`,
/// `CanonicalUser`). The short form `"*"` is stored as `{"AWS": ["*"]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Principals {
    pub(crate) negated: bool,
    pub(crate) by_type: BTreeMap<String, Vec<String>>,
}

/// One statement of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyStatement {
    pub(crate) sid: Option<String>,
    pub(crate) allow: bool,
    pub(crate) principals: Option<Principals>,
    pub(crate) actions: PatternSet,
    pub(crate) resources: Option<PatternSet>,
    pub(crate) conditions: Vec<PolicyCondition>,
}

const SYNTAX_ERROR: &str = "Syntax errors in policy.";

/// Parses an identity-based policy, a session policy or a managed policy.
///
/// # Errors
/// The error message of IAM.
pub(crate) fn parse_identity_policy(text: &str) -> Result<PolicyDocument, String> {
    let document = parse_document(text)?;
    for statement in &document.statements {
        if statement.principals.is_some() {
            return Err("Policy document should not specify a principal.".to_owned());
        }
        check_sid(statement)?;
        if statement.actions.patterns.is_empty() {
            return Err("Policy statement must contain actions.".to_owned());
        }
        let resources = statement
            .resources
            .as_ref()
            .filter(|names| !names.patterns.is_empty());
        let resources = resources.ok_or("Policy statement must contain resources.")?;
        resources
            .patterns
            .iter()
            .try_for_each(|name| check_resource(name))?;
    }
    Ok(document)
}

/// Parses the trust policy of a role. `exists` tells whether an ARN names an existing principal.
///
/// # Errors
/// The error message of IAM.
pub(crate) fn parse_trust_policy(
    text: &str,
    exists: impl Fn(&str) -> bool,
) -> Result<PolicyDocument, String> {
    let document = parse_document(text)?;
    for statement in &document.statements {
        if statement.resources.is_some() {
            return Err("Has prohibited field Resource.".to_owned());
        }
        let principals = statement
            .principals
            .as_ref()
            .ok_or("Missing required field Principal.")?;
        check_sid(statement)?;
        check_principals(principals, with_accounts_and_wildcard(&exists))?;
        if !statement
            .actions
            .patterns
            .iter()
            .all(|action| is_assume_role_action(action))
        {
            return Err("AssumeRole policy may only specify STS AssumeRole actions.".to_owned());
        }
    }
    Ok(document)
}

/// Checks a statement id. IAM accepts only letters and digits; S3 accepts more, so bucket policies are
/// not checked.
fn check_sid(statement: &PolicyStatement) -> Result<(), String> {
    let sid = statement.sid.as_deref().unwrap_or_default();
    match sid.chars().all(|c| c.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression \
                      [0-9A-Za-z]*"
            .to_owned()),
    }
}

/// Checks that a resource is `*` or an ARN with all six parts.
fn check_resource(name: &str) -> Result<(), String> {
    match name.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["*"] => Ok(()),
        ["arn", partition, _, _, _, _]
            if partition.contains(['*', '?']) || partition.starts_with("aws") =>
        {
            Ok(())
        }
        ["arn", partition, ..]
            if !partition.contains(['*', '?']) && !partition.starts_with("aws") =>
        {
            Err(format!(
                "Partition \"{partition}\" is not valid for resource \"{name}\"."
            ))
        }
        _ => Err(format!("Resource {name} must be in ARN format or \"*\".")),
    }
}

/// Whether an action may stand in a trust policy.
fn is_assume_role_action(action: &str) -> bool {
    /// Actions that only modify an `AssumeRole` call.
    const SESSION_ACTIONS: [&str; 3] = ["tagsession", "setsourceidentity", "setcontext"];
    let action = action.to_ascii_lowercase();
    let Some(name) = action.strip_prefix("sts:") else {
        return action == "*";
    };
    name.starts_with("assumerole") || SESSION_ACTIONS.contains(&name) || name.contains(['*', '?'])
}

/// Parses the policy of a bucket. `exists` tells whether an ARN names an existing principal.
///
/// # Errors
/// The error message of S3.
pub(crate) fn parse_bucket_policy(
    text: &str,
    bucket: &str,
    exists: impl Fn(&str) -> bool,
) -> Result<PolicyDocument, String> {
    if !text.trim_start().starts_with('{') {
        return Err("Policies must be valid JSON and the first byte must be '{'".to_owned());
    }
    let document = parse_document(text)?;
    let arn = format!("arn:aws:s3:::{bucket}");
    for statement in &document.statements {
        let principals = statement
            .principals
            .as_ref()
            .ok_or("Missing required field Principal")?;
        check_principals(principals, with_accounts_and_wildcard(&exists))
            .map_err(|_| "Invalid principal in policy")?;
        let actions = &statement.actions.patterns;
        if !actions
            .iter()
            .all(|action| action == "*" || action.to_ascii_lowercase().starts_with("s3:"))
        {
            return Err("Policy has invalid action".to_owned());
        }
        let resources = &statement
            .resources
            .as_ref()
            .ok_or("Missing required field Resource")?
            .patterns;
        let is_in_bucket = |name: &String| {
            name.strip_prefix(&arn)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '*']))
        };
        if !resources.iter().all(is_in_bucket) {
            return Err("Policy has invalid resource".to_owned());
        }
        // S3 rejects statements that could never match, such as an object action on the bucket itself.
        let is_applicable = |action: &String| {
            action.contains(['*', '?'])
                || resources
                    .iter()
                    .any(|name| action_applies_to(action, &name[arn.len()..]))
        };
        if !actions.iter().all(is_applicable) {
            return Err("Action does not apply to any resource(s) in statement".to_owned());
        }
    }
    Ok(document)
}

/// Whether an S3 action applies to a resource. `rest` is the part of the resource after the bucket name.
fn action_applies_to(action: &str, rest: &str) -> bool {
    rest.starts_with('*') || rest.starts_with('/') == is_object_action(action)
}

fn is_object_action(action: &str) -> bool {
    let name = action.to_ascii_lowercase();
    let object = name.contains("object") && !name.contains("bucketobjectlock");
    object
        || [
            ":abortmultipartupload",
            ":bypassgovernanceretention",
            ":listmultipartuploadparts",
            ":replicatedelete",
            ":replicatetags",
        ]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn with_accounts_and_wildcard<'a>(exists: &'a dyn Fn(&str) -> bool) -> impl Fn(&str) -> bool + 'a {
    move |name| name == "*" || crate::aws::access_keys::is_account_id(name) || exists(name)
}

fn check_principals(principals: &Principals, exists: impl Fn(&str) -> bool) -> Result<(), String> {
    for (kind, names) in &principals.by_type {
        for name in names {
            let known = match kind.as_str() {
                "AWS" => exists(name),
                // IAM does not check that a provider exists. A token of an unknown provider is rejected later.
                "Federated" | "CanonicalUser" => true,
                "Service" => name.ends_with(".amazonaws.com"),
                _ => return Err(SYNTAX_ERROR.to_owned()),
            };
            if !known {
                return Err(format!(
                    "Invalid principal in policy: \"{kind}\":\"{name}\""
                ));
            }
        }
    }
    Ok(())
}

fn parse_document(text: &str) -> Result<PolicyDocument, String> {
    let value: Value = serde_json::from_str(text).map_err(|_| SYNTAX_ERROR)?;
    let policy = value.as_object().ok_or(SYNTAX_ERROR)?;
    if policy
        .keys()
        .any(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement"))
    {
        return Err(SYNTAX_ERROR.to_owned());
    }
    if let Some(version) = policy
        .get("Version")
        .filter(|v| **v != "2012-10-17" && **v != "2008-10-17")
    {
        return Err(format!(
            "The policy must contain a valid version string, not {version}"
        ));
    }
    let values = match policy.get("Statement") {
        Some(Value::Array(values)) if !values.is_empty() => values.as_slice(),
        Some(single @ Value::Object(_)) => std::slice::from_ref(single),
        _ => return Err("Missing required field Statement".to_owned()),
    };
    let statements = values
        .iter()
        .map(parse_statement)
        .collect::<Result<Vec<_>, _>>()?;
    let mut sids = BTreeSet::new();
    if !statements
        .iter()
        .filter_map(|statement| statement.sid.as_ref())
        .all(|sid| sids.insert(sid))
    {
        return Err("Statement IDs (SID) in a single policy must be unique.".to_owned());
    }
    Ok(PolicyDocument { statements })
}

const STATEMENT_FIELDS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

fn parse_statement(value: &Value) -> Result<PolicyStatement, String> {
    let fields = value.as_object().ok_or(SYNTAX_ERROR)?;
    if fields
        .keys()
        .any(|key| !STATEMENT_FIELDS.contains(&key.as_str()))
    {
        return Err(SYNTAX_ERROR.to_owned());
    }
    let sid = match fields.get("Sid") {
        Some(sid) => Some(sid.as_str().ok_or(SYNTAX_ERROR)?.to_owned()),
        None => None,
    };
    let allow = match fields.get("Effect").map(Value::as_str) {
        Some(Some("Allow")) => true,
        Some(Some("Deny")) => false,
        Some(other) => return Err(format!("Invalid effect: {}", other.unwrap_or_default())),
        None => return Err("Missing required field Effect".to_owned()),
    };
    let actions =
        parse_patterns(fields, "Action", "NotAction")?.ok_or("Missing required field Action")?;
    if actions
        .patterns
        .iter()
        .any(|action| action != "*" && !action.contains(':'))
    {
        return Err(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned(),
        );
    }
    let resources = parse_patterns(fields, "Resource", "NotResource")?;
    let conditions = parse_conditions(fields.get("Condition"))?;
    Ok(PolicyStatement {
        sid,
        allow,
        principals: parse_principals(fields)?,
        actions,
        resources,
        conditions,
    })
}

fn parse_patterns(
    fields: &Map<String, Value>,
    name: &str,
    not: &str,
) -> Result<Option<PatternSet>, String> {
    match (fields.get(name), fields.get(not)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(PatternSet {
            negated: false,
            patterns: parse_strings(value)?,
        })),
        (None, Some(value)) => Ok(Some(PatternSet {
            negated: true,
            patterns: parse_strings(value)?,
        })),
        (Some(_), Some(_)) => Err(SYNTAX_ERROR.to_owned()),
    }
}

fn parse_principals(fields: &Map<String, Value>) -> Result<Option<Principals>, String> {
    let (not, value) = match (fields.get("Principal"), fields.get("NotPrincipal")) {
        (None, None) => return Ok(None),
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
        (Some(_), Some(_)) => return Err(SYNTAX_ERROR.to_owned()),
    };
    let by_kind = match value {
        Value::String(all) if all == "*" => [("AWS".to_owned(), vec!["*".to_owned()])].into(),
        Value::Object(kinds) if !kinds.is_empty() => {
            let read = |(kind, names): (&String, &Value)| Ok((kind.clone(), parse_strings(names)?));
            kinds.iter().map(read).collect::<Result<_, String>>()?
        }
        _ => return Err("Invalid principal in policy".to_owned()),
    };
    Ok(Some(Principals {
        negated: not,
        by_type: by_kind,
    }))
}

fn parse_conditions(value: Option<&Value>) -> Result<Vec<PolicyCondition>, String> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let mut conditions = Vec::new();
    for (operator, keys) in value.as_object().ok_or(SYNTAX_ERROR)? {
        for (key, values) in keys.as_object().ok_or(SYNTAX_ERROR)? {
            let condition = PolicyCondition::parse(operator, key, parse_strings(values)?);
            conditions
                .push(condition.ok_or_else(|| format!("Invalid Condition type : {operator}."))?);
        }
    }
    Ok(conditions)
}

/// Parses a string or a list of strings. Numbers and booleans become strings.
fn parse_strings(value: &Value) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(SYNTAX_ERROR.to_owned()),
    };
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        single => Ok(vec![text(single)?]),
    }
}

/// The form in which S3 returns a bucket policy: a list of one element becomes the element, booleans
/// become strings, and an account id becomes the ARN of the account's root.
pub(crate) fn normalize(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let normalize_entry = |(name, value): (&String, &Value)| {
                (name.clone(), normalize_field(name, normalize(value)))
            };
            Value::Object(fields.iter().map(normalize_entry).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(normalize).collect()),
        Value::Bool(truth) => Value::String(truth.to_string()),
        other => other.clone(),
    }
}

fn normalize_field(name: &str, value: Value) -> Value {
    match value {
        Value::Array(mut values) if name != "Statement" && values.len() == 1 => {
            normalize_field(name, values.remove(0))
        }
        Value::Array(values) if name == "AWS" => {
            let values = values.into_iter();
            values.map(|value| normalize_field(name, value)).collect()
        }
        Value::String(text) if name == "AWS" && crate::aws::access_keys::is_account_id(&text) => {
            Value::String(format!("arn:aws:iam::{text}:root"))
        }
        other => other,
    }
}
