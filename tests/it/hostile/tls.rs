//! Certificates that nobody should trust: each is an error that names the host and the reason, before the token is sent.

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
    addresses::{MANIFEST, trimtab},
    odd::TOKEN,
};

/// An authority of our own, and the file by which a client trusts it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
    _dir: tempfile::TempDir,
}

impl Authority {
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
            file,
            _dir: dir,
        }
    }
}

/// A server that shows a certificate. What it is sent is counted.
struct Server {
    port: u16,
    heard: Arc<AtomicUsize>,
}

impl Server {
    /// One whose certificate an authority signed, or nobody but itself.
    async fn new(params: CertificateParams, authority: Option<&Authority>) -> Self {
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
            heard: Arc::default(),
        };
        let heard = Arc::clone(&server.heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A handshake that fails is what most of these tests want.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = [0; 4096];
                let got = stream.read(&mut request).await.unwrap_or(0);
                heard.fetch_add(got, Ordering::SeqCst);
                let answer =
                    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                drop(stream.write_all(answer).await);
                drop(stream.shutdown().await);
            }
        });
        server
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }
}

fn params(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).unwrap()
}

/// What the program says of a server, when it trusts an authority.
fn said(server: &Server, authority: &Authority) -> String {
    let url = format!("https://localhost:{}", server.port);
    let mut variables: Vec<(&str, &str)> = [
        "FLY_FLAPS_BASE_URL",
        "FLY_API_BASE_URL",
        "FLY_UIEX_BASE_URL",
        "TRIMTAB_REGISTRY_BASE_URL",
    ]
    .map(|name| (name, url.as_str()))
    .to_vec();
    let file = authority.file.display().to_string();
    variables.extend([("FLY_API_TOKEN", TOKEN), ("SSL_CERT_FILE", file.as_str())]);
    let out = tokio::task::block_in_place(|| trimtab(MANIFEST, &["status", "x"], &variables));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(!said.contains(TOKEN), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_to_be_trusted_is_named_with_its_reason() {
    let authority = Authority::new("An authority of a test");
    let mut expired = params("localhost");
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut early = params("localhost");
    (early.not_before, early.not_after) = (date_time_ymd(2900, 1, 1), date_time_ymd(2901, 1, 1));
    let other = Authority::new("Another authority");
    for (params, signed, why) in [
        (params("localhost"), None, "UnknownIssuer"),
        (params("localhost"), Some(&other), "UnknownIssuer"),
        (expired, Some(&authority), "certificate expired"),
        (early, Some(&authority), "certificate not valid yet"),
        (
            params("other.example"),
            Some(&authority),
            "certificate not valid for name \"localhost\"",
        ),
    ] {
        let server = Server::new(params, signed).await;
        let said = said(&server, &authority);
        assert!(
            said.starts_with("error: cannot ") && said.contains("no connection to localhost: "),
            "{said}"
        );
        assert!(said.contains(why), "{why}: {said}");
        assert!(!said.contains("run the same command again"), "{said}");
        assert_eq!(server.heard(), 0, "nothing is sent: {why}");
    }
}

/// The tests above can fail: a certificate that is right is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_authority_that_is_trusted_is_taken() {
    let authority = Authority::new("An authority of a test");
    let server = Server::new(params("localhost"), Some(&authority)).await;
    let said = said(&server, &authority);
    assert!(
        server.heard() > 0 && !said.contains("no connection"),
        "{said}"
    );
}
