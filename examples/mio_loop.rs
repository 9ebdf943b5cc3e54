//! An event loop of one's own, on bare mio: an echo server with deadlines, large messages and turns. It takes an address.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sockless::driver::{Driver, Next, Storage};
use sockless::{Config, Connection, Event};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};
use std::{collections::BTreeSet, env, mem};

const LISTENER: Token = Token(usize::MAX);

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    // All peers are read with one buffer, and written from another.
    let (mut peers, mut storage, started) = (slab::Slab::new(), Storage::default(), Instant::now());
    let (mut again, mut deadlines) = (Vec::new(), BTreeSet::new());
    loop {
        let until = deadlines.first().map(|(at, _): &(Duration, usize)| at.saturating_sub(started.elapsed()));
        poll.poll(&mut events, if again.is_empty() { until } else { Some(Duration::ZERO) })?;
        let (now, mut ready) = (started.elapsed(), mem::take(&mut again));
        ready.extend(events.iter().map(|event| event.token().0));
        while let Ok((mut stream, _)) = listener.accept() {
            let entry = peers.vacant_entry();
            poll.registry().register(&mut stream, Token(entry.key()), Interest::READABLE | Interest::WRITABLE)?;
            entry.insert((Driver::new(Connection::server(Config::default())), stream, None));
        }
        let later = deadlines.split_off(&(now, usize::MAX));
        ready.extend(mem::replace(&mut deadlines, later).into_iter().map(|(_, key)| key));
        // One turn each, for whatever reasons it is ready.
        ready.sort_unstable();
        ready.dedup();
        for key in ready {
            let Some((driver, stream, due)) = peers.get_mut(key) else { continue };
            let next = turn(driver, stream, &mut storage, now);
            driver.leave(&mut storage);
            _ = mem::replace(due, next.deadline).map(|at| deadlines.remove(&(at, key)));
            deadlines.extend(next.deadline.map(|at| (at, key)));
            match next {
                Next { close: true, .. } => drop(peers.remove(key)),
                Next { again: true, .. } => again.push(key),
                _ => {}
            }
        }
    }
}

fn turn(driver: &mut Driver, stream: &mut TcpStream, storage: &mut Storage, now: Duration) -> Next {
    let more = driver.read(storage, |space| stream.read(space), || now).unwrap_or(false);
    let told = driver.each(storage, now, |connection, event| match event {
        Event::Request(request) => connection.accept(request.accept()).expect("nothing of its own"),
        event => _ = event.into_message().map(|message| connection.send(&message)),
    });
    told.unwrap_or_else(|error| eprintln!("{error}"));
    _ = driver.write(storage, |slices| stream.write_vectored(slices)); // what reading finds says more
    let next = driver.next(storage, now);
    _ = next.shutdown.then(|| stream.shutdown(Shutdown::Write));
    Next { again: next.again || more, ..next }
}
