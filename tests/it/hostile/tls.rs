//! Untrusted certificates: each is an error that names the host and the reason, before the token is
//! sent.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use crate::hostile::{
    insecure_endpoints::{MANIFEST, run_trimtab},
    raw_server::TOKEN,
};

/// A certificate authority, and the PEM file by which a client trusts it.
struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem_file: PathBuf,
    _dir: tempfile::TempDir,
}

impl CertificateAuthority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("authority.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            pem_file: file,
            _dir: dir,
        }
    }
}

/// A TLS server that counts the bytes that it receives.
struct TlsServer {
    port: u16,
    bytes_received: Arc<AtomicUsize>,
}

impl TlsServer {
    /// With a certificate that is signed by this authority, or by itself.
    async fn new(params: CertificateParams, authority: Option<&CertificateAuthority>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = match authority {
            Some(authority) => params.signed_by(&key, &authority.issuer).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            bytes_received: Arc::default(),
        };
        let received = Arc::clone(&server.bytes_received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Most of these tests expect the handshake to fail.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = [0; 4096];
                let got = stream.read(&mut request).await.unwrap_or(0);
                received.fetch_add(got, Ordering::SeqCst);
                let response =
                    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                drop(stream.write_all(response).await);
                drop(stream.shutdown().await);
            }
        });
        server
    }

    fn bytes_received(&self) -> usize {
        self.bytes_received.load(Ordering::SeqCst)
    }
}

fn certificate_for(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).unwrap()
}

/// The stderr of `trimtab status` against a server, when it trusts this authority.
fn stderr_of_status(server: &TlsServer, authority: &CertificateAuthority) -> String {
    let url = format!("https://localhost:{}", server.port);
    let mut variables: Vec<(&str, &str)> = [
        "FLY_FLAPS_BASE_URL",
        "FLY_API_BASE_URL",
        "FLY_UIEX_BASE_URL",
        "TRIMTAB_REGISTRY_BASE_URL",
    ]
    .map(|name| (name, url.as_str()))
    .to_vec();
    let file = authority.pem_file.display().to_string();
    variables.extend([("FLY_API_TOKEN", TOKEN), ("SSL_CERT_FILE", file.as_str())]);
    let out = tokio::task::block_in_place(|| run_trimtab(MANIFEST, &["status", "x"], &variables));
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(!stderr.contains(TOKEN), "{stderr}");
    stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn untrusted_certificate_is_rejected_with_reason() {
    let authority = CertificateAuthority::new("An authority of a test");
    let mut expired = certificate_for("localhost");
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut early = certificate_for("localhost");
    (early.not_before, early.not_after) = (date_time_ymd(2900, 1, 1), date_time_ymd(2901, 1, 1));
    let other = CertificateAuthority::new("Another authority");
    for (params, signed, why) in [
        (certificate_for("localhost"), None, "UnknownIssuer"),
        (certificate_for("localhost"), Some(&other), "UnknownIssuer"),
        (expired, Some(&authority), "certificate expired"),
        (early, Some(&authority), "certificate not valid yet"),
        (
            certificate_for("other.example"),
            Some(&authority),
            "certificate not valid for name \"localhost\"",
        ),
    ] {
        let server = TlsServer::new(params, signed).await;
        let stderr = stderr_of_status(&server, &authority);
        assert!(
            stderr.starts_with("error: cannot ") && stderr.contains("no connection to localhost:"),
            "{stderr}"
        );
        assert!(stderr.contains(why), "{why}: {stderr}");
        assert!(!stderr.contains("run the same command again"), "{stderr}");
        assert_eq!(server.bytes_received(), 0, "nothing is sent: {why}");
    }
}

/// Shows that the tests above can fail: a valid certificate is accepted.
#[tokio::test(flavor = "multi_thread")]
async fn trusted_certificate_is_accepted() {
    let authority = CertificateAuthority::new("An authority of a test");
    let server = TlsServer::new(certificate_for("localhost"), Some(&authority)).await;
    let stderr = stderr_of_status(&server, &authority);
    assert!(
        server.bytes_received() > 0 && !stderr.contains("no connection"),
        "{stderr}"
    );
}
