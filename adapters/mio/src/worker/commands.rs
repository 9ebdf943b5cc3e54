//! What other threads and handlers want of a worker's connections.

use super::{Entry, Worker};
use crate::call::Call;
use crate::command::{Act, Audience, Command, Id};
use crate::conn::Task;
use crate::handler::Handler;
use crate::session::Phase;
use sockless::{Change, Changes, Prepared, Role, SendError};
use std::mem;

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
            Command::Change(change) => self.change(*change),
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

    /// Changes settings, of what there is and of what is to come.
    fn change(&mut self, change: Change) {
        let mut changes = Changes::new(change);
        let configs = self.local.configs.iter_mut().chain([&mut self.config]);
        for config in configs.chain(self.tls.as_mut().map(|(_, config)| config)) {
            *config = changes.of(config);
        }
        let is_server = |entry: &Entry<H::State>| entry.session.connection().role() == Role::Server;
        for (_, entry) in self.entries.iter_mut().filter(|(_, entry)| is_server(entry)) {
            entry.session.driver.change(&mut changes);
            entry.session.seat.touch(&mut self.local);
        }
        let kind = mem::discriminant(&change);
        self.local.changes.retain(|older| mem::discriminant(&older.change()) != kind);
        self.local.changes.push(changes);
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
