//! A command for each connection: messages are lines for it, and its lines become messages.

use crate::input::without_end;
use crate::output::note;
use sockless_tokio::{Code, Error, Message, NetStream, Peer, Request, Sender, WebSocket};
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, WriteHalf};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long a command has to end once its client has gone.
const GRACE: Duration = Duration::from_secs(5);

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
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        unreachable!("they are piped")
    };
    let (sender, mut receiver) = socket.split();
    let heard = async move {
        while let Some(message) = receiver.recv().await? {
            let line = [message.as_bytes(), b"\n"].concat();
            // A command that hears nothing may still have something to say.
            _ = stdin.write_all(&line).await;
        }
        Ok(())
    };
    let ended = async {
        said(stdout, &sender).await;
        child.wait().await
    };
    let (mut heard, mut ended) = (pin!(heard), pin!(ended));
    tokio::select! {
        // Its standard input has ended with it. What has not gone by then is killed when it is dropped.
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
