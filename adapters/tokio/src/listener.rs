//! What a server listens at, and the streams that it takes there.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// What a [`Server`](crate::Server) listens at: as many listeners as there are, of TCP and of Unix sockets.
///
/// ```no_run
/// use sockless_tokio::{Listeners, listen};
///
/// # async fn bind() -> std::io::Result<()> {
/// let mut listeners = Listeners::from(listen("localhost:9001").await?);
/// listeners.push(tokio::net::UnixListener::bind("/run/chat.sock")?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Listeners(Vec<Listener>);

/// One of TCP, or of a Unix socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket, whose clients have no address, and speak no TLS.
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listeners {
    /// Adds one.
    pub fn push(&mut self, listener: impl Into<Listener>) {
        self.0.push(listener.into());
    }

    /// Those that have been handed over by who started the process: systemd, with a `.socket` unit, or whatever else sets
    /// `LISTEN_FDS`. So nobody is refused while a server restarts. None if nobody has; the second call gives none either.
    ///
    /// It takes the variables out of the environment, so it is for the beginning of `main`, within the runtime, before there
    /// are other threads.
    ///
    /// # Errors
    /// What was handed over is no listener of TCP or of a Unix socket.
    #[cfg(all(unix, feature = "activation"))]
    pub fn handed_over() -> io::Result<Self> {
        let mut handed = listenfd::ListenFd::from_env();
        let mut listeners = Self::default();
        for index in 0..handed.len() {
            if let Ok(Some(listener)) = handed.take_unix_listener(index) {
                listener.set_nonblocking(true)?;
                listeners.push(UnixListener::from_std(listener)?);
            } else if let Some(listener) = handed.take_tcp_listener(index)? {
                listener.set_nonblocking(true)?;
                listeners.push(TcpListener::from_std(listener)?);
            }
        }
        Ok(listeners)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.0.iter()
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> io::Result<Arrival> {
        poll_fn(|cx| {
            // Whoever was first is last the next time.
            if !self.0.is_empty() {
                self.0.rotate_left(1);
            }
            let ready = self.0.iter().map(|listener| match listener {
                Listener::Tcp(listener) => {
                    listener.poll_accept(cx).map_ok(|(stream, address)| Arrival::Tcp(stream, address))
                }
                #[cfg(unix)]
                Listener::Unix(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| Arrival::Unix(stream)),
            });
            ready.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
        .await
    }
}

/// A connection that was accepted.
pub(crate) enum Arrival {
    Tcp(TcpStream, SocketAddr),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Arrival {
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, address) => Some(*address),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl<L: Into<Listener>> From<L> for Listeners {
    fn from(listener: L) -> Self {
        Self(vec![listener.into()])
    }
}

impl<L: Into<Listener>> From<Vec<L>> for Listeners {
    fn from(listeners: Vec<L>) -> Self {
        listeners.into_iter().collect()
    }
}

/// For a server that takes them one by one, such as one of axum.
impl IntoIterator for Listeners {
    type Item = Listener;
    type IntoIter = std::vec::IntoIter<Listener>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<L: Into<Listener>> FromIterator<L> for Listeners {
    fn from_iter<I: IntoIterator<Item = L>>(listeners: I) -> Self {
        Self(listeners.into_iter().map(Into::into).collect())
    }
}
