//! Client settings from environment variables and the manifest: for the real clouds, the embedded sandbox, or a sandbox
//! that another process serves.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    CommandContext, CommandError,
    env_vars::{EnvVars, names},
};
use crate::{
    clouds::{
        ClientConfig, CrashMode, CrashPoint, RequestOrdinal,
        aws::{self, GitHubJob, ServiceEndpoints, StaticCredentials},
    },
    kinds::AwsMeta,
    manifest::LoadedEnvironment,
    model::Secret,
};
use trimtab_sandbox::{self as sandbox, Fault, StartError};

/// The base URL of the Machines API.
const MACHINES_API: &str = "https://api.machines.dev";
/// The base URL of the logs and of organization lookups.
const FLY_API: &str = "https://api.fly.io";
/// How much faster than Fly the embedded sandbox runs by default: a machine that takes a second to boot on Fly takes 50 ms.
const EMBEDDED_SPEED: f64 = 20.0;

/// The settings of every client.
pub(super) struct Connection {
    /// Fly.io.
    pub(super) fly: ClientConfig,
    /// AWS, where the manifest names an account.
    pub(super) aws: Option<aws::AwsSettings>,
    /// The sandbox that this process serves.
    pub(super) sandbox: Option<sandbox::RunningSandbox>,
}

/// Settings for the real clouds: Fly with the token from the variable that the manifest names, AWS with the SDK's
/// default credentials chain.
pub(super) fn connect_clouds(
    env_vars: &EnvVars,
    loaded: &LoadedEnvironment,
) -> Result<Connection, CommandError> {
    let variable = token_variable(loaded);
    let fly = fly_settings(env_vars, variable, &loaded.desired.meta.org)?;
    let aws = loaded
        .desired
        .meta
        .aws
        .as_ref()
        .map(|meta| aws_settings(env_vars, meta, fly.speed));
    Ok(Connection {
        fly,
        aws,
        sandbox: None,
    })
}

/// Settings for Fly alone, where there is no manifest yet. The embedded sandbox has to know the organization.
pub(super) async fn connect_fly(
    context: &CommandContext<'_>,
    org: Option<&str>,
) -> Result<Connection, CommandError> {
    let env_vars = &context.env_vars;
    let Some(dir) = &context.global.sandbox else {
        return Ok(Connection {
            fly: fly_settings(env_vars, names::TOKEN, org.unwrap_or("ORG"))?,
            aws: None,
            sandbox: None,
        });
    };
    let org = org.ok_or_else(|| {
        CommandError::new("--org is missing: the sandbox makes a token for it")
            .with_hint("name the organization that the app is in")
    })?;
    connect_embedded_sandbox(env_vars, dir, org, None).await
}

/// Settings for Fly, with the token from a variable.
fn fly_settings(
    env_vars: &EnvVars,
    variable: &str,
    org: &str,
) -> Result<ClientConfig, CommandError> {
    let token = env_vars.get(variable).ok_or_else(|| {
        CommandError::new(format!("{variable} is not set: it holds the token for the organization `{org}`")).with_hint(format!(
            "make one with `fly tokens create org --org {org}`, or try everything without an account: --sandbox"
        ))
    })?;
    let base = env_vars
        .get(names::MACHINES_API)
        .unwrap_or(MACHINES_API)
        .to_owned();
    let api = |name| Some(env_vars.get(name).unwrap_or(FLY_API).to_owned());
    let (logs, uiex) = (api(names::API), api(names::UIEX));
    let registries = env_vars.get(names::REGISTRIES).map(str::to_owned);
    let public = env_vars.get(names::PUBLIC_PAGES).map(str::to_owned);
    let token = Secret::new(token);
    // A sandbox of another process may run faster than Fly. Leases and locks expire by its clock.
    let faster = parse_positive_number(env_vars, names::SANDBOX_SPEED)?
        .filter(|_| base.starts_with("http://"));
    let speed = faster.unwrap_or(1.0);
    Ok(ClientConfig {
        base_url: base,
        logs_url: logs,
        uiex_url: uiex,
        public_url: public,
        token,
        speed,
        crash_point: None,
        registry_url: registries,
    })
}

/// The variable that holds Fly's token for an environment.
pub(super) fn token_variable(loaded: &LoadedEnvironment) -> &str {
    loaded
        .token_source
        .as_ref()
        .map_or(names::TOKEN, |token| &token.env)
}

/// Settings for AWS. Access keys and endpoints are read here, so that an `--env-file` counts; the rest is left to the SDK.
pub(super) fn aws_settings(env_vars: &EnvVars, meta: &AwsMeta, speed: f64) -> aws::AwsSettings {
    let get = |name| env_vars.get(name).map(str::to_owned);
    let secret = |name| env_vars.get(name).map(Secret::new);
    let keys = get("AWS_ACCESS_KEY_ID").zip(secret("AWS_SECRET_ACCESS_KEY"));
    let keys = keys.map(|(id, secret_key)| StaticCredentials {
        access_key_id: id,
        secret_access_key: secret_key,
        session_token: secret("AWS_SESSION_TOKEN"),
    });
    let (endpoint, s3) = (get("AWS_ENDPOINT_URL"), get("AWS_ENDPOINT_URL_S3"));
    let by_path = endpoint.is_some() || s3.is_some();
    let endpoints = ServiceEndpoints {
        s3,
        iam: get("AWS_ENDPOINT_URL_IAM"),
        sts: get("AWS_ENDPOINT_URL_STS"),
    };
    aws::AwsSettings {
        account: meta.account.clone(),
        region: meta.region.clone(),
        endpoint,
        endpoints,
        force_path_style: by_path,
        github_job: github_job(env_vars).filter(|_| keys.is_none()),
        credentials: keys,
        speed,
    }
}

/// The GitHub job whose identity can be exchanged for credentials, where it names a role and no other step has done the
/// exchange already.
fn github_job(env_vars: &EnvVars) -> Option<GitHubJob> {
    if env_vars.get("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
        return None;
    }
    let run = env_vars.get("GITHUB_RUN_ID").unwrap_or("0");
    Some(GitHubJob {
        request_url: env_vars.get("ACTIONS_ID_TOKEN_REQUEST_URL")?.to_owned(),
        request_token: Secret::new(env_vars.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?),
        role_arn: env_vars.get("AWS_ROLE_ARN")?.to_owned(),
        session_name: env_vars
            .get("AWS_ROLE_SESSION_NAME")
            .map_or_else(|| format!("trimtab-{run}"), str::to_owned),
    })
}

/// Starts the embedded sandbox, with a token for the manifest's organization and keys for its account. Where another
/// process serves the folder already, connects to that.
pub(super) async fn connect_embedded_sandbox(
    env_vars: &EnvVars,
    dir: &Path,
    org: &str,
    aws: Option<&AwsMeta>,
) -> Result<Connection, CommandError> {
    let mut options = sandbox::SandboxOptions::new(dir);
    options.speed =
        parse_positive_number(env_vars, names::SANDBOX_SPEED)?.unwrap_or(EMBEDDED_SPEED);
    let (faults, fuse) = parse_faults(env_vars)?;
    options.faults = faults;
    if let Some(text) = env_vars.get(names::SANDBOX_LATENCY) {
        options.latency = parse_latency(text).map_err(CommandError::new)?;
    }
    options.record = env_vars.get(names::SANDBOX_RECORD).map(PathBuf::from);
    let speed = options.speed;
    let running = match sandbox::start(options).await {
        Err(StartError::InUse { url }) => {
            return connect_running_sandbox(dir, url, org, aws, fuse).await;
        }
        other => other?,
    };
    let token = Secret::new(running.org_token(org)?);
    let fly = ClientConfig {
        crash_point: fuse,
        ..ClientConfig::for_sandbox(running.url(), token, speed)
    };
    let aws = match aws {
        None => None,
        Some(AwsMeta {
            account, region, ..
        }) => {
            let sandbox::AwsAccessKey { id, secret } =
                running.aws_keys(account).map_err(StartError::from)?;
            let keys = StaticCredentials {
                access_key_id: id,
                secret_access_key: Secret::new(secret),
                session_token: None,
            };
            Some(aws::AwsSettings::for_sandbox(
                account,
                region,
                running.aws_url(),
                keys,
                speed,
            ))
        }
    };
    Ok(Connection {
        fly,
        aws,
        sandbox: Some(running),
    })
}

/// Settings for a sandbox that another process serves, such as `trimtab sandbox` in another terminal.
async fn connect_running_sandbox(
    dir: &Path,
    url: String,
    org: &str,
    aws: Option<&AwsMeta>,
    fuse: Option<CrashPoint>,
) -> Result<Connection, CommandError> {
    let wrong = || CommandError::from(StartError::InUse { url: url.clone() });
    let server = sandbox::find_server(dir);
    let speed = server.as_ref().map_or(1.0, |server| server.speed);
    let admin_token = Secret::new(
        server
            .as_ref()
            .map_or("", |server| server.admin_token.as_str()),
    );
    // It listens on loopback without TLS, so neither a proxy nor certificates are needed.
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .map_err(|_| wrong())?;
    let ask =
        async |path: &str, body: serde_json::Value| -> Result<serde_json::Value, CommandError> {
            client
                .post(format!("{url}/_sandbox/{path}"))
                .bearer_auth(admin_token.expose())
                .json(&body)
                .send()
                .await
                .map_err(|_| wrong())?
                .json()
                .await
                .map_err(|_| wrong())
        };
    let text = |answer: &serde_json::Value, key: &str| {
        answer
            .get(key)
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
            .ok_or_else(wrong)
    };
    let answer = ask("tokens", serde_json::json!({ "org": org })).await?;
    let fly = ClientConfig::for_sandbox(url.clone(), Secret::new(text(&answer, "token")?), speed);
    let aws = match aws {
        None => None,
        Some(AwsMeta {
            account, region, ..
        }) => {
            let answer = ask("aws/keys", serde_json::json!({ "account": account })).await?;
            let secret = Secret::new(text(&answer, "secret_access_key")?);
            let keys = StaticCredentials {
                access_key_id: text(&answer, "access_key_id")?,
                secret_access_key: secret,
                session_token: None,
            };
            let url = server.map(|server| server.aws_url).unwrap_or_default();
            Some(aws::AwsSettings::for_sandbox(
                account, region, url, keys, speed,
            ))
        }
    };
    Ok(Connection {
        fly: ClientConfig {
            crash_point: fuse,
            ..fly
        },
        aws,
        sandbox: None,
    })
}

fn parse_positive_number(env_vars: &EnvVars, name: &str) -> Result<Option<f64>, CommandError> {
    let Some(text) = env_vars.get(name) else {
        return Ok(None);
    };
    let parsed = text
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number > 0.0);
    parsed
        .map(Some)
        .ok_or_else(|| CommandError::new(format!("{name}={text} is not a number above 0")))
}

/// Parses a duration such as `50ms`.
pub(super) fn parse_latency(text: &str) -> Result<Duration, String> {
    let span = crate::model::GoDuration::parse(text).map_err(|error| error.to_string())?;
    Ok(Duration::from_millis(span.as_millis()))
}

/// Parses the faults of the embedded sandbox. `die-before:N` and `die-after:N` are faults of the client: this process dies
/// before or after its Nth request, or with `wN` its Nth write, as if by `kill -9`.
fn parse_faults(env_vars: &EnvVars) -> Result<(Vec<Fault>, Option<CrashPoint>), CommandError> {
    let text = env_vars.get(names::SANDBOX_FAULT).unwrap_or_default();
    let (mut faults, mut fuse) = (Vec::new(), None);
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let wrong =
            || CommandError::new(format!("`{part}` in {} is no fault", names::SANDBOX_FAULT));
        let death = |n: &str, after| {
            let at = match n.strip_prefix('w') {
                Some(n) => RequestOrdinal::Write(n.parse().map_err(|_| wrong())?),
                None => RequestOrdinal::Request(n.parse().map_err(|_| wrong())?),
            };
            Ok::<_, CommandError>(Some(CrashPoint {
                request: at,
                after_response: after,
                mode: CrashMode::Abort,
            }))
        };
        match (
            part.strip_prefix("die-before:"),
            part.strip_prefix("die-after:"),
        ) {
            (Some(n), _) => fuse = death(n, false)?,
            (_, Some(n)) => fuse = death(n, true)?,
            _ => faults.push(
                part.parse()
                    .map_err(|_| wrong().with_hint("`trimtab sandbox --help` lists the faults"))?,
            ),
        }
    }
    Ok((faults, fuse))
}
