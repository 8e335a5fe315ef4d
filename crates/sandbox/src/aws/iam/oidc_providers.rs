//! OIDC identity providers: the issuers whose tokens an account accepts.

use super::query::QueryCall;
use super::removals::Removal;
use super::{OidcProvider, tags, xml_views};
use crate::aws::response::AwsError;
use crate::aws::xml::XmlNode;
use crate::clock;
use crate::ids;

const CLIENTS_MAX: usize = 100;
const THUMBPRINTS_MAX: usize = 5;

/// The ARN of the provider for an issuer URL.
pub(crate) fn provider_arn(account: &str, url: &str) -> String {
    let url = url.strip_prefix("https://").unwrap_or(url);
    format!("arn:aws:iam::{account}:oidc-provider/{url}")
}

/// Finds the provider that `OpenIDConnectProviderArn` names.
///
/// # Errors
/// `404 NoSuchEntity`.
pub(super) fn find<'a>(call: &'a QueryCall<'_>) -> Result<&'a OidcProvider, AwsError> {
    let arn = call.require("OpenIDConnectProviderArn")?;
    let provider = call
        .account_state()
        .and_then(|account| account.providers.get(&arn));
    provider.ok_or_else(|| no_such_provider(&arn))
}

/// Like [`find`] for reads, which can still show a provider that was just deleted.
///
/// # Errors
/// As [`find`].
pub(super) fn find_visible(call: &QueryCall<'_>) -> Result<OidcProvider, AwsError> {
    let arn = call.require("OpenIDConnectProviderArn")?;
    let provider = call
        .visible_account()
        .and_then(|account| account.providers.get(&arn).cloned());
    provider.ok_or_else(|| no_such_provider(&arn))
}

/// Like [`find`], to change the provider.
///
/// # Errors
/// As [`find`].
pub(super) fn find_mut<'a>(call: &'a mut QueryCall<'_>) -> Result<&'a mut OidcProvider, AwsError> {
    find(call)?;
    let arn = call.require("OpenIDConnectProviderArn")?;
    call.account_state_mut()
        .providers
        .get_mut(&arn)
        .ok_or_else(|| no_such_provider(&arn))
}

fn no_such_provider(arn: &str) -> AwsError {
    AwsError::no_such_entity(format!("OpenIDConnect Provider not found for arn {arn}"))
}

/// `CreateOpenIDConnectProvider`
pub(super) fn create(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let url = call.require("Url")?;
    let rest = url
        .strip_prefix("https://")
        .filter(|rest| !rest.is_empty() && !rest.contains(['?', '#', ':', ' ']));
    let rest = rest
        .ok_or_else(|| AwsError::new(400, "InvalidInput", "Invalid Open ID Connect Provider URL"))?
        .to_owned();
    let clients = check_clients(call.query.list("ClientIDList"))?;
    let mut thumbprints = check_thumbprints(call.query.list("ThumbprintList"))?;
    if thumbprints.is_empty() {
        // IAM retrieves the thumbprint of the issuer's certificate itself if the request has none.
        let host = rest.split('/').next().unwrap_or_default();
        thumbprints.push(ids::hex(&ids::derive_bytes(&["thumbprint", host])[..20]));
    }
    let tags = tags::check_tags(call.query.tags(), tags::CASE_SENSITIVE_KEYS)?;
    let arn = provider_arn(&call.account, &url);
    // Like IAM, this can still see a provider that was just deleted.
    if call
        .visible_account()
        .is_some_and(|account| account.providers.contains_key(&arn))
    {
        let message = format!("Provider with url {url} already exists.");
        return Err(AwsError::new(409, "EntityAlreadyExists", message));
    }
    let node = XmlNode::new("")
        .with_text("OpenIDConnectProviderArn", &arn)
        .with_child(xml_views::tags_node(&tags));
    let provider = OidcProvider {
        url: rest,
        created_ms: call.world.now_ms,
        clients,
        thumbprints,
        tags,
    };
    call.account_state_mut().providers.insert(arn, provider);
    Ok(node)
}

fn check_clients(clients: Vec<String>) -> Result<Vec<String>, AwsError> {
    if clients.len() > CLIENTS_MAX {
        let message =
            format!("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENTS_MAX}");
        return Err(AwsError::new(409, "LimitExceeded", message));
    }
    if clients
        .iter()
        .any(|client| client.is_empty() || client.len() > 255)
    {
        return Err(AwsError::validation_error(
            "1 validation error detected: Value at 'clientIDList' failed to satisfy constraint",
        ));
    }
    Ok(clients)
}

fn check_thumbprints(thumbprints: Vec<String>) -> Result<Vec<String>, AwsError> {
    let is_thumbprint =
        |text: &String| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if thumbprints.len() > THUMBPRINTS_MAX {
        return Err(AwsError::new(
            400,
            "InvalidInput",
            "Thumbprint list must contain fewer than 5 entries.",
        ));
    }
    match thumbprints.iter().all(is_thumbprint) {
        true => Ok(thumbprints),
        false => Err(AwsError::validation_error(
            "1 validation error detected: Value at 'thumbprintList' failed to satisfy constraint: Member must have length \
             greater than or equal to 40",
        )),
    }
}

/// `GetOpenIDConnectProvider`
pub(super) fn get(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let provider = find_visible(call)?;
    let node = XmlNode::new("")
        .with_text("Url", &provider.url)
        .with_child(xml_views::member_list("ClientIDList", &provider.clients));
    let node = node.with_child(xml_views::member_list(
        "ThumbprintList",
        &provider.thumbprints,
    ));
    Ok(node
        .with_text("CreateDate", clock::format_millis(provider.created_ms))
        .with_child(xml_views::tags_node(&provider.tags)))
}

/// `ListOpenIDConnectProviders`
pub(super) fn list(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let account = call.visible_account().unwrap_or_default();
    let listed = account
        .providers
        .iter()
        .filter(|(_, provider)| call.world.is_listed(provider.created_ms));
    let members = listed.map(|(arn, _)| XmlNode::new("member").with_text("Arn", arn));
    Ok(XmlNode::new("")
        .with_child(XmlNode::new("OpenIDConnectProviderList").with_children(members)))
}

/// Deletes a provider. As on AWS, a missing provider is not an error.
pub(super) fn delete(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let arn = call.require("OpenIDConnectProviderArn")?;
    if let Some(provider) = call.account_state_mut().providers.remove(&arn) {
        call.record_removal(Removal::Provider { arn, provider });
    }
    Ok(XmlNode::new(""))
}

/// `AddClientIDToOpenIDConnectProvider`
pub(super) fn add_client(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let client = call.require("ClientID")?;
    let mut clients = find(call)?.clients.clone();
    if !clients.contains(&client) {
        clients.push(client);
    }
    let clients = check_clients(clients)?;
    find_mut(call)?.clients = clients;
    Ok(XmlNode::new(""))
}

/// `RemoveClientIDFromOpenIDConnectProvider`
pub(super) fn remove_client(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let client = call.require("ClientID")?;
    find_mut(call)?.clients.retain(|other| *other != client);
    Ok(XmlNode::new(""))
}

/// `UpdateOpenIDConnectProviderThumbprint`
pub(super) fn update_thumbprints(call: &mut QueryCall<'_>) -> Result<XmlNode, AwsError> {
    let thumbprints = check_thumbprints(call.query.list("ThumbprintList"))?;
    if thumbprints.is_empty() {
        return Err(AwsError::new(
            400,
            "InvalidInput",
            "Thumbprint list must contain at least one entry.",
        ));
    }
    find_mut(call)?.thumbprints = thumbprints;
    Ok(XmlNode::new(""))
}
