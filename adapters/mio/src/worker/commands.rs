//! What other threads and handlers want of a worker's connections.

use super::Worker;
use crate::call::Call;
use crate::command::{Act, Audience, Command, Id};
use crate::conn::Task;
use crate::handler::Handler;
use crate::session::Phase;
use sockless::{Prepared, SendError};

impl<H: Handler> Worker<H> {
    pub(super) fn obey(&mut self, commands: &mut Vec<Command<Task<H::State>>>) {
        let shared = self.local.shared.clone();
        for command in commands.drain(..) {
            // What a task leaves behind, and what follows the last of many, is the application's.
            shared.caught(|| self.command(command));
        }
    }

    fn command(&mut self, command: Command<Task<H::State>>) {
        match command {
            Command::To(id, act) => self.act(id, act),
            Command::Publish(audience, message) => self.deliver(&audience, &message),
            Command::Connect(target, prepare) => self.connect(*target, prepare),
            Command::Adopt(accepted, tls) => self.adopt(accepted, tls),
            Command::Shutdown(drain) => self.shut_down(drain),
            Command::Each(each) => {
                for key in self.open_keys() {
                    if let (Some(mut active), Some(task)) = (self.at(key as usize), each.share()) {
                        active.call(Call::Task(task));
                    }
                }
            }
        }
        self.deliver_all();
    }

    fn act(&mut self, id: Id, act: Act<Task<H::State>>) {
        match (self.at(id.key as usize).filter(|active| active.session.seat.id == id), act) {
            (Some(mut active), act) => active.act(act),
            (None, Act::Send(parcel, _)) => {
                self.local.stats.drop_one(SendError::Closing);
                self.local.shared.mailboxes[usize::from(id.worker)].forget(id.key, parcel.cost());
            }
            _ => {}
        }
    }

    /// Those that are open.
    fn open_keys(&self) -> Vec<u32> {
        let open = self.entries.iter().filter(|(_, entry)| entry.session.seat.phase == Phase::Open);
        open.map(|(key, _)| key as u32).collect()
    }

    /// Delivers what handlers have for others.
    #[inline]
    pub(super) fn deliver_all(&mut self) {
        if !self.local.deliveries.is_empty() {
            self.deliver_some();
        }
    }

    #[cold]
    fn deliver_some(&mut self) {
        let mut deliveries = self.local.deliveries.take();
        for (audience, message) in deliveries.drain(..) {
            self.deliver(&audience, &message);
        }
        self.local.deliveries.give_back(deliveries);
    }

    fn deliver(&mut self, audience: &Audience, message: &Prepared) {
        let keys = match &audience.topic {
            Some(topic) => self.local.topics.members(topic),
            None => self.open_keys(),
        };
        for key in keys {
            let session = &mut self.entries[key as usize].session;
            if session.seat.phase == Phase::Open && audience.except != Some(session.seat.id) {
                session.deliver(&mut self.local, message);
            }
        }
    }
}
