//! A command for each connection: messages are lines for it, and its lines become messages.

use crate::input::without_end;
use crate::output::note;
use sockless_tokio::{Code, Error, Message, NetStream, Peer, Request, Sender, WebSocket};
use std::convert::Infallible;
use std::future;
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, WriteHalf, copy, duplex};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long a command has to end once its client has gone.
const GRACE: Duration = Duration::from_secs(5);

/// How many bytes wait for a command to read them. Until then its client is heard, its pings and its end among the rest.
const WAITING: usize = 1 << 20;

/// How long a command may read nothing when so much waits: less than clients wait for a pong.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a command of the shell, and has it talk to a client until one of them ends.
///
/// # Errors
/// As [`WebSocket::recv`]; a command that cannot be started closes with 1011.
pub(crate) async fn run(
    line: &str,
    mut socket: WebSocket<NetStream>,
    peer: Peer,
    request: &Request<'_>,
) -> Result<(), Error> {
    let mut child = match start(line, peer, request) {
        Ok(child) => child,
        Err(error) => {
            note!("{peer}: not started: {error}");
            return socket.close(Code::INTERNAL_ERROR, "the command could not be started").await;
        }
    };
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { unreachable!("they are piped") };
    let (sender, mut receiver) = socket.split();
    let (queue, queued) = duplex(WAITING);
    let closer = sender.clone();
    let heard = async move {
        let mut queue = Some(queue);
        while let Some(message) = receiver.recv().await? {
            let Some(open) = &mut queue else { continue };
            if !give(open, &[message.as_bytes(), b"\n"].concat()).await {
                queue = None;
                drop(closer.close(Code::TRY_LATER, "the command does not read"));
            }
        }
        Ok(())
    };
    let ended = async {
        said(stdout, &sender).await;
        child.wait().await
    };
    let ended = async {
        tokio::select! {
            status = ended => status,
            never = feed(queued, stdin) => match never {},
        }
    };
    let result = {
        let (mut heard, mut ended) = (pin!(heard), pin!(ended));
        tokio::select! {
            // Its standard input ends with it, behind what waits.
            result = &mut heard => {
                _ = timeout(GRACE, ended).await;
                result
            }
            status = &mut ended => {
                let (code, reason) = judged(status);
                drop(sender.close(code, &reason));
                heard.await
            }
        }
    };
    // Whether or not it is still there. If it were only dropped, nobody might learn that it has ended.
    _ = child.kill().await;
    result
}

/// The process, which is told of the request as a CGI program is (RFC 3875).
fn start(line: &str, peer: Peer, request: &Request<'_>) -> io::Result<Child> {
    let mut command = if cfg!(windows) { Command::new("cmd") } else { Command::new("sh") };
    command
        .args([if cfg!(windows) { "/C" } else { "-c" }, line])
        .env("PATH_INFO", request.path())
        .env("QUERY_STRING", request.query().unwrap_or_default())
        .env("REMOTE_ADDR", peer.address.map_or_else(String::new, |address| address.ip().to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Puts a line where the command reads from; `false`: it has waited in vain for room.
async fn give(queue: &mut DuplexStream, mut line: &[u8]) -> bool {
    while !line.is_empty() {
        match timeout(PATIENCE, queue.write(line)).await {
            Ok(Ok(len)) => line = &line[len..],
            // A command that hears nothing may still have something to say.
            Ok(Err(_)) => return true,
            Err(_) => return false,
        }
    }
    true
}

/// Has the command read what waits for it, and its end.
async fn feed(mut queued: DuplexStream, mut stdin: ChildStdin) -> Infallible {
    _ = copy(&mut queued, &mut stdin).await;
    drop((queued, stdin));
    future::pending().await
}

/// Sends lines as they come: text, or bytes where they are none.
async fn said(stdout: ChildStdout, sender: &Sender<WriteHalf<NetStream>>) {
    let (mut stdout, mut line) = (BufReader::new(stdout), Vec::new());
    while stdout.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
        let message = match str::from_utf8(without_end(&line)) {
            Ok(text) => Message::from(text),
            Err(_) => Message::from(without_end(&line)),
        };
        if sender.send(message).await.is_err() {
            return;
        }
        line.clear();
    }
}

/// What a client is told of a command that has ended.
fn judged(status: io::Result<ExitStatus>) -> (Code, String) {
    match status {
        Ok(status) if status.success() => (Code::NORMAL, String::new()),
        Ok(status) => (Code::INTERNAL_ERROR, status.to_string()),
        Err(_) => (Code::INTERNAL_ERROR, String::new()),
    }
}
