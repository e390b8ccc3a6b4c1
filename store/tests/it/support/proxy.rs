//! A wire to PostgreSQL that a test can cut: what the client sends arrives, the answer does not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Where PostgreSQL's clients look for the socket.
const SOCKET: &str = ".s.PGSQL.5432";

pub struct Proxy {
    folder: TempDir,
    state: Arc<State>,
    _connections: JoinSet<()>,
}

struct State {
    server: PathBuf,
    /// The next client message of this many bytes or more is delivered, and its answer is not.
    cut_at: AtomicUsize,
    /// Nor is the message.
    is_lost: AtomicBool,
    cuts: AtomicUsize,
    refusing: AtomicBool,
}

impl Proxy {
    /// A wire to the server of `options`, which listens on a socket.
    pub fn start(options: &PgConnectOptions) -> Self {
        let server = server_socket(options);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("the socket is free");
        let state = Arc::new(State {
            server,
            cut_at: AtomicUsize::new(usize::MAX),
            is_lost: AtomicBool::new(false),
            cuts: AtomicUsize::new(0),
            refusing: AtomicBool::new(false),
        });
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, Arc::clone(&state)));
        Self { folder, state, _connections: connections }
    }

    pub fn options(&self, options: &PgConnectOptions) -> PgConnectOptions {
        options.clone().socket(self.folder.path()).port(5432)
    }

    /// Cuts the next connection that sends a message of at least `bytes`, after delivering it.
    pub fn cut_after_sending(&self, bytes: usize) {
        self.state.is_lost.store(false, Ordering::SeqCst);
        self.state.cut_at.store(bytes, Ordering::SeqCst);
    }

    /// Cuts the next connection that sends a message of at least `bytes`, without delivering it.
    pub fn cut_before_delivering(&self, bytes: usize) {
        self.state.is_lost.store(true, Ordering::SeqCst);
        self.state.cut_at.store(bytes, Ordering::SeqCst);
    }

    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refusing: bool) {
        self.state.refusing.store(refusing, Ordering::SeqCst);
    }
}

fn server_socket(options: &PgConnectOptions) -> PathBuf {
    let name = format!(".s.PGSQL.{}", options.get_port());
    let folder = options.get_socket().cloned().unwrap_or_else(|| Path::new(options.get_host()).to_owned());
    folder.join(name)
}

async fn accept(listener: UnixListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if !state.refusing.load(Ordering::SeqCst) {
            connections.spawn(carry(client, Arc::clone(&state)));
        }
    }
}

async fn carry(client: UnixStream, state: Arc<State>) {
    let Ok(server) = UnixStream::connect(&state.server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(read) = from_client.read(&mut buffer).await {
            let is_cut = read >= state.cut_at.load(Ordering::SeqCst);
            let is_lost = is_cut && state.is_lost.load(Ordering::SeqCst);
            if read == 0 || (!is_lost && to_server.write_all(&buffer[..read]).await.is_err()) {
                return Cut::Not;
            }
            if is_cut {
                state.cut_at.store(usize::MAX, Ordering::SeqCst);
                return if is_lost { Cut::BeforeDelivering } else { Cut::AfterSending };
            }
        }
        Cut::Not
    };
    let back = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read) = from_server.read(&mut buffer).await {
            if read == 0 || to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    let cut = tokio::select! {
        cut = there => cut,
        () = back => Cut::Not,
    };
    if cut == Cut::Not {
        return;
    }
    state.cuts.fetch_add(1, Ordering::SeqCst);
    drop((to_client, from_client));
    if cut == Cut::AfterSending {
        // The server side stays open until it has answered, so that the statement is carried out.
        let mut answer = [0; 1];
        let _ = from_server.read(&mut answer).await;
    }
}

#[derive(PartialEq)]
enum Cut {
    Not,
    AfterSending,
    BeforeDelivering,
}
