//! The same conversations under every kind of runtime. Where a future is polled outside of a scheduler, a task that has
//! used up its budget is woken at once, and whatever waits with a waker of its own has it rung within its own poll.

use crate::common::*;
use sockless_tokio::sockless::{Config, Role};
use sockless_tokio::{Error, Message, WebSocket};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// More than a task's budget lets it do in one turn, which is 128.
const MESSAGES: usize = 1000;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Socket = WebSocket<Box<dyn Stream>>;

/// What a client does, and what a server does at the other end of it.
#[derive(Clone, Copy, Debug)]
enum Talk {
    Sends,
    RecvAndSend,
    RecvEachAndFeed,
    SelectWithATick,
    TimeoutAroundAll,
    TimeoutThatFires,
    Halves,
    HalvesOfFutures,
    Writer,
}

const TALKS: [Talk; 9] = [
    Talk::Sends,
    Talk::RecvAndSend,
    Talk::RecvEachAndFeed,
    Talk::SelectWithATick,
    Talk::TimeoutAroundAll,
    Talk::TimeoutThatFires,
    Talk::Halves,
    Talk::HalvesOfFutures,
    Talk::Writer,
];

/// What joins the two.
#[derive(Clone, Copy, Debug)]
enum Wire {
    Tcp,
    Duplex(usize),
}

const WIRES: [Wire; 3] = [Wire::Tcp, Wire::Duplex(1 << 16), Wire::Duplex(50)];

async fn joined(wire: Wire) -> (Socket, Socket) {
    let (client, server): (Box<dyn Stream>, Box<dyn Stream>) = match wire {
        Wire::Duplex(capacity) => {
            let (client, server) = duplex(capacity);
            (Box::new(client), Box::new(server))
        }
        Wire::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).soon().await.unwrap();
            (Box::new(client), Box::new(listener.accept().soon().await.unwrap().0))
        }
    };
    (open(client, Role::Client, Config::default()), open(server, Role::Server, Config::default()))
}

async fn echo(mut socket: Socket) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).soon().await?;
    }
    Ok(())
}

/// A client's part, while a server echoes on whatever thread there is.
async fn talk(talk: Talk, wire: Wire) -> Result<(), Error> {
    let (mut client, mut server) = joined(wire).await;
    match talk {
        Talk::Sends => {
            let served = tokio::spawn(async move {
                let mut count = 0;
                while server.recv().await?.is_some() {
                    count += 1;
                }
                Ok::<_, Error>(count)
            });
            for _ in 0..MESSAGES {
                client.send("x").soon().await?;
            }
            client.close(1000, "").soon().await?;
            assert_eq!(served.soon().await.unwrap()?, MESSAGES);
        }
        Talk::RecvAndSend => {
            let served = tokio::spawn(echo(server));
            for number in 0..MESSAGES {
                client.send(number.to_string()).soon().await?;
                assert_eq!(client.recv().soon().await?, Some(number.to_string().into()));
            }
            client.close(1000, "").soon().await?;
            served.soon().await.unwrap()?;
        }
        Talk::RecvEachAndFeed => {
            // The one that is looked at is the server here.
            let (sender, mut receiver) = client.split();
            let sending = tokio::spawn(async move {
                for number in 0..MESSAGES {
                    sender.send(number.to_string()).soon().await?;
                }
                Ok::<_, Error>(sender)
            });
            let receiving = tokio::spawn(async move {
                for number in 0..MESSAGES {
                    assert_eq!(receiver.recv().soon().await?, Some(number.to_string().into()));
                }
                sending.soon().await.unwrap()?.close(1000, "").soon().await?;
                receiver.recv().soon().await
            });
            server.recv_each(|message, replies| replies.feed(message)).await?;
            assert_eq!(receiving.soon().await.unwrap()?, None);
        }
        Talk::SelectWithATick => {
            let served = tokio::spawn(async move {
                for number in 0..MESSAGES {
                    server.send(number.to_string()).soon().await?;
                }
                assert_eq!(server.recv().soon().await?, Some("tick".into()));
                server.close(1000, "").soon().await
            });
            let mut tick = interval(Duration::from_millis(1));
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut number = 0;
            loop {
                tokio::select! {
                    // Not where the server closes already.
                    _ = tick.tick() => drop(client.send("tick").soon().await),
                    message = client.recv() => match message? {
                        Some(message) => {
                            assert_eq!(message, number.to_string().into());
                            number += 1;
                        }
                        None => break,
                    },
                }
            }
            assert_eq!(number, MESSAGES);
            served.soon().await.unwrap()?;
        }
        Talk::TimeoutAroundAll => {
            let served = tokio::spawn(echo(server));
            for _ in 0..MESSAGES {
                timeout(PATIENCE, client.send("x")).await.expect("it is sent")?;
                timeout(PATIENCE, client.recv()).await.expect("it is echoed")?;
            }
            timeout(PATIENCE, client.close(1000, "")).await.expect("it is closed")?;
            served.soon().await.unwrap()?;
        }
        Talk::TimeoutThatFires => {
            let sending = async {
                loop {
                    client.send("x").soon().await.unwrap();
                }
            };
            // Nobody reads, so it ends only by the time; or the other reads, and it is busy all the time.
            assert!(timeout(Duration::from_millis(20), sending).await.is_err());
            let receiving = async move { while server.recv().soon().await.is_ok_and(|message| message.is_some()) {} };
            let served = tokio::spawn(receiving);
            let sending = async {
                loop {
                    client.send("x").soon().await.unwrap();
                }
            };
            assert!(timeout(Duration::from_millis(20), sending).await.is_err());
            client.close(1000, "").soon().await?;
            served.soon().await.unwrap();
        }
        Talk::Halves => {
            let served = tokio::spawn(echo(server));
            let (sender, mut receiver) = client.split();
            let other = sender.clone();
            let send = |sender: sockless_tokio::Sender<_>| async move {
                for _ in 0..MESSAGES {
                    sender.send("x").soon().await?;
                }
                Ok::<_, Error>(())
            };
            let receive = async {
                for _ in 0..2 * MESSAGES {
                    assert_eq!(receiver.recv().soon().await?, Some("x".into()));
                }
                Ok(())
            };
            tokio::try_join!(send(sender.clone()), send(other), receive)?;
            let (closed, received) = tokio::join!(sender.close(1000, ""), receiver.recv());
            closed?;
            assert_eq!(received?, None);
            served.soon().await.unwrap()?;
        }
        Talk::HalvesOfFutures => {
            use futures_util::{SinkExt, StreamExt};
            let served = tokio::spawn(echo(server));
            let (mut sink, mut stream) = client.split_futures();
            let send = async {
                for _ in 0..MESSAGES {
                    sink.send("x".into()).soon().await?;
                }
                Ok::<_, Error>(())
            };
            let receive = async {
                for _ in 0..MESSAGES {
                    assert_eq!(stream.next().soon().await.transpose()?, Some("x".into()));
                }
                Ok(())
            };
            tokio::try_join!(send, receive)?;
            sink.reunite(stream).unwrap().close(1000, "").soon().await?;
            served.soon().await.unwrap()?;
        }
        Talk::Writer => {
            let served = tokio::spawn(async move { server.recv().soon().await });
            let mut writer = client.writer(sockless_tokio::sockless::Kind::Binary);
            for _ in 0..MESSAGES {
                writer.write(&[7; 300]).soon().await?;
            }
            writer.finish().soon().await?;
            assert!(served.soon().await.unwrap()? == Some(Message::binary(vec![7; 300 * MESSAGES])));
        }
    }
    Ok(())
}

type Talking = Pin<Box<dyn Future<Output = ()> + Send>>;

/// All of it, under a runtime.
fn under(run: impl Fn(Talking)) {
    for wire in WIRES {
        for kind in TALKS {
            within(&format!("{kind:?} by {wire:?}"), || {
                run(Box::pin(async move { talk(kind, wire).await.unwrap() }));
            });
        }
    }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn of_one_thread() {
    under(|talking| current_thread().block_on(talking));
}

#[test]
fn of_one_thread_in_a_task() {
    under(|talking| {
        let runtime = current_thread();
        let task = runtime.spawn(talking);
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn of_many_threads_in_main() {
    under(|talking| multi_thread().block_on(talking));
}

#[test]
fn of_many_threads_in_a_task() {
    under(|talking| {
        let runtime = multi_thread();
        let task = runtime.spawn(talking);
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn in_a_local_set_of_one_thread() {
    under(|talking| LocalSet::new().block_on(&current_thread(), talking));
}

#[test]
fn in_a_local_set_of_many_threads() {
    under(|talking| LocalSet::new().block_on(&multi_thread(), talking));
}

#[test]
fn in_a_task_of_a_local_set() {
    under(|talking| LocalSet::new().block_on(&multi_thread(), async { spawn_local(talking).await.unwrap() }));
}

#[test]
fn in_a_thread_that_may_block() {
    under(|talking| {
        let runtime = multi_thread();
        let blocking = async { spawn_blocking(|| Handle::current().block_on(talking)).await.unwrap() };
        runtime.block_on(blocking);
    });
}
