//! A server's opening handshakes: how many are under way, and who leaves when others wait.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a handshake has its place to itself when others wait for one. Then the oldest goes, so that peers which say nothing
/// hold nobody up for longer, and a rush of those that are quick takes no place from each other.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// The handshakes that are under way.
pub(crate) struct Handshakes {
    places: Arc<Semaphore>,
    /// By their numbers, so the oldest comes first.
    under_way: Mutex<BTreeMap<u64, UnderWay>>,
}

struct UnderWay {
    since: Instant,
    /// The server has its request, and has not refused it.
    asked: bool,
    end: Arc<Notify>,
}

/// The place of one.
pub(crate) struct Place {
    id: u64,
    of: Arc<Handshakes>,
    end: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

impl Handshakes {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        Arc::new(Self { places, under_way: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a handshake of this number; the later, the higher.
    pub(crate) async fn place(self: &Arc<Self>, id: u64) -> Place {
        let permit = self.permit().await;
        let end = Arc::new(Notify::new());
        self.lock().insert(id, UnderWay { since: Instant::now(), asked: false, end: end.clone() });
        Place { id, of: self.clone(), end, _permit: permit }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let mut permit = pin!(self.places.clone().acquire_owned());
        let permit = loop {
            let in_time = match self.oldest() {
                // Who has been asked may yet refuse.
                None => timeout(LEAST_TIME, permit.as_mut()).await,
                Some(since) => timeout_at(since + LEAST_TIME, permit.as_mut()).await,
            };
            match in_time {
                Ok(permit) => break permit,
                Err(_) if self.end_oldest() => break permit.await,
                Err(_) => {}
            }
        };
        permit.expect("nobody closes the semaphore")
    }

    /// When the first began that may be given up.
    fn oldest(&self) -> Option<Instant> {
        self.lock().values().find(|handshake| !handshake.asked).map(|handshake| handshake.since)
    }

    /// Gives up the oldest that has had its time; whether there is one.
    fn end_oldest(&self) -> bool {
        let under_way = self.lock();
        let aged = |handshake: &&UnderWay| !handshake.asked && handshake.since.elapsed() >= LEAST_TIME;
        let oldest = under_way.values().find(aged);
        oldest.inspect(|oldest| oldest.end.notify_one()).is_some()
    }

    /// Gives up all that have not come to their request.
    pub(crate) fn end_all(&self) {
        self.lock().values().filter(|handshake| !handshake.asked).for_each(|handshake| handshake.end.notify_one());
    }
}

impl Place {
    /// When somebody else is to have it.
    pub(crate) async fn given_up(&self) {
        self.end.notified().await;
    }

    /// The server has the request, or has refused it.
    pub(crate) fn set_asked(&self, asked: bool) {
        if let Some(handshake) = self.of.lock().get_mut(&self.id) {
            handshake.asked = asked;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.lock().remove(&self.id);
    }
}
