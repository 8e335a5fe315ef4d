//! OpenID Connect providers: whose tokens an account believes.

use super::late::Lost;
use super::query::Call;
use super::{Provider, tags, view};
use crate::aws::answer::Problem;
use crate::aws::xml::Node;
use crate::clock;
use crate::ids;

const CLIENTS_MAX: usize = 100;
const THUMBPRINTS_MAX: usize = 5;

/// The ARN of the provider for an issuer.
pub(crate) fn arn(account: &str, url: &str) -> String {
    let url = url.strip_prefix("https://").unwrap_or(url);
    format!("arn:aws:iam::{account}:oidc-provider/{url}")
}

/// The provider that a request names.
///
/// # Errors
/// `404 NoSuchEntity`.
pub(super) fn find<'a>(call: &'a Call<'_>) -> Result<&'a Provider, Problem> {
    let arn = call.need("OpenIDConnectProviderArn")?;
    let there = call.look().and_then(|account| account.providers.get(&arn));
    there.ok_or_else(|| no_provider(&arn))
}

/// The same as a read shows it, which may have been deleted a moment ago.
///
/// # Errors
/// As [`find`].
pub(super) fn seen(call: &Call<'_>) -> Result<Provider, Problem> {
    let arn = call.need("OpenIDConnectProviderArn")?;
    let there = call
        .seen()
        .and_then(|account| account.providers.get(&arn).cloned());
    there.ok_or_else(|| no_provider(&arn))
}

/// The same, to change it.
///
/// # Errors
/// As [`find`].
pub(super) fn find_mut<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Provider, Problem> {
    find(call)?;
    let arn = call.need("OpenIDConnectProviderArn")?;
    call.change()
        .providers
        .get_mut(&arn)
        .ok_or_else(|| no_provider(&arn))
}

fn no_provider(arn: &str) -> Problem {
    Problem::no_entity(format!("OpenIDConnect Provider not found for arn {arn}"))
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Node, Problem> {
    let url = call.need("Url")?;
    let rest = url
        .strip_prefix("https://")
        .filter(|rest| !rest.is_empty() && !rest.contains(['?', '#', ':', ' ']));
    let rest = rest
        .ok_or_else(|| Problem::new(400, "InvalidInput", "Invalid Open ID Connect Provider URL"))?
        .to_owned();
    let clients = check_clients(call.query.list("ClientIDList"))?;
    let mut thumbprints = check_thumbprints(call.query.list("ThumbprintList"))?;
    if thumbprints.is_empty() {
        // IAM looks at the issuer's certificate and stores what it finds.
        let host = rest.split('/').next().unwrap_or_default();
        thumbprints.push(ids::hex(&ids::draw(&["thumbprint", host])[..20]));
    }
    let tags = tags::check(call.query.tags(), tags::OTHERS)?;
    let arn = arn(&call.account, &url);
    if call
        .seen()
        .is_some_and(|account| account.providers.contains_key(&arn))
    {
        let message = format!("Provider with url {url} already exists.");
        return Err(Problem::new(409, "EntityAlreadyExists", message));
    }
    let node = Node::new("")
        .text("OpenIDConnectProviderArn", &arn)
        .with(view::tags(&tags));
    let provider = Provider {
        url: rest,
        created_ms: call.world.now,
        clients,
        thumbprints,
        tags,
    };
    call.change().providers.insert(arn, provider);
    Ok(node)
}

fn check_clients(clients: Vec<String>) -> Result<Vec<String>, Problem> {
    if clients.len() > CLIENTS_MAX {
        let message =
            format!("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENTS_MAX}");
        return Err(Problem::new(409, "LimitExceeded", message));
    }
    if clients
        .iter()
        .any(|client| client.is_empty() || client.len() > 255)
    {
        return Err(Problem::validation(
            "1 validation error detected: Value at 'clientIDList' failed to satisfy constraint",
        ));
    }
    Ok(clients)
}

fn check_thumbprints(thumbprints: Vec<String>) -> Result<Vec<String>, Problem> {
    let is = |text: &String| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if thumbprints.len() > THUMBPRINTS_MAX {
        return Err(Problem::new(
            400,
            "InvalidInput",
            "Thumbprint list must contain fewer than 5 entries.",
        ));
    }
    match thumbprints.iter().all(is) {
        true => Ok(thumbprints),
        false => Err(Problem::validation(
            "1 validation error detected: Value at 'thumbprintList' failed to satisfy constraint: Member must have length \
             greater than or equal to 40",
        )),
    }
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Node, Problem> {
    let provider = seen(call)?;
    let node = Node::new("")
        .text("Url", &provider.url)
        .with(view::members("ClientIDList", &provider.clients));
    let node = node.with(view::members("ThumbprintList", &provider.thumbprints));
    Ok(node
        .text("CreateDate", clock::millis(provider.created_ms))
        .with(view::tags(&provider.tags)))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Node, Problem> {
    let account = call.seen().unwrap_or_default();
    let shown = account
        .providers
        .iter()
        .filter(|(_, provider)| call.world.listed(provider.created_ms));
    let members = shown.map(|(arn, _)| Node::new("member").text("Arn", arn));
    Ok(Node::new("").with(Node::new("OpenIDConnectProviderList").all(members)))
}

/// To delete what is not there is no error.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Node, Problem> {
    let arn = call.need("OpenIDConnectProviderArn")?;
    if let Some(provider) = call.change().providers.remove(&arn) {
        call.lose(Lost::Provider(arn, provider));
    }
    Ok(Node::new(""))
}

pub(super) fn add_client(call: &mut Call<'_>) -> Result<Node, Problem> {
    let client = call.need("ClientID")?;
    let mut clients = find(call)?.clients.clone();
    if !clients.contains(&client) {
        clients.push(client);
    }
    let clients = check_clients(clients)?;
    find_mut(call)?.clients = clients;
    Ok(Node::new(""))
}

pub(super) fn remove_client(call: &mut Call<'_>) -> Result<Node, Problem> {
    let client = call.need("ClientID")?;
    find_mut(call)?.clients.retain(|other| *other != client);
    Ok(Node::new(""))
}

pub(super) fn update_thumbprints(call: &mut Call<'_>) -> Result<Node, Problem> {
    let thumbprints = check_thumbprints(call.query.list("ThumbprintList"))?;
    if thumbprints.is_empty() {
        return Err(Problem::new(
            400,
            "InvalidInput",
            "Thumbprint list must contain at least one entry.",
        ));
    }
    find_mut(call)?.thumbprints = thumbprints;
    Ok(Node::new(""))
}
