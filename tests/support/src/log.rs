//! A subscriber of `tracing` that writes down what it is told.

use std::fmt::{Debug, Write};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes down all of the target `sockless` that it is told, up to a level; clones have the same list.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    next: Arc<AtomicU64>,
    most: Level,
}

impl Log {
    /// One that takes all up to a level.
    pub fn new(most: Level) -> Self {
        Self { lines: Arc::default(), next: Arc::new(AtomicU64::new(1)), most }
    }

    /// What it has been told so far, a line each: `LEVEL field=value …`, `SPAN name field=value …`, `record field=value`,
    /// `enter`, `exit`.
    pub fn take(&self) -> Vec<String> {
        mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, start: String, record: impl FnOnce(&mut Fields)) {
        let mut fields = Fields(start);
        record(&mut fields);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(fields.0);
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        let written =
            if name == "message" { write!(self.0, " {value:?}") } else { write!(self.0, " {name}={value:?}") };
        written.expect("strings take all");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sockless" && *metadata.level() <= self.most
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.write(format!("SPAN {}", span.metadata().name()), |fields| span.record(fields));
        Id::from_u64(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.write("record".into(), |fields| values.record(fields));
    }

    fn event(&self, event: &Event<'_>) {
        self.write(event.metadata().level().to_string(), |fields| event.record(fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {
        self.write("enter".into(), |_| {});
    }

    fn exit(&self, _: &Id) {
        self.write("exit".into(), |_| {});
    }
}
