//! A store that forgets: for reading without a trace, and for tests.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use sheaf_core::replica::StoreOp;

use super::{Entry, Store, StoreError};
use crate::platform::LocalFuture;

/// Keeps everything in memory. Clones share it.
#[derive(Clone, Default)]
pub struct Memory(Rc<RefCell<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for Memory {
    fn scan<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<Vec<Entry>, StoreError>> {
        let map = self.0.borrow();
        let found = map.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let found = found.map(|(key, value)| (key.clone(), value.clone())).collect();
        Box::pin(async move { Ok(found) })
    }

    fn get<'a>(&'a self, key: &'a str) -> LocalFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        let value = self.0.borrow().get(key).cloned();
        Box::pin(async move { Ok(value) })
    }

    fn write(&self, ops: Vec<StoreOp>) -> LocalFuture<'_, Result<(), StoreError>> {
        let mut map = self.0.borrow_mut();
        for op in ops {
            match op {
                StoreOp::Put { key, value } => drop(map.insert(key, value)),
                StoreOp::Delete { key } => drop(map.remove(&key)),
            }
        }
        Box::pin(async { Ok(()) })
    }

    fn erase<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<(), StoreError>> {
        self.0.borrow_mut().retain(|key, _| !key.starts_with(prefix));
        Box::pin(async { Ok(()) })
    }
}
