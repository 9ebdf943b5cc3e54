//! Very many connections at rest in one process: what each takes, how long a message to all takes, and how long a shutdown.
//!
//! ```text
//! cargo run --release -p sockless-bench-servers --bin million -- --connections 1000000
//! cargo run --release -p sockless-bench-servers --bin million -- --connections 1000000 --bare
//! ```
//!
//! Server and clients are a process each, over loopback. Both need a descriptor for each connection: as root, or with
//! `ulimit -n`, and from a million on with `sysctl fs.nr_open`. Where fewer are allowed there are fewer, and that is said.
//! `--bare` has an epoll loop that only holds sockets in the place of `sockless-mio`.

use mio::{Events, Interest, Poll, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use sockless_bench_servers::PATIENCE;
use sockless_mio::{Conn, Error, Handler, Message, Prepared, Server};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

/// Descriptors that a process needs besides.
const OTHERS: u64 = 64;

/// Connections whose handshakes are under way at once.
const BATCH: usize = 512;

/// What is sent to all, and what it is on the wire.
const NEWS: &str = "news for all";

/// The ports of each address that clients come from; nobody else's are among them for long.
const PORTS: std::ops::Range<u16> = 2000..62_000;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("million: {error}; usage: million [--connections N] [--bare] [--most BYTES]");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    use lexopt::prelude::*;
    let (mut count, mut bare, mut most) = (1_000_000, false, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("connections") => count = arguments.value()?.parse()?,
            Long("bare") => bare = true,
            Long("most") => most = Some(arguments.value()?.parse::<f64>()?),
            Value(word) if word == "serve" => return serve(),
            Value(word) if word == "hold" => return Ok(hold()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let allowed = descriptors()?.saturating_sub(OTHERS) as usize;
    if count > allowed {
        println!("this machine allows {allowed} connections of a process, so there are no more");
        count = allowed;
    }
    measure(count, bare, most)
}

/// Takes as many descriptors as there may be.
fn descriptors() -> io::Result<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    let raise = |limit: Option<u64>| setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit });
    // Who is not root may have what it is given and no more.
    raise(all).or_else(|_| raise(maximum))?;
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

fn measure(count: usize, bare: bool, most: Option<f64>) -> Result<(), Error> {
    let mut server = Process::start(if bare { "hold" } else { "serve" })?;
    // What the first connections cost, code and buffers, is the server's own.
    if !bare {
        open_all(server.address, BATCH.min(count), true, &mut Vec::new())?;
        std::thread::sleep(Duration::from_secs(1));
    }
    let before = server.resident()?;
    println!("{}: {count} connections", if bare { "bare epoll" } else { "sockless-mio, one worker" });

    let mut clients = Vec::with_capacity(count);
    server.timed("opened", || open_all(server.address, count, !bare, &mut clients))?;
    std::thread::sleep(Duration::from_secs(1));
    let after = server.resident()?;
    let each = (after as f64 - before as f64) / count as f64;
    println!("at rest: {each:.0} bytes of the server's memory each");

    let frame = [&[0x81, NEWS.len() as u8], NEWS.as_bytes()].concat();
    server.timed("one message to all", || {
        server.tell("publish")?;
        let mut got = vec![0; frame.len()];
        for client in &mut clients {
            client.read_exact(&mut got)?;
            if got != frame {
                return Err("another message".into());
            }
        }
        Ok(())
    })?;

    server.timed("all closed", || {
        server.tell("shutdown")?;
        for mut client in clients.drain(..) {
            if bare {
                client.read_exact(&mut [0]).err().ok_or("not closed")?;
                continue;
            }
            let mut close = [0; 4];
            client.read_exact(&mut close)?;
            if close != [0x88, 2, 0x03, 0xE9] {
                return Err("another frame than a close of 1001".into());
            }
            // Masked with zeros: its echo.
            client.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9])?;
        }
        Ok(())
    })?;
    println!("{}", server.last_words()?);
    match most {
        Some(most) if each > most => Err(format!("{each:.0} bytes are more than {most:.0}").into()),
        _ => Ok(()),
    }
}

/// Opens them, so many at once that neither side waits for each.
fn open_all(server: SocketAddr, count: usize, websocket: bool, clients: &mut Vec<TcpStream>) -> Result<(), Error> {
    let mut sources = (1..=u8::MAX).flat_map(|host| {
        PORTS.map(move |port| SocketAddr::from(SocketAddrV4::new(Ipv4Addr::new(127, 1, 0, host), port)))
    });
    while clients.len() < count {
        let first = clients.len();
        for _ in 0..BATCH.min(count - first) {
            clients.push(connect(server, &mut sources)?);
        }
        if !websocket {
            continue;
        }
        for client in &mut clients[first..] {
            client.write_all(REQUEST)?;
        }
        for client in &mut clients[first..] {
            let (mut head, mut len) = ([0; 1024], 0);
            while !head[..len].ends_with(b"\r\n\r\n") {
                match client.read(&mut head[len..])? {
                    0 => return Err("no answer".into()),
                    more => len += more,
                }
            }
            if !head.starts_with(b"HTTP/1.1 101 ") {
                return Err("refused".into());
            }
        }
    }
    Ok(())
}

/// From an address of ours, so that its ports are nobody else's.
fn connect(server: SocketAddr, sources: &mut impl Iterator<Item = SocketAddr>) -> Result<TcpStream, Error> {
    for source in sources {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        match socket.bind(&source.into()) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => continue,
            bound => bound?,
        }
        socket.connect(&server.into())?;
        socket.set_read_timeout(Some(3 * PATIENCE))?;
        return Ok(socket.into());
    }
    Err("no port is left".into())
}

/// A server in a process of its own, which is told what to do by lines.
struct Process {
    child: Child,
    said: io::Lines<BufReader<std::process::ChildStdout>>,
    address: SocketAddr,
}

impl Process {
    fn start(role: &str) -> Result<Self, Error> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.arg(role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let address = said.next().ok_or("no address")??.parse()?;
        Ok(Self { child, said, address })
    }

    fn tell(&self, what: &str) -> Result<(), Error> {
        let mut input = self.child.stdin.as_ref().ok_or("no input")?;
        Ok(writeln!(input, "{what}")?)
    }

    fn last_words(&mut self) -> Result<String, Error> {
        let said = self.said.next().ok_or("no last words")??;
        self.child.wait()?;
        Ok(said)
    }

    /// Its resident memory in bytes.
    fn resident(&self) -> Result<u64, Error> {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: u64 = text.split(' ').nth(1).ok_or("no figures")?.parse()?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// Of all its threads, in hundredths of a second; of one that has ended too.
    fn cpu(&self) -> Result<Duration, Error> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let ticks = stat.rsplit(')').next().ok_or("no figures")?.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Ok(Duration::from_secs(ticks) / rustix::param::clock_ticks_per_second() as u32)
    }

    fn timed(&self, what: &str, work: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let (start, before) = (Instant::now(), self.cpu()?);
        work()?;
        let (took, cpu) = (start.elapsed().as_secs_f64(), (self.cpu()? - before).as_secs_f64());
        println!("{what}: {took:.2} s, {cpu:.2} s of the server's processor time");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, then.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

struct Listeners;

impl Handler for Listeners {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        conn.subscribe("news");
    }

    fn on_message(&self, _: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// The server that is measured.
fn serve() -> Result<(), Error> {
    descriptors()?;
    let mut config = sockless_mio::Config::default();
    // At rest is at rest.
    config.keepalive.ping = None;
    config.keepalive.idle = None;
    // All are told at once, and answer one after the other.
    config.keepalive.close = Some(6 * PATIENCE);
    let server = Server::builder().listen("127.0.0.1:0").workers(1).backlog(4096).config(config).bind(Listeners)?;
    println!("{}", server.addresses()[0]);
    let handle = server.handle();
    let running = server.start()?;
    for line in io::stdin().lines() {
        match &*line? {
            "publish" => handle.publish("news", &Prepared::text(NEWS))?,
            _ => break,
        }
    }
    handle.shutdown(6 * PATIENCE)?;
    let report = running.join();
    println!("{} closed by the rules, {} not", report.closed, report.cut_off.len());
    Ok(())
}

/// The yardstick: an epoll that holds sockets.
fn hold() -> io::Result<()> {
    const LISTENER: Token = Token(usize::MAX);
    const INPUT: Token = Token(usize::MAX - 1);
    descriptors()?;
    let (poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    let mut listener = mio::net::TcpListener::from_std(socket.into());
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?);
    let waker = mio::Waker::new(poll.registry(), INPUT)?;
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if tell.send(line).is_err() || waker.wake().is_err() {
                return;
            }
        }
    });
    let frame = [&[0x81, NEWS.len() as u8], NEWS.as_bytes()].concat();
    let mut held = Vec::new();
    let mut poll = poll;
    loop {
        poll.poll(&mut events, None)?;
        while let Ok((mut stream, _)) = listener.accept() {
            poll.registry().register(&mut stream, Token(held.len()), Interest::READABLE | Interest::WRITABLE)?;
            held.push(stream);
        }
        match told.try_recv().as_deref() {
            Err(_) => {}
            Ok("publish") => held.iter_mut().try_for_each(|stream| stream.write_all(&frame))?,
            Ok(_) => {
                println!("{} held", held.len());
                return Ok(());
            }
        }
    }
}
