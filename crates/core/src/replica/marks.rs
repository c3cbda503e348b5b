//! Which changes of which views are in the text.
//!
//! A view hands its changes to whoever runs the engine, which may end at any moment: between making a change durable and
//! saying so, for one. The view then offers it to the next engine, which must know whether it is there already. So a mark is
//! stored with each such change, in the same batch: either both are there or neither is.

use std::collections::BTreeMap;

use super::{Mark, StoreOp, store_keys};
use crate::document_uri::DocumentUri;

/// As many views are remembered. There are as many as a device has windows, and those that are gone for good.
const MAX_VIEWS: usize = 64;

/// The last change of each view.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// With a count that says which mark is older.
    views: BTreeMap<String, (u64, u32)>,
    count: u64,
}

impl Marks {
    /// A mark as it was stored.
    pub(super) fn restore(&mut self, view: &str, value: &[u8]) {
        let read = || {
            let (count, number) = std::str::from_utf8(value).ok()?.split_once(' ')?;
            Some((count.parse().ok()?, number.parse().ok()?))
        };
        match read() {
            Some((count, number)) => {
                self.count = self.count.max(count);
                self.views.insert(view.to_owned(), (count, number));
            }
            None => tracing::warn!(view, "a mark in the store cannot be read"),
        }
    }

    pub(super) fn number(&self, view: &str) -> Option<u32> {
        self.views.get(view).map(|(_, number)| *number)
    }

    /// Remembers a change; what is to be stored with it.
    pub(super) fn set(&mut self, document: &DocumentUri, mark: Mark) -> Vec<StoreOp> {
        self.count = self.count.saturating_add(1);
        let Mark { view, number } = mark;
        let value = format!("{} {number}", self.count).into_bytes();
        let mut ops = vec![StoreOp::Put { key: store_keys::mark(document, &view), value }];
        self.views.insert(view, (self.count, number));
        while self.views.len() > MAX_VIEWS {
            let oldest = self.views.iter().min_by_key(|(_, (count, _))| *count).map(|(view, _)| view.clone());
            let Some(oldest) = oldest else { break };
            ops.push(StoreOp::Delete { key: store_keys::mark(document, &oldest) });
            self.views.remove(&oldest);
        }
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_views_that_were_longest_silent_are_forgotten() {
        let document: DocumentUri =
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap();
        let mut marks = Marks::default();
        marks.restore("old", b"7 3");
        marks.restore("torn", b"?");
        assert_eq!((marks.number("old"), marks.number("torn")), (Some(3), None));
        for n in 0..MAX_VIEWS as u32 {
            let ops = marks.set(&document, Mark { view: format!("view {n}"), number: n });
            let is_full = n as usize == MAX_VIEWS - 1;
            assert_eq!(ops.len(), if is_full { 2 } else { 1 });
        }
        assert_eq!(marks.number("old"), None, "what was stored is older than what came since");
        assert_eq!(marks.number("view 0"), Some(0));
    }
}
