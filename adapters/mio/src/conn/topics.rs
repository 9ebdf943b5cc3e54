//! What a handler sends to others, and what it wants of them: topics.

use super::Conn;
use crate::command::{Act, Audience};
use crate::mailbox::Teller;
use crate::session::Lent;
use crate::topics::{self, FilterError, Scope};
use sockless::Prepared;
use std::sync::Arc;

/// Topics.
impl<S> Conn<'_, S> {
    /// Subscribes to a topic: a plain name, whatever is in it.
    pub fn subscribe(&mut self, topic: &str) {
        self.act(Act::Subscribe(Scope::Name, topic.into()));
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, topic: &str) {
        self.act(Act::Unsubscribe(Scope::Name, topic.into()));
    }

    /// Subscribes to all topics that match a filter, as MQTT has them: levels stand between slashes, `+` is any one of them, and `#`
    /// at the end all that follow, or none. Whoever has several subscriptions that a message is for gets it once.
    ///
    /// A topic that begins with `$` matches no filter that begins with `+` or `#`.
    ///
    /// # Errors
    /// [`FilterError`] for what is no filter.
    ///
    /// ```
    /// use sockless_mio::{Conn, Error, Message};
    ///
    /// fn watch(conn: &mut Conn<'_>, _: Message<'_>) -> Result<(), Error> {
    ///     conn.subscribe_matching("sensors/+/temperature")?;
    ///     conn.subscribe_matching("alarms/#")?;
    ///     Ok(())
    /// }
    /// ```
    pub fn subscribe_matching(&mut self, filter: &str) -> Result<(), FilterError> {
        topics::check(filter)?;
        self.act(Act::Subscribe(Scope::Filter, filter.into()));
        Ok(())
    }

    /// Ends a subscription to all topics that match a filter.
    pub fn unsubscribe_matching(&mut self, filter: &str) {
        self.act(Act::Unsubscribe(Scope::Filter, filter.into()));
    }

    /// The topics and filters that it has subscribed to. Unknown, and told as none, in a pool.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let names = match &self.lent {
            Lent::Here(here) => Some(here.local.topics.names(&here.seat.subscriptions)),
            Lent::Remote(_) => None,
        };
        names.into_iter().flatten()
    }

    /// Sends to all others that have subscribed to a topic; one frame is shared by all. On this worker that follows the
    /// call of the handler, on others soon after. Peers that are too slow are passed over, and counted.
    pub fn publish(&mut self, topic: &str, message: &Prepared) {
        self.spread(Some(topic.into()), message);
    }

    /// Sends to all others.
    pub fn broadcast(&mut self, message: &Prepared) {
        self.spread(None, message);
    }

    fn spread(&mut self, topic: Option<Arc<str>>, message: &Prepared) {
        let audience = Audience { topic, except: Some(self.id()) };
        match &mut self.lent {
            Lent::Here(here) => here.spread(audience, message),
            Lent::Remote(remote) => _ = remote.shared.publish(&audience, message, None, Teller::Pool),
        }
    }
}
