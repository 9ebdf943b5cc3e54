//! One direction of a proxied connection: read, watch, spoil, wait, write.

use super::faults::{Amount, Faults, Mark, Step};
use super::watch::Watch;
use crate::dialogue::Side;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How much is read at a time.
const READ: usize = 16 << 10;
/// How many reads may wait to be written; beyond, no more is read.
const WAITING: usize = 16;

/// How bytes are passed on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub(super) delay: Duration,
    /// A write's most bytes.
    pub(super) cut: Option<usize>,
    /// How many bytes or messages a second.
    pub(super) rate: Option<Amount>,
}

impl Pace {
    /// How much is written at a time: by a rate, for a twentieth of a second.
    fn most(self) -> usize {
        let cut = self.cut.unwrap_or(usize::MAX);
        match self.rate {
            Some(Amount::Bytes(rate)) => cut.min(usize::try_from(rate / 20).unwrap_or(usize::MAX)).max(1),
            _ => cut,
        }
    }

    /// How long this takes at the rate.
    fn time_of(self, bytes: usize, messages: u32) -> Duration {
        match self.rate {
            Some(Amount::Bytes(rate)) => Duration::from_secs_f64(bytes as f64 / rate as f64),
            Some(Amount::Messages(rate)) => Duration::from_secs_f64(f64::from(messages) / rate as f64),
            None => Duration::ZERO,
        }
    }
}

/// What is to be written.
enum Out {
    /// Bytes, in which so many messages end.
    Bytes(Vec<u8>, u32),
    Shutdown,
    HangUp,
}

/// What a direction is spoilt and watched by.
pub(super) struct Means<'w> {
    pub(super) side: Side,
    pub(super) watch: &'w Watch,
    pub(super) faults: Faults,
    pub(super) pace: Pace,
}

/// Passes on what one side sends, to its end. What was read already comes first, with what goes in its place.
///
/// # Errors
/// The connection is over, by a fault or an error.
pub(super) async fn pass(
    means: Means<'_>,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    first: Option<(Vec<u8>, Vec<u8>)>,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let write = write(writer, means.pace, receiver);
    tokio::try_join!(read(means, reader, first, sender), write).map(|_| ())
}

async fn read(
    Means { side, watch, mut faults, pace }: Means<'_>,
    mut reader: impl AsyncRead + Unpin,
    mut first: Option<(Vec<u8>, Vec<u8>)>,
    sender: mpsc::Sender<(Instant, Out)>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    let mut is_closed = false;
    loop {
        watch.room().await;
        let (bytes, marks) = match first.take() {
            Some((read, replaced)) => {
                let mut marks = watch.receive(side, &read);
                // A head that was rewritten has another length.
                marks.iter_mut().for_each(|mark| mark.at = mark.at + replaced.len() - read.len());
                (replaced, marks)
            }
            // TLS that ends without its goodbye ends all the same.
            None => match reader.read(&mut buffer).await {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
                Ok(0) | Err(_) => break,
                Ok(read) => (buffer[..read].to_vec(), watch.receive(side, &buffer[..read])),
            },
        };
        if is_closed {
            continue;
        }
        let due = Instant::now() + pace.delay;
        for (bytes, marks) in parts(bytes, marks, pace) {
            for step in faults.steps(bytes, &marks) {
                let out = match step {
                    Step::Pass(bytes) => {
                        Out::Bytes(bytes, marks.iter().filter(|mark| mark.messages > 0).count() as u32)
                    }
                    Step::Inject(kind, bytes) => {
                        watch.injected(side, &format!("a bad frame: {}", kind.name()));
                        Out::Bytes(bytes, 0)
                    }
                    Step::HalfClose => {
                        watch.injected(side, "the end of this direction");
                        is_closed = true;
                        Out::Shutdown
                    }
                    Step::Drop => {
                        watch.injected(side, "the end of the connection");
                        Out::HangUp
                    }
                };
                if sender.send((due, out)).await.is_err() {
                    return Ok(());
                }
            }
            if is_closed {
                break;
            }
        }
    }
    watch.end(side);
    if !is_closed {
        _ = sender.send((Instant::now() + pace.delay, Out::Shutdown)).await;
    }
    Ok(())
}

/// The bytes as they are, or where messages are counted out, parted behind each.
fn parts(bytes: Vec<u8>, marks: Vec<Mark>, pace: Pace) -> Vec<(Vec<u8>, Vec<Mark>)> {
    if !matches!(pace.rate, Some(Amount::Messages(_))) {
        return vec![(bytes, marks)];
    }
    let (mut parts, mut from) = (Vec::new(), 0);
    for mark in marks {
        parts.push((bytes[from..mark.at].to_vec(), vec![Mark { at: mark.at - from, ..mark }]));
        from = mark.at;
    }
    parts.push((bytes[from..].to_vec(), Vec::new()));
    parts
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    pace: Pace,
    mut receiver: mpsc::Receiver<(Instant, Out)>,
) -> io::Result<()> {
    let mut next = Instant::now();
    while let Some((due, out)) = receiver.recv().await {
        sleep_until(due).await;
        match out {
            Out::Bytes(bytes, messages) => {
                for piece in bytes.chunks(pace.most()) {
                    sleep_until(next).await;
                    writer.write_all(piece).await?;
                    writer.flush().await?;
                    next = next.max(Instant::now()) + pace.time_of(piece.len(), 0);
                }
                next += pace.time_of(0, messages);
            }
            Out::Shutdown => return writer.shutdown().await,
            Out::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Notes when it was written to, and how much.
    struct Writes(Instant, Vec<(u64, usize)>);

    impl AsyncWrite for Writes {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let at = self.0.elapsed().as_millis() as u64;
            self.1.push((at, bytes.len()));
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// When what was written, of parts of so many bytes, each with the end of a message.
    async fn written(pace: Pace, parts: &[usize]) -> Vec<(u64, usize)> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut writes = Writes(Instant::now(), Vec::new());
        for len in parts {
            sender.send((Instant::now() + pace.delay, Out::Bytes(vec![0; *len], 1))).await.unwrap();
        }
        drop(sender);
        write(&mut writes, pace, receiver).await.unwrap();
        writes.1
    }

    #[tokio::test(start_paused = true)]
    async fn all_is_written_as_it_is_asked_for() {
        let pace = Pace::default();
        assert_eq!(written(pace, &[5, 1]).await, [(0, 5), (0, 1)]);
        assert_eq!(written(Pace { cut: Some(2), ..pace }, &[5, 1]).await, [(0, 2), (0, 2), (0, 1), (0, 1)]);
        assert_eq!(written(Pace { delay: Duration::from_millis(30), ..pace }, &[5, 1]).await, [(30, 5), (30, 1)]);
        let by_bytes = Pace { rate: Some(Amount::Bytes(1000)), ..pace };
        assert_eq!(written(by_bytes, &[60, 40, 1]).await, [(0, 50), (50, 10), (60, 40), (100, 1)]);
        let by_messages = Pace { rate: Some(Amount::Messages(10)), ..pace };
        assert_eq!(written(by_messages, &[500, 1, 2]).await, [(0, 500), (100, 1), (200, 2)]);
    }

    #[test]
    fn messages_are_parted_where_they_are_counted_out() {
        let marks = || vec![Mark { at: 2, messages: 1 }, Mark { at: 3, messages: 2 }];
        let lens = |rate| {
            let parts = parts(vec![0; 5], marks(), Pace { rate, ..Pace::default() });
            parts
                .iter()
                .map(|(bytes, marks)| (bytes.len(), marks.iter().map(|mark| mark.at).collect()))
                .collect::<Vec<_>>()
        };
        assert_eq!(lens(Some(Amount::Bytes(1))), [(5, vec![2, 3])]);
        assert_eq!(lens(Some(Amount::Messages(1))), [(2, vec![2]), (1, vec![1]), (2, vec![])]);
    }
}
