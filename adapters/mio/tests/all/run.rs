//! `Server::run`: the last worker's thread is the caller's.

use crate::common;
use crate::common::within;
use sockless_mio::{Client, Conn, Error, Handler, Message, Report, Server};
use std::collections::BTreeSet;
use std::thread::{self, JoinHandle};

/// Answers with the name of its thread.
fn whereabouts(conn: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
    conn.send_text(thread::current().name().unwrap_or_default())?;
    Ok(())
}

fn run<H: Handler>(server: Server<H>) -> JoinHandle<Report> {
    thread::Builder::new().name("caller".into()).spawn(|| server.run().unwrap()).unwrap()
}

/// The threads that serve, and how many had to be asked.
fn served_by(workers: usize) -> (BTreeSet<String>, Report, usize) {
    let server = Server::builder().listen("127.0.0.1:0").workers(workers).bind(whereabouts).unwrap();
    let (url, handle) = (format!("ws://{}/", server.addresses()[0]), server.handle());
    let caller = run(server);
    let (mut clients, mut names) = (Vec::new(), BTreeSet::new());
    // The system chooses the worker.
    common::eventually("all have served", || {
        let mut client = common::client(|| Client::connect(&url)).unwrap();
        client.send_text("where?").unwrap();
        names.insert(String::from_utf8(client.receive().unwrap().unwrap().as_bytes().to_vec()).unwrap());
        clients.push(client);
        names.len() == workers
    });
    let farewells = clients.len();
    handle.shutdown(common::PATIENCE).unwrap();
    for client in &mut clients {
        assert_eq!(client.receive().unwrap(), None);
    }
    drop(clients);
    (names, within("the caller's return", || caller.join()).unwrap(), farewells)
}

#[test]
fn one_worker_starts_no_thread() {
    let (names, report, clients) = served_by(1);
    assert_eq!(names, ["caller".to_owned()].into());
    assert_eq!((report.closed, report.cut_off), (clients, vec![]));
}

#[test]
fn of_two_workers_one_has_a_thread_of_its_own() {
    let (names, report, clients) = served_by(2);
    assert_eq!(names, ["caller".to_owned(), "sockless-0".to_owned()].into());
    assert_eq!((report.closed, report.cut_off), (clients, vec![]), "of both");
}
