//! Sockets from elsewhere: what listens already, and what was accepted already.

use std::io;
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};

/// What listens already, of TCP and of Unix sockets, for [`Builder::listen_on`](crate::Builder::listen_on).
///
/// ```no_run
/// use sockless_mio::{Conn, Listeners, Message, Server};
///
/// let mut listeners = Listeners::from(std::net::TcpListener::bind("127.0.0.1:9001")?);
/// # #[cfg(unix)]
/// listeners.push(std::os::unix::net::UnixListener::bind("/run/chat.sock")?);
/// let server = Server::builder().listen_on(listeners).bind(|_: &mut Conn<'_>, _: Message<'_>| Ok(()))?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Listeners(Vec<Listener>);

/// One of TCP, or of a Unix socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket, whose clients have no address.
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
    /// It takes the variables out of the environment, so it is for the beginning of `main`, before there are other threads.
    ///
    /// # Errors
    /// What was handed over is no listener of TCP or of a Unix socket.
    #[cfg(all(unix, feature = "activation"))]
    pub fn handed_over() -> io::Result<Self> {
        let mut handed = listenfd::ListenFd::from_env();
        let mut listeners = Self::default();
        for index in 0..handed.len() {
            if let Ok(Some(listener)) = handed.take_unix_listener(index) {
                listeners.push(listener);
            } else if let Some(listener) = handed.take_tcp_listener(index)? {
                listeners.push(listener);
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

impl<L: Into<Listener>> FromIterator<L> for Listeners {
    fn from_iter<I: IntoIterator<Item = L>>(listeners: I) -> Self {
        Self(listeners.into_iter().map(Into::into).collect())
    }
}

/// A connection that was accepted elsewhere, for [`Handle::adopt`](crate::Handle::adopt).
#[derive(Debug)]
#[non_exhaustive]
pub enum Accepted {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Accepted {
    /// Has it wait for nothing.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            #[cfg(unix)]
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }
}

impl From<TcpStream> for Accepted {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

#[cfg(unix)]
impl From<UnixStream> for Accepted {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}
