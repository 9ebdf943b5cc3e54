//! An event loop of one's own, on bare mio: an echo server with deadlines, large messages and turns. It takes an address.

use mio::{Events, Interest, Poll, Token, net::TcpListener};
use sockless::driver::{Driver, Storage};
use sockless::{Config, Connection, Event};
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use std::{env, io, mem, net::Shutdown};

const LISTENER: Token = Token(usize::MAX);

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut peers, mut storage, started) = (slab::Slab::new(), Storage::default(), Instant::now());
    let (mut ready, mut deadlines) = (VecDeque::new(), BTreeSet::new());
    for round in 1u64.. {
        let until = deadlines.first().map(|(at, _): &(Duration, usize)| at.saturating_sub(started.elapsed()));
        poll.poll(&mut events, if ready.is_empty() { until } else { Some(Duration::ZERO) })?;
        let now = started.elapsed();
        ready.extend(events.iter().map(|event| event.token().0));
        ready.extend(deadlines.range(..(now, usize::MAX)).map(|(_, key)| *key));
        for _ in 0..ready.len() {
            let Some(key) = ready.pop_front() else { break };
            while key == LISTENER.0
                && let Ok((mut stream, _)) = listener.accept()
            {
                let entry = peers.vacant_entry();
                poll.registry().register(&mut stream, Token(entry.key()), Interest::READABLE | Interest::WRITABLE)?;
                entry.insert((Driver::new(Connection::server(Config::default())), stream, None, 0, true));
            }
            let Some((driver, stream, due, turn, reads)) = peers.get_mut(key) else { continue };
            // One turn in each round, for whatever reasons it is ready.
            if mem::replace(turn, round) == round {
                continue;
            }
            let more = driver.read(&mut storage, &mut *stream, || now).unwrap_or(false);
            let told = driver.each(&mut storage, now, |connection, event| match event {
                Event::Request(request) => connection.accept(request.accept()).expect("nothing of its own"),
                event => _ = event.into_message().map(|message| connection.send(&message)),
            });
            told.unwrap_or_else(|error| eprintln!("{error}"));
            _ = driver.write(&mut storage, &mut *stream); // what reading finds says more
            let next = driver.next(&mut storage, now);
            driver.leave(&mut storage);
            if next.deadline != *due {
                deadlines.extend(next.deadline.map(|at| (at, key)));
                _ = mem::replace(due, next.deadline).map(|at| deadlines.remove(&(at, key)));
            }
            let resumed = !mem::replace(reads, next.read) && next.read; // nobody tells again of what came meanwhile
            ready.extend((more || next.again || resumed).then_some(key));
            _ = next.shutdown.then(|| stream.shutdown(Shutdown::Write));
            _ = next.close.then(|| peers.remove(key));
        }
    }
    Ok(())
}
