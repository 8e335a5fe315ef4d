//! Reading policy documents, and refusing those that AWS refuses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::condition::Condition;

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) statements: Vec<Statement>,
}

/// Names that a statement is, or with `Not`, is not about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) not: bool,
    pub(crate) list: Vec<String>,
}

/// Whom a statement is about: kinds (`AWS`, `Federated`, `Service`) and their names; `"*"` is `AWS: *`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Principals {
    pub(crate) not: bool,
    pub(crate) by_kind: BTreeMap<String, Vec<String>>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) allow: bool,
    pub(crate) principals: Option<Principals>,
    pub(crate) actions: Names,
    pub(crate) resources: Option<Names>,
    pub(crate) conditions: Vec<Condition>,
}

const SYNTAX: &str = "Syntax errors in policy.";

/// A policy of a user or role.
///
/// # Errors
/// What IAM says against it.
pub(crate) fn identity(text: &str) -> Result<Document, String> {
    let document = read(text)?;
    for statement in &document.statements {
        if statement.principals.is_some() {
            return Err("Policy document should not specify a principal.".to_owned());
        }
        check_sid(statement)?;
        if statement.actions.list.is_empty() {
            return Err("Policy statement must contain actions.".to_owned());
        }
        let resources = statement
            .resources
            .as_ref()
            .filter(|names| !names.list.is_empty());
        let resources = resources.ok_or("Policy statement must contain resources.")?;
        resources
            .list
            .iter()
            .try_for_each(|name| check_resource(name))?;
    }
    Ok(document)
}

/// A role's trust policy; `exists` knows the users and roles that there are.
///
/// # Errors
/// What IAM says against it.
pub(crate) fn trust(text: &str, exists: impl Fn(&str) -> bool) -> Result<Document, String> {
    let document = read(text)?;
    for statement in &document.statements {
        if statement.resources.is_some() {
            return Err("Has prohibited field Resource.".to_owned());
        }
        let principals = statement
            .principals
            .as_ref()
            .ok_or("Missing required field Principal.")?;
        check_sid(statement)?;
        check_principals(principals, exists_or(&exists))?;
        if !statement
            .actions
            .list
            .iter()
            .all(|action| is_about_assuming(action))
        {
            return Err("AssumeRole policy may only specify STS AssumeRole actions.".to_owned());
        }
    }
    Ok(document)
}

/// IAM's identifiers of statements have letters and digits alone; S3 is not so strict.
fn check_sid(statement: &Statement) -> Result<(), String> {
    let sid = statement.sid.as_deref().unwrap_or_default();
    match sid.chars().all(|c| c.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression \
                      [0-9A-Za-z]*"
            .to_owned()),
    }
}

/// `*`, or an ARN with all of its parts.
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

/// Whether an action has to do with assuming a role.
fn is_about_assuming(action: &str) -> bool {
    const BESIDE: [&str; 3] = ["tagsession", "setsourceidentity", "setcontext"];
    let action = action.to_ascii_lowercase();
    let Some(name) = action.strip_prefix("sts:") else {
        return action == "*";
    };
    name.starts_with("assumerole") || BESIDE.contains(&name) || name.contains(['*', '?'])
}

/// The policy of a bucket.
///
/// # Errors
/// What S3 says against it.
pub(crate) fn bucket(
    text: &str,
    bucket: &str,
    exists: impl Fn(&str) -> bool,
) -> Result<Document, String> {
    if !text.trim_start().starts_with('{') {
        return Err("Policies must be valid JSON and the first byte must be '{'".to_owned());
    }
    let document = read(text)?;
    let arn = format!("arn:aws:s3:::{bucket}");
    for statement in &document.statements {
        let principals = statement
            .principals
            .as_ref()
            .ok_or("Missing required field Principal")?;
        check_principals(principals, exists_or(&exists))
            .map_err(|_| "Invalid principal in policy")?;
        let actions = &statement.actions.list;
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
            .list;
        let inside = |name: &String| {
            name.strip_prefix(&arn)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '*']))
        };
        if !resources.iter().all(inside) {
            return Err("Policy has invalid resource".to_owned());
        }
        let applies = |action: &String| {
            action.contains(['*', '?'])
                || resources
                    .iter()
                    .any(|name| fits(action, &name[arn.len()..]))
        };
        if !actions.iter().all(applies) {
            return Err("Action does not apply to any resource(s) in statement".to_owned());
        }
    }
    Ok(document)
}

/// Whether an action can be done to a resource, of which this is what follows the bucket's name.
fn fits(action: &str, rest: &str) -> bool {
    rest.starts_with('*') || rest.starts_with('/') == is_about_objects(action)
}

fn is_about_objects(action: &str) -> bool {
    let name = action.to_ascii_lowercase();
    let object = name.contains("object") && !name.contains("bucketobjectlock");
    object || name.ends_with(":abortmultipartupload") || name.ends_with(":listmultipartuploadparts")
}

fn exists_or<'a>(exists: &'a dyn Fn(&str) -> bool) -> impl Fn(&str) -> bool + 'a {
    move |name| name == "*" || crate::aws::keys::is_account(name) || exists(name)
}

fn check_principals(principals: &Principals, exists: impl Fn(&str) -> bool) -> Result<(), String> {
    for (kind, names) in &principals.by_kind {
        for name in names {
            let known = match kind.as_str() {
                "AWS" => exists(name),
                // Nobody looks whether a provider is there: that shows when a token comes.
                "Federated" | "CanonicalUser" => true,
                "Service" => name.ends_with(".amazonaws.com"),
                _ => return Err(SYNTAX.to_owned()),
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

fn read(text: &str) -> Result<Document, String> {
    let value: Value = serde_json::from_str(text).map_err(|_| SYNTAX)?;
    let top = value.as_object().ok_or(SYNTAX)?;
    if top
        .keys()
        .any(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement"))
    {
        return Err(SYNTAX.to_owned());
    }
    if let Some(version) = top
        .get("Version")
        .filter(|v| **v != "2012-10-17" && **v != "2008-10-17")
    {
        return Err(format!(
            "The policy must contain a valid version string, not {version}"
        ));
    }
    let list = match top.get("Statement") {
        Some(Value::Array(list)) if !list.is_empty() => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err("Missing required field Statement".to_owned()),
    };
    let statements = list.iter().map(statement).collect::<Result<Vec<_>, _>>()?;
    let mut sids = BTreeSet::new();
    if !statements
        .iter()
        .filter_map(|statement| statement.sid.as_ref())
        .all(|sid| sids.insert(sid))
    {
        return Err("Statement IDs (SID) in a single policy must be unique.".to_owned());
    }
    Ok(Document { statements })
}

const FIELDS: [&str; 9] = [
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

fn statement(value: &Value) -> Result<Statement, String> {
    let fields = value.as_object().ok_or(SYNTAX)?;
    if fields.keys().any(|key| !FIELDS.contains(&key.as_str())) {
        return Err(SYNTAX.to_owned());
    }
    let sid = match fields.get("Sid") {
        Some(sid) => Some(sid.as_str().ok_or(SYNTAX)?.to_owned()),
        None => None,
    };
    let allow = match fields.get("Effect").map(Value::as_str) {
        Some(Some("Allow")) => true,
        Some(Some("Deny")) => false,
        Some(other) => return Err(format!("Invalid effect: {}", other.unwrap_or_default())),
        None => return Err("Missing required field Effect".to_owned()),
    };
    let actions = names(fields, "Action", "NotAction")?.ok_or("Missing required field Action")?;
    if actions
        .list
        .iter()
        .any(|action| action != "*" && !action.contains(':'))
    {
        return Err(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned(),
        );
    }
    let resources = names(fields, "Resource", "NotResource")?;
    let conditions = conditions(fields.get("Condition"))?;
    Ok(Statement {
        sid,
        allow,
        principals: principals(fields)?,
        actions,
        resources,
        conditions,
    })
}

fn names(fields: &Map<String, Value>, name: &str, not: &str) -> Result<Option<Names>, String> {
    match (fields.get(name), fields.get(not)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(Names {
            not: false,
            list: texts(value)?,
        })),
        (None, Some(value)) => Ok(Some(Names {
            not: true,
            list: texts(value)?,
        })),
        (Some(_), Some(_)) => Err(SYNTAX.to_owned()),
    }
}

fn principals(fields: &Map<String, Value>) -> Result<Option<Principals>, String> {
    let (not, value) = match (fields.get("Principal"), fields.get("NotPrincipal")) {
        (None, None) => return Ok(None),
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
        (Some(_), Some(_)) => return Err(SYNTAX.to_owned()),
    };
    let by_kind = match value {
        Value::String(all) if all == "*" => [("AWS".to_owned(), vec!["*".to_owned()])].into(),
        Value::Object(kinds) if !kinds.is_empty() => {
            let read = |(kind, names): (&String, &Value)| Ok((kind.clone(), texts(names)?));
            kinds.iter().map(read).collect::<Result<_, String>>()?
        }
        _ => return Err("Invalid principal in policy".to_owned()),
    };
    Ok(Some(Principals { not, by_kind }))
}

fn conditions(value: Option<&Value>) -> Result<Vec<Condition>, String> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let mut conditions = Vec::new();
    for (operator, keys) in value.as_object().ok_or(SYNTAX)? {
        for (key, values) in keys.as_object().ok_or(SYNTAX)? {
            let condition = Condition::read(operator, key, texts(values)?);
            conditions
                .push(condition.ok_or_else(|| format!("Invalid Condition type : {operator}."))?);
        }
    }
    Ok(conditions)
}

/// One text or a list; numbers and truth values count as texts.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(SYNTAX.to_owned()),
    };
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

/// The document as S3 keeps it: lists of one are the one, truth values are texts, and an account is its root.
pub(crate) fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let one = |(name, value): (&String, &Value)| (name.clone(), field(name, normal(value)));
            Value::Object(fields.iter().map(one).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(normal).collect()),
        Value::Bool(truth) => Value::String(truth.to_string()),
        other => other.clone(),
    }
}

fn field(name: &str, value: Value) -> Value {
    match value {
        Value::Array(mut list) if name != "Statement" && list.len() == 1 => {
            field(name, list.remove(0))
        }
        Value::String(text) if name == "AWS" && crate::aws::keys::is_account(&text) => {
            Value::String(format!("arn:aws:iam::{text}:root"))
        }
        other => other,
    }
}
