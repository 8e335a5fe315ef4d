//! The requests that a Postgres cluster on Fly needs besides those of an ordinary app: commands inside a machine, and what only the
//! GraphQL API offers (flyctl, `internal/command/postgres/create.go`).

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{FlyWriter, postgres_catalog::EXEC_TIMEOUT_SECS, wire, write::WriteRequest};
use crate::{
    clouds::{
        CloudError, ErrorKind, RateLimitedAction, endpoint,
        http::{ApiRequest, Idempotency},
    },
    model::{Secret, redact},
};

/// How long the certificate of a cluster's nodes is valid: a hundred years, as flyctl asks for.
const CERTIFICATE_HOURS: u32 = 876_600;

/// The answer of the GraphQL API.
#[derive(Deserialize)]
struct GraphQlResponse {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Option<Vec<GraphQlError>>,
}

#[derive(Deserialize)]
struct GraphQlError {
    #[serde(default)]
    message: String,
}

impl FlyWriter {
    /// Runs a command inside a running machine, without a shell, and waits for its end, at most a minute. `stdin` is its input.
    ///
    /// The command may have run although the answer is lost, so only a command that is safe to repeat may be run here.
    ///
    /// # Errors
    /// When the request fails: 412 when the machine does not run, 408 when the command takes longer than a minute.
    pub async fn run_command(
        &self,
        app: &str,
        id: &str,
        command: &[&str],
        stdin: &str,
    ) -> Result<wire::ExecResponse, CloudError> {
        let program = command.first().copied().unwrap_or_default();
        self.send_write(WriteRequest {
            method: Method::POST,
            path: format!("/v1/apps/{app}/machines/{id}/exec"),
            body: Some(json!({ "command": command, "stdin": stdin, "timeout": EXEC_TIMEOUT_SECS })),
            action: "machine exec",
            identifier: id,
            idempotency: Idempotency::Idempotent,
            operation: format!("run {program} in machine {id} of {app}"),
        })
        .await
    }

    /// The address of the Consul that a cluster's nodes agree through. It contains a token.
    ///
    /// # Errors
    /// When the request fails, or the answer has no address.
    pub async fn enable_postgres_consul(&self, app: &str) -> Result<Secret, CloudError> {
        let operation = format!("enable Consul for the Postgres cluster {app}");
        let query = "mutation($input: EnablePostgresConsulInput!) { enablePostgresConsul(input: $input) { consulUrl } }";
        let variables = json!({ "input": { "appId": app } });
        let data = self.send_graphql(app, query, variables, &operation).await?;
        let url = data
            .pointer("/enablePostgresConsul/consulUrl")
            .and_then(Value::as_str)
            .filter(|url| !url.is_empty());
        url.map(Secret::new)
            .ok_or_else(|| missing_field(operation, "consulUrl"))
    }

    /// An SSH certificate for the nodes of a cluster, for this public key in the format of OpenSSH.
    ///
    /// # Errors
    /// When the request fails, or the answer has no certificate.
    pub async fn issue_ssh_certificate(
        &self,
        app: &str,
        org: &str,
        public_key: &str,
    ) -> Result<Secret, CloudError> {
        let operation = format!("issue an SSH certificate for the Postgres cluster {app}");
        let query = "query($slug: String!) { organization(slug: $slug) { id } }";
        let data = self
            .send_graphql(app, query, json!({ "slug": org }), &operation)
            .await?;
        let organization = data
            .pointer("/organization/id")
            .and_then(Value::as_str)
            .ok_or_else(|| missing_field(operation.clone(), "organization.id"))?;
        let query = "mutation($input: IssueCertificateInput!) { issueCertificate(input: $input) { certificate } }";
        let variables = json!({ "input": {
            "organizationId": organization,
            "principals": ["root", "fly", "postgres"],
            "appNames": [app],
            "publicKey": public_key,
            "validHours": CERTIFICATE_HOURS,
        } });
        let data = self.send_graphql(app, query, variables, &operation).await?;
        let certificate = data
            .pointer("/issueCertificate/certificate")
            .and_then(Value::as_str);
        certificate
            .map(Secret::new)
            .ok_or_else(|| missing_field(operation, "certificate"))
    }

    /// Sends a query or a mutation, and returns its `data`.
    async fn send_graphql(
        &self,
        app: &str,
        query: &str,
        variables: Value,
        operation: &str,
    ) -> Result<Value, CloudError> {
        let http = self.graphql_client.as_ref().ok_or_else(|| {
            CloudError::new(operation, ErrorKind::Rejected, "there is no address to ask")
        })?;
        let response: GraphQlResponse = http
            .send(&ApiRequest {
                method: Method::POST,
                path: "/graphql".to_owned(),
                body: Some(json!({ "query": query, "variables": variables })),
                action: RateLimitedAction::Other("graphql"),
                identifier: app,
                idempotency: Idempotency::Idempotent,
                operation: operation.to_owned(),
            })
            .await?;
        match response.errors.as_deref() {
            Some([first, ..]) => Err(CloudError::new(
                operation,
                ErrorKind::Rejected,
                endpoint::to_single_line(&redact(&first.message)),
            )),
            _ => Ok(response.data),
        }
    }
}

fn missing_field(operation: impl Into<String>, field: &str) -> CloudError {
    CloudError::new(
        operation,
        ErrorKind::InvalidResponse,
        format!("the answer has no `{field}`"),
    )
}
