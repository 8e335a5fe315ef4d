//! Who holds the lease of a machine, for those who wait for it.

use reqwest::Method;

use super::{lease, logs::sanitize_line, wire};
use crate::{
    clouds::{
        ApiClient,
        http::{ApiRequest, Idempotency},
    },
    model::redact,
};

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseHolder {
    /// What the holder says of itself, or else its name on Fly.
    pub description: String,
    /// When the lease ends unless it is renewed, in RFC 3339; `None` when unknown.
    pub expires_at: Option<String>,
}

/// Finds who holds a lease; `None` if nobody does any more, or it cannot be read.
pub(super) async fn find_holder(client: &ApiClient, app: &str, id: &str) -> Option<LeaseHolder> {
    let held = read_lease(client, app, id).await?;
    let description = match held.description.trim() {
        "" => &held.owner,
        description => description,
    };
    Some(LeaseHolder {
        description: sanitize_line(&redact(description)),
        expires_at: expiry_text(&held),
    })
}

/// Reads the lease that somebody holds.
pub(super) async fn read_lease(
    client: &ApiClient,
    app: &str,
    id: &str,
) -> Option<wire::MachineLease> {
    let request = ApiRequest {
        idempotency: Idempotency::Idempotent,
        ..lease::lease_request(Method::GET, app, id, lease::lease_operation(app, id))
    };
    let response = client.send::<wire::LeaseResponse>(&request).await.ok()?;
    Some(response.into_lease())
}

/// When a lease ends, in RFC 3339.
pub(super) fn expiry_text(held: &wire::MachineLease) -> Option<String> {
    let at = jiff::Timestamp::from_second(held.expires_at).ok()?;
    Some(at.to_string())
}
