//! What the tests share: the command as a process, and servers in this one.

pub(crate) mod captures;

use sockless_tokio::{Error, NetStream, Peer, Request, Server, WebSocket};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub(crate) use sockless_test_support::{eventually, left_out, soon, within};

/// The command, not yet started; whatever proxies there are, it takes none.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockless"));
    command.args(arguments).env("no_proxy", "*").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        Self { status: status.code(), stdout, stderr: String::from_utf8(stderr).unwrap() }
    }
}

/// Runs the command to its end, with this as its standard input.
#[track_caller]
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // It may end before it has read all.
    thread::spawn(move || _ = stdin.write_all(&input));
    within("the command ends", || child.wait_with_output()).unwrap().into()
}

/// Runs the command to its end, or that of the test, with a standard input that does not end.
#[track_caller]
pub(crate) fn run_open(arguments: &[&str]) -> Ran {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    let ran = within("the command ends", || child.wait_with_output()).unwrap().into();
    drop(stdin);
    ran
}

/// `sockless serve`, or `sockless proxy`, which ends with this.
pub(crate) struct Serving {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Serving {
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_as("serve", arguments)
    }

    #[track_caller]
    pub(crate) fn start_as(subcommand: &str, arguments: &[&str]) -> Self {
        let arguments = [&[subcommand, "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = command(&arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut serving = Self { child, stdout, url: String::new() };
        let line = serving.line();
        serving.url = match line.strip_prefix("listening on ") {
            Some(url) => url.to_owned(),
            None => serde_json::from_str::<serde_json::Value>(&line).unwrap()["url"].as_str().unwrap().to_owned(),
        };
        serving
    }

    /// The next line that it prints.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        within("a line", || self.stdout.read_line(&mut line)).unwrap();
        line.truncate(line.trim_end().len());
        line
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.url.split('/').nth(2).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The URL of a server in this process, which lasts as long as that and has `handle` do the work of each connection.
pub(crate) fn serve<H, F>(server: Server, handle: H) -> String
where
    H: Fn(WebSocket<NetStream>, Peer, Request<'static>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        Runtime::new().unwrap().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            server.serve(listener, handle).await;
        });
    });
    format!("ws://{}/", within("a server listens", || receiver.recv()).unwrap())
}
