//! What every loop around a [`Connection`] does, without the loop: where to read, when to judge the time, what to write,
//! and what comes next.

mod answers;
mod attempts;
#[cfg(feature = "std")]
pub mod byte_stream;
#[cfg(feature = "std")]
mod error;
mod halves;
mod inbox;
mod incoming;
mod judging;
#[cfg(feature = "std")]
mod lend;
mod limiter;
mod messages;
mod next;
mod noting;
mod parting;
mod pings;
mod progress;
mod reading;
#[cfg(feature = "std")]
mod reconnect;
#[cfg(feature = "std")]
mod redirects;
mod storage;
mod turn;
mod work;
mod writing;

use crate::changes::Changes;
use crate::config::{Keepalive, SharedConfig};
use crate::connection::Connection;
use crate::event::Event;
use crate::handshake::Request;
use crate::message::Message;
use crate::rates::Rates;
use crate::send::outgoing::Outgoing;
use crate::send::sender::Sender;
use crate::send::through::Through;
use crate::wire::error::{ProtocolError, RelayError, SendError};
use core::{fmt, time::Duration};

#[doc(hidden)] // For the pair in memory, and tests of a connection alone.
pub use answers::Answers;
pub use attempts::{Attempt, Attempts};
pub use halves::{Reading, Writing};
pub use inbox::Inbox;
pub use messages::Messages;
pub use next::Next;
pub use parting::{GivenBack, InUse};
pub use pings::{PingId, Pings};
pub use storage::Storage;
pub use turn::Turn;
#[cfg(feature = "std")]
pub use {
    error::{ConnectError, Error, ProxyError, SocksError},
    lend::lent,
    reconnect::{Backoff, Change, Keep, Reconnect, Stopped, Unsent},
    redirects::Redirects,
};

use progress::Progress;

/// A connection, and all about driving it that is neither protocol nor I/O: it is told bytes, lengths and times.
///
/// A loop lends it a [`Storage`], reads into its [`space`](Self::space), takes [`event`](Self::event)s, writes what is
/// outbound, and asks what comes [`next`](Self::next). So deadlines are kept, large messages are read to where they
/// belong, many small ones are answered together, no peer takes the turns of others, and a peer that does not read is not
/// asked on.
///
/// ```
/// use sockless::driver::{Driver, Storage};
/// use sockless::{Config, Connection, Event};
/// use std::io;
/// use std::net::{Shutdown, TcpStream};
/// use std::time::Instant;
///
/// fn serve(stream: TcpStream) -> io::Result<()> {
///     let (mut driver, mut storage) = (Driver::new(Connection::server(Config::default())), Storage::default());
///     let clock = Instant::now();
///     loop {
///         let next = driver.next(&mut storage, clock.elapsed());
///         if next.shutdown {
///             _ = stream.shutdown(Shutdown::Write);
///         }
///         if next.close {
///             return Ok(());
///         }
///         stream.set_read_timeout(next.wait(clock.elapsed()))?;
///         stream.set_write_timeout(next.wait(clock.elapsed()))?;
///         driver.read(&mut storage, &stream, || clock.elapsed())?;
///         let told = driver.each(&mut storage, clock.elapsed(), |connection, event| match event {
///             Event::Request(request) => connection.accept(request.accept()).expect("nothing of its own"),
///             // Pings are answered, and closes are echoed. A peer that takes nothing is refused more.
///             event => _ = event.into_message().map(|message| connection.send(&message)),
///         });
///         told.unwrap_or_else(|error| eprintln!("{error}")); // the close frame that tells the peer is outbound
///         driver.write(&mut storage, &stream)?;
///     }
/// }
/// # use std::io::{Read, Write};
/// # use std::net::TcpListener;
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let mut client = TcpStream::connect(listener.local_addr()?)?;
/// # client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
/// #     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
/// #     \x82\x81\0\0\0\0A\x88\x80\0\0\0\0")?;
/// # let served = std::thread::spawn(move || serve(listener.accept()?.0));
/// # let mut answers = Vec::new();
/// # client.read_to_end(&mut answers)?;
/// # assert!(answers.ends_with(b"\r\n\r\n\x82\x01A\x88\0"));
/// # served.join().unwrap()?;
/// # Ok::<(), io::Error>(())
/// ```
pub struct Driver {
    connection: Connection,
    progress: Progress,
}

impl Driver {
    /// Drives a connection of either role, from any point of it on.
    pub fn new(mut connection: Connection) -> Self {
        let mut progress = Progress::default();
        progress.set_rates(connection.receiver().config().rates);
        progress.begin_notes(&mut connection);
        Self { connection, progress }
    }

    /// The connection, to send, to close, or to answer a request.
    #[inline]
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The connection, to look at.
    #[inline]
    pub fn peek(&self) -> &Connection {
        &self.connection
    }

    /// The sending half of the connection, to send and to close; a [writing half](Writing) has it too.
    #[inline]
    pub fn sender(&mut self) -> &mut Sender {
        self.connection.sender_mut()
    }

    // ---- reading

    /// Where the next read goes, which is empty only where what was read before was not taken; the bytes in it mean nothing.
    ///
    /// It is the rest of a large message where that lies, or what the loop lends, behind what the last read cut off.
    #[inline]
    pub fn space<'a>(&'a mut self, storage: &'a mut Storage) -> &'a mut [u8] {
        self.progress.lend(self.connection.sender_mut(), storage);
        self.progress.space(&mut self.connection, storage)
    }

    /// So many bytes were read into the [`space`](Self::space), at this time on the caller's clock. None: the transport has
    /// ended, by itself or by an error.
    #[inline]
    pub fn received(&mut self, storage: &mut Storage, len: usize, now: Duration) {
        self.progress.received(&mut self.connection, storage, len, Some(now));
    }

    /// The same, of a loop that does not look at the clock for each read: what came counts as heard when the time is judged.
    #[inline]
    pub fn received_lately(&mut self, storage: &mut Storage, len: usize) {
        self.progress.received(&mut self.connection, storage, len, None);
    }

    /// Reads once, if reading is wanted; whether there may be more to read at once. The time is that behind the read, which may
    /// have waited.
    ///
    /// # Errors
    /// That of the transport, but for `WouldBlock`, `TimedOut` and `Interrupted`. The transport has ended then, which the connection
    /// is told.
    #[cfg(feature = "std")]
    #[inline]
    pub fn read(
        &mut self,
        storage: &mut Storage,
        mut transport: impl std::io::Read,
        now: impl FnOnce() -> Duration,
    ) -> std::io::Result<bool> {
        use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        if !self.progress.reads(&self.connection, storage) {
            return Ok(false);
        }
        let space = self.space(storage);
        let room = space.len();
        match transport.read(space) {
            Ok(len) => {
                self.received(storage, len, now());
                // A stream that gives less than was asked for has no more (epoll(7), question 9).
                Ok(len == room)
            }
            Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => {
                self.received_nothing(storage);
                Ok(error.kind() == Interrupted)
            }
            Err(error) => {
                self.received(storage, 0, now());
                Err(error)
            }
        }
    }

    /// The transport has nothing to read now, as far as is known: a deadline that has passed counts.
    #[inline]
    pub fn received_nothing(&mut self, storage: &mut Storage) {
        self.progress.received_nothing(&self.connection, storage);
    }

    /// Judges the time though there may be more to read, for a loop that reads on only when its peer takes what it is sent.
    ///
    /// # Errors
    /// A deadline that ends the connection.
    pub fn judge(&mut self, now: Duration) -> Result<(), ProtocolError> {
        self.progress.judge(&mut self.connection, now).map(drop)
    }

    /// The next event; `None` when it is time to write: all input is taken, or this turn has done its part.
    ///
    /// The event borrows `storage`, never the driver. What the loop sends before the next call counts as answered from
    /// within reading, for which a server may stop reading until they have gone.
    ///
    /// # Errors
    /// The [`ProtocolError`] that ends the connection, once: the peer's fault, or a deadline. The loop goes on until
    /// [`Next::close`].
    #[inline]
    pub fn event<'a>(&mut self, storage: &'a mut Storage, now: Duration) -> Result<Option<Event<'a>>, ProtocolError> {
        self.progress.event(&mut self.connection, storage, now)
    }

    /// Gives `take` each event until it is time to write, as [`event`](Self::event) tells one: the quickest way for many short
    /// messages. What it sends meanwhile goes by the connection that it is given, as part of a [`Turn`].
    ///
    /// # Errors
    /// As [`event`](Self::event); call again for what follows.
    #[inline]
    pub fn each(
        &mut self,
        storage: &mut Storage,
        now: Duration,
        take: impl FnMut(&mut Turn<'_>, Event<'_>),
    ) -> Result<(), ProtocolError> {
        self.progress.each(&mut self.connection, storage, now, take)
    }

    /// Whether all input is taken and no deadline has come nearer, so that there is no [`event`](Self::event): mostly so behind the
    /// messages of a read, and quicker to ask.
    #[inline]
    pub fn is_dry(&self, storage: &Storage) -> bool {
        self.progress.is_dry(storage)
    }

    /// What `take` makes of the next [`event`](Self::event), which it gets with its [`Turn`].
    ///
    /// # Errors
    /// As [`event`](Self::event).
    #[inline]
    pub fn event_with<T>(
        &mut self,
        storage: &mut Storage,
        now: Duration,
        take: impl FnOnce(&mut Turn<'_>, Event<'_>) -> T,
    ) -> Result<Option<T>, ProtocolError> {
        self.progress.event_with(&mut self.connection, storage, now, take)
    }

    /// The messages that lie whole where they were read, for a loop that may stop behind any of them.
    #[inline]
    pub fn messages<'a>(&'a mut self, storage: &'a mut Storage) -> Messages<'a> {
        self.progress.messages(&mut self.connection, storage)
    }

    /// As [`event`](Self::event), but messages come in [`Piece`](crate::Piece)s as they arrive.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn piece<'a>(&mut self, storage: &'a mut Storage, now: Duration) -> Result<Option<Event<'a>>, ProtocolError> {
        self.progress.event_by(&mut self.connection, storage, now, false, Connection::receive_piece)
    }

    /// The same, but each piece is a whole frame of the peer's, as by [`Connection::receive_frame`].
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn frame<'a>(&mut self, storage: &'a mut Storage, now: Duration) -> Result<Option<Event<'a>>, ProtocolError> {
        self.progress.event_by(&mut self.connection, storage, now, false, Connection::receive_frame)
    }

    /// What `take` makes of the next [`piece`](Self::piece) or other event, which it gets with its [`Turn`].
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn piece_with<T>(
        &mut self,
        storage: &mut Storage,
        now: Duration,
        take: impl FnOnce(&mut Turn<'_>, Event<'_>) -> T,
    ) -> Result<Option<T>, ProtocolError> {
        self.progress.part_with(&mut self.connection, storage, now, Connection::receive_piece, take)
    }

    /// What `take` makes of the next [`frame`](Self::frame) or other event, which it gets with its [`Turn`].
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn frame_with<T>(
        &mut self,
        storage: &mut Storage,
        now: Duration,
        take: impl FnOnce(&mut Turn<'_>, Event<'_>) -> T,
    ) -> Result<Option<T>, ProtocolError> {
        self.progress.part_with(&mut self.connection, storage, now, Connection::receive_frame, take)
    }

    /// The same, but messages are passed on `to` another connection, as by [`Connection::relay`]. While much waits there,
    /// [`pause`](Self::pause).
    ///
    /// # Errors
    /// As [`event`](Self::event), and [`RelayError::Send`] if `to` takes nothing; no input was lost.
    pub fn relay<'a>(
        &mut self,
        storage: &'a mut Storage,
        to: &mut Connection,
        now: Duration,
    ) -> Result<Option<Event<'a>>, RelayError> {
        let relay = |connection: &mut Connection, input: &mut &'a mut [u8]| connection.relay(input, to);
        self.progress.event_by(&mut self.connection, storage, now, false, relay)
    }

    /// Stops reading, until [`resume`](Self::resume), or the connection is closed or aborted: no event comes, and no deadline
    /// counts.
    pub fn pause(&mut self) {
        self.progress.set(Progress::PAUSED, true);
    }

    /// Goes on reading.
    pub fn resume(&mut self) {
        self.progress.resume();
    }

    /// Stops reading until [`release`](Self::release), for whoever takes the events has to catch up: no event comes, be the
    /// connection closing or not, and until it is, no deadline counts.
    pub fn hold(&mut self) {
        self.progress.set(Progress::HELD, true);
    }

    /// Goes on reading.
    pub fn release(&mut self) {
        self.progress.set(Progress::HELD, false);
    }

    /// Changes how much the peer may send in a time, which [`Config::rates`](crate::Config::rates) say at first; what it owes it still
    /// does.
    pub fn set_rates(&mut self, rates: Rates) {
        self.progress.set_rates(rates);
    }

    /// Changes the deadlines, as [`Connection::set_keepalive`] does; [`next`](Self::next) tells the new one.
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.connection.set_keepalive(keepalive);
        self.progress.set(Progress::ARMED, false);
    }

    /// As [`Connection::reconfigure`].
    ///
    /// # Errors
    /// As [`Connection::reconfigure`].
    pub fn reconfigure<'a>(
        &mut self,
        request: Request<'a>,
        config: impl Into<SharedConfig>,
    ) -> Result<Request<'a>, SendError> {
        let request = self.connection.reconfigure(request, config)?;
        self.progress.set_rates(self.connection.config().rates);
        Ok(request)
    }

    /// Changes settings, perhaps of many connections at once.
    pub fn change(&mut self, changes: &mut Changes) {
        self.connection.change(changes);
        self.progress.changed(changes);
    }

    /// Whether it is [held](Self::hold).
    pub fn is_held(&self) -> bool {
        self.progress.has(Progress::HELD)
    }

    /// The transport says that the peer has hung up, ahead of what there is to read. What it has left is waited for to be read in
    /// a [pause](Self::pause) as long as a closing handshake may take ([`Keepalive::close`](crate::Keepalive::close); 10 s if that is
    /// never); then it is dropped, and the connection has ended.
    pub fn hung_up(&mut self) {
        self.progress.set(Progress::HUNG_UP, true);
    }

    /// The connection as whoever takes its events has it, for what comes between them.
    pub fn turn<'a>(&'a mut self, storage: &'a mut Storage) -> Turn<'a> {
        Turn::new(&mut self.connection, &mut self.progress, &mut storage.work, true)
    }

    /// What is sent from here on, until it is written or the loop turns to another connection, counts as answered from within
    /// reading too, though it was worked out elsewhere.
    #[inline]
    pub fn answering(&mut self, storage: &mut Storage) {
        self.progress.answering(&self.connection, storage);
    }

    // ---- writing

    /// Lends the outbox of `storage`, for what the loop sends of its own accord; reading does that by itself.
    #[inline]
    pub fn lend(&mut self, storage: &mut Storage) {
        self.progress.lend(self.connection.sender_mut(), storage);
    }

    /// As [`Connection::send_through`]; of a lent outbox, the room stays.
    ///
    /// # Errors
    /// As [`Connection::send_through`].
    pub fn send_through<'a>(&'a mut self, message: &'a Message<'_>) -> Result<Through<'a>, SendError> {
        let through = self.connection.send_through(message)?;
        Ok(if self.progress.has(Progress::LENT) { through.retaining(usize::MAX) } else { through })
    }

    /// Writes what is outbound with as few calls as it takes, until the transport takes less than it is offered; whether all
    /// is written.
    ///
    /// # Errors
    /// That of the transport, but for `WouldBlock` and `Interrupted`, and where it takes nothing, `WriteZero`. Nothing more can be
    /// written then; what the peer said before it went may still be read.
    #[cfg(feature = "std")]
    #[inline]
    pub fn write(&mut self, storage: &mut Storage, transport: impl std::io::Write) -> std::io::Result<bool> {
        self.progress.write(self.connection.sender_mut(), storage, transport)
    }

    /// What is outbound, for a loop that writes otherwise: behind that it says that it [`wrote`](Self::wrote).
    #[inline]
    pub fn outbound(&mut self, storage: &mut Storage) -> Outgoing<'_> {
        self.progress.note_answers(self.connection.sender(), storage);
        self.progress.outbound(self.connection.sender_mut())
    }

    /// Behind [`outbound`](Self::outbound): as much was written as the transport took.
    #[inline]
    pub fn wrote(&mut self, storage: &mut Storage) {
        self.progress.wrote(self.connection.sender(), storage);
    }

    /// The transport takes no more for good: what waits to go out is dropped, and reading goes on to its end.
    pub fn write_failed(&mut self) {
        self.progress.write_failed(self.connection.sender_mut());
    }

    /// Whether the transport itself holds bytes back, as TLS may: it is not closed before they have gone, for a while.
    pub fn set_held_back(&mut self, held_back: bool) {
        self.progress.set(Progress::HELD_BACK, held_back);
    }

    // ---- what next

    /// Whether this turn has more events, once all is [written](Self::write) that is to go out before them.
    #[inline]
    pub fn has_more(&self, storage: &Storage) -> bool {
        self.progress.has_more(&self.connection, storage)
    }

    /// Whether there is nothing to do but to read on, and no deadline has come nearer since [`next`](Self::next): mostly so,
    /// and quicker to ask.
    #[inline]
    pub fn is_settled(&self, storage: &Storage) -> bool {
        self.progress.has(Progress::ARMED) && self.progress.is_settled(&self.connection, storage)
    }

    /// What the loop should do now. The turn ends with it: events that were left follow in the next.
    #[inline]
    pub fn next(&mut self, storage: &mut Storage, now: Duration) -> Next {
        self.progress.next(&mut self.connection, storage, now)
    }

    /// The loop turns to another connection: takes out of `storage` what is this one's, if there is anything.
    #[inline]
    pub fn leave(&mut self, storage: &mut Storage) {
        self.progress.leave(&mut self.connection, storage);
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Driver").field(&self.connection).finish()
    }
}
