//! Connections to servers, on an event loop.

use crate::command::Command;
use crate::conn::{Conn, Task};
use crate::dial::{self, Target};
use crate::handle::Handle;
use crate::tls::ClientTls;
use sockless::{ClientRequest, SendError};
use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

/// To servers.
impl<S> Handle<S> {
    /// Connects to a `ws://` or `wss://` server; the handler is called for the connection as for any other, and
    /// `prepare` before all, to set its state. A name is looked up here, which takes its time, but at most 10 s.
    ///
    /// Each address of the name is tried, beside the one before it if that does not answer for 250 ms (RFC 8305), and the
    /// first that answers is taken.
    ///
    /// # Errors
    /// A request that cannot be written, a name that is not found, a server that shuts down, or one that has too many tasks
    /// to do (`WouldBlock`). Whatever happens later is told to [`on_close`](crate::Handler::on_close).
    pub fn connect(
        &self,
        request: &ClientRequest,
        prepare: impl FnOnce(&mut Conn<'_, S>) + Send + 'static,
    ) -> io::Result<()> {
        let refused = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        request.check().map_err(refused)?;
        let addresses = dial::resolve(request, dial::after(dial::TIMEOUT))?;
        self.connect_to(request, addresses, prepare)
    }

    /// The same for a host whose addresses are known already.
    fn connect_to(
        &self,
        request: &ClientRequest,
        addresses: Vec<SocketAddr>,
        prepare: impl FnOnce(&mut Conn<'_, S>) + Send + 'static,
    ) -> io::Result<()> {
        let tls = if request.is_secure() { Some(client_tls(&self.shared.client_tls)?) } else { None };
        let target = Target::new(request, addresses, tls)?;
        let prepare = Task::once(prepare, &self.shared.tasks);
        let told =
            prepare.and_then(|it| self.shared.tell(self.shared.least_busy(), Command::Connect(Box::new(target), it)));
        told.map_err(|error| match error {
            SendError::Full => io::Error::new(io::ErrorKind::WouldBlock, error),
            _ => io::Error::new(io::ErrorKind::NotConnected, error),
        })
    }
}

fn client_tls(made: &OnceLock<ClientTls>) -> io::Result<ClientTls> {
    let usual = || ClientTls::usual().map(|config| made.get_or_init(|| config).clone());
    made.get().cloned().map_or_else(usual, Ok)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::dial::tests::Swallowing;
    use crate::{CloseError, Closed, Error, Handler, Message, Server};
    use sockless_test_support::{PATIENCE, within};
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    struct Echo;

    impl Handler for Echo {
        type State = ();

        fn on_message(&self, conn: &mut Conn<'_>, message: Message<'_>) -> Result<(), Error> {
            conn.send(message)?;
            Ok(())
        }
    }

    /// Tells whom it is connected to, and how that ends.
    struct Caller(Sender<String>);

    impl Handler for Caller {
        type State = ();

        fn on_open(&self, conn: &mut Conn<'_>) {
            conn.send_text("hello").unwrap();
        }

        fn on_message(&self, conn: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
            self.0.send(format!("{}", conn.peer().unwrap())).unwrap();
            Ok(())
        }

        fn on_close(&self, _: &mut Conn<'_>, closed: Closed) {
            let why = match closed.error {
                Some(CloseError::Io(error)) => format!("{:?}", error.kind()),
                other => format!("{other:?}"),
            };
            self.0.send(why).unwrap();
        }
    }

    #[test]
    fn an_address_that_swallows_what_it_is_sent_is_not_waited_for() {
        let swallowing = Swallowing::new();
        let server = Server::builder().listen("127.0.0.1:0").workers(1).bind(Echo).unwrap().start().unwrap();
        let good = server.addresses()[0].tcp().unwrap();
        // A port that was free a moment ago refuses.
        let refuses = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (told_by, told) = channel();
        let callers = Server::builder().workers(1).bind(Caller(told_by)).unwrap().start().unwrap();
        let request = ClientRequest::new("ws://name.test/").unwrap();
        for addresses in [vec![swallowing.address, good], vec![refuses, swallowing.address, refuses, good], vec![good]]
        {
            callers.handle().connect_to(&request, addresses, |_| {}).unwrap();
            assert_eq!(told.recv_timeout(PATIENCE).unwrap(), good.to_string());
        }
        callers.handle().connect_to(&request, vec![refuses, refuses], |_| {}).unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "ConnectionRefused");
        callers.handle().shutdown(Duration::ZERO).unwrap();
        server.handle().shutdown(Duration::ZERO).unwrap();
        within("the callers' end", || callers.join());
        within("the server's end", || server.join());
    }
}
