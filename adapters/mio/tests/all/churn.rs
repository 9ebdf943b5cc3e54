//! Clients that connect, talk and are killed at random: nothing is left of them, and the survivors hear the truth.

use crate::common;
use crate::common::{eventually, start, text, within};
use sockless_mio::{Closed, Conn, Error, Handler, Message, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

/// Counts those whose opening was told and whose end was not.
struct Count(Arc<AtomicI64>);

impl Handler for Count {
    type State = ();

    fn on_open(&self, conn: &mut Conn<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        conn.subscribe("all");
    }

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        conn.send(message)?;
        Ok(())
    }

    fn on_close(&self, _: &mut Conn<'_>, _: Closed) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Random enough, and the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn run(pool: bool) {
    let count = Arc::new(AtomicI64::new(0));
    let builder = Server::builder().listen("127.0.0.1:0").workers(2);
    let server = start(if pool { builder.pool(2, 100) } else { builder }, Count(count.clone()));
    let url = server.url();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let url = url.clone();
            thread::spawn(move || {
                let mut dice = Dice(number);
                let mut survivor = common::client(|| sockless_mio::Client::connect(&url)).unwrap();
                for turn in 0..60 {
                    let mut client = common::client(|| sockless_mio::Client::connect(&url)).unwrap();
                    let mut under_way = std::collections::VecDeque::new();
                    for message in 0..dice.roll(5) {
                        let said = format!("{number} {turn} {message}").repeat(1 << dice.roll(12));
                        client.send_text(&said).unwrap();
                        under_way.push_back(said);
                        if dice.roll(4) > 0
                            && let Some(said) = under_way.pop_front()
                        {
                            assert!(client.receive().unwrap() == Some(text(&said)), "not {}", said.len());
                        }
                    }
                    match dice.roll(3) {
                        0 => _ = client.close(sockless_mio::Code::NORMAL, "").unwrap(),
                        // Killed, with an answer on its way or not.
                        _ => drop(client),
                    }
                    let said = format!("{number} {turn}");
                    survivor.send_text(&said).unwrap();
                    assert_eq!(survivor.receive().unwrap(), Some(text(&said)));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| within("a client", || thread.join()).unwrap());
    server.eventually("all are gone", |stats| stats.connections == 0 && stats.open == 0 && stats.opened == 8 * 61);
    eventually("each end was told", || count.load(Ordering::SeqCst) == 0);
    server.stop();
}

#[test]
fn on_the_loop() {
    run(false);
}

#[test]
fn in_the_pool() {
    run(true);
}
