//! Translates addresses to Terraform's syntax, in which names contain neither `/` nor `.`. Distinct addresses can become
//! equal; the plan document then numbers them.

use crate::model::Address;

/// The resource type: `trimtab_fly_machine` for `fly.machine`.
pub(in crate::render) fn resource_type(address: &Address) -> String {
    format!("trimtab_{}", to_identifier(address.kind()))
}

/// The resource name: `web_app_ewr_0` for `web/app/ewr/0`.
pub(in crate::render) fn resource_name(address: &Address) -> String {
    let name = to_identifier(address.name().as_str());
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name
    } else {
        format!("_{name}")
    }
}

/// Replaces every character that Terraform allows in no identifier with `_`.
fn to_identifier(text: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    text.chars()
        .map(|c| if is_allowed(c) { c } else { '_' })
        .collect()
}
