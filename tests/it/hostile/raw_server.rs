//! A server that responds with arbitrary bytes, as no real server would.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use trimtab::{
    clouds::{ClientConfig, fly::FlyReader},
    model::Secret,
};

/// The token that must not leak.
pub(crate) const TOKEN: &str = "fo1_canary_5e2d";

/// The bytes that are sent to a client.
#[derive(Clone, Default)]
pub(crate) struct RawResponse {
    pub(crate) bytes: Vec<u8>,
    /// Sent repeatedly, until the client hangs up.
    pub(crate) repeated: Vec<u8>,
}

impl RawResponse {
    /// An HTTP response with a body.
    pub(crate) fn with_body(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        Self {
            bytes: [head.as_bytes(), body].concat(),
            repeated: Vec::new(),
        }
    }

    /// Exactly these bytes.
    pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self {
            bytes: bytes.as_ref().to_vec(),
            repeated: Vec::new(),
        }
    }

    /// Followed by these bytes, repeated without end.
    pub(crate) fn then_repeat(self, repeated: &str) -> Self {
        Self {
            repeated: repeated.repeat(1 + 16_384 / repeated.len()).into_bytes(),
            ..self
        }
    }
}

/// It stops when it is dropped.
pub(crate) struct RawServer {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl RawServer {
    /// Sends the same response to every request.
    pub(crate) async fn new(response: RawResponse) -> Self {
        Self::with_handler(move |_| response.clone()).await
    }

    /// Chooses the response by the head of the request.
    pub(crate) async fn with_handler(
        response: impl Fn(&str) -> RawResponse + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, response) = (listener.local_addr().unwrap(), Arc::new(response));
        let received = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (response, log) = (Arc::clone(&response), Arc::clone(&log));
                tokio::spawn(async move {
                    // A client that hangs up has seen enough.
                    drop(serve_connection(stream, &*response, &log).await);
                });
            }
        });
        Self {
            address,
            requests: received,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// A client configuration with this server for every API.
    pub(crate) fn settings(&self) -> ClientConfig {
        // Fast, so that pauses between retries are short.
        ClientConfig::for_sandbox(self.url(), Secret::new(TOKEN), 10_000.0)
    }

    pub(crate) fn reader(&self) -> FlyReader {
        FlyReader::new(&self.settings()).unwrap()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve_connection(
    mut stream: TcpStream,
    response: &(dyn Fn(&str) -> RawResponse + Send + Sync),
    received: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    received.lock().unwrap().push(head.clone());
    let RawResponse { bytes, repeated } = response(&head);
    stream.write_all(&bytes).await?;
    while !repeated.is_empty() {
        stream.write_all(&repeated).await?;
    }
    stream.shutdown().await?;
    // Read what the client still sends: closing with unread data would reset the connection and
    // discard our response.
    while stream.read_buf(&mut Vec::with_capacity(4096)).await? > 0 {}
    Ok(())
}
