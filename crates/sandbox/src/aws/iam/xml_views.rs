//! Renders roles and tags for IAM's responses.

use super::IamRole;
use crate::aws::request::percent_encode;
use crate::aws::xml::XmlNode;
use crate::clock;

/// A list of strings as `member` elements.
pub(super) fn member_list(name: &str, texts: impl IntoIterator<Item = impl ToString>) -> XmlNode {
    XmlNode::new(name).with_children(texts.into_iter().map(|text| XmlNode::leaf("member", text)))
}

/// A `Tags` element, empty if there are no tags.
pub(super) fn tags_node(tags: &[(String, String)]) -> XmlNode {
    let member = |(key, value): &(String, String)| {
        XmlNode::new("member")
            .with_text("Key", key)
            .with_text("Value", value)
    };
    XmlNode::new("Tags").with_children(tags.iter().map(member))
}

/// A role as `ListRoles` shows it: without tags, boundary and last use.
pub(super) fn role_summary(name: &str, role: &IamRole, account: &str) -> XmlNode {
    let node = XmlNode::new(name)
        .with_text("Path", &role.path)
        .with_text("RoleName", &role.name)
        .with_text("RoleId", &role.id);
    let node = node
        .with_text("Arn", role.arn(account))
        .with_text("CreateDate", clock::format_seconds(role.created_ms));
    let node = node.with_text("AssumeRolePolicyDocument", percent_encode(&role.trust));
    node.with_optional_text("Description", role.description.as_ref())
        .with_text("MaxSessionDuration", role.max_session_s)
}

/// A role as `GetRole` shows it.
pub(super) fn role_detail(role: &IamRole, account: &str) -> XmlNode {
    let mut node = role_summary("Role", role, account);
    if let Some(arn) = &role.boundary {
        let boundary =
            XmlNode::new("PermissionsBoundary").with_text("PermissionsBoundaryType", "Policy");
        node = node.with_child(boundary.with_text("PermissionsBoundaryArn", arn));
    }
    if !role.tags.is_empty() {
        node = node.with_child(tags_node(&role.tags));
    }
    let last_used = XmlNode::new("RoleLastUsed")
        .with_optional_text("LastUsedDate", role.used_ms.map(clock::format_seconds));
    node.with_child(last_used)
}
