//! From standard input to messages.

use crate::output::{Coding, note};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sockless_tokio::Message;
use std::io::{self, BufRead, Read};
use std::thread;
use tokio::sync::mpsc;

/// How much one message of [`Coding::Bytes`] holds at most.
const CHUNK: usize = 64 << 10;

/// The messages of standard input, to its end. They are read by a thread of their own, which nobody waits for.
pub(crate) fn messages(coding: Coding) -> mpsc::Receiver<Message> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        let ended = match coding {
            Coding::Bytes => chunks(&mut input, |message| sender.blocking_send(message).is_ok()),
            coding => lines(&mut input, coding, |message| sender.blocking_send(message).is_ok()),
        };
        if let Err(error) = ended {
            note!("sockless: standard input: {error}");
        }
    });
    receiver
}

/// Gives `take` what is read, until it takes no more.
fn chunks(input: &mut impl Read, mut take: impl FnMut(Message) -> bool) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) if take(buffer[..n].into()) => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The same, line by line; one that is no message is left out, and told.
fn lines(input: &mut impl BufRead, coding: Coding, mut take: impl FnMut(Message) -> bool) -> io::Result<()> {
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        match message(without_end(&line), coding) {
            Ok(message) => {
                if !take(message) {
                    return Ok(());
                }
            }
            Err(reason) => note!("sockless: not sent, as {reason}"),
        }
        line.clear();
    }
    Ok(())
}

/// A line without what ends it.
pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A line as a message, or why it is none.
pub(crate) fn message(line: &[u8], coding: Coding) -> Result<Message, String> {
    match coding {
        Coding::Text => match str::from_utf8(line) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err("it is not UTF-8; see --binary".into()),
        },
        Coding::Bytes => Ok(line.into()),
        Coding::Hex => {
            hex::decode(line.trim_ascii()).map(Message::from).map_err(|error| format!("it is no hex: {error}"))
        }
        Coding::Base64 => {
            let bytes = STANDARD.decode(line.trim_ascii());
            bytes.map(Message::from).map_err(|error| format!("it is no base64: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(input: &[u8], coding: Coding) -> Vec<Message> {
        let mut taken = Vec::new();
        lines(&mut &*input, coding, |message| {
            taken.push(message);
            true
        })
        .unwrap();
        taken
    }

    #[test]
    fn lines_become_messages_and_bad_ones_are_left_out() {
        assert_eq!(taken(b"a\r\n\nb", Coding::Text), ["a".into(), "".into(), Message::from("b")]);
        assert_eq!(taken(b"\xff\nb\n", Coding::Text), [Message::from("b")]);
        assert_eq!(taken(b"00ff \nxx\n", Coding::Hex), [Message::from(&[0, 255][..])]);
        assert_eq!(taken(b"AP8=\n*\n", Coding::Base64), [Message::from(&[0, 255][..])]);
    }

    #[test]
    fn nothing_more_is_read_for_who_takes_no_more() {
        let mut input = &b"a\nb\n"[..];
        lines(&mut input, Coding::Text, |_| false).unwrap();
        assert_eq!(input, b"b\n");
    }
}
