//! Replaces canonical user ids in bucket policies by ARNs, as S3 does when it stores a policy.

use serde_json::{Value, json};

/// Moves the `CanonicalUser` principals of a policy to its `AWS` principals. `arn_of` gives the ARN of a
/// canonical user id.
///
/// # Errors
/// The error message of S3 for an id without an ARN.
pub(crate) fn replace_canonical_users(
    policy: &mut Value,
    arn_of: impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let statements = match policy.get_mut("Statement") {
        Some(Value::Array(list)) => list.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => return Ok(()),
    };
    let principals = statements.iter_mut().flat_map(|statement| {
        let fields = statement.as_object_mut().into_iter().flatten();
        fields.filter(|(name, _)| matches!(name.as_str(), "Principal" | "NotPrincipal"))
    });
    for principal in principals.filter_map(|(_, value)| value.as_object_mut()) {
        let Some(ids) = principal.remove("CanonicalUser") else {
            continue;
        };
        let mut names = principal.remove("AWS").map(into_list).unwrap_or_default();
        for id in into_list(ids) {
            let arn = id.as_str().and_then(&arn_of);
            names.push(arn.ok_or("Invalid principal in policy")?.into());
        }
        principal.insert("AWS".to_owned(), json!(names));
    }
    Ok(())
}

fn into_list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        one => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_users_join_the_other_aws_principals() {
        let mut policy = json!({ "Statement": [
            { "Principal": { "CanonicalUser": "a", "Service": "s" } },
            { "NotPrincipal": { "AWS": "x", "CanonicalUser": ["a", "b"] } },
            { "Principal": "*", "Resource": "a" },
        ] });
        let arn = |id: &str| (id != "c").then(|| format!("arn:{id}"));
        replace_canonical_users(&mut policy, arn).unwrap();
        let expected = json!({ "Statement": [
            { "Principal": { "AWS": ["arn:a"], "Service": "s" } },
            { "NotPrincipal": { "AWS": ["x", "arn:a", "arn:b"] } },
            { "Principal": "*", "Resource": "a" },
        ] });
        assert_eq!(policy, expected);
        let mut unknown = json!({ "Statement": { "Principal": { "CanonicalUser": "c" } } });
        assert!(replace_canonical_users(&mut unknown, arn).is_err());
    }
}
