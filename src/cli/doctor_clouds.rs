//! The clients with which `doctor` looks at Fly.io and AWS: those of every environment, without starting a run.

use super::{
    CommandContext, CommandError,
    connect::{self, Connection},
};
use crate::{
    clouds::{RegistryClient, aws::AwsReader, fly::FlyReader},
    manifest::LoadedEnvironment,
    ops::doctor::{AwsProbe, DoctorFinding, FindingArea, FlyProbe, check_aws, check_fly},
};
use trimtab_sandbox as sandbox;

/// What is asked of Fly.io and AWS.
pub(super) struct CloudProbes<'a> {
    fly: Vec<FlyProbe>,
    aws: Vec<AwsProbe<'a>>,
    sandbox: Option<sandbox::RunningSandbox>,
    sandbox_url: Option<String>,
}

impl CloudProbes<'_> {
    /// The address of the sandbox, where one stands in for the clouds.
    pub(super) fn sandbox_url(&self) -> Option<&str> {
        self.sandbox_url.as_deref()
    }

    /// Asks both at once.
    pub(super) async fn check(&self) -> Vec<DoctorFinding> {
        let (mut findings, of_aws) = tokio::join!(check_fly(&self.fly), check_aws(&self.aws));
        findings.extend(of_aws);
        findings
    }

    /// Stops the embedded sandbox, so that its folder is free again.
    pub(super) async fn close(self) {
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}

/// Makes the clients of every environment. What two environments share is asked once.
pub(super) async fn connect<'a>(
    context: &CommandContext<'_>,
    manifests: &'a [LoadedEnvironment],
    findings: &mut Vec<DoctorFinding>,
) -> Result<CloudProbes<'a>, CommandError> {
    let mut probes = CloudProbes {
        fly: Vec::new(),
        aws: Vec::new(),
        sandbox: None,
        sandbox_url: None,
    };
    for loaded in manifests {
        let variable = connect::token_variable(loaded);
        let meta = &loaded.desired.meta;
        let place = loaded.path.display().to_string();
        let mut fly_probe = FlyProbe {
            place: place.clone(),
            variable: variable.to_owned(),
            org: meta.org.clone(),
            clients: None,
        };
        let is_unset = context.global.sandbox.is_none() && context.env_vars.get(variable).is_none();
        let (fly, aws) = if is_unset {
            (None, aws_settings(context, loaded))
        } else {
            let Connection { fly, aws, sandbox } = open(context, loaded).await?;
            if sandbox.is_some() {
                probes.sandbox = sandbox;
            }
            if context.global.sandbox.is_some() {
                probes.sandbox_url = Some(fly.base_url.clone());
            }
            (Some(fly), aws)
        };
        if let Some(config) = &fly {
            fly_probe.clients = Some((FlyReader::new(config)?, RegistryClient::new(config)?));
        }
        let mut known = probes.fly.iter();
        let is_known = known
            .any(|known| (&known.variable, &known.org) == (&fly_probe.variable, &fly_probe.org));
        if !is_known {
            probes.fly.push(fly_probe);
        }
        let Some(settings) = aws else { continue };
        match AwsReader::connect(settings).await {
            Ok(reader) => probes.aws.push(AwsProbe {
                environment: loaded
                    .path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                place,
                desired: &loaded.desired,
                reader,
            }),
            Err(error) => {
                let why = format!("cannot {error}");
                findings.push(DoctorFinding::failed(FindingArea::Aws, place, why));
            }
        }
    }
    Ok(probes)
}

async fn open(
    context: &CommandContext<'_>,
    loaded: &LoadedEnvironment,
) -> Result<Connection, CommandError> {
    let meta = &loaded.desired.meta;
    match &context.global.sandbox {
        Some(dir) => {
            connect::connect_embedded_sandbox(&context.env_vars, dir, &meta.org, meta.aws.as_ref())
                .await
        }
        None => connect::connect_clouds(&context.env_vars, loaded),
    }
}

/// The settings for AWS, which do not depend on a token for Fly.
fn aws_settings(
    context: &CommandContext<'_>,
    loaded: &LoadedEnvironment,
) -> Option<crate::clouds::aws::AwsSettings> {
    let meta = loaded.desired.meta.aws.as_ref()?;
    Some(connect::aws_settings(&context.env_vars, meta, 1.0))
}
