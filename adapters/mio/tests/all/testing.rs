//! Handlers without sockets: `sockless_mio::testing`.
use sockless_mio::sockless::Event;
use sockless_mio::testing::Peer;
use sockless_mio::{
    Answer, ClientRequest, Closed, Code, Config, Conn, Error, FilterError, Handler, Kind, Message, Piece, Prepared,
    Reject, Request, SendError, Sent, State,
};
use std::cell::RefCell;
use std::sync::Mutex;
use std::time::Duration;

/// Does what it is told, and notes what it is called for.
#[derive(Default)]
struct Servant(Mutex<Vec<String>>);

impl Servant {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

impl Handler for Servant {
    type State = usize;

    fn on_request(&self, _: &mut Conn<'_, usize>, request: &Request<'_>) -> Answer {
        self.note(format!("request {}", request.path()));
        match request.path() {
            "/" => request.accept().header("X-Seen", "yes").into(),
            _ => Reject::text(404, "nothing here\n").into(),
        }
    }

    fn on_open(&self, conn: &mut Conn<'_, usize>) {
        self.note("open");
        conn.send_text("welcome").unwrap();
    }

    fn on_message(&self, conn: &mut Conn<'_, usize>, message: Message<'_>) -> Result<(), Error> {
        *conn.state_mut() += 1;
        match message.as_bytes() {
            b"subscribe" => conn.subscribe("news"),
            b"unsubscribe" => conn.unsubscribe("news"),
            b"publish" => conn.publish("news", &Prepared::text("extra")),
            b"broadcast" => conn.broadcast(&Prepared::text("all")),
            b"close" => conn.close(Code::AWAY, "enough")?,
            b"abort" => conn.abort(Code::POLICY),
            b"pause" => conn.pause(),
            b"fail" => return Err("a mistake".into()),
            b"close and go on" => {
                conn.close(Code::AWAY, "enough")?;
                conn.send_text("too late")?;
            }
            b"panic" => panic!("as it was told"),
            b"much" => _ = conn.send_binary(&[7; 200_000])?,
            _ => _ = conn.send(message)?,
        }
        Ok(())
    }

    fn on_ping(&self, _: &mut Conn<'_, usize>, payload: &[u8]) {
        self.note(format!("ping {}", String::from_utf8_lossy(payload)));
    }

    fn on_piece(&self, _: &mut Conn<'_, usize>, piece: Piece<'_>) -> Result<(), Error> {
        self.note(format!("piece {:?} {} {}", piece.data.as_text(), piece.first, piece.last));
        Ok(())
    }

    fn on_timer(&self, conn: &mut Conn<'_, usize>, number: u32) {
        self.note(format!("timer {number}"));
        if number == 7 {
            conn.set_timer(7, 10 * SECOND);
        }
    }

    fn on_pong(&self, _: &mut Conn<'_, usize>, _: &[u8]) {
        self.note("pong");
    }

    fn on_backpressure(&self, _: &mut Conn<'_, usize>) {
        self.note("backpressure");
    }

    fn on_drain(&self, _: &mut Conn<'_, usize>) {
        self.note("drain");
    }

    fn on_close(&self, _: &mut Conn<'_, usize>, closed: Closed) {
        self.note(format!("closed {} {:?} {}", u16::from(closed.code), closed.reason, closed.error.is_some()));
    }

    fn on_shutdown(&self, conn: &mut Conn<'_, usize>) {
        self.note("shutdown");
        conn.send_text("farewell").unwrap();
    }

    fn on_error(&self, _: &mut Conn<'_, usize>, error: &Error) {
        self.note(format!("error {error}"));
    }
}

fn opened() -> Peer<Servant> {
    let mut peer = Peer::connect(Servant::default());
    assert_eq!(noted(&peer), ["request /", "open"]);
    assert_eq!(peer.receive(), Some("welcome".into()));
    peer
}

fn noted(peer: &Peer<Servant>) -> Vec<String> {
    std::mem::take(&mut peer.handler().0.lock().unwrap())
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_request_is_answered() {
    let peer = opened();
    assert!(peer.is_open());
    let response = peer.response().unwrap();
    assert_eq!((response.status(), response.header("x-seen")), (101, Some(&b"yes"[..])));

    let request = ClientRequest::new("ws://localhost/elsewhere").unwrap();
    let peer = Peer::request(Servant::default(), &request, Config::default());
    assert_eq!(peer.response().unwrap().status(), 404);
    assert!(!peer.is_open() && peer.has_ended());
    assert_eq!(noted(&peer), ["request /elsewhere"], "what never opened is not closed");
}

#[test]
fn messages_and_bytes_are_those_that_are_sent() {
    let mut peer = opened();
    let head = peer.bytes().len();
    peer.send("one").unwrap();
    peer.send(&[2][..]).unwrap();
    assert_eq!(peer.bytes()[head..], *b"\x81\x03one\x82\x01\x02");
    assert_eq!(peer.receive(), Some("one".into()));
    assert_eq!(peer.receive(), Some(Message::from(vec![2])));
    assert_eq!(peer.receive(), None);
    assert_eq!(*peer.state(), 2);
    peer.ping(b"here?").unwrap();
    assert_eq!(noted(&peer), ["ping here?"]);
    assert_eq!(peer.event(), Some(Event::Pong(b"here?".as_slice().into())));
    assert_eq!((peer.stats().messages_received, peer.stats().messages_sent), (2, 3));
}

#[test]
fn either_end_closes() {
    let mut peer = opened();
    peer.close(Code::NORMAL, "bye").unwrap();
    assert_eq!(noted(&peer), ["closed 1000 \"bye\" false"]);
    assert_eq!(peer.closed().unwrap().code, Code::NORMAL);
    assert!(!peer.is_open() && peer.has_ended());
    assert_eq!(peer.send("late"), Err(SendError::Closing));

    let mut peer = opened();
    peer.send("close").unwrap();
    let close = peer.closed().unwrap();
    assert_eq!((close.code, &*close.reason), (Code::AWAY, "enough"));
    assert_eq!(noted(&peer), ["closed 1001 \"\" false"], "as the peer echoes it");
    assert!(peer.has_ended());

    let mut peer = opened();
    peer.send("abort").unwrap();
    assert_eq!(peer.closed().unwrap().code, Code::POLICY);

    let mut peer = opened();
    peer.hang_up();
    assert_eq!(noted(&peer), ["closed 1006 \"\" true"]);
    assert!(peer.has_ended() && peer.closed().is_none());
}

#[test]
fn mistakes_of_either_end_are_told() {
    let mut peer = opened();
    peer.send_bytes(b"\x81\x01a"); // not masked
    assert_eq!(peer.closed().unwrap().code, Code::PROTOCOL_ERROR);
    assert_eq!(noted(&peer), ["closed 1002 \"\" true"]);

    let mut peer = opened();
    peer.send("fail").unwrap();
    assert_eq!(peer.closed().unwrap().code, Code::INTERNAL_ERROR);
    assert_eq!(noted(&peer)[0], "error a mistake");

    let mut peer = opened();
    peer.send("close and go on").unwrap();
    assert_eq!(peer.closed().unwrap().code, Code::AWAY);
    assert!(noted(&peer).iter().all(|note| !note.starts_with("error")), "{:?}", noted(&peer));

    let mut peer = opened();
    peer.send("panic").unwrap();
    assert_eq!(peer.closed().unwrap().code, Code::INTERNAL_ERROR);
    assert_eq!(peer.stats().panics, 1);
}

#[test]
fn what_is_for_others_is_there() {
    let mut peer = opened();
    assert!(peer.topics().is_empty());
    peer.send("subscribe").unwrap();
    assert_eq!(peer.topics(), ["news"]);
    for what in ["publish", "broadcast"] {
        peer.send(what).unwrap();
    }
    let published = peer.published();
    let told: Vec<_> = published.iter().map(|it| (it.topic.as_deref(), it.message.payload())).collect();
    assert_eq!(told, [(Some("news"), &b"extra"[..]), (None, b"all")]);
    assert!(peer.published().is_empty() && peer.receive().is_none(), "who sends gets nothing of it");
    peer.send("unsubscribe").unwrap();
    assert!(peer.topics().is_empty());
}

#[test]
fn time_passes_when_it_is_told_to() {
    let mut config = Config::default();
    (config.keepalive.ping, config.keepalive.pong) = (Some(30 * SECOND), Some(10 * SECOND));
    let request = ClientRequest::new("ws://localhost/").unwrap();
    let mut peer = Peer::request(Servant::default(), &request, config);
    noted(&peer);
    peer.advance(29 * SECOND);
    assert!(noted(&peer).is_empty());
    peer.advance(SECOND);
    assert_eq!(noted(&peer), ["pong"], "it is pinged, and answers");
    // One that answers lives on, however long that is at once.
    peer.advance(3600 * SECOND);
    assert_eq!(noted(&peer).len(), 120);
    assert!(peer.is_open());
    peer.stop_reading();
    peer.advance(39 * SECOND);
    assert!(peer.is_open());
    peer.advance(SECOND);
    assert!(!peer.is_open() && peer.has_ended());
    assert_eq!(noted(&peer), ["closed 1011 \"\" true"]);
}

#[test]
fn a_peer_that_takes_nothing_is_felt() {
    let mut peer = opened();
    peer.stop_reading();
    peer.send("much").unwrap();
    assert_eq!(noted(&peer), ["backpressure"]);
    assert_eq!(peer.receive(), None);
    peer.read_on();
    assert_eq!(peer.receive().unwrap().len(), 200_000);
    assert_eq!(noted(&peer), ["drain"]);
}

#[test]
fn a_pause_lasts_until_it_is_ended() {
    let mut peer = opened();
    peer.send("pause").unwrap();
    peer.send("unheard").unwrap();
    assert_eq!((*peer.state(), peer.receive()), (1, None));
    peer.call(|conn| conn.resume());
    assert_eq!(peer.receive(), Some("unheard".into()));
}

#[test]
fn handles_and_calls_work_as_ever() {
    let mut peer = opened();
    let (handle, id) = (peer.handle(), peer.id());
    handle.send_text(id, "from elsewhere").unwrap();
    handle.run(id, |conn| *conn.state_mut() = 7).unwrap();
    handle.broadcast(&Prepared::text("to all")).unwrap();
    handle.publish("news", &Prepared::text("to some")).unwrap();
    peer.run();
    assert_eq!(peer.receive(), Some("from elsewhere".into()));
    assert_eq!((peer.receive(), peer.receive()), (Some("to all".into()), None));
    assert_eq!((*peer.state(), peer.published().len()), (7, 2));
    let state = peer.call(|conn| {
        conn.send_text("by hand").unwrap();
        conn.ready_state()
    });
    assert_eq!((state, peer.receive()), (State::Open, Some("by hand".into())));
    handle.shutdown(SECOND).unwrap();
    peer.run();
    assert_eq!(peer.receive(), Some("farewell".into()));
    assert_eq!(peer.closed().unwrap().code, Code::AWAY);
    assert_eq!(noted(&peer), ["shutdown", "closed 1001 \"\" false"]);
    assert_eq!(handle.send_text(id, "late"), Err(SendError::Closing));
}

#[test]
fn a_closure_is_a_handler_too() {
    thread_local!(static HEARD: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) });
    let mut peer = Peer::connect(|_: &mut Conn<'_>, message: Message<'_>| {
        HEARD.with_borrow_mut(|heard| heard.push(message.len()));
        Ok(())
    });
    peer.send("four").unwrap();
    peer.send(vec![0; 100_000]).unwrap();
    assert_eq!(HEARD.take(), [4, 100_000]);
}

#[test]
fn pieces_come_as_they_arrive() {
    let mut peer = opened();
    peer.call(|conn| conn.take_pieces(true));
    peer.send_bytes(b"\x01\x82\0\0\0\0a");
    assert_eq!(noted(&peer), ["piece Some(\"a\") true false"]);
    peer.send_bytes(b"b\x80\x80\0\0\0\0");
    assert_eq!(noted(&peer), ["piece Some(\"b\") false false", "piece Some(\"\") false true"]);
    peer.send("whole").unwrap();
    assert_eq!(noted(&peer), ["piece Some(\"whole\") true true"]);
    peer.call(|conn| conn.take_pieces(false));
    peer.send("echo").unwrap();
    assert_eq!(peer.receive(), Some("echo".into()));
}

#[test]
fn timers_come_when_they_are_due() {
    let mut peer = opened();
    peer.call(|conn| {
        conn.set_timer(1, 5 * SECOND);
        conn.set_timer(2, 3 * SECOND);
        conn.set_timer(3, 4 * SECOND);
        conn.set_timer(1, 2 * SECOND);
        conn.clear_timer(3);
    });
    peer.advance(2 * SECOND - Duration::from_nanos(1));
    assert!(noted(&peer).is_empty());
    peer.advance(Duration::from_nanos(1));
    assert_eq!(noted(&peer), ["timer 1"]);
    peer.advance(3600 * SECOND);
    let noted_later: Vec<_> = noted(&peer).into_iter().filter(|what| what != "pong").collect();
    assert_eq!(noted_later, ["timer 2"]);
    // One that is set anew whenever it comes, and not once the connection has ended.
    peer.call(|conn| conn.set_timer(7, 10 * SECOND));
    peer.advance(100 * SECOND);
    assert_eq!(noted(&peer).into_iter().filter(|what| what == "timer 7").count(), 10);
    peer.hang_up();
    peer.advance(100 * SECOND);
    assert!(!noted(&peer).contains(&"timer 7".into()));
}

#[test]
fn topics_are_named_by_filters_too() {
    let mut peer = opened();
    let filters = peer.call(|conn| {
        conn.subscribe_matching("rooms/+/news")?;
        conn.subscribe_matching("#")?;
        conn.subscribe_matching("rooms/+news")
    });
    assert_eq!(filters, Err(FilterError));
    assert_eq!(peer.topics(), ["rooms/+/news", "#"]);
    peer.call(|conn| conn.unsubscribe_matching("#"));
    let handle = peer.handle();
    for topic in ["rooms/a/news", "rooms/a/b/news", "rooms/+/news", "news"] {
        handle.publish(topic, &Prepared::text(topic)).unwrap();
    }
    peer.run();
    assert_eq!((peer.receive(), peer.receive()), (Some("rooms/a/news".into()), Some("rooms/+/news".into())));
    assert_eq!(peer.receive(), None);
}

#[test]
fn a_message_is_written_piecemeal() {
    use std::io::Write;
    let mut peer = opened();
    peer.call(|conn| {
        let mut writer = conn.writer(Kind::Text);
        write!(writer, "{} + {}", 1, 2).unwrap();
        assert_eq!(writer.finish(), Ok(Sent::Now));
        writer.write_all(b"gr\xc3").unwrap();
        assert_eq!(writer.finish(), Err(SendError::InvalidUtf8));
        writer.write_all(b"\xb6\xc3\x9fer").unwrap();
        assert_eq!(writer.finish(), Ok(Sent::Now));
        writer.write_all(b"dropped").unwrap();
        drop(writer);
        let mut writer = conn.writer(Kind::Binary);
        assert_eq!(writer.finish(), Ok(Sent::Now));
        let (mut one, mut two) = (conn.scratch(), conn.scratch());
        one.extend(b"one");
        two.extend(b"two");
        conn.send_binary(&one).unwrap();
        conn.send_binary(&two).unwrap();
    });
    let sent: Vec<_> = std::iter::from_fn(|| peer.receive()).collect();
    let binary = |bytes: &[u8]| Message::from(bytes.to_vec());
    assert_eq!(sent, ["1 + 2".into(), "größer".into(), binary(b""), binary(b"one"), binary(b"two")]);
}
