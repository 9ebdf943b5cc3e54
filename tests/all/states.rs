//! The states of a connection and all that moves it between them, as `docs/guide/states.md` shows them: found by trying.

use sockless::bytes::Buf;
use sockless::{ClientRequest, Config, Connection, Role, Seed, State, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

/// How many things happen one after the other: enough for an opening, two closes and an end.
const DEPTH: usize = 4;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: states.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

type Happening = fn(&mut Connection);

/// What may happen to a connection, in the page's words.
const WHAT: [(&str, Happening); 11] = [
    ("the server accepts the request", |connection| {
        read_request(connection, |connection| {
            _ = connection.accept(sockless::Request::parse(REQUEST.as_bytes(), &Config::default()).unwrap().accept());
        })
    }),
    ("the server rejects it", |connection| {
        read_request(connection, |connection| {
            _ = connection.reject(404, &[], b"");
        })
    }),
    ("the client reads that it is accepted", |connection| respond(connection, true)),
    ("the client reads that it is rejected", |connection| respond(connection, false)),
    ("this end closes", |connection| _ = connection.close(1000, "")),
    ("this end aborts", |connection| connection.abort(1011)),
    ("the peer's close frame is read", |connection| match connection.role() {
        _ if connection.state() == State::Connecting => {}
        Role::Server => read(connection, b"\x88\x80\0\0\0\0"),
        Role::Client => read(connection, b"\x88\0"),
    }),
    ("what breaks the rules is read", |connection| read(connection, b"\xFF\r\n\r\n")),
    ("a deadline passes", |connection| {
        if let Some(deadline) = connection.poll_timeout() {
            while let Ok(Some(_)) = connection.handle_timeout(deadline) {}
        }
    }),
    ("all that waited has gone out", |connection| {
        let mut outbound = connection.outbound();
        outbound.advance(outbound.remaining());
    }),
    ("the input ends", |connection| while let Ok(Some(_)) = connection.receive_eof() {}),
];

fn read(connection: &mut Connection, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    while let Ok(Some(_)) = connection.receive(&mut input) {}
}

fn read_request(connection: &mut Connection, answer: fn(&mut Connection)) {
    if connection.role() == Role::Server && connection.state() == State::Connecting {
        read(connection, REQUEST.as_bytes());
        answer(connection);
    }
}

/// Reads a response to the request that is still outbound, or went out.
fn respond(connection: &mut Connection, accepted: bool) {
    if connection.role() == Role::Client && connection.state() == State::Connecting {
        // A server that answers what this client asks, which is the same each time.
        let mut server = Connection::server(Config::default());
        let mut request = vec![0; new(Role::Client).queued()];
        new(Role::Client).outbound().copy_to_slice(&mut request);
        let mut input = &mut request[..];
        let Ok(Some(sockless::Event::Request(request))) = server.receive(&mut input) else { panic!("a request") };
        match accepted {
            true => server.accept(request.accept()).unwrap(),
            false => server.reject(404, &[], b"").unwrap(),
        }
        let mut response = vec![0; server.queued()];
        server.outbound().copy_to_slice(&mut response);
        read(connection, &response);
    }
}

fn new(role: Role) -> Connection {
    let mut connection = match role {
        Role::Server => Connection::server(Config::default()),
        Role::Client => {
            let request = ClientRequest::new("ws://states.test/").unwrap();
            Connection::client(&request, Config::default(), Seed::new([7; 16])).unwrap()
        }
    };
    _ = connection.handle_timeout(Duration::ZERO);
    connection
}

#[derive(Default)]
struct Found {
    /// By state and what happens, where it leads to if that is another state.
    moves: BTreeMap<(usize, usize, usize), BTreeSet<usize>>,
    /// By state, what is to be done with the transport.
    transports: BTreeMap<(usize, usize), BTreeSet<&'static str>>,
}

const STATES: [State; 4] = [State::Connecting, State::Open, State::Closing, State::Closed];

fn number(state: State) -> usize {
    STATES.iter().position(|other| *other == state).unwrap()
}

/// Tries all that may happen, in any order.
fn explore() -> Found {
    let mut found = Found::default();
    for (role_number, role) in [Role::Client, Role::Server].into_iter().enumerate() {
        for sequence in 0..WHAT.len().pow(DEPTH as u32) {
            let mut connection = new(role);
            for step in 0..DEPTH {
                let what = sequence / WHAT.len().pow(step as u32) % WHAT.len();
                let before = number(connection.state());
                WHAT[what].1(&mut connection);
                let after = number(connection.state());
                assert!(after >= before, "{role:?} goes back: {:?}", STATES[after]);
                if after != before {
                    found.moves.entry((before, what, role_number)).or_default().insert(after);
                }
                let transport = match connection.wants().transport {
                    Transport::Open => "keep",
                    Transport::Shutdown => "shut down",
                    Transport::Close => "close",
                };
                found.transports.entry((after, role_number)).or_default().insert(transport);
            }
        }
    }
    found
}

fn tables(found: &Found) -> (String, String) {
    let mut moves = String::from("| in | what happens | a client is then | a server is then |\n|---|---|---|---|\n");
    for (from, state) in STATES.iter().enumerate() {
        for (what, (words, _)) in WHAT.iter().enumerate() {
            let to = |role| {
                let set = found.moves.get(&(from, what, role)).into_iter().flatten();
                set.map(|to| format!("{:?}", STATES[*to])).collect::<Vec<_>>().join(" or ")
            };
            let (client, server) = (to(0), to(1));
            if !client.is_empty() || !server.is_empty() {
                writeln!(moves, "| {state:?} | {words} | {client} | {server} |").unwrap();
            }
        }
    }
    let mut transports = String::from("| in | a client's transport | a server's transport |\n|---|---|---|\n");
    for (number, state) in STATES.iter().enumerate() {
        let of = |role| {
            let set = found.transports.get(&(number, role)).into_iter().flatten();
            set.copied().collect::<Vec<_>>().join(", ")
        };
        writeln!(transports, "| {state:?} | {} | {} |", of(0), of(1)).unwrap();
    }
    (moves, transports)
}

#[test]
fn the_guide_shows_each_way_from_state_to_state_and_no_other() {
    let page = include_str!("../../docs/guide/states.md");
    let found = explore();
    let (moves, transports) = tables(&found);
    let missing: Vec<_> = [moves, transports].into_iter().filter(|table| !page.contains(table)).collect();
    assert!(missing.is_empty(), "docs/guide/states.md lacks\n{}", missing.join("\n"));
    // The arrows of the picture.
    let arrows: BTreeSet<_> =
        found.moves.iter().flat_map(|((from, ..), to)| to.iter().map(|to| (*from, *to))).collect();
    assert_eq!(arrows.into_iter().collect::<Vec<_>>(), [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
}
