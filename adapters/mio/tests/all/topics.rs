//! Broadcasts: to all, to all but one, to topics; across workers.

use crate::common::{start, text};
use sockless_mio::{Client, Closed, Conn, Error, Handler, Message, Prepared, Server};

/// `join TOPIC`, `watch FILTER`, `leave TOPIC`, `topics`, `TOPIC: message`, and anything else for all others.
struct Rooms;

impl Handler for Rooms {
    type State = ();

    fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
        let message = std::str::from_utf8(message.as_bytes())?;
        if let Some(topic) = message.strip_prefix("join ") {
            conn.subscribe(topic);
            conn.send_text("joined")?;
        } else if let Some(filter) = message.strip_prefix("watch ") {
            conn.subscribe_matching(filter)?;
            conn.send_text("watching")?;
        } else if let Some(topic) = message.strip_prefix("leave ") {
            conn.unsubscribe(topic);
            conn.send_text("left")?;
        } else if let Some((topic, said)) = message.split_once(": ") {
            conn.publish(topic, &Prepared::text(said));
            conn.send_text("said")?;
        } else {
            conn.broadcast(&Prepared::text(message));
            conn.send_text("called")?;
        }
        Ok(())
    }

    fn on_close(&self, conn: &mut Conn<'_>, _: Closed) {
        // Even who has gone may leave a word, and a late subscription harms nobody.
        conn.subscribe("a");
        conn.publish("b", &Prepared::text("gone"));
    }
}

fn say(client: &mut Client, message: &str, answer: &str) {
    client.send_text(message).unwrap();
    assert_eq!(client.receive().unwrap(), Some(text(answer)));
}

fn hears(client: &mut Client, message: &str) {
    assert_eq!(client.receive().unwrap(), Some(text(message)));
}

fn run(pool: bool) {
    let builder = Server::builder().listen("127.0.0.1:0").workers(2);
    let server = start(if pool { builder.pool(2, 16) } else { builder }, Rooms);
    let mut clients: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 2 == 0 {
            say(client, "join a", "joined");
            say(client, "join a", "joined");
        }
        if number % 3 == 0 {
            say(client, "join b", "joined");
        }
    }
    // Long enough to be shared, and short enough to be copied.
    for message in ["short", &"long".repeat(200)] {
        say(&mut clients[0], &format!("a: {message}"), "said");
        for client in [2, 4, 6, 8, 10] {
            hears(&mut clients[client], message);
        }
        // Who has not subscribed may publish too.
        say(&mut clients[1], &format!("b: {message}"), "said");
        for client in [0, 3, 6, 9] {
            hears(&mut clients[client], message);
        }
        say(&mut clients[5], message, "called");
        for client in (0..12).filter(|client| *client != 5) {
            hears(&mut clients[client], message);
        }
    }
    say(&mut clients[2], "leave a", "left");
    server.handle().publish("a", &Prepared::text("from outside")).unwrap();
    for client in [0, 4, 6, 8, 10] {
        hears(&mut clients[client], "from outside");
    }
    // By filters, across workers too, and once where a name and two filters match.
    let matched = |client: usize| client % 3 != 1;
    for (number, client) in clients.iter_mut().enumerate().filter(|(number, _)| matched(*number)) {
        say(client, if number % 2 == 0 { "watch news/+/now" } else { "watch news/#" }, "watching");
        say(client, "watch +/today/now", "watching");
        say(client, "join news/today/now", "joined");
    }
    server.handle().publish("news/today/now", &Prepared::text("it rains")).unwrap();
    server.handle().publish("news/later", &Prepared::text("some")).unwrap();
    for (number, client) in clients.iter_mut().enumerate().filter(|(number, _)| matched(*number)) {
        hears(client, "it rains");
        if number % 2 == 1 {
            hears(client, "some");
        }
    }
    server.handle().publish("nobody", &Prepared::text("lost")).unwrap();
    drop(clients.remove(0));
    for client in [3, 6, 9] {
        hears(&mut clients[client - 1], "gone");
    }
    server.handle().broadcast(&Prepared::text("to all")).unwrap();
    for client in &mut clients {
        hears(client, "to all");
    }
    assert_eq!(server.handle().stats().dropped, 0);
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
