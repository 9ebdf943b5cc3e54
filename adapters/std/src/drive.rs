//! From the reads and writes of a blocking stream to events, and to the connection's end.

mod parting;

use crate::closer::Closer;
use crate::lent::Lent;
use crate::mode::Mode;
use crate::split::{self, Receiver, Sender};
use crate::stream::Stream;
use crate::transport::{Got, SLICE, Transport, Wrote};
use crate::waits::SHORTEST;
use sockless::driver::{Driver, Error, Inbox, Next, PingId, Pings};
use sockless::{Close, Code, Connection, Event, Message, ProtocolError, Role, SendError, State};
use std::thread;
use std::time::{Duration, Instant};

/// How often in a row is read, at most, behind a write that the peer did not take.
const READS: u32 = 64;

/// Milliseconds; how long a caller may send without a look at what has come: pings want to be answered, and a close to be seen.
const BLIND: u32 = 100;

/// How long a client that is refused has to take the answer and hang up: hung up on before, it might not see it.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often a connection that others may close looks whether they have.
const LOOK: Duration = Duration::from_millis(500);

/// How far a goal is.
pub(crate) enum Step<T> {
    Reached(T),
    /// More has to come.
    Read,
    /// More has to go out; what comes meanwhile is read.
    Write,
    /// More has to go out, and nothing more is read before.
    Hold,
}

/// A connection, its stream, and the clock that it goes by.
pub(crate) struct Drive<S> {
    pub(crate) driver: Driver,
    pub(crate) transport: Transport<S>,
    pub(crate) lent: Lent,
    started: Instant,
    /// What the clock last said: what one read has brought has all come by then, and the clock is not read for each event of it.
    now: Duration,
    /// When something was last asked for, in milliseconds since then, which wrap.
    looked: u32,
    /// How messages were last asked for.
    mode: Mode,
    /// What has come while something else was waited for.
    inbox: Inbox,
    pub(crate) close: Option<Box<Close<'static>>>,
    /// What is told at the end; few have it.
    failure: Option<Box<Error>>,
    over: bool,
    /// The opening handshake is not done.
    opening: bool,
    /// When the end of the peer's bytes is not waited for any longer, if it was refused.
    farewell: Option<Box<Instant>>,
    /// The stream did not let the last call wait.
    at_once: bool,
    /// Pings that somebody asks after, once there was one.
    pub(crate) pings: Option<Box<Pings>>,
    /// Set by others who want the connection closed.
    pub(crate) closer: Option<Closer>,
}

impl<S: Stream> Drive<S> {
    pub(crate) fn new(driver: Driver, stream: S) -> Self {
        Self {
            driver,
            transport: Transport::new(stream),
            lent: Lent::default(),
            started: Instant::now(),
            now: Duration::ZERO,
            looked: 0,
            mode: Mode::Message,
            inbox: Inbox::default(),
            close: None,
            failure: None,
            over: false,
            opening: true,
            farewell: None,
            at_once: false,
            pings: None,
            closer: None,
        }
    }

    /// The opening handshake is done.
    pub(crate) fn opened(&mut self) {
        self.opening = false;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// The next event, of those that were kept or from the stream; `None` at the end.
    pub(crate) fn recv(&mut self, mode: Mode, deadline: Option<Instant>) -> Result<Option<Event<'static>>, Error> {
        match self.inbox.pop() {
            Some(event) => Ok(Some(event)),
            None => self.until(deadline, |this| Ok(this.event(mode).map_or(Step::Read, Step::Reached))),
        }
    }

    /// Gives `take` each message where it lies, until that fails, or to the end.
    pub(crate) fn recv_each<E: From<Error>>(
        &mut self,
        deadline: Option<Instant>,
        mut take: impl FnMut(Message<'_>, &mut Connection) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(event) = self.inbox.pop() {
            if let Some(message) = event.into_message() {
                take(message, self.driver.connection())?;
            }
        }
        let mut failure = None;
        let reached = self.until(deadline, |this| {
            this.mode = Mode::Message;
            loop {
                let told = this.driver.event(this.lent.storage(), this.now);
                let message = match told {
                    Ok(Some(Event::Close(close))) => {
                        this.close = Some(Box::new(close.into_owned()));
                        continue;
                    }
                    Ok(Some(event)) => event.into_message(),
                    Ok(None) => return Ok(Step::Read),
                    Err(error) => {
                        this.fail(error);
                        continue;
                    }
                };
                let taken = message.map(|message| take(message, this.driver.connection()));
                if let Some(Err(error)) = taken {
                    failure = Some(error);
                    return Ok(Step::Reached(()));
                }
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(reached.map(|_| ())?),
        }
    }

    /// What the connection tells next of what was read.
    pub(crate) fn event(&mut self, mode: Mode) -> Option<Event<'static>> {
        self.mode = mode;
        loop {
            let (storage, now) = (self.lent.storage(), self.now);
            let told = match mode {
                Mode::Message => self.driver.event(storage, now),
                Mode::Piece => self.driver.piece(storage, now),
                Mode::Frame => self.driver.frame(storage, now),
            };
            match told {
                Ok(Some(event)) => {
                    let event = event.into_owned();
                    if let Event::Close(close) = &event {
                        self.close = Some(Box::new(close.clone()));
                    }
                    if let (Event::Pong(payload), Some(pings)) = (&event, &mut self.pings)
                        && pings.handle_pong(payload, now)
                    {
                        // It is told to who asked for it.
                        continue;
                    }
                    return Some(event);
                }
                Ok(None) => return None,
                Err(error) => self.fail(error),
            }
        }
    }

    /// Waits for the pong of a ping that is `sent`, and keeps what comes meanwhile; when it came. `None` at the connection's end.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Unreceived`] where there is no room for what comes before it; why the connection has failed.
    pub(crate) fn answered(&mut self, sent: PingId, deadline: Option<Instant>) -> Result<Option<Duration>, Error> {
        self.until(deadline, |this| {
            this.keep_events();
            match this.pings.as_ref().and_then(|pings| pings.answered(sent)) {
                Some(at) => Ok(Step::Reached(at)),
                None if this.has_room() => Ok(Step::Read),
                None => Err(Error::Unreceived),
            }
        })
    }

    /// Writes what waits, in the time that there is. What comes meanwhile is kept, as far as there is room.
    ///
    /// # Errors
    /// [`Error::TimedOut`], behind which the rest still waits; else why it never goes out.
    pub(crate) fn flush(&mut self, deadline: Option<Instant>) -> Result<(), Error> {
        let wrote = self.write();
        self.at_once = wrote == Wrote::PartAtOnce;
        let flushed = match wrote {
            Wrote::All if self.is_sound() => return self.glance(),
            Wrote::PartAtOnce => return Err(Error::TimedOut),
            _ => {
                let mut stalled = (0, Instant::now());
                self.until(deadline, |this| this.flushed(&mut stalled))
            }
        };
        match (flushed, &self.close) {
            (Ok(Some(())), _) => Ok(()),
            (Err(Error::TimedOut), _) => Err(Error::TimedOut),
            (_, Some(close)) => Err(Error::Closed(close.clone())),
            (Err(error), None) => Err(error),
            (Ok(None), None) => Err(SendError::Closing.into()),
        }
    }

    /// Keeps what has come, if nobody has asked for it for a while.
    fn glance(&mut self) -> Result<(), Error> {
        if self.millis().wrapping_sub(self.looked) < BLIND || !self.has_room() {
            self.put_back();
            return Ok(());
        }
        let looked = self.until(Some(Instant::now()), |this| {
            this.keep_events();
            Ok(if this.has_room() { Step::Read } else { Step::Reached(()) })
        });
        match looked {
            // A close is told to who sends next, and to who receives.
            Ok(_) | Err(Error::TimedOut) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Keeps what was read, as far as there is room.
    fn keep_events(&mut self) {
        while self.has_room() {
            match self.event(self.mode) {
                Some(event) => self.inbox.push(event),
                None => return,
            }
        }
    }

    fn has_room(&self) -> bool {
        self.inbox.bytes() <= self.most_queued()
    }

    /// Whether what is written may come to the peer.
    fn is_sound(&self) -> bool {
        self.transport.broken.is_none() && self.failure.is_none()
    }

    /// Whether all is written, and how many bytes waited since when.
    fn flushed(&mut self, stalled: &mut (usize, Instant)) -> Result<Step<()>, Error> {
        let queued = self.driver.peek().queued();
        if queued == 0 && !self.transport.is_held_back() && self.is_sound() {
            return Ok(Step::Reached(()));
        }
        self.keep_events();
        if self.has_room() {
            return Ok(Step::Write);
        }
        if queued != stalled.0 {
            *stalled = (queued, Instant::now());
        }
        // A peer that waits to be read itself is not waited for without end, but for as long as for a pong.
        match self.driver.peek().config().keepalive.pong {
            Some(stall) if stalled.1.elapsed() >= stall => Err(Error::TimedOut),
            _ => Ok(Step::Hold),
        }
    }

    /// Reads and writes until `goal` is reached; `None` at the connection's end.
    ///
    /// # Errors
    /// Those of `goal`; [`Error::TimedOut`]; at the end, why it failed, once.
    pub(crate) fn until<T>(
        &mut self,
        deadline: Option<Instant>,
        goal: impl FnMut(&mut Self) -> Result<Step<T>, Error>,
    ) -> Result<Option<T>, Error> {
        if self.over {
            return Ok(None);
        }
        let result = self.turns(deadline, goal);
        self.put_back();
        result
    }

    fn turns<T>(
        &mut self,
        deadline: Option<Instant>,
        mut goal: impl FnMut(&mut Self) -> Result<Step<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let (mut got, mut reads_left) = (Got::Something, 0);
        let mut asked = false;
        loop {
            let (reads, writes) = match goal(self)? {
                Step::Reached(reached) => return Ok(Some(reached)),
                Step::Read => (true, false),
                Step::Write => (true, true),
                Step::Hold => (false, true),
            };
            self.look();
            let wrote = match reads_left {
                0 => self.write(),
                _ => Wrote::Part,
            };
            self.now = self.started.elapsed();
            let next = self.driver.next(self.lent.storage(), self.now);
            if next.shutdown {
                // If it fails, the peer is gone already, which reading tells.
                _ = self.transport.stream.shutdown();
                if self.opening && self.farewell.is_none() {
                    self.farewell = Some(Box::new(self.farewell()));
                }
            }
            if next.close || self.farewell.as_deref().is_some_and(|farewell| *farewell <= Instant::now()) {
                self.over = true;
                return self.failure.take().map_or(Ok(None), |error| Err(*error));
            }
            if next.again && reads || writes && wrote == Wrote::All && self.is_sound() {
                continue;
            }
            self.at_once = got == Got::NothingAtOnce;
            if self.at_once || asked && deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Error::TimedOut);
            }
            let mut patience = self.patience(&next, deadline);
            if wrote != Wrote::All || self.transport.broken.is_some() {
                patience = Some(SHORTEST);
            }
            match reads && next.read {
                true if wrote != Wrote::Part || self.transport.is_timed() => got = self.read(patience),
                // The write has waited.
                _ if wrote == Wrote::Part => {}
                // Only time brings something.
                _ => thread::sleep(patience.unwrap_or(SLICE).min(SLICE)),
            }
            reads_left = match (wrote, got) {
                (Wrote::Part, Got::Something) if reads && reads_left == 0 => READS,
                (Wrote::Part, Got::Something) => reads_left.saturating_sub(1),
                _ => 0,
            };
            asked = true;
        }
    }

    fn farewell(&self) -> Instant {
        match self.driver.peek().role() {
            Role::Server => Instant::now() + FAREWELL,
            Role::Client => Instant::now(),
        }
    }

    /// How long a read may wait.
    fn patience(&self, next: &Next, deadline: Option<Instant>) -> Option<Duration> {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let (callers, farewell) = (deadline.map(left), self.farewell.as_deref().copied().map(left));
        let look = self.closer.as_ref().map(|_| LOOK);
        [next.wait(self.now), callers, farewell, look].into_iter().flatten().min()
    }

    /// Reads once.
    fn read(&mut self, patience: Option<Duration>) -> Got {
        self.looked = self.now.as_millis() as u32;
        let Self { driver, transport, lent, started, now, .. } = self;
        transport.read(driver, lent.storage(), patience, now, || started.elapsed())
    }

    /// Writes what waits, as much as the stream takes in a short while.
    fn write(&mut self) -> Wrote {
        self.transport.write(&mut self.driver, self.lent.storage())
    }

    /// Has the connection send something of the caller's own accord, for which no reading waits.
    pub(crate) fn send<T>(&mut self, send: impl FnOnce(&mut Connection) -> T) -> T {
        self.driver.lend(self.lent.storage());
        let sent = send(self.driver.connection());
        self.driver.wrote(self.lent.storage());
        sent
    }

    /// The connection in two halves.
    ///
    /// # Errors
    /// Why it failed; [`Error::Send`] for one that is not open; [`Error::Io`] for a stream that cannot be parted.
    pub(crate) fn split(mut self, timeout: Option<Duration>) -> Result<(Sender<S>, Receiver<S>), Error> {
        let cause = self.failure.take().map(|error| *error).or(self.transport.broken.take().map(Error::Io));
        if let Some(error) = cause {
            return Err(error);
        }
        if self.over {
            return Err(self.close.map_or(SendError::Closing.into(), Error::Closed));
        }
        self.driver.leave(self.lent.storage());
        self.lent.give_back();
        let halves = self.driver.split().map_err(|_| SendError::Closing)?;
        let streams = self.transport.into_stream().split()?;
        Ok(split::new(halves, streams, self.started, timeout, self.closer, self.inbox))
    }

    /// Goes on to the connection's end, whatever comes.
    pub(crate) fn finish(&mut self, deadline: Option<Instant>) -> Result<(), Error> {
        let ended = self.until(deadline, |this| {
            while this.event(this.mode).is_some() {}
            Ok(Step::<()>::Read)
        });
        ended.map(|_| ())
    }

    /// Ends the connection without waiting for anything.
    pub(crate) fn abort(&mut self, code: Code) {
        self.send(|connection| connection.abort(code));
        self.write();
        _ = self.transport.stream.shutdown();
        self.over = true;
        self.put_back();
    }

    /// Bytes of messages that were taken and are not written.
    pub(crate) fn unwritten(&self) -> usize {
        self.transport.lost + self.driver.peek().queued_messages()
    }

    /// The most bytes that may wait before more is refused.
    pub(crate) fn most_queued(&self) -> usize {
        self.driver.peek().sender().outbound_limits().hard
    }

    /// Whether the stream did not let the last call wait.
    pub(crate) fn is_at_once(&self) -> bool {
        self.at_once
    }

    pub(crate) fn wants_write(&self) -> bool {
        !self.over && (self.driver.peek().queued() > 0 || self.transport.is_held_back())
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadline = self.driver.peek().poll_timeout().filter(|_| !self.over);
        self.started.checked_add(deadline?)
    }

    /// Closes the connection if others want it.
    fn look(&mut self) {
        if !self.closer.as_ref().is_some_and(Closer::is_asked) {
            return;
        }
        match self.driver.peek().state() {
            State::Connecting => self.driver.connection().abort(Code::AWAY),
            State::Open => _ = self.driver.connection().close(Code::AWAY, ""),
            _ => {}
        }
    }

    /// The connection failed; the cause is told before the effect.
    fn fail(&mut self, error: ProtocolError) {
        let error = match (error, self.transport.broken.take()) {
            (ProtocolError::UnexpectedEof, Some(cause)) => cause.into(),
            (error, _) => error.into(),
        };
        self.failure.get_or_insert_with(|| Box::new(error));
    }

    /// Gives what the thread has lent back, if there is nothing in it.
    fn put_back(&mut self) {
        if self.over || self.driver.is_settled(self.lent.storage()) {
            self.driver.leave(self.lent.storage());
            self.lent.give_back();
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn millis(&self) -> u32 {
        self.elapsed().as_millis() as u32
    }
}
