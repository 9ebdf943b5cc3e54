//! A server: its workers, from the first to the last.

use crate::command::Act;
use crate::conn::Task;
use crate::handle::Handle;
use crate::handler::Handler;
use crate::listener::{Address, Listener};
use crate::mailbox::{Mailbox, Shared, Teller};
use crate::pool::Pool;
use crate::report::Report;
use crate::session::{Calls, Job, Lent, Remote};
use crate::settings::Settings;
use crate::worker::{Calling, Periodic, WAKE, Worker};
use mio::{Poll, Waker};
use sockless::addresses::{Admission, Clients};
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// So that a loop has time for others.
const LEAST_PERIOD: Duration = Duration::from_millis(1);

/// A server that listens, and does nothing yet.
pub struct Server<H: Handler> {
    workers: Vec<Worker<H>>,
    addresses: Vec<Address>,
    handler: Arc<H>,
    pool: Option<(Arc<Calling<H>>, usize)>,
    shared: Arc<Shared<Task<H::State>>>,
}

/// A server that runs in threads of its own.
///
/// Dropped, it runs on; end it with [`Handle::shutdown`], and wait with [`join`](Self::join).
pub struct Running<S> {
    workers: Vec<JoinHandle<Report>>,
    pool: Option<Arc<Pool<S, Job<Task<S>>>>>,
    threads: Vec<JoinHandle<()>>,
    addresses: Vec<Address>,
    handle: Handle<S>,
}

impl<H: Handler> Server<H> {
    pub(crate) fn bind(mut settings: Settings, handler: H) -> io::Result<Self> {
        let (handler, count) = (Arc::new(handler), settings.workers);
        let (listen, adopted) = (std::mem::take(&mut settings.listen), std::mem::take(&mut settings.adopted));
        let over_tls = listen.iter().any(|(_, tls)| *tls) || adopted.iter().any(|(_, tls)| *tls);
        if settings.tls.is_none() && over_tls {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS without a certificate"));
        }
        let mut addresses = Vec::new();
        let mut listeners: Vec<Vec<Listener>> = (0..count).map(|_| Vec::new()).collect();
        for (address, tls) in listen {
            let bound = Listener::bind(&address, tls, settings.backlog, count);
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
            for (address, bound) in bound.map_err(named)? {
                addresses.push(address);
                for (of_worker, listener) in listeners.iter_mut().zip(bound) {
                    of_worker.push(listener);
                }
            }
        }
        for (given, tls) in &adopted {
            for listener in given.iter() {
                let (address, adopted) = Listener::adopt(listener, *tls, count)?;
                addresses.push(address);
                listeners.iter_mut().zip(adopted).for_each(|(of_worker, listener)| of_worker.push(listener));
            }
        }
        let polls = (0..count).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let mailboxes = polls.iter().map(|poll| Ok(Mailbox::new(Some(Waker::new(poll.registry(), WAKE)?))));
        let mailboxes = mailboxes.collect::<io::Result<_>>()?;
        let client_tls = settings.client_tls.take().map_or_else(OnceLock::new, Into::into);
        let shared =
            Arc::new(Shared::new(mailboxes, settings.config.outbound.hard, client_tls, settings.pool.is_some()));
        let pool = settings.pool.map(|(threads, backlog)| (Pool::new(backlog, shared.hard), threads));
        let admission = Admission::new(settings.per_address, settings.rate);
        let clients = Arc::new(Clients::new(settings.trusted.clone(), settings.proxy_protocol, admission));
        let started = Instant::now();
        let mut workers = Vec::new();
        for (number, (poll, listeners)) in polls.into_iter().zip(listeners).enumerate() {
            let pool = pool.as_ref().map(|(pool, _)| pool.clone());
            let (handler, shared, clients) = (handler.clone(), shared.clone(), clients.clone());
            workers.push(Worker::new(number, poll, listeners, handler, &settings, shared, clients, pool, started)?);
        }
        Ok(Self { workers, addresses, handler, pool, shared })
    }

    /// Where it listens, in the order of the settings, at each address of a name; a port of 0 has become a real one.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Speaks to it from anywhere.
    pub fn handle(&self) -> Handle<H::State> {
        Handle { shared: self.shared.clone() }
    }

    /// Calls `task` once a `period`, for the first time when one is over: to publish, to count, to look after what no connection
    /// brings. It is called on a worker's loop, which waits for it, pool or not. When it panics, that is counted.
    ///
    /// ```
    /// use sockless_mio::{Conn, Message, Prepared, Server};
    /// use std::time::Duration;
    ///
    /// let server = Server::builder().listen("127.0.0.1:0").bind(|conn: &mut Conn<'_>, _: Message<'_>| {
    ///     conn.subscribe("news");
    ///     Ok(())
    /// })?;
    /// let server = server.every(Duration::from_secs(1), |handle| {
    ///     let news = format!("{} are here", handle.count());
    ///     _ = handle.publish("news", &Prepared::text(&news));
    /// });
    /// # drop(server);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn every(mut self, period: Duration, task: impl FnMut(&Handle<H::State>) + Send + 'static) -> Self {
        if let Some(worker) = self.workers.first_mut() {
            worker.every(Periodic::new(period.max(LEAST_PERIOD), task));
        }
        self
    }

    /// Serves, in threads of its own.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub fn start(self) -> io::Result<Running<H::State>> {
        let Self { workers, addresses, handler, pool, shared } = self;
        let mut running =
            Running { workers: vec![], pool: None, threads: vec![], addresses, handle: Handle { shared } };
        if let Some((pool, threads)) = pool {
            for number in 0..threads {
                let (pool, handler, shared) = (pool.clone(), handler.clone(), running.handle.shared.clone());
                let name = format!("sockless-pool-{number}");
                running
                    .threads
                    .push(thread::Builder::new().name(name).spawn(move || call_all::<H>(&pool, &handler, &shared))?);
            }
            running.pool = Some(pool);
        }
        for (number, worker) in workers.into_iter().enumerate() {
            let name = format!("sockless-{number}");
            running.workers.push(thread::Builder::new().name(name).spawn(|| worker.run())?);
        }
        Ok(running)
    }

    /// Serves until [`Handle::shutdown`]; the last worker does so in the calling thread.
    ///
    /// With one worker and no pool, no other thread is started. A process that has none at all pays less for each system
    /// call.
    ///
    /// # Errors
    /// Threads that cannot be started.
    ///
    /// # Panics
    /// If a worker has.
    pub fn run(mut self) -> io::Result<Report> {
        let own = self.workers.pop();
        let running = self.start()?;
        let mut report = own.map(Worker::run).unwrap_or_default();
        report.add(running.join());
        Ok(report)
    }
}

/// A thread of the pool.
fn call_all<H: Handler>(pool: &Calling<H>, handler: &H, shared: &Arc<Shared<Task<H::State>>>) {
    while let Some(queue) = pool.next() {
        // What its last call leaves behind is the application's too.
        shared.caught(|| {
            let id = queue.id();
            let has_caught_up = queue.step(|state, (call, snapshot)| {
                let cause = call.cause();
                let _entered = snapshot.span.enter();
                handler.call(Lent::Remote(Remote { id, state, snapshot: &snapshot, shared, cause }), call);
            });
            if has_caught_up {
                // Refused only if the connection is gone.
                _ = shared.act(id, Act::Unstall, Teller::Pool);
            }
        });
    }
}

impl<S> Running<S> {
    /// Where it listens.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Speaks to it from anywhere.
    pub fn handle(&self) -> &Handle<S> {
        &self.handle
    }
}

impl<S: Send + 'static> Running<S> {
    /// Waits until it has shut down, and the pool has done all that it was given.
    ///
    /// # Panics
    /// If a worker has.
    pub fn join(self) -> Report {
        let mut report = Report::default();
        for worker in self.workers {
            report.add(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        if let Some(pool) = self.pool {
            pool.close();
        }
        for thread in self.threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        if let Some(outlet) = self.handle.shared.outlet.get() {
            outlet.end();
        }
        report
    }
}
