//! The sandbox's socket. Two things an ordinary one cannot do: drop one connection without a word,
//! and refuse all connections for a while.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};

/// After a failed bind or accept.
const PAUSE: Duration = Duration::from_millis(20);

/// One connection, as a request sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct Connection(Arc<AtomicBool>);

impl Connection {
    /// Lets nothing more be written, so that the server has to close it.
    pub(super) fn drop_it(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_dropped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Asks the listener to refuse connections, and learns when it does.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    until: watch::Sender<Option<Instant>>,
    refusing: watch::Receiver<bool>,
}

impl Outage {
    /// For a sandbox without a socket, which refuses nobody.
    #[cfg(feature = "failpoints")]
    pub(super) fn none() -> Self {
        Self { until: watch::Sender::new(None), refusing: watch::Sender::new(true).subscribe() }
    }

    /// Refuses connections from now on for so long; returns when the socket is closed.
    pub(super) async fn begin(&self, length: Duration) {
        let mut refusing = self.refusing.clone();
        self.until.send_replace(Instant::now().checked_add(length));
        // An error means that the listener has gone, and then nothing is accepted either.
        let _ = refusing.wait_for(|refusing| *refusing).await;
    }
}

/// Accepts connections unless there is an outage.
pub(super) struct SandboxListener {
    addr: SocketAddr,
    open: Option<TcpListener>,
    until: watch::Receiver<Option<Instant>>,
    refusing: watch::Sender<bool>,
}

impl SandboxListener {
    pub(super) async fn bind(addr: SocketAddr) -> io::Result<(Self, Outage)> {
        let open = TcpListener::bind(addr).await?;
        let addr = open.local_addr()?;
        let (until_sender, until) = watch::channel(None);
        let (refusing, refusing_receiver) = watch::channel(false);
        let listener = Self { addr, open: Some(open), until, refusing };
        Ok((listener, Outage { until: until_sender, refusing: refusing_receiver }))
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes the socket while there is an outage, and opens it again.
    async fn opened(&mut self) -> &TcpListener {
        loop {
            let until = *self.until.borrow_and_update();
            if let Some(until) = until.filter(|until| *until > Instant::now()) {
                self.open = None;
                self.refusing.send_replace(true);
                tokio::time::sleep_until(until).await;
                self.refusing.send_replace(false);
                continue;
            }
            if self.open.is_none() {
                match TcpListener::bind(self.addr).await {
                    Ok(listener) => self.open = Some(listener),
                    Err(error) => {
                        tracing::warn!(%error, "the sandbox cannot open its port again yet");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
            if let Some(listener) = self.open.take() {
                return self.open.insert(listener);
            }
        }
    }
}

impl Listener for SandboxListener {
    type Io = Droppable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Droppable, SocketAddr) {
        loop {
            let mut until = self.until.clone();
            let listener = self.opened().await;
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Ok(()) = until.changed() => continue,
            };
            match accepted {
                Ok((stream, addr)) => return (Droppable { stream, connection: Connection::default() }, addr),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

/// A stream that ends when its connection is dropped.
#[derive(Debug)]
pub(super) struct Droppable {
    stream: TcpStream,
    connection: Connection,
}

impl Connected<IncomingStream<'_, SandboxListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, SandboxListener>) -> Self {
        stream.io().connection.clone()
    }
}

impl AsyncRead for Droppable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Droppable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.connection.is_dropped() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
