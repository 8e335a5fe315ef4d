//! Replaces a deleted principal in policies by its unique id, as IAM does. A new principal of the same
//! name then gets no access.

use serde_json::Value;

/// Replaces a principal's ARN in a policy by its unique id. `None` if the policy does not name it.
pub(crate) fn replace_deleted_principal(text: &str, arn: &str, id: &str) -> Option<String> {
    let mut policy: Value = serde_json::from_str(text).ok()?;
    let statements = match policy.get_mut("Statement")? {
        Value::Array(list) => list.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    let mut found = false;
    for statement in statements {
        for field in ["Principal", "NotPrincipal"] {
            let names = statement
                .get_mut(field)
                .and_then(|principals| principals.get_mut("AWS"));
            let names = match names {
                Some(Value::Array(list)) => list.as_mut_slice(),
                Some(one) => std::slice::from_mut(one),
                None => continue,
            };
            for name in names.iter_mut().filter(|name| **name == arn) {
                *name = Value::String(id.to_owned());
                found = true;
            }
        }
    }
    found.then(|| policy.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_deleted_principal_is_replaced() {
        let text =
            r#"{"Statement":[{"Principal":{"AWS":["a","b"]},"Resource":"a"},{"Principal":"*"}]}"#;
        let turned = r#"{"Statement":[{"Principal":{"AWS":["AROA","b"]},"Resource":"a"},{"Principal":"*"}]}"#;
        assert_eq!(
            replace_deleted_principal(text, "a", "AROA").as_deref(),
            Some(turned)
        );
        let one = r#"{"Statement":{"NotPrincipal":{"AWS":"a"}}}"#;
        assert_eq!(
            replace_deleted_principal(one, "a", "X").as_deref(),
            Some(r#"{"Statement":{"NotPrincipal":{"AWS":"X"}}}"#)
        );
        assert_eq!(replace_deleted_principal(text, "c", "AROA"), None);
        assert_eq!(replace_deleted_principal("{", "a", "AROA"), None);
    }
}
