//! What other threads and handlers want of a worker's connections.

use super::Worker;
use crate::command::{Act, Audience, Command, Id, Task};
use crate::handler::{Call, Handler};
use sockless::Prepared;

impl<H: Handler> Worker<H> {
    pub(super) fn obey(&mut self, commands: &mut Vec<Command<H::State>>) {
        let shared = self.local.shared.clone();
        for command in commands.drain(..) {
            // What a task leaves behind, and what follows the last of many, is the application's.
            shared.caught(|| self.command(command));
        }
    }

    pub(super) fn command(&mut self, command: Command<H::State>) {
        match command {
            Command::To(id, act) => self.act(id, act),
            Command::Publish(audience, message) => self.deliver(&audience, &message),
            Command::Connect(target, prepare) => self.connect(*target, prepare),
            Command::Shutdown(patience) => self.shut_down(patience),
            Command::Each(each) => {
                for key in self.open_keys() {
                    let entry = &mut self.entries[key as usize];
                    entry.call(&*self.handler, &mut self.local, Call::Task(Task::Each(each.clone())));
                    entry.touch(&mut self.local);
                }
            }
        }
        self.deliver_all();
    }

    pub(super) fn act(&mut self, id: Id, act: Act<H::State>) {
        let entry = self.entries.get_mut(id.key as usize).filter(|entry| entry.id == id);
        let Some(entry) = entry else {
            if let Act::Send(parcel, _) = act {
                self.local.stats.dropped += 1;
                self.local.shared.mailboxes[usize::from(id.worker)].forget(id.key, parcel.cost());
            }
            return;
        };
        match act {
            Act::Run(task) => {
                entry.call(&*self.handler, &mut self.local, Call::Task(task));
                entry.touch(&mut self.local);
            }
            Act::Answer(_) => {
                entry.act(&mut self.local, act);
                entry.answered(&*self.handler, &mut self.local);
                // Go on with what came behind the request.
                entry.receive(&*self.handler, &mut self.local, &mut []);
            }
            act => entry.act(&mut self.local, act),
        }
    }

    /// Those that are open.
    pub(super) fn open_keys(&self) -> Vec<u32> {
        let open = self.entries.iter().filter(|(_, entry)| entry.flags.opened && !entry.flags.told);
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
    pub(super) fn deliver_some(&mut self) {
        let mut deliveries = self.local.deliveries.take();
        for (audience, message) in deliveries.drain(..) {
            self.deliver(&audience, &message);
        }
        self.local.deliveries.give_back(deliveries);
    }

    pub(super) fn deliver(&mut self, audience: &Audience, message: &Prepared) {
        let keys = match &audience.topic {
            Some(topic) => self.local.topics.members(topic).collect(),
            None => self.open_keys(),
        };
        for key in keys {
            let entry = &mut self.entries[key as usize];
            if !entry.flags.opened || audience.except == Some(entry.id) {
                continue;
            }
            let sent = entry.connection.send_prepared(message);
            if entry.outcome(&mut self.local, sent).is_err() {
                self.local.stats.dropped += 1;
            }
            entry.touch(&mut self.local);
        }
    }
}
