//! Streams that give and take little at a time, or nothing: what comes out is the same.

use crate::common;
use crate::common::random::Random;
use crate::common::{bytes, open, sockets, within};
use sockless_std::sockless::{Config, Role};
use sockless_std::{Stream, WebSocket};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// A socket that cuts what goes through it by chance, and holds back what it was given until it is flushed.
struct Cutting {
    stream: TcpStream,
    held: Vec<u8>,
    random: Random,
    most: usize,
}

impl Cutting {
    fn pair(seed: u64, most: usize) -> (Self, Self) {
        let (client, server) = sockets();
        let cutting = |stream, seed| Self { stream, held: Vec::new(), random: Random(seed), most };
        (cutting(client, seed), cutting(server, !seed))
    }

    /// How many of so many bytes go through; now and then the call is interrupted.
    fn cut(&mut self, len: usize) -> io::Result<usize> {
        match self.random.below(8) {
            0 => Err(ErrorKind::Interrupted.into()),
            _ => Ok(len.min(1 + self.random.below(self.most))),
        }
    }
}

impl Read for Cutting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.cut(buf.len())?;
        self.stream.read(&mut buf[..len])
    }
}

impl Write for Cutting {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = self.cut(buf.len())?;
        if self.held.len() > self.most {
            self.flush()?;
        }
        self.held.extend_from_slice(&buf[..len]);
        Ok(len)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        self.write(first)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.random.below(4) == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        while !self.held.is_empty() {
            let len = self.stream.write(&self.held)?;
            self.held.drain(..len);
        }
        Ok(())
    }
}

impl Stream for Cutting {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    fn split(self) -> io::Result<(Self, Self)> {
        let Self { stream, held, mut random, most } = self;
        let reader = Self { stream: stream.try_clone()?, held: Vec::new(), random: Random(random.next()), most };
        Ok((reader, Self { stream, held, random, most }))
    }
}

/// Messages of all lengths by chance, short ones mostly.
fn messages(seed: u64, count: usize, most: usize) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    (0..count)
        .map(|_| match random.below(4) {
            0 => bytes(random.below(most)),
            _ => bytes(random.below(200)),
        })
        .collect()
}

fn ends(seed: u64, most: usize) -> (WebSocket<Cutting>, WebSocket<Cutting>) {
    let (client, server) = Cutting::pair(seed, most);
    (open(client, Role::Client, Config::default()), open(server, Role::Server, Config::default()))
}

#[test]
fn messages_come_whole_and_in_their_order() {
    for (seed, most, longest) in [(1, 3, 2000), (2, 100, 20_000), (3, 5000, 300_000), (4, 100_000, 1 << 20)] {
        let (mut client, server) = ends(seed, most);
        let serving = thread::spawn(|| common::echo(server));
        for (number, message) in messages(seed, 40, longest).iter().enumerate() {
            // Some by themselves, some together.
            within("room", || client.send(message)).unwrap();
            if number % 3 == 0 {
                client.feed("behind").unwrap();
            }
            let echo = within("an echo", || client.recv()).unwrap().unwrap();
            assert!(echo.as_bytes() == message, "message {number} of seed {seed}");
            if number % 3 == 0 {
                assert_eq!(within("another", || client.recv()).unwrap(), Some("behind".into()));
            }
        }
        within("the end", || client.close(1000, "")).unwrap();
        within("its end", || serving.join()).unwrap().unwrap();
    }
}

#[test]
fn so_they_do_through_two_halves() {
    for (seed, most, longest) in [(5, 100, 20_000), (6, 5000, 300_000)] {
        let (client, server) = ends(seed, most);
        let serving = thread::spawn(|| common::echo(server));
        let (sender, mut receiver) = client.split().unwrap();
        let sending = thread::spawn(move || {
            for message in messages(seed, 40, longest) {
                sender.send(&message).unwrap();
            }
            sender
        });
        for message in messages(seed, 40, longest) {
            let echo = within("an echo", || receiver.recv()).unwrap().unwrap();
            assert!(echo.as_bytes() == message, "seed {seed}");
        }
        within("all sent", || sending.join()).unwrap().close(1000, "").unwrap();
        assert_eq!(within("the end", || receiver.recv()).unwrap(), None);
        within("its end", || serving.join()).unwrap().unwrap();
    }
}
