//! A server that answers with bytes of our choice, since no honest one would.

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

/// The token that must stay where it is.
pub(crate) const TOKEN: &str = "fo1_canary_5e2d";

/// What is written to whoever connects.
#[derive(Clone, Default)]
pub(crate) struct RawResponse {
    pub(crate) bytes: Vec<u8>,
    /// Written again and again, until the client has had enough.
    pub(crate) repeated: Vec<u8>,
}

impl RawResponse {
    /// An answer with a body.
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

    /// These bytes and nothing else.
    pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self {
            bytes: bytes.as_ref().to_vec(),
            repeated: Vec::new(),
        }
    }

    /// The same, and then this without end.
    pub(crate) fn then_repeat(self, forever: &str) -> Self {
        Self {
            repeated: forever.repeat(1 + 16_384 / forever.len()).into_bytes(),
            ..self
        }
    }
}

/// The server. It ends with its test.
pub(crate) struct RawServer {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl RawServer {
    /// Answers every request in the same way.
    pub(crate) async fn new(answer: RawResponse) -> Self {
        Self::with_handler(move |_| answer.clone()).await
    }

    /// Answers each request by its first lines.
    pub(crate) async fn with_handler(
        answer: impl Fn(&str) -> RawResponse + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, answer) = (listener.local_addr().unwrap(), Arc::new(answer));
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let notes = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, notes) = (Arc::clone(&answer), Arc::clone(&notes));
                tokio::spawn(async move {
                    // A client that hangs up has seen enough.
                    drop(serve_connection(stream, &*answer, &notes).await);
                });
            }
        });
        Self {
            address,
            requests: heard,
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

    /// How a client is set up that takes this for everything.
    pub(crate) fn settings(&self) -> ClientConfig {
        // Fast, so that pauses between tries are short.
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
    answer: &(dyn Fn(&str) -> RawResponse + Send + Sync),
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heard.lock().unwrap().push(head.clone());
    let RawResponse {
        bytes,
        repeated: forever,
    } = answer(&head);
    stream.write_all(&bytes).await?;
    while !forever.is_empty() {
        stream.write_all(&forever).await?;
    }
    stream.shutdown().await?;
    // What the client still sends is taken, so that closing does not become a reset that takes our answer away.
    while stream.read_buf(&mut Vec::with_capacity(4096)).await? > 0 {}
    Ok(())
}
