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
    clouds::{Settings, fly::Reader},
    model::Secret,
};

/// The token that must stay where it is.
pub(crate) const TOKEN: &str = "fo1_canary_5e2d";

/// What is written to whoever connects.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    /// Written again and again, until the client has had enough.
    pub(crate) forever: Vec<u8>,
}

impl Answer {
    /// An answer with a body.
    pub(crate) fn new(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        Self {
            bytes: [head.as_bytes(), body].concat(),
            forever: Vec::new(),
        }
    }

    /// These bytes and nothing else.
    pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self {
            bytes: bytes.as_ref().to_vec(),
            forever: Vec::new(),
        }
    }

    /// The same, and then this without end.
    pub(crate) fn then_forever(self, forever: &str) -> Self {
        Self {
            forever: forever.repeat(1 + 16_384 / forever.len()).into_bytes(),
            ..self
        }
    }
}

/// The server. It ends with its test.
pub(crate) struct Odd {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Odd {
    /// Answers every request in the same way.
    pub(crate) async fn new(answer: Answer) -> Self {
        Self::by(move |_| answer.clone()).await
    }

    /// Answers each request by its first lines.
    pub(crate) async fn by(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, answer) = (listener.local_addr().unwrap(), Arc::new(answer));
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let notes = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, notes) = (Arc::clone(&answer), Arc::clone(&notes));
                tokio::spawn(async move {
                    // A client that hangs up has seen enough.
                    drop(talk(stream, &*answer, &notes).await);
                });
            }
        });
        Self {
            address,
            heard,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// How a client is set up that takes this for everything.
    pub(crate) fn settings(&self) -> Settings {
        // Fast, so that pauses between tries are short.
        Settings::imitation(self.url(), Secret::new(TOKEN), 10_000.0)
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::new(&self.settings()).unwrap()
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(
    mut stream: TcpStream,
    answer: &(dyn Fn(&str) -> Answer + Send + Sync),
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
    let Answer { bytes, forever } = answer(&head);
    stream.write_all(&bytes).await?;
    while !forever.is_empty() {
        stream.write_all(&forever).await?;
    }
    stream.shutdown().await?;
    // What the client still sends is taken, so that closing does not become a reset that takes our answer away.
    while stream.read_buf(&mut Vec::with_capacity(4096)).await? > 0 {}
    Ok(())
}
