//! Many connections on many threads, cut bytes, and ends that both send much.

use crate::common::{Cutting, bytes, config, echo, open_over, pair, pair_with, run, sockets};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use futures_util::{SinkExt, StreamExt, future};
use smol::Executor;
use smol::io::{AsyncRead, AsyncWrite};
use sockless_futures::{Settings, WebSocket};
use sockless_tls::{Roots, Tls};
use std::sync::Arc;
use std::thread;

/// Does work on an executor of four threads.
fn on_threads<T>(work: impl AsyncFnOnce(&Arc<Executor<'static>>) -> T) -> T {
    let executor = Arc::new(Executor::new());
    let (end, ended) = smol::channel::unbounded::<()>();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (executor, ended) = (executor.clone(), ended.clone());
            thread::spawn(move || smol::block_on(executor.run(ended.recv())))
        })
        .collect();
    let done = run(work(&executor));
    drop(end);
    threads.into_iter().for_each(|thread| _ = thread.join().unwrap());
    done
}

#[test]
fn many_connections_on_many_threads_lose_nothing() {
    on_threads(async |executor| {
        let talks = (0..100).map(|number| {
            let served = executor.clone();
            executor.spawn(async move {
                let (client, server) = pair().await;
                served.spawn(echo(server)).detach();
                let (mut sink, mut stream) = client.split();
                let sending = served.spawn(async move {
                    for turn in 0..200 {
                        sink.send(format!("{number} {turn}").into()).await.unwrap();
                    }
                    sink
                });
                for turn in 0..200 {
                    assert_eq!(stream.next().await.unwrap().unwrap(), format!("{number} {turn}").into());
                }
                sending.await.close().await.unwrap();
                assert!(stream.next().await.is_none());
            })
        });
        future::join_all(talks).await;
    });
}

/// Both ends send and receive at once, in four tasks.
async fn both_ways<S>(executor: &Executor<'static>, ends: (WebSocket<S>, WebSocket<S>))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ends = <[_; 2]>::from(ends).map(|end| {
        let (mut sink, mut stream) = end.split();
        let sending = executor.spawn(async move {
            for number in 0..64 {
                sink.send(vec![number; 1 << 18].into()).await.unwrap();
            }
        });
        let receiving = executor.spawn(async move {
            for number in 0..64 {
                assert_eq!(stream.next().await.unwrap().unwrap(), vec![number; 1 << 18].into());
            }
            stream
        });
        future::join(sending, receiving)
    });
    future::join_all(ends).await;
}

#[test]
fn two_ends_that_both_send_much_do_not_wait_for_each_other() {
    on_threads(async |executor| both_ways(executor, pair().await).await);
}

/// Its streams hold back what they were given, and what they have read.
#[test]
fn so_it_is_with_tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.der(), made.signing_key.serialize_der().try_into().unwrap());
    let acceptor = TlsAcceptor::from(Tls::server_with(vec![certificate.clone()], key).unwrap());
    let connector = TlsConnector::from(Arc::from(Tls::new(Roots::Own(vec![certificate.clone()])).unwrap()));
    on_threads(async |executor| {
        let (client, server) = sockets().await;
        let client = connector.connect("localhost".try_into().unwrap(), client);
        let (client, server) = future::join(client, acceptor.accept(server)).await;
        let (client, server) = (TlsStream::Client(client.unwrap()), TlsStream::Server(server.unwrap()));
        both_ways(executor, open_over(client, server, &Settings::default()).await).await;
    });
}

/// Each message is more than the sockets take, and neither receives before it has sent its own.
#[test]
fn whole_ends_that_both_send_before_they_receive_go_on() {
    run(async {
        let settings = Settings::default().config(config(|config| config.limits.message = 16 << 20));
        let (client, server) = pair_with(&settings).await;
        let ends = [client, server].map(async |mut end| {
            for _ in 0..2 {
                end.send(vec![7; 16 << 20]).await.unwrap();
                assert_eq!(end.recv().await.unwrap().unwrap().len(), 16 << 20);
            }
        });
        future::join_all(ends).await;
    });
}

/// Nobody receives before all is sent, which is more than the sockets take, and less than is kept.
#[test]
fn whole_ends_that_send_in_a_loop_before_they_receive_go_on() {
    run(async {
        let settings = config(|config| (config.outbound.soft, config.outbound.hard) = (64 << 20, 128 << 20));
        let (client, server) = pair_with(&Settings::default().config(settings)).await;
        let ends = [client, server].map(async |mut end| {
            for number in 0..32 {
                end.send(vec![number; 1 << 20]).await.unwrap();
            }
            for number in 0..32 {
                assert_eq!(end.recv().await.unwrap(), Some(vec![number; 1 << 20].into()));
            }
        });
        future::join_all(ends).await;
    });
}

async fn exchange<S>(mut client: WebSocket<S>, lens: &[usize])
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for &len in lens {
        client.feed("grüße, 世界 🌍").await.unwrap();
        client.send(bytes(len)).await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Some("grüße, 世界 🌍".into()));
        assert_eq!(client.recv().await.unwrap(), Some(bytes(len).into()));
    }
    assert_eq!(client.close(4000, "done").await.unwrap().code, 4000.into());
}

#[test]
fn any_cut_of_the_bytes_gives_the_same() {
    run(async {
        for seed in 0..20 {
            let (client, server) = sockets().await;
            let (most, longest) = [(1, 1000), (3, 3000), (100, 20_000), (10_000, 200_000)][seed as usize % 4];
            let (client, server) = (Cutting::new(client, seed, most), Cutting::new(server, !seed, most));
            let (client, server) = open_over(client, server, &Settings::default()).await;
            let (_, served) = future::join(exchange(client, &[0, 1, 126, longest]), echo(server)).await;
            served.unwrap();
        }
    });
}

#[test]
fn halves_over_cut_bytes_are_always_woken() {
    on_threads(async |executor| {
        let talks = (0..16).map(|seed| {
            let other = executor.clone();
            executor.spawn(async move {
                let (client, server) = sockets().await;
                let (client, server) = (Cutting::new(client, seed, 50), Cutting::new(server, !seed, 50));
                let (client, server) = open_over(client, server, &Settings::default()).await;
                let server = other.spawn(echo(server));
                let (mut sink, mut stream) = client.split();
                let sending = other.spawn(async move {
                    for number in 0..200u8 {
                        sink.send(vec![number; 300].into()).await.unwrap();
                    }
                    sink
                });
                for number in 0..200u8 {
                    assert_eq!(stream.next().await.unwrap().unwrap(), vec![number; 300].into());
                }
                sending.await.close().await.unwrap();
                assert!(stream.next().await.is_none());
                server.await.unwrap();
            })
        });
        future::join_all(talks).await;
    });
}
