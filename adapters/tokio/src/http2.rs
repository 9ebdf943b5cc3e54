//! Connections of HTTP/2 as a client makes them (RFC 8441): one for all WebSockets to a server.

use crate::http2_stream::{Http2Stream, Link, io_error};
use crate::stream::NetStream;
use crate::trace;
use crate::websocket::WebSocket;
use h2::client::{Builder, Connection as Wire};
use h2::ext::Protocol;
use h2::{Ping, Reason, RecvStream, SendStream};
use http::Response as Head;
use sockless::bytes::Bytes;
use sockless::driver::{ConnectError, Driver, Error};
use sockless::handshake::{BODY_START, BODY_TIME, extended, http as heads, stages};
use sockless::{ClientRequest, Connection, HandshakeError, Response, Role, Seed, SharedConfig};
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Mutex as Turns, OwnedMutexGuard, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

/// The window of each stream: what a server may send that is not read. That of a connection is without bound, so that a WebSocket
/// which is not read holds up no other.
const WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// What frames that are not read may cost a connection beside what is in them, for short ones cost more than that.
const FRAMES: usize = 64 << 20;

/// What is left to write has so long when nobody uses a connection any more.
const LAST: Duration = Duration::from_secs(5);

/// The connections of a client and its clones. They hold none up: each lasts as long as a WebSocket over it.
#[derive(Clone, Default)]
pub(crate) struct Http2 {
    /// Whether there is no other way.
    pub(crate) only: bool,
    places: Arc<Mutex<HashMap<Server, Place>>>,
}

/// Whether by TLS, host and port.
type Server = (bool, String, u16);

/// Where the connection to a server is kept.
type Place = Arc<Turns<Weak<Link>>>;

impl Http2 {
    pub(crate) fn new(only: bool) -> Self {
        Self { only, ..Self::default() }
    }

    /// The place of a server's connection, when whoever makes one has done so. Waiting for that is of the handshake's time, so that
    /// those who wait for a server which does not answer fail with the first, and do not each try it behind the other.
    ///
    /// # Errors
    /// [`ConnectError::Handshake`].
    pub(crate) async fn place(&self, request: &ClientRequest, config: &SharedConfig) -> Result<Held, ConnectError> {
        let server = (request.is_secure(), request.host().to_owned(), request.port());
        let place = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody waits for, and that are empty.
            places.retain(|_, place| {
                Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|link| link.strong_count() > 0)
            });
            places.entry(server).or_default().clone()
        };
        let (time, began) = (config.keepalive.handshake, Instant::now());
        let place = in_time(time, async { Ok(place.lock_owned().await) }).await?;
        // Who waits for nobody has all of it, however long it takes to reach the server.
        Ok(Held { place, left: time.map(|time| time.saturating_sub(began.elapsed())) })
    }
}

/// A place while nobody else has it.
pub(crate) struct Held {
    place: OwnedMutexGuard<Weak<Link>>,
    /// What is left of the handshake's time.
    left: Option<Duration>,
}

impl Held {
    /// The connection, if nobody has given it up and it has room for one more stream.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.place.upgrade().filter(|link| {
            // Each stream has the link, those that are opened too; and so have we.
            !link.given_up.load(Ordering::Relaxed) && Arc::strong_count(link) <= link.send.current_max_send_streams()
        })
    }

    /// Makes the connection over a stream.
    ///
    /// # Errors
    /// [`ConnectError::NoHttp2`], or [`ConnectError::Handshake`].
    pub(crate) async fn make(&mut self, stream: NetStream, config: &SharedConfig) -> Result<Arc<Link>, ConnectError> {
        let link = Arc::new(in_time(self.left, begin(stream, config)).await?);
        *self.place = Arc::downgrade(&link);
        Ok(link)
    }
}

/// Within the time of an opening handshake, or what is left of it.
async fn in_time<T>(
    left: Option<Duration>,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match left {
        Some(time) => timeout(time, work).await.unwrap_or_else(|_| Err(Error::from(HandshakeError::Timeout).into())),
        None => work.await,
    }
}

/// Begins HTTP/2 over a stream, and waits for the server's settings, which have to say that it takes WebSockets.
async fn begin(stream: NetStream, config: &SharedConfig) -> Result<Link, ConnectError> {
    let is_tls = stream.is_tls();
    // Nobody has said that a server without TLS speaks HTTP/2.
    let failed = |error| if is_tls { broken(error) } else { ConnectError::NoHttp2 };
    let mut builder = Builder::new();
    builder.enable_push(false).initial_window_size(WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder.max_header_list_size(config.limits.head.try_into().unwrap_or(u32::MAX)).data_frame_budget(FRAMES);
    let (send, mut wire) = builder.handshake::<_, Bytes>(stream).await.map_err(failed)?;
    // Settings are what a server sends first (RFC 9113 §3.4), so that they have come when it answers a ping.
    let mut pings = wire.ping_pong().ok_or(ConnectError::NoHttp2)?;
    pings.send_ping(Ping::opaque()).map_err(failed)?;
    let settled = poll_fn(|cx| match Pin::new(&mut wire).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(failed(error))),
        Poll::Ready(Ok(())) => Poll::Ready(Err(ConnectError::NoHttp2)),
        Poll::Pending => pings.poll_pong(cx).map(|pong| pong.map_err(failed)),
    });
    settled.await?;
    if !send.is_extended_connect_protocol_enabled() {
        return Err(ConnectError::NoHttp2);
    }
    let (used, unused) = oneshot::channel();
    tokio::spawn(run(wire, unused));
    Ok(Link { send, is_tls, given_up: AtomicBool::new(false), _used: used })
}

/// Runs a connection as long as it is used; what waits to be written then has a little longer.
async fn run(wire: Wire<NetStream, Bytes>, unused: oneshot::Receiver<()>) {
    let (mut wire, mut unused) = (pin!(wire), pin!(unused));
    let ended = poll_fn(|cx| match wire.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending => unused.as_mut().poll(cx).map(|_| None),
    });
    let ended = match ended.await {
        Some(ended) => ended,
        None => timeout(LAST, wire).await.unwrap_or(Ok(())),
    };
    match ended {
        Ok(()) => trace::event!(DEBUG, "HTTP/2 ended"),
        Err(_error) => trace::event!(DEBUG, error = %_error, "HTTP/2 failed"),
    }
}

fn broken(error: h2::Error) -> ConnectError {
    ConnectError::Handshake(Error::Io(io_error(error)))
}

/// Why a WebSocket was not opened.
pub(crate) struct Unopened {
    pub(crate) error: ConnectError,
    /// Whether the server has done nothing with the request, so that it may be sent over another connection.
    pub(crate) untaken: bool,
}

impl<E: Into<ConnectError>> From<E> for Unopened {
    fn from(error: E) -> Self {
        Self { error: error.into(), untaken: false }
    }
}

/// Sends a request, and waits for the head of its answer. Dropped, it resets its stream.
async fn ask(link: &Link, request: http::Request<()>) -> Result<(SendStream<Bytes>, Head<RecvStream>), Unanswered> {
    // What fails here has opened no stream: the connection is over.
    let unsent = |error| Unanswered { untaken: true, error };
    let mut send = link.send.clone().ready().await.map_err(unsent)?;
    let (answer, stream) = send.send_request(request, false).map_err(unsent)?;
    let head = answer.await.map_err(|error| Unanswered { untaken: is_untaken(&error), error })?;
    Ok((stream, head))
}

/// Why there is no answer, and whether the server has done nothing with the request.
struct Unanswered {
    error: h2::Error,
    untaken: bool,
}

/// Whether the server has done nothing with a request (RFC 9113 §6.8 and §8.7), of those that a connection took or did not take.
fn is_untaken(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

/// A WebSocket and the answer that opened it.
pub(crate) type Opened = (WebSocket<NetStream>, Response<'static>);

/// Opens a WebSocket over a connection.
///
/// # Errors
/// [`ConnectError::Request`], [`ConnectError::Rejected`], [`ConnectError::Handshake`] or [`ConnectError::Timeout`].
pub(crate) async fn open(
    link: Arc<Link>,
    request: &ClientRequest,
    config: &SharedConfig,
    deadline: Option<Instant>,
) -> Result<Opened, Unopened> {
    let request = &*request.offering(config)?;
    let mut sent = extended::http_request(request, config)?;
    sent.extensions_mut().insert(Protocol::from_static("websocket"));
    let asked = in_time(config.keepalive.handshake, async { Ok(ask(&link, sent).await) });
    let asked = match deadline {
        Some(deadline) => timeout_at(deadline, asked).await.unwrap_or(Err(ConnectError::Timeout)),
        None => asked.await,
    };
    // An answer shows that the connection lives and takes more, and so does a reset of one stream. Nothing else does: whoever
    // comes next makes another, though somebody may have this one for long.
    let is_good = match &asked {
        Ok(Ok(_)) => true,
        Ok(Err(unanswered)) => unanswered.error.is_reset() && !unanswered.untaken,
        Err(_) => false,
    };
    if !is_good {
        link.given_up.store(true, Ordering::Relaxed);
    }
    let (send, head) = asked?.map_err(|Unanswered { error, untaken }| Unopened { untaken, error: broken(error) })?;
    let response = heads::response(&head, &config.limits).map_err(Error::from)?;
    if !head.status().is_success() {
        // Where a redirect leads is in its head.
        let (start, whole) = match response.redirect() {
            Some(_) => Default::default(),
            None => body(head.into_body(), deadline).await,
        };
        return Err(ConnectError::Rejected(Box::new(response.with_body(start, whole))).into());
    }
    let agreed = extended::check_http_response(&head, request, config).map_err(Error::from)?;
    let stages = stages::agreed(response.extensions(), &config.extensions, agreed.bits()).map_err(Error::from)?;
    let mut connection = Connection::open(Role::Client, agreed, config.clone(), Seed::random());
    connection.extend(stages);
    let stream = NetStream::Http2(Box::new(Http2Stream::new(send, head.into_body(), link)));
    let socket = WebSocket::from_driver(stream, Driver::new(connection), Instant::now(), response.subprotocol());
    Ok((socket, response))
}

/// The start of a refusal's body, as far as it comes in time, and whether that is all of it.
async fn body(mut stream: RecvStream, deadline: Option<Instant>) -> (Vec<u8>, bool) {
    let mut start = Vec::new();
    let until = Instant::now() + BODY_TIME;
    let until = deadline.map_or(until, |deadline| deadline.min(until));
    while start.len() <= BODY_START {
        match timeout_at(until, stream.data()).await {
            Ok(Some(Ok(data))) => {
                _ = stream.flow_control().release_capacity(data.len());
                start.extend_from_slice(&data);
            }
            Ok(None) => return (start, true),
            Ok(Some(Err(_))) | Err(_) => break,
        }
    }
    (start, false)
}
