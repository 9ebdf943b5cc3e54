//! A driver in two halves, for two threads or tasks: what reads, what writes, and facts between them.

use super::{Driver, Next, Progress, Storage};
use crate::changes::Changes;
use crate::config::Keepalive;
use crate::event::{Event, Fact};
use crate::rates::Rates;
use crate::receive::receiver::Receiver;
use crate::send::outgoing::Outgoing;
use crate::send::sender::Sender;
use crate::state::State;
use crate::wire::error::ProtocolError;
use core::fmt;
use core::time::Duration;

impl Driver {
    /// Parts the driver of an open connection into halves for two threads, as [`Connection::split`](crate::Connection::split)
    /// does a connection.
    ///
    /// The reading half tells the writing half [`Fact`]s. The writing half answers pings and closes, keeps the deadlines, and
    /// says what comes next. Each is lent a [`Storage`] of its own, or one that both use by turns.
    ///
    /// ```
    /// use sockless::driver::{Driver, Storage};
    /// use sockless::{Config, Connection, Event, Negotiated, Role, Seed};
    /// use std::io::{Read, Write};
    /// use std::net::{Shutdown, TcpStream};
    /// use std::sync::mpsc;
    /// use std::time::Instant;
    ///
    /// /// What the writing thread is to do.
    /// enum Work {
    ///     Fact(sockless::Fact),
    ///     Send(String),
    ///     /// All that there was to read has been read, so many bytes.
    ///     Heard(u64),
    /// }
    ///
    /// fn echo(driver: Driver, mut stream: TcpStream) -> std::io::Result<()> {
    ///     let Ok((mut reading, mut writing)) = driver.split() else { panic!("not open") };
    ///     let mut reader = stream.try_clone()?;
    ///     let (work, to_do) = mpsc::channel();
    ///     let thread = std::thread::spawn(move || {
    ///         let mut storage = Storage::default();
    ///         let mut ended = false;
    ///         while !ended {
    ///             let len = reader.read(reading.space(&mut storage)).unwrap_or(0);
    ///             ended = len == 0;
    ///             reading.received(&mut storage, len);
    ///             let mut tell = |fact| _ = work.send(Work::Fact(fact));
    ///             loop {
    ///                 match reading.event(&mut storage, &mut tell) {
    ///                     Ok(Some(Event::Text(text))) => _ = work.send(Work::Send(text.into_owned())),
    ///                     Ok(Some(_)) => {}
    ///                     Ok(None) => {
    ///                         if !reading.next(&mut storage, true).again {
    ///                             break;
    ///                         }
    ///                     }
    ///                     Err(error) => eprintln!("{error}"),
    ///                 }
    ///             }
    ///             _ = work.send(Work::Heard(reading.heard()));
    ///         }
    ///     });
    ///     let (mut storage, clock) = (Storage::default(), Instant::now());
    ///     loop {
    ///         let next = writing.next(clock.elapsed());
    ///         if next.shutdown {
    ///             _ = stream.shutdown(Shutdown::Write);
    ///         }
    ///         if next.close {
    ///             _ = stream.shutdown(Shutdown::Both); // the other thread reads the end
    ///             break;
    ///         }
    ///         let wait = next.wait(clock.elapsed()).unwrap_or(std::time::Duration::MAX);
    ///         match to_do.recv_timeout(wait) {
    ///             Ok(Work::Fact(fact)) => writing.handle_fact(fact),
    ///             Ok(Work::Send(text)) => _ = writing.sender().send_text(&text),
    ///             Ok(Work::Heard(bytes)) => _ = writing.judge(bytes, clock.elapsed()),
    ///             Err(_) => _ = writing.judge(writing.heard(), clock.elapsed()),
    ///         }
    ///         writing.lend(&mut storage);
    ///         writing.write(&mut stream)?;
    ///     }
    ///     thread.join().expect("it does not panic");
    ///     Ok(())
    /// }
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let mut client = TcpStream::connect(listener.local_addr()?)?;
    /// # client.write_all(b"\x89\x80\0\0\0\0\x81\x81\0\0\0\0A\x88\x80\0\0\0\0")?;
    /// # let connection = Connection::open(Role::Server, Negotiated::default(), Config::default(), Seed::new([0; 16]));
    /// # let served = std::thread::spawn(move || echo(Driver::new(connection), listener.accept()?.0));
    /// # let mut answers = Vec::new();
    /// # client.read_to_end(&mut answers)?;
    /// # assert_eq!(answers, b"\x8a\0\x81\x01A\x88\0");
    /// # served.join().unwrap()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The driver itself, if its connection is not open yet, or holds events of bytes that came before it was.
    #[allow(clippy::result_large_err)] // The error is the driver, given back.
    pub fn split(self) -> Result<(Reading, Writing), Self> {
        let Self { connection, progress } = self;
        match connection.into_halves() {
            Ok((sender, receiver)) => {
                let (progress, of_writing) = progress.split();
                let heard = receiver.traffic().bytes;
                Ok((Reading { receiver, progress }, Writing { sender, progress: of_writing, heard, limited: None }))
            }
            Err(connection) => Err(Self { connection, progress }),
        }
    }
}

/// The reading half of a [`Driver`]: input to events, and facts for the other half.
pub struct Reading {
    receiver: Receiver,
    progress: Progress,
}

impl Reading {
    /// The receiving half of the connection, to look at.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The receiving half of the connection, to change its limits.
    pub fn receiver_mut(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    pub(super) fn into_parts(self) -> (Receiver, Progress) {
        (self.receiver, self.progress)
    }

    /// As [`Driver::space`].
    #[inline]
    pub fn space<'a>(&'a mut self, storage: &'a mut Storage) -> &'a mut [u8] {
        self.progress.space(&mut self.receiver, storage)
    }

    /// So many bytes were read into the [`space`](Self::space). None: the transport has ended, by itself or by an error.
    #[inline]
    pub fn received(&mut self, storage: &mut Storage, len: usize) {
        self.progress.received(&mut self.receiver, storage, len, None);
    }

    /// As [`Driver::received_nothing`].
    #[inline]
    pub fn received_nothing(&mut self, storage: &mut Storage) {
        self.progress.received_nothing(&self.receiver, storage);
    }

    /// The next event, as [`Driver::event`] tells it; `tell` is given what the writing half has to know.
    ///
    /// # Errors
    /// The [`ProtocolError`] that ends the connection, once: the peer's fault.
    #[inline]
    pub fn event<'a>(
        &mut self,
        storage: &'a mut Storage,
        tell: impl FnMut(Fact),
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let before = self.before();
        let result = self.progress.event(&mut self.receiver, storage, Duration::ZERO);
        self.tell(before, &result, tell);
        result
    }

    /// The same, but messages come in [`Piece`](crate::Piece)s as they arrive.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn piece<'a>(
        &mut self,
        storage: &'a mut Storage,
        tell: impl FnMut(Fact),
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.part(storage, tell, Receiver::receive_piece)
    }

    /// The same, but each piece is a whole frame of the peer's.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn frame<'a>(
        &mut self,
        storage: &'a mut Storage,
        tell: impl FnMut(Fact),
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.part(storage, tell, Receiver::receive_frame)
    }

    fn part<'a>(
        &mut self,
        storage: &'a mut Storage,
        tell: impl FnMut(Fact),
        receive: impl FnOnce(&mut Receiver, &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let before = self.before();
        let result = self.progress.event_by(&mut self.receiver, storage, Duration::ZERO, false, receive);
        self.tell(before, &result, tell);
        result
    }

    /// What is looked at before an event, for what is to be told behind it: whether the transport ends, and whether the peer is
    /// read.
    #[inline]
    fn before(&self) -> (bool, bool) {
        (self.progress.has(Progress::EOF), !self.progress.has(Progress::LIMITED))
    }

    #[inline]
    fn tell(
        &mut self,
        (ends, read): (bool, bool),
        result: &Result<Option<Event<'_>>, ProtocolError>,
        mut tell: impl FnMut(Fact),
    ) {
        if read && self.progress.has(Progress::LIMITED) {
            self.progress.limited_until().map(Fact::Limited).into_iter().for_each(&mut tell);
        }
        match result {
            Ok(Some(Event::Text(_) | Event::Binary(_))) => {}
            Ok(Some(event)) => self.receiver.message_fact().into_iter().chain(event.fact()).for_each(tell),
            Ok(None) if !ends => self.receiver.message_fact().into_iter().for_each(tell),
            _ => {
                if ends && !self.progress.has(Progress::EOF) {
                    tell(Fact::Eof);
                }
                if let Err(error) = result {
                    self.receiver.end();
                    tell((*error).into());
                }
            }
        }
    }

    /// Whether all that was read is taken and told: nothing is left that waits for another read.
    #[inline]
    pub fn is_settled(&self, storage: &Storage) -> bool {
        !self.progress.has_left(storage)
    }

    /// Tells the time, on the clock of [`Writing::judge`], which [rates](crate::Rates) count from: before events, where there are
    /// [any](Self::is_rated). Without, they count for nothing.
    #[inline]
    pub fn tell_time(&mut self, now: Duration) {
        self.progress.tell_limiter(now);
    }

    /// Whether it is limited how much the peer may send in a time.
    #[inline]
    pub fn is_rated(&self) -> bool {
        self.progress.has(Progress::RATED)
    }

    /// As [`Driver::set_rates`].
    pub fn set_rates(&mut self, rates: Rates) {
        self.progress.set_rates(rates);
    }

    /// Changes settings, perhaps of many connections at once; [the other half's](Writing::change) too.
    pub fn change(&mut self, changes: &mut Changes) {
        self.receiver.change(changes);
        self.progress.changed(changes);
    }

    /// Bytes that have been heard, for [`Writing::judge`].
    #[inline]
    pub fn heard(&self) -> u64 {
        self.receiver.traffic().bytes
    }

    /// What to do now, where the writing half may say no more than whether to [read](Next::read): ask for events again, or
    /// read. The turn ends with it.
    #[inline]
    pub fn next(&mut self, storage: &mut Storage, read: bool) -> Next {
        self.progress.enter(&self.receiver, storage);
        storage.end_turn();
        let again = self.progress.has_input(storage) && !self.progress.has_any(Progress::STOPPED);
        Next { again, read: read && self.progress.reads(&self.receiver, storage), ..Next::default() }
    }

    /// Gives back what compression holds, as [`Receiver::rest`] does, if it was of no use since the last call: where
    /// [`Writing::judge`] finds the peer silent.
    pub fn rest_if_idle(&mut self) {
        #[cfg(feature = "deflate")]
        self.receiver.rest_if_idle();
    }

    /// The writing half has found the end, or closes the transport: nothing more is told.
    pub fn end(&mut self) {
        self.receiver.end();
    }

    /// The loop turns to another connection: takes out of `storage` what is this one's, if there is anything.
    #[inline]
    pub fn leave(&mut self, storage: &mut Storage) {
        self.progress.leave_in(storage);
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("traffic", &self.receiver.traffic()).finish_non_exhaustive()
    }
}

/// The writing half of a [`Driver`]: what waits to go out, the deadlines, and the end.
pub struct Writing {
    sender: Sender,
    progress: Progress,
    heard: u64,
    /// Until then the reading half does not read, for the peer has sent too much.
    limited: Option<Duration>,
}

impl Writing {
    pub(super) fn into_parts(self) -> (Sender, Progress) {
        (self.sender, self.progress)
    }

    /// The sending half of the connection, to send and to close.
    #[inline]
    pub fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// The sending half of the connection, to look at.
    #[inline]
    pub fn peek(&self) -> &Sender {
        &self.sender
    }

    /// Changes the deadlines, as [`Sender::set_keepalive`] does; the reading half's
    /// [receiver](Reading::receiver_mut) is told too.
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.progress.set(Progress::TIMED, false);
        self.sender.set_keepalive(keepalive);
    }

    /// Changes settings, perhaps of many connections at once; [the other half's](Reading::change) too.
    pub fn change(&mut self, changes: &mut Changes) {
        self.progress.set(Progress::TIMED, false);
        self.sender.change(changes);
    }

    /// The reading half has found something.
    pub fn handle_fact(&mut self, fact: Fact) {
        self.progress.set(Progress::TIMED, false);
        match fact {
            Fact::Limited(until) => self.limited = Some(until),
            fact => self.sender.handle_fact(fact),
        }
    }

    /// Tells the time, on a monotonic clock of the caller's. By then the reading half has [heard](Reading::heard) so many bytes,
    /// and there was no more to be read: a pong that waits to be read is not missing. Whether the peer has been silent for so long
    /// that it is sent a ping: then the reading half may [rest](Reading::rest_if_idle).
    ///
    /// # Errors
    /// A deadline that ends the connection; the reading half is to [end](Reading::end).
    pub fn judge(&mut self, heard: u64, now: Duration) -> Result<bool, ProtocolError> {
        self.heard = heard;
        if self.is_limited(now) {
            return Ok(false);
        }
        let result = self.sender.judge(now, heard);
        self.progress.judged(self.sender.state() == State::Open, result.err());
        super::noting::told(self.sender.notes(), self.sender.role(), self.sender.settings(), result)
    }

    /// Whether the peer is not read for a while, and the connection goes on.
    fn is_limited(&mut self, now: Duration) -> bool {
        self.limited = self.limited.filter(|until| *until > now);
        self.limited.is_some() && self.sender.state() == State::Open
    }

    /// Bytes that the reading half had heard when the time was last judged.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// As [`Driver::lend`].
    #[inline]
    pub fn lend(&mut self, storage: &mut Storage) {
        self.progress.lend(&mut self.sender, storage);
    }

    /// As [`Driver::write`].
    ///
    /// # Errors
    /// As [`Driver::write`].
    #[cfg(feature = "std")]
    #[inline]
    pub fn write(&mut self, transport: impl std::io::Write) -> std::io::Result<bool> {
        let result = super::writing::write_all(self.outbound(), transport);
        if result.is_err() {
            self.write_failed();
        }
        result
    }

    /// What is outbound, for a loop that writes otherwise.
    #[inline]
    pub fn outbound(&mut self) -> Outgoing<'_> {
        self.progress.outbound(&mut self.sender)
    }

    /// As [`Driver::write_failed`].
    pub fn write_failed(&mut self) {
        self.progress.write_failed(&mut self.sender);
    }

    /// As [`Driver::set_held_back`].
    pub fn set_held_back(&mut self, held_back: bool) {
        self.progress.set(Progress::HELD_BACK, held_back);
    }

    /// Whether there is nothing to do but to read on, as [`Driver::is_settled`] says.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.progress.is_settled_out(&self.sender)
    }

    /// What comes next, but for [`Next::again`], which the reading half knows.
    #[inline]
    pub fn next(&mut self, now: Duration) -> Next {
        self.sender.notes().tell_time(now);
        let wants = self.sender.wants();
        let mut next = Next { read: wants.read, ..self.progress.next_out(wants) };
        if self.is_limited(now) {
            next.deadline = self.limited;
        }
        self.progress.end_transport(&self.sender, wants.transport, now, &mut next);
        next
    }

    /// The loop turns to another connection: takes the outbox of `storage` back, if it was lent.
    #[inline]
    pub fn leave(&mut self, storage: &mut Storage) {
        self.progress.leave_out(&mut self.sender, storage);
    }
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writing").field(&self.sender.state()).finish()
    }
}
