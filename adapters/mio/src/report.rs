//! How a shutdown went.

use crate::command::Id;

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Connections that closed by the rules, all that waited for them having gone out.
    pub closed: usize,
    /// Connections that had not closed when the grace was over, and the bytes that still waited for each.
    pub cut_off: Vec<(Id, usize)>,
}

impl Report {
    pub(crate) fn add(&mut self, of_another: Self) {
        self.closed += of_another.closed;
        self.cut_off.extend(of_another.cut_off);
    }
}
