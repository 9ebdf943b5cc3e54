//! Several processes on one port: the system spreads connections over them, and one that ends takes no other with it.
//!
//! ```text
//! cargo run --release -p sockless-mio --example mio_processes -- 127.0.0.1:9001 4
//! ```
//!
//! The first process serves nobody: it starts the others, starts one again that has failed, and ends them all, gently, when it is
//! told to by a signal.

use rustix::process::{Pid, Signal, kill_process};
use sockless_mio::{Code, Conn, Drain, Error, Message, Server};
use std::env;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Says to a process that it is to serve.
const SERVES: &str = "MIO_PROCESSES_SERVES";

fn main() -> Result<(), Error> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9001".into());
    let count = arguments.next().map_or(Ok(2), |count| count.parse())?;
    if env::var_os(SERVES).is_some() { serve(&address) } else { supervise(&address, count) }
}

/// Echoes, with the number of the process before it.
fn serve(address: &str) -> Result<(), Error> {
    let server = Server::builder().listen(address).workers(1).bind(|conn: &mut Conn<'_>, message: Message<'_>| {
        let answer = format!("{}: {}", std::process::id(), message.as_text().unwrap_or("?"));
        conn.send_text(&answer)?;
        Ok(())
    })?;
    let handle = server.handle();
    ctrlc::set_handler(move || {
        // They come back, to another process, and not all at once.
        let leave = Drain { span: Duration::from_secs(2), code: Code::RESTART, ..Drain::default() };
        _ = handle.shutdown(leave);
    })?;
    let report = server.run()?;
    println!("{}: {} closed, {} not in time", std::process::id(), report.closed, report.cut_off.len());
    Ok(())
}

fn supervise(address: &str, count: usize) -> Result<(), Error> {
    static ENDS: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| ENDS.store(true, Ordering::Relaxed))?;
    let start = || Command::new(env::current_exe()?).arg(address).env(SERVES, "1").spawn();
    let mut children = (0..count).map(|_| start()).collect::<Result<Vec<Child>, _>>()?;
    println!("{count} processes at ws://{address}/");
    while !ENDS.load(Ordering::Relaxed) {
        for child in &mut children {
            if child.try_wait()?.is_some_and(|status| !status.success()) {
                *child = start()?;
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    for child in &mut children {
        _ = kill_process(Pid::from_child(child), Signal::TERM);
        child.wait()?;
    }
    Ok(())
}
