//! What is known of a session besides its driver: the application's state, how far it has come, who waits for what.

use super::local::Local;
use super::timers::Timers;
use crate::call::Call;
use crate::command::Id;
use crate::pool::Queue;
use crate::routed::{NO_ROUTE, Parts};
use crate::topics::Subscriptions;
use crate::transport::TlsInfo;
use sockless::seen::{Life, Span};
use sockless::{Counters, State};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The opening handshake is under way.
    Opening,
    /// The application has the request, and has not answered it.
    Asked,
    /// The application has been told that it is open.
    Open,
    /// It was open, and the application has been told of its end.
    Closed,
    /// It never opened, and will not.
    Failed,
}

/// Where the application's state is.
pub(crate) enum Place<S, T> {
    Here(S),
    /// With the pool, and what the pool has still to do with it.
    Pool(Arc<Queue<S, Job<T>>>),
}

/// A call that waits, and what was known of the connection when it came to it.
pub(crate) type Job<T> = (Call<'static, T>, Snapshot);

/// What was known of a connection when an event came.
pub(crate) struct Snapshot {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) route: u16,
    pub(crate) tls: Option<TlsInfo>,
    pub(crate) ready_state: State,
    pub(crate) counters: Counters,
    pub(crate) span: Span,
}

pub(crate) struct Seat<S, T> {
    pub(crate) place: Place<S, T>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) timers: Timers,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) id: Id,
    /// It is counted among those of its address.
    pub(crate) counted: bool,
    /// Of the handler that it is for, if there are several.
    pub(crate) route: u16,
    pub(crate) phase: Phase,
    /// Bytes of messages from the mailbox that others have not been told the fate of: that they are queued, or have gone out.
    pub(crate) taken: u32,
    /// The transport takes no more, until it tells.
    pub(crate) blocked: bool,
    /// The application has been told that much waits.
    pub(crate) pressed: bool,
    /// The application has set a timer, or one was due: the deadline is to be worked out anew.
    pub(crate) timed: bool,
    /// Messages come in pieces.
    pub(crate) parts: Parts,
    /// Other threads have been told that something waits.
    pub(crate) published: bool,
    /// It is in the list of those to look after at the end of the turn.
    pub(crate) dirty: bool,
    /// Why the transport has failed.
    pub(crate) failure: Option<Box<io::Error>>,
    /// What is told of it is told within.
    pub(crate) span: Span,
    pub(crate) life: Life,
}

impl<S, T> Seat<S, T> {
    pub(crate) fn new(id: Id, place: Place<S, T>, peer: Option<SocketAddr>) -> Self {
        Self {
            place,
            subscriptions: Vec::new(),
            timers: Timers::default(),
            peer,
            id,
            counted: false,
            route: NO_ROUTE,
            phase: Phase::Opening,
            taken: 0,
            blocked: false,
            pressed: false,
            timed: false,
            parts: Parts::Whole,
            published: false,
            dirty: false,
            failure: None,
            span: Span::connection(Some(id), peer),
            life: Life::default(),
        }
    }

    /// Has it looked after at the end of the turn.
    pub(crate) fn touch(&mut self, local: &mut Local<T>) {
        if !std::mem::replace(&mut self.dirty, true) {
            local.dirty.push(self.id.key);
        }
    }

    #[inline]
    pub(crate) fn state(&self) -> &S {
        match &self.place {
            Place::Here(state) => state,
            Place::Pool(_) => unreachable!("the handler runs in the pool"),
        }
    }

    #[inline]
    pub(crate) fn state_mut(&mut self) -> &mut S {
        match &mut self.place {
            Place::Here(state) => state,
            Place::Pool(_) => unreachable!("the handler runs in the pool"),
        }
    }
}
