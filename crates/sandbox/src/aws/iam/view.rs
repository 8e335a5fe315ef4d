//! How roles and tags look in answers.

use super::Role;
use crate::aws::request::encode;
use crate::aws::xml::Node;
use crate::clock;

/// `member` elements.
pub(super) fn members(name: &str, texts: impl IntoIterator<Item = impl ToString>) -> Node {
    Node::new(name).all(texts.into_iter().map(|text| Node::leaf("member", text)))
}

/// Tags; none when there are none.
pub(super) fn tags(tags: &[(String, String)]) -> Node {
    let one =
        |(key, value): &(String, String)| Node::new("member").text("Key", key).text("Value", value);
    Node::new("Tags").all(tags.iter().map(one))
}

/// A role as lists show it: without tags, boundary and use.
pub(super) fn listed(name: &str, role: &Role, account: &str) -> Node {
    let node = Node::new(name)
        .text("Path", &role.path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id);
    let node = node
        .text("Arn", role.arn(account))
        .text("CreateDate", clock::seconds(role.created_ms));
    let node = node.text("AssumeRolePolicyDocument", encode(&role.trust));
    node.maybe("Description", role.description.as_ref())
        .text("MaxSessionDuration", role.max_session_s)
}

/// A role in full.
pub(super) fn role(role: &Role, account: &str) -> Node {
    let mut node = listed("Role", role, account);
    if let Some(arn) = &role.boundary {
        let boundary = Node::new("PermissionsBoundary").text("PermissionsBoundaryType", "Policy");
        node = node.with(boundary.text("PermissionsBoundaryArn", arn));
    }
    if !role.tags.is_empty() {
        node = node.with(tags(&role.tags));
    }
    let used = Node::new("RoleLastUsed").maybe("LastUsedDate", role.used_ms.map(clock::seconds));
    node.with(used)
}
