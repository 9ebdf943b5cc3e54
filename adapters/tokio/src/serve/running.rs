//! A server at work: accepting, opening, handling, and the end.

use super::arriving::{Arrivals, Stay, Visit};
use super::base::{Admit, Base};
use super::stage::Stage;
use crate::failure::{Failure, OnError};
use crate::handling::{Handling, caught};
use crate::handshakes::{Handshakes, Place};
use crate::listener::{Arrival, Listeners};
use crate::open::{Open, Peer, Report, Tracked};
use crate::route::{Service, Settings};
use crate::server::Incoming;
use crate::stream::NetStream;
use crate::tls::ServerTls;
use crate::trace;
use sockless::driver::Error;
use sockless::handshake::Routes;
use sockless::seen::{self, Refused, Span};
use sockless::{Drain, Reject};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

/// After an error of the listener, such as too many open files, it is tried again; they get fewer with time.
const PAUSE: Duration = Duration::from_millis(100);

/// A server at work.
pub(super) struct Running {
    shared: Arc<Shared>,
    handshakes: Arc<Handshakes>,
    admit: Option<Box<Admit>>,
    drain: Drain,
}

/// What the tasks of all connections share.
struct Shared {
    settings: Settings,
    routes: Routes<Service>,
    /// What no route takes.
    other: Service,
    nodelay: bool,
    tls: Option<ServerTls>,
    on_error: Option<Box<OnError>>,
    open: Open,
    arrivals: Arc<Arrivals>,
    /// For those that are open.
    room: Arc<Semaphore>,
}

/// A handler and its connection, and the places that it has among the open ones.
type Opened = (Handling<NetStream>, (Tracked, Stay, OwnedSemaphorePermit));

impl Running {
    pub(super) fn new(base: Base, other: Service) -> Self {
        let shared = Shared {
            settings: Settings::new(base.config),
            routes: base.routes,
            other,
            nodelay: base.nodelay,
            tls: base.tls,
            on_error: base.on_error,
            open: base.open,
            arrivals: Arrivals::new(base.trusted, base.proxy_protocol, base.per_address, base.rate),
            room: Arc::new(Semaphore::new(base.most)),
        };
        let handshakes = Handshakes::new(base.most_handshakes);
        Self { shared: Arc::new(shared), handshakes, admit: base.admit, drain: base.drain }
    }

    pub(super) async fn serve(mut self, mut listeners: Listeners, shutdown: impl Future) -> Report {
        let open = self.shared.open.clone();
        let mut end = pin!(async { or_done(open.going(), pin!(shutdown)).await });
        let _tasks = Tasks(&open);
        loop {
            let next = self.shared.next(&mut listeners);
            let arrival = match or_done(next, end.as_mut()).await {
                Some(Ok(arrival)) => arrival,
                Some(Err(error)) => {
                    self.shared.note(None, Failure::Accept(error));
                    sleep(PAUSE).await;
                    continue;
                }
                None => break,
            };
            if !self.admits(&arrival) {
                continue;
            }
            let Some(visit) = self.shared.arrivals.enter(arrival.address()) else { continue };
            let tracked = open.enter(arrival.address());
            let peer = tracked.peer();
            let Some(place) = or_done(self.handshakes.place(peer.id), end.as_mut()).await else { break };
            let span = Span::connection(Some(peer.id), peer.address);
            let opening = Box::pin(self.shared.clone().begin(arrival, (tracked, visit), place, span.clone()));
            let task = tokio::spawn(trace::within(Stage::Opening { opening }, span));
            open.set_task(peer.id, task.abort_handle());
        }
        drop(listeners);
        self.handshakes.end_all();
        open.shutdown(self.drain).await.unwrap_or_default()
    }

    fn admits(&mut self, arrival: &Arrival) -> bool {
        let (Some(admit), Some(address)) = (&mut self.admit, arrival.address()) else { return true };
        let admitted = catch_unwind(AssertUnwindSafe(|| admit(address))).unwrap_or(false);
        if !admitted {
            seen::refused(Refused::Unwanted);
        }
        admitted
    }
}

/// The tasks of a server, which end with it.
struct Tasks<'a>(&'a Open);

impl Drop for Tasks<'_> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A place among the open connections, until it is dropped: one word, as every connection has one.
struct Room(Arc<Shared>);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.room.add_permits(1);
    }
}

impl Shared {
    /// The next connection, once there is room for it; whoever opens first gets that.
    async fn next(&self, listeners: &mut Listeners) -> io::Result<Arrival> {
        drop(self.room.acquire().await);
        listeners.accept().await
    }

    /// Tells whoever wants to know.
    fn note(&self, peer: Option<Peer>, failure: Failure) {
        failure.tell(peer, self.on_error.as_deref());
    }

    /// Opens a connection, and says what is to be done then.
    async fn begin(
        self: Arc<Self>,
        arrival: Arrival,
        places: (Tracked, Visit),
        place: Place,
        span: Span,
    ) -> Option<impl Future<Output = ()>> {
        let peer = places.0.peer();
        let opened = caught(pin!(self.open(arrival, places, place, span))).await;
        let failure = match opened {
            Some(Ok((handling, places))) => return Some(self.rest(handling, places)),
            Some(Err(error)) => Failure::Handshake(error),
            None => Failure::Panic,
        };
        self.note(Some(peer), failure);
        None
    }

    fn rest(
        self: Arc<Self>,
        handling: Handling<NetStream>,
        (tracked, stay, permit): (Tracked, Stay, OwnedSemaphorePermit),
    ) -> impl Future<Output = ()> {
        permit.forget();
        let room = Room(self);
        handling.run(move |failure| {
            // All of it is kept with this.
            let (tracked, _stay, room) = (&tracked, &stay, &room);
            room.0.note(Some(tracked.peer()), failure);
        })
    }

    /// Opens a WebSocket, unless the `place` of the handshake is to be another's.
    async fn open(
        &self,
        arrival: Arrival,
        places: (Tracked, Visit),
        place: Place,
        span: Span,
    ) -> Result<Opened, Error> {
        let opened = or_done(self.accept(arrival, places, &place, span), pin!(place.given_up())).await;
        opened.unwrap_or_else(|| Err(io::Error::from(ErrorKind::TimedOut).into()))
    }

    async fn accept(
        &self,
        mut arrival: Arrival,
        (mut tracked, mut visit): (Tracked, Visit),
        place: &Place,
        span: Span,
    ) -> Result<Opened, Error> {
        visit.read_header(&mut arrival, self.settings.of(false).keepalive.handshake, self.is_plain()).await?;
        let stream = self.secure(arrival).await?;
        let mut over_tls = stream.is_tls();
        let (settings, started) = (self.settings.of(over_tls), Instant::now());
        let time = settings.keepalive.handshake;
        let (mut request, mut asked) = Incoming::read(stream, settings).await?.part();
        place.set_asked(true);
        span.path(request.path());
        let (client, stay) = match visit.identify(&request) {
            Ok(identified) => identified,
            Err(reject) => return Err(asked.reject(reject).await),
        };
        if client.address != tracked.peer().address {
            tracked.set_address(client.address);
            client.address.into_iter().for_each(|address| span.client(address));
        }
        if let Some(secure) = client.secure.filter(|secure| *secure != over_tls) {
            over_tls = secure;
            request = asked.reconfigure(request, self.settings.of(secure));
        }
        let service = self.routes.route(&mut request).unwrap_or(&self.other);
        if let Some(settings) = &service.settings {
            request = asked.reconfigure(request, settings.of(over_tls));
        }
        let answering = async {
            let (accept, work) = service.answer(request, tracked.peer()).await?;
            let room = self.room.clone().acquire_owned().await;
            Ok((accept, work, room.map_err(|_| Reject::new(503))?))
        };
        let answer = match time {
            Some(time) => timeout(time.saturating_sub(started.elapsed()), answering).await,
            None => Ok(answering.await),
        };
        // What is left to do is to write the answer.
        place.set_asked(false);
        let (accept, work, permit) = match answer.unwrap_or(Err(Reject::new(503))) {
            Ok(accepted) => accepted,
            Err(reject) => return Err(asked.reject(reject).await),
        };
        let answered = match asked.answered(accept) {
            Ok(answered) => answered,
            Err(refused) => {
                drop(permit);
                return Err(refused.finish().await);
            }
        };
        let socket = answered.open().await?;
        tracked.opened(socket.closer());
        Ok((Handling::new(socket, work), (tracked, stay, permit)))
    }

    /// Whether connections over TCP are of plain HTTP.
    fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    async fn secure(&self, arrival: Arrival) -> Result<NetStream, Error> {
        let stream = match arrival {
            Arrival::Tcp(stream, _) => stream,
            #[cfg(unix)]
            Arrival::Unix(stream) => return Ok(NetStream::Unix(stream)),
        };
        stream.set_nodelay(self.nodelay)?;
        let Some(tls) = &self.tls else { return Ok(NetStream::Tcp(stream)) };
        let handshake = tls.accept(NetStream::Tcp(stream));
        Ok(match self.settings.of(true).keepalive.handshake {
            Some(time) => timeout(time, handshake).await.map_err(io::Error::from)??,
            None => handshake.await?,
        })
    }
}

/// What `work` gives, or `None` if `done` is done before.
async fn or_done<T>(work: impl Future<Output = T>, mut done: Pin<&mut impl Future>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match done.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}
