//! Proxies that do as a test says, on threads of their own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// What a proxy does behind its turns.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// It passes bytes on to this address and back.
    Pass(SocketAddr),
    /// It says nothing more, and reads until its client hangs up.
    Wait,
    /// It hangs up.
    HangUp,
}

/// A proxy for one client: in each turn it reads these bytes, exactly, and says those, one at a time. Its port, and what it tells
/// at its end: what came besides, in the turns or behind them, where it waits.
pub fn scripted(turns: Vec<(Vec<u8>, Vec<u8>)>, then: Then) -> (u16, Receiver<io::Result<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (told, telling) = channel();
    thread::spawn(move || {
        let ended = listener.accept().and_then(|(stream, _)| serve(stream, &turns, then));
        _ = told.send(ended);
    });
    (port, telling)
}

fn serve(mut stream: TcpStream, turns: &[(Vec<u8>, Vec<u8>)], then: Then) -> io::Result<Vec<u8>> {
    stream.set_nodelay(true)?;
    for (wanted, said) in turns {
        let mut got = vec![0; wanted.len()];
        stream.read_exact(&mut got)?;
        if got != *wanted {
            return Ok(got);
        }
        for byte in said {
            stream.write_all(&[*byte])?;
        }
    }
    let mut rest = Vec::new();
    match then {
        Then::Pass(to) => pass(stream, TcpStream::connect(to)?)?,
        Then::Wait => _ = stream.read_to_end(&mut rest)?,
        Then::HangUp => {}
    }
    Ok(rest)
}

/// Passes bytes on both ways, to the end of both.
pub fn pass(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let there = (client.try_clone()?, server.try_clone()?);
    let copying = thread::spawn(move || copy(there.0, there.1));
    copy(server, client);
    copying.join().expect("it does not panic");
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    _ = io::copy(&mut from, &mut to);
    _ = to.shutdown(Shutdown::Write);
}
