//! The machine configuration in the vocabulary of the Machines API, normalized: durations are
//! parsed, `autostop` has one spelling, and default values are omitted.
//!
//! These types also define what trimtab manages: updates keep any other key of a live
//! configuration. Field names, defaults and quirks are those of the Machines API's OpenAPI
//! document.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::model::{GoDuration, Image, Mib};

mod services;

pub use services::{
    MachineConcurrency, MachineHttpOptions, MachineHttpResponse, MachinePort,
    MachineProxyProtoOptions, MachineReplayCache, MachineService, MachineTlsOptions,
};

/// Whether a field has its default value and is not serialized.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Deserializes `null` as the default: Go serializes empty lists and maps as `null`.
fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// The part of a machine's configuration that trimtab manages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineConfig {
    /// The image. `None` in a desired configuration keeps the running image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Environment variables.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub env: BTreeMap<String, String>,
    /// The process that the machine runs.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub init: MachineInit,
    /// CPUs and memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<MachineGuest>,
    /// The services that Fly's proxy routes to.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub services: Vec<MachineService>,
    /// Checks of the machine itself, by name.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub checks: BTreeMap<String, MachineCheck>,
    /// The mounted volume; Fly allows one.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub mounts: Vec<MachineMount>,
    /// Where Fly scrapes metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MachineMetrics>,
    /// Files that the proxy serves itself.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub statics: Vec<MachineStatic>,
    /// Files written into the machine.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub files: Vec<MachineFile>,
    /// The restart policy. `None` keeps the live one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "restart")]
    pub restart: Option<MachineRestart>,
    /// The stop signal and timeout.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub stop_config: StopConfig,
    /// `hourly`, `daily`, `weekly` or `monthly`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub schedule: Option<String>,
    /// The ids of the machines that this standby replaces.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub standbys: Vec<String>,
    /// Containers and other parts that a manifest copies verbatim from a `machine_config` document,
    /// by key.
    #[serde(skip_serializing_if = "is_default")]
    pub verbatim: BTreeMap<String, Value>,
}

impl MachineConfig {
    /// Whether any check says when the machine is healthy.
    #[must_use]
    pub fn has_checks(&self) -> bool {
        let mut services = self.services.iter();
        !self.checks.is_empty() || services.any(|service| !service.checks.is_empty())
    }
}

/// Fly returns `{"policy":""}` if the policy is not set.
fn restart<'de, D: Deserializer<'de>>(from: D) -> Result<Option<MachineRestart>, D::Error> {
    Ok(Option::<MachineRestart>::deserialize(from)?.filter(|restart| !restart.policy.is_empty()))
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

/// The process a machine runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineInit {
    /// Replaces entrypoint and command together.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub exec: Vec<String>,
    /// Replaces the image's entrypoint.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub entrypoint: Vec<String>,
    /// Replaces the image's command.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub cmd: Vec<String>,
    /// Whether it gets a terminal.
    #[serde(skip_serializing_if = "is_default")]
    pub tty: bool,
    /// Swap in megabytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_size_mb: Option<u32>,
    /// Arguments for the kernel.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub kernel_args: Vec<String>,
}

/// CPUs and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineGuest {
    /// `shared` or `performance`.
    pub cpu_kind: String,
    /// How many.
    pub cpus: u32,
    /// Memory in megabytes.
    pub memory_mb: Mib,
    /// A dedicated host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_dedication_id: Option<String>,
    /// Whether the root file system survives a restart: `never`, `restart`, `always`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persist_rootfs: Option<String>,
    /// Arguments for the kernel.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub kernel_args: Vec<String>,
    /// The kind of GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_kind: Option<String>,
    /// How many GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
}

impl Default for MachineGuest {
    /// `shared-cpu-1x`, the platform's default.
    fn default() -> Self {
        Self {
            cpu_kind: "shared".to_owned(),
            cpus: 1,
            memory_mb: Mib(256),
            host_dedication_id: None,
            persist_rootfs: None,
            kernel_args: Vec::new(),
            gpu_kind: None,
            gpus: None,
        }
    }
}

/// Whether the proxy stops idle machines. The server answers booleans for the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Autostop {
    /// Never.
    #[default]
    Off,
    /// Stops them.
    Stop,
    /// Suspends them, memory included.
    Suspend,
}

impl<'de> Deserialize<'de> for Autostop {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::Null | Value::Bool(false) => Ok(Self::Off),
            Value::Bool(true) => Ok(Self::Stop),
            Value::String(text) if text == "off" => Ok(Self::Off),
            Value::String(text) if text == "stop" => Ok(Self::Stop),
            Value::String(text) if text == "suspend" => Ok(Self::Suspend),
            other => Err(serde::de::Error::custom(format!(
                "`{other}` is no autostop setting"
            ))),
        }
    }
}

/// A health check, of a service or of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineCheck {
    /// `tcp` or `http`.
    #[serde(rename = "type", skip_serializing_if = "is_default")]
    pub kind: String,
    /// `informational` or `readiness`, for checks of the machine.
    #[serde(rename = "kind", skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The port; a service's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<GoDuration>,
    /// The response timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
    /// How long failures are ignored after a start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<GoDuration>,
    /// The HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The HTTP path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Whether to accept any certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_skip_verify: Option<bool>,
    /// The TLS server name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Headers sent.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub headers: Vec<CheckHeader>,
}

/// A header of a check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckHeader {
    /// Its name.
    pub name: String,
    /// Its values.
    #[serde(deserialize_with = "null_as_default")]
    pub values: Vec<String>,
}

/// A mounted volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineMount {
    /// The volume's id; empty in a manifest, where a reference stands for it.
    #[serde(skip_serializing_if = "is_default")]
    pub volume: String,
    /// The volume's name.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Where it is mounted.
    pub path: String,
    /// At how many percent it grows by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend_threshold_percent: Option<u32>,
    /// By how many gigabytes it grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_size_gb: Option<u32>,
    /// Up to how many gigabytes it grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_gb_limit: Option<u32>,
}

/// Where Fly scrapes metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineMetrics {
    /// The port.
    pub port: u16,
    /// The path.
    pub path: String,
    /// Whether over TLS.
    #[serde(skip_serializing_if = "is_default")]
    pub https: bool,
}

/// Files that the proxy serves itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineStatic {
    /// Where they are in the machine.
    pub guest_path: String,
    /// Where they are on the web.
    pub url_prefix: String,
    /// A Tigris bucket that holds them.
    #[serde(skip_serializing_if = "is_default")]
    pub tigris_bucket: String,
    /// What a folder answers.
    #[serde(skip_serializing_if = "is_default")]
    pub index_document: String,
}

/// A file written into the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineFile {
    /// Where.
    pub guest_path: String,
    /// Its content in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_value: Option<String>,
    /// The secret that holds its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Its permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// When a machine is started again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineRestart {
    /// `no`, `on-failure` or `always`.
    pub policy: String,
    /// How often, with `on-failure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

/// How a machine is stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StopConfig {
    /// The signal.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub signal: Option<String>,
    /// How long it has before it is killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
}
