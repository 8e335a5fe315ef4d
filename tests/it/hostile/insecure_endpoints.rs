//! Endpoints that must never receive a token are rejected before a connection is made, wherever
//! they are configured.

use std::process::{Command, Output};

use trimtab::{
    clouds::{ClientConfig, RegistryClient, aws, fly::FlyReader},
    model::Secret,
};

use crate::hostile::raw_server::{RawResponse, RawServer, TOKEN};

const INSECURE_URLS: [&str; 9] = [
    "http://api.machines.dev",
    "http://localhost.evil.com",
    "http://127.0.0.1.evil.com",
    "http://127.0.0.1@evil.com",
    "http://user:hunter2@evil.com",
    "http://3232235777",
    "http://0.0.0.0:1",
    "ftp://127.0.0.1",
    "nonsense",
];

fn secure_settings() -> ClientConfig {
    ClientConfig::for_sandbox("http://127.0.0.1:9".to_owned(), Secret::new(TOKEN), 1.0)
}

#[test]
fn fly_client_rejects_insecure_url() {
    for address in INSECURE_URLS {
        let there = || address.to_owned();
        for settings in [
            ClientConfig {
                base_url: there(),
                ..secure_settings()
            },
            ClientConfig {
                logs_url: Some(there()),
                ..secure_settings()
            },
            ClientConfig {
                uiex_url: Some(there()),
                ..secure_settings()
            },
        ] {
            let stderr = FlyReader::new(&settings).unwrap_err().to_string();
            assert!(
                stderr.starts_with("set up the client of the Fly API: ")
                    && !stderr.contains("hunter2"),
                "{stderr}"
            );
        }
        let error = RegistryClient::new(&ClientConfig {
            registry_url: Some(there()),
            ..secure_settings()
        })
        .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("set up the client of the registries: "),
            "{error}"
        );
    }
    for address in [
        "http://[::1]:9",
        "http://localhost:9",
        "https://api.machines.dev",
    ] {
        FlyReader::new(&ClientConfig {
            base_url: address.to_owned(),
            ..secure_settings()
        })
        .unwrap();
    }
}

#[tokio::test]
async fn aws_client_rejects_insecure_url() {
    let fly = FlyReader::new(&secure_settings()).unwrap();
    let keys = || aws::StaticCredentials {
        access_key_id: "AKIA".to_owned(),
        secret_access_key: Secret::new("x"),
        session_token: None,
    };
    let fine = || {
        aws::AwsSettings::for_sandbox(
            "123456789012",
            "eu-central-1",
            "http://127.0.0.1:9".to_owned(),
            keys(),
            1.0,
        )
    };
    for address in INSECURE_URLS {
        let there = || Some(address.to_owned());
        let endpoints = [
            aws::ServiceEndpoints {
                s3: there(),
                ..aws::ServiceEndpoints::default()
            },
            aws::ServiceEndpoints {
                iam: there(),
                ..aws::ServiceEndpoints::default()
            },
            aws::ServiceEndpoints {
                sts: there(),
                ..aws::ServiceEndpoints::default()
            },
        ];
        let single = endpoints.map(|endpoints| aws::AwsSettings {
            endpoints,
            ..fine()
        });
        for settings in single.into_iter().chain([aws::AwsSettings {
            endpoint: there(),
            ..fine()
        }]) {
            let error = aws::AwsReader::new(settings, &fly).await.unwrap_err();
            assert!(
                error.to_string().starts_with("set up the clients of AWS: "),
                "{error}"
            );
        }
    }
}

/// Runs the program in a folder with one environment, and with no other variables than these.
pub(crate) fn run_trimtab(manifest: &str, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("environments")).unwrap();
    std::fs::write(dir.path().join("environments/x.toml"), manifest).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command
        .args(args)
        .current_dir(dir.path())
        .env_clear()
        .env("HOME", dir.path());
    command.envs(variables.iter().copied()).output().unwrap()
}

pub(crate) const MANIFEST: &str = "project = \"p\"\n[fly]\norg = \"acme\"\n[apps.web]\nprimary_region = \"fra\"\nimage = \"registry.fly.io/web:1\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_variables_reject_insecure_url() {
    let server = RawServer::new(RawResponse::with_body("404 x", "", "")).await;
    let url = server.url();
    let fly = [
        "FLY_FLAPS_BASE_URL",
        "FLY_API_BASE_URL",
        "FLY_UIEX_BASE_URL",
        "TRIMTAB_REGISTRY_BASE_URL",
        "TRIMTAB_PUBLIC_BASE_URL",
    ];
    let aws = [
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_IAM",
        "AWS_ENDPOINT_URL_STS",
    ];
    let with_aws = format!(
        "{MANIFEST}[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n[buckets.b]\n"
    );
    for name in fly.into_iter().chain(aws) {
        let mut variables: Vec<(&str, &str)> = fly.map(|name| (name, url.as_str())).to_vec();
        variables.extend([
            ("FLY_API_TOKEN", TOKEN),
            ("AWS_ENDPOINT_URL", &url),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]);
        variables.extend([
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ]);
        variables.push((name, "http://localhost.evil.example"));
        let manifest = if aws.contains(&name) {
            with_aws.as_str()
        } else {
            MANIFEST
        };
        let out = run_trimtab(manifest, &["plan", "x"], &variables);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{name}: {stderr}");
        assert!(
            stderr.contains("http://localhost.evil.example/ is plain HTTP to another machine"),
            "{name}: {stderr}"
        );
        assert!(!stderr.contains(TOKEN), "{stderr}");
    }
    assert_eq!(
        server.requests(),
        Vec::<String>::new(),
        "nothing was sent anywhere"
    );
}
