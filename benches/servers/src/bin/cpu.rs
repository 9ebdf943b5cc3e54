//! Processor time a message: echo servers beside a bare epoll echo, one core for the server and one for the client.
//!
//! ```text
//! cargo build --release -p sockless-test-programs
//! cargo run --release -p sockless-bench-servers -- \
//!     --server 'mio=target/release/echo mio --threads 1 --listen {addr}'
//! ```

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sockless_bench_servers::{PATIENCE, Server, frames, open};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
Measures the processor time, user and system, that echo servers take for a message.

Usage: cpu [OPTIONS] --server NAME=COMMAND...

Options:
  --server NAME=COMMAND   a server; {addr} in the command becomes 127.0.0.1:PORT. May be repeated
  --bare COMMAND          a server that echoes bytes and knows no WebSocket [default: one over epoll]
  --connections N         connections to each [default: 100]
  --sizes LIST            bytes of a message [default: 16,1024,65536]
  --depths LIST           messages under way in each connection [default: 1,16]
  --rounds N              rounds, in each of which every server has its turn [default: 5]
  --millis N              time of a turn [default: 300]
  --help                  print this

Each is compared in each round with the bare one, as is one over epoll that does the least that frames need besides: reading
and writing headers, unmasking and one copy. The medians are printed.
";

struct Options {
    servers: Vec<(String, String)>,
    bare: Option<String>,
    connections: usize,
    sizes: Vec<usize>,
    depths: Vec<usize>,
    rounds: usize,
    turn: Duration,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("cpu: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cpu: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let cores = sched_getaffinity(None)?;
    let mut each = (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core));
    let (server_core, client_core) = match (each.next(), each.next()) {
        (Some(server), Some(client)) => (server, client),
        _ => return Err("two cores are needed, one for the server and one for the client".into()),
    };
    // What is started now stays where this is now.
    pin(server_core)?;
    let own = std::env::current_exe()?.with_file_name("bare");
    let own = format!("{} {{addr}}", own.display());
    let bare = options.bare.as_ref().unwrap_or(&own);
    let mut servers = vec![
        ("bare".to_owned(), Server::start(bare)?),
        ("frames".to_owned(), Server::start(&format!("{own} --frames"))?),
    ];
    for (name, command) in &options.servers {
        servers.push((name.clone(), Server::start(command)?));
    }
    pin(client_core)?;

    println!(
        "{} connections, {} rounds of {:?}; nanoseconds of processor time a message",
        options.connections, options.rounds, options.turn
    );
    print!("{:>9} {:>6}", "bytes", "depth");
    for (name, _) in &servers {
        print!(" {name:>12}");
    }
    for (name, _) in &servers[1..] {
        print!(" {:>16}", format!("{name} / bare"));
    }
    println!();
    for size in &options.sizes {
        for depth in &options.depths {
            cell(options, &servers, *size, *depth)?;
        }
    }
    Ok(())
}

fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// One line of the table.
fn cell(options: &Options, servers: &[(String, Server)], size: usize, depth: usize) -> Result<(), Box<dyn Error>> {
    let mut costs = vec![Vec::new(); servers.len()];
    let mut drivers = Vec::new();
    for (number, (_, server)) in servers.iter().enumerate() {
        drivers.push(Driver::new(server, number > 0, options.connections, size, depth)?);
    }
    for _ in 0..options.rounds {
        for ((driver, (_, server)), costs) in drivers.iter_mut().zip(servers).zip(&mut costs) {
            costs.push(driver.measure(server, options.turn)?);
        }
    }
    print!("{size:>9} {depth:>6}");
    for costs in &costs {
        print!(" {:>12.0}", median(costs.clone()));
    }
    for own in &costs[1..] {
        let ratios = own.iter().zip(&costs[0]).map(|(own, bare)| own / bare).collect();
        print!(" {:>16.3}", median(ratios));
    }
    println!();
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// The client of one server: some connections with some messages under way in each.
struct Driver {
    poll: Poll,
    events: Events,
    peers: Vec<Peer>,
    depth: u64,
    /// What is sent and what comes back, repeated so that much goes in one call.
    request: Vec<u8>,
    request_len: usize,
    reply: Vec<u8>,
    reply_len: usize,
    buffer: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    /// Bytes in all.
    sent: u64,
    received: u64,
    blocked: bool,
}

impl Driver {
    fn new(server: &Server, websocket: bool, connections: usize, size: usize, depth: usize) -> io::Result<Self> {
        let payload: Vec<u8> = (0..size).map(|i| (i * 31) as u8).collect();
        let (request, reply) = frames(&payload);
        let reply = if websocket { reply } else { request.clone() };
        let poll = Poll::new()?;
        let mut peers = Vec::new();
        for number in 0..connections {
            let stream = if websocket { open(server.address)? } else { std::net::TcpStream::connect(server.address)? };
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
            peers.push(Peer { stream, sent: 0, received: 0, blocked: false });
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            peers,
            depth: depth as u64,
            request_len: request.len(),
            request: request.repeat(depth + 1),
            reply_len: reply.len(),
            // A read may begin anywhere in a reply.
            reply: reply.repeat((256 << 10) / reply.len() + 2),
            buffer: vec![0; 256 << 10],
        })
    }

    /// Nanoseconds a message, of one turn; every byte that comes is compared with what should.
    fn measure(&mut self, server: &Server, turn: Duration) -> io::Result<f64> {
        self.until(Instant::now() + turn / 4)?;
        let (cpu, messages) = (server.cpu_time()?, self.messages());
        self.until(Instant::now() + turn)?;
        let (cpu, messages) = (server.cpu_time()? - cpu, self.messages() - messages);
        self.drain()?;
        Ok(cpu.as_nanos() as f64 / messages as f64)
    }

    fn messages(&self) -> u64 {
        self.peers.iter().map(|peer| peer.received / self.reply_len as u64).sum()
    }

    fn until(&mut self, deadline: Instant) -> io::Result<()> {
        for number in 0..self.peers.len() {
            self.write(number)?;
        }
        while Instant::now() < deadline {
            self.step(true)?;
        }
        Ok(())
    }

    /// Waits for what is under way.
    fn drain(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let (request, reply) = (self.request_len as u64, self.reply_len as u64);
        while self
            .peers
            .iter()
            .any(|peer| !peer.sent.is_multiple_of(request) || peer.received * request != peer.sent * reply)
        {
            self.step(false)?;
            if Instant::now() > deadline {
                return Err(io::Error::new(ErrorKind::TimedOut, "answers are missing"));
            }
        }
        Ok(())
    }

    /// One turn of the loop; `more` says whether new messages are sent, beside the rest of those begun.
    fn step(&mut self, more: bool) -> io::Result<()> {
        self.poll.poll(&mut self.events, Some(Duration::from_millis(100)))?;
        let ready: Vec<_> = self.events.iter().map(|event| (event.token().0, event.is_writable())).collect();
        for (number, writable) in ready {
            if writable {
                self.peers[number].blocked = false;
            }
            self.read(number)?;
            if more || !self.peers[number].sent.is_multiple_of(self.request_len as u64) {
                self.write_up_to(number, if more { self.depth } else { 0 })?;
            }
        }
        Ok(())
    }

    fn read(&mut self, number: usize) -> io::Result<()> {
        let peer = &mut self.peers[number];
        loop {
            let n = match peer.stream.read(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let at = (peer.received % self.reply_len as u64) as usize;
            if self.buffer[..n] != self.reply[at..at + n] {
                return Err(io::Error::new(ErrorKind::InvalidData, "another answer"));
            }
            peer.received += n as u64;
            if n < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn write(&mut self, number: usize) -> io::Result<()> {
        self.write_up_to(number, self.depth)
    }

    /// Writes until `depth` messages are under way, and none is cut.
    fn write_up_to(&mut self, number: usize, depth: u64) -> io::Result<()> {
        let (request, reply) = (self.request_len as u64, self.reply_len as u64);
        let peer = &mut self.peers[number];
        let whole = peer.sent.div_ceil(request).max(peer.received / reply + depth) * request;
        while peer.sent < whole && !peer.blocked {
            let at = (peer.sent % request) as usize;
            let len = (self.request.len() - at).min((whole - peer.sent) as usize);
            match peer.stream.write(&self.request[at..at + len]) {
                Ok(n) => peer.sent += n as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => peer.blocked = true,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What the arguments ask for; `None` if they ask for help.
fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let list = |value: std::ffi::OsString| value.parse_with(|text| text.split(',').map(str::parse).collect());
    let mut options = Options {
        servers: Vec::new(),
        bare: None,
        connections: 100,
        sizes: vec![16, 1024, 65536],
        depths: vec![1, 16],
        rounds: 5,
        turn: Duration::from_millis(300),
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("server") => {
                let value = arguments.value()?.string()?;
                let (name, command) = value.split_once('=').ok_or("a server is NAME=COMMAND")?;
                options.servers.push((name.to_owned(), command.to_owned()));
            }
            Long("bare") => options.bare = Some(arguments.value()?.string()?),
            Long("connections") => options.connections = arguments.value()?.parse()?,
            Long("sizes") => options.sizes = list(arguments.value()?)?,
            Long("depths") => options.depths = list(arguments.value()?)?,
            Long("rounds") => options.rounds = arguments.value()?.parse()?,
            Long("millis") => options.turn = Duration::from_millis(arguments.value()?.parse()?),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}
