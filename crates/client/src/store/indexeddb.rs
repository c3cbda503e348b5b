//! The browser's store: one IndexedDB object store, shared by every tab of the origin.

use std::{cell::RefCell, rc::Rc};

use futures_channel::oneshot;
use js_sys::{Function, Object, Reflect, Uint8Array};
use sheaf_core::replica::StoreOp;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{
    DomException, IdbDatabase, IdbFactory, IdbKeyRange, IdbObjectStore, IdbOpenDbRequest, IdbRequest,
    IdbTransaction,
};

use super::{Entry, Store, StoreError};
use crate::platform::{self, LocalFuture};

const VERSION: u32 = 1;
const TABLE: &str = "kept";
/// Who writes here now.
const CLAIM: &str = "claim";

/// A store in the browser. Writes ask for `durability: "strict"`: they are flushed to disk before they count.
#[derive(Clone)]
pub struct IndexedDb {
    database: Rc<IdbDatabase>,
    /// Writes count only while this is what is written under [`CLAIM`].
    claim: Option<[u8; 16]>,
}

impl IndexedDb {
    /// Opens the database of this name, making it if it is not there.
    ///
    /// # Errors
    /// [`StoreError`] where the browser keeps nothing for this page, or what it kept cannot be opened.
    pub async fn open(name: &str) -> Result<Self, StoreError> {
        let factory: IdbFactory = Reflect::get(&js_sys::global(), &"indexedDB".into())
            .ok()
            .filter(|factory| factory.is_object())
            .ok_or(StoreError::NotAllowed)?
            .unchecked_into();
        let request: IdbOpenDbRequest = factory.open_with_u32(name, VERSION).map_err(|e| describe(&e))?;
        let upgrade = Closure::<dyn FnMut()>::new({
            let request = request.clone();
            move || {
                // Should this fail, so does opening, and `finished` tells.
                if let Ok(database) = request.result() {
                    let _ = database.unchecked_into::<IdbDatabase>().create_object_store(TABLE);
                }
            }
        });
        request.set_onupgradeneeded(Some(upgrade.as_ref().unchecked_ref()));
        let blocked = on_blocked(&request);
        let database: IdbDatabase = futures_util::select_biased! {
            opened = futures_util::FutureExt::fuse(finished(&request)) => opened?.unchecked_into(),
            _ = futures_util::FutureExt::fuse(blocked) => return Err(StoreError::Busy),
        };
        // A newer version in another tab may upgrade: let go, so that it does not wait for us.
        let close = Closure::<dyn FnMut()>::new({
            let database = database.clone();
            move || database.close()
        });
        database.set_onversionchange(Some(close.into_js_value().unchecked_ref()));
        Ok(Self { database: Rc::new(database), claim: None })
    }

    /// The same store for one who is to be the only one that writes to it: whoever claimed it before is refused from now on,
    /// in the middle of a write even. Web Locks alone would not do: a lock can be taken from a holder that does not know it yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(self) -> Result<Self, StoreError> {
        let claim = platform::random_bytes();
        let unclaimed = Self { claim: None, ..self };
        unclaimed.write_batch(vec![StoreOp::Put { key: CLAIM.into(), value: claim.into() }]).await?;
        Ok(Self { claim: Some(claim), ..unclaimed })
    }

    /// Within a transaction that is to write: whether it may.
    async fn may_write(
        &self,
        transaction: &IdbTransaction,
        table: &IdbObjectStore,
    ) -> Result<(), StoreError> {
        let Some(claim) = &self.claim else { return Ok(()) };
        let request = table.get(&JsValue::from_str(CLAIM)).map_err(|e| describe(&e))?;
        let found = finished(&request).await?;
        if !found.is_undefined() && Uint8Array::new(&found).to_vec() == claim {
            return Ok(());
        }
        // Should it have ended already, it has written nothing.
        let _ = transaction.abort();
        Err(StoreError::TakenOver)
    }

    fn reading(&self) -> Result<IdbObjectStore, StoreError> {
        let transaction = self.database.transaction_with_str(TABLE).map_err(|e| describe(&e))?;
        transaction.object_store(TABLE).map_err(|e| describe(&e))
    }

    fn writing(&self) -> Result<(IdbTransaction, IdbObjectStore), StoreError> {
        let begin = || -> Result<_, JsValue> {
            let options = Object::new();
            Reflect::set(&options, &"durability".into(), &"strict".into())?;
            let transaction: Function = Reflect::get(&self.database, &"transaction".into())?.dyn_into()?;
            let transaction =
                transaction.call3(&self.database, &TABLE.into(), &"readwrite".into(), &options)?;
            let transaction: IdbTransaction = transaction.unchecked_into();
            let table = transaction.object_store(TABLE)?;
            Ok((transaction, table))
        };
        begin().map_err(|e| describe(&e))
    }

    async fn scan_prefix(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let range = range(prefix)?;
        let table = self.reading()?;
        // Both requests are of one transaction, so they see the same keys.
        let keys = table.get_all_keys_with_key(&range).map_err(|e| describe(&e))?;
        let values = table.get_all_with_key(&range).map_err(|e| describe(&e))?;
        let (keys, values) = futures_util::try_join!(finished(&keys), finished(&values))?;
        let (keys, values) = (js_sys::Array::from(&keys), js_sys::Array::from(&values));
        let values = values.iter().map(|value| Uint8Array::new(&value).to_vec());
        let pairs = keys.iter().zip(values).filter_map(|(key, value)| Some((key.as_string()?, value)));
        let mut found: Vec<_> = pairs.filter(|(key, _)| key.starts_with(prefix)).collect();
        // IndexedDB orders by UTF-16 units.
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    async fn write_batch(&self, ops: Vec<StoreOp>) -> Result<(), StoreError> {
        if ops.is_empty() {
            return Ok(());
        }
        let (transaction, table) = self.writing()?;
        let done = completed(&transaction);
        self.may_write(&transaction, &table).await?;
        for op in ops {
            match op {
                StoreOp::Put { key, value } => table
                    .put_with_key(&Uint8Array::from(value.as_slice()), &JsValue::from_str(&key))
                    .map(drop),
                StoreOp::Delete { key } => table.delete(&JsValue::from_str(&key)).map(drop),
            }
            .map_err(|e| describe(&e))?;
        }
        done.await
    }
}

impl Store for IndexedDb {
    fn scan<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.scan_prefix(prefix))
    }

    fn get<'a>(&'a self, key: &'a str) -> LocalFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let request = self.reading()?.get(&JsValue::from_str(key)).map_err(|e| describe(&e))?;
            let value = finished(&request).await?;
            Ok((!value.is_undefined()).then(|| Uint8Array::new(&value).to_vec()))
        })
    }

    fn write(&self, ops: Vec<StoreOp>) -> LocalFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write_batch(ops))
    }

    fn erase<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let range = range(prefix)?;
            let (transaction, table) = self.writing()?;
            let done = completed(&transaction);
            self.may_write(&transaction, &table).await?;
            table.delete(&range).map_err(|e| describe(&e))?;
            done.await
        })
    }
}

/// Every key that begins with `prefix`: U+FFFF is the last UTF-16 unit and stands in no key.
fn range(prefix: &str) -> Result<IdbKeyRange, StoreError> {
    let (from, to) = (JsValue::from_str(prefix), JsValue::from_str(&format!("{prefix}\u{FFFF}")));
    IdbKeyRange::bound(&from, &to).map_err(|e| describe(&e))
}

/// Sets one handler that fires at most once.
type Once = Rc<RefCell<Option<oneshot::Sender<Result<(), StoreError>>>>>;

fn answer(sender: &Once, result: Result<(), StoreError>) {
    if let Some(sender) = sender.borrow_mut().take() {
        // Nobody may be waiting any more.
        let _ = sender.send(result);
    }
}

async fn finished(request: &IdbRequest) -> Result<JsValue, StoreError> {
    let (sender, receiver) = oneshot::channel();
    let sender: Once = Rc::new(RefCell::new(Some(sender)));
    let succeeded = Closure::<dyn FnMut()>::new({
        let sender = sender.clone();
        move || answer(&sender, Ok(()))
    });
    let failed = Closure::<dyn FnMut()>::new({
        let request = request.clone();
        move || answer(&sender, Err(request.error().ok().flatten().map_or(cancelled(), |e| describe(&e))))
    });
    request.set_onsuccess(Some(succeeded.as_ref().unchecked_ref()));
    request.set_onerror(Some(failed.as_ref().unchecked_ref()));
    let _listening = Listening {
        stop: || {
            request.set_onsuccess(None);
            request.set_onerror(None);
        },
        _closures: [succeeded, failed],
    };
    receiver.await.unwrap_or(Err(cancelled()))?;
    request.result().map_err(|e| describe(&e))
}

/// Waits for a transaction to be on disk; set up before the first request, lest it finishes unseen.
fn completed(transaction: &IdbTransaction) -> impl Future<Output = Result<(), StoreError>> + use<> {
    let (sender, receiver) = oneshot::channel();
    let sender: Once = Rc::new(RefCell::new(Some(sender)));
    let complete = Closure::<dyn FnMut()>::new({
        let sender = sender.clone();
        move || answer(&sender, Ok(()))
    });
    let aborted = Closure::<dyn FnMut()>::new({
        let transaction = transaction.clone();
        move || answer(&sender, Err(transaction.error().map_or(cancelled(), |e| describe(&e))))
    });
    transaction.set_oncomplete(Some(complete.as_ref().unchecked_ref()));
    transaction.set_onabort(Some(aborted.as_ref().unchecked_ref()));
    let transaction = transaction.clone();
    let listening = Listening {
        stop: move || {
            transaction.set_oncomplete(None);
            transaction.set_onabort(None);
        },
        _closures: [complete, aborted],
    };
    async move {
        let _listening = listening;
        receiver.await.unwrap_or(Err(cancelled()))
    }
}

/// Handlers that the browser may call. They are taken away before they are gone, whoever gives up waiting for them.
struct Listening<F: Fn()> {
    stop: F,
    _closures: [Closure<dyn FnMut()>; 2],
}

impl<F: Fn()> Drop for Listening<F> {
    fn drop(&mut self) {
        (self.stop)();
    }
}

/// Resolves should another tab keep an older version open; pends for ever otherwise.
fn on_blocked(request: &IdbOpenDbRequest) -> impl Future<Output = ()> + use<> {
    let (sender, receiver) = oneshot::channel::<()>();
    let mut sender = Some(sender);
    let blocked = Closure::<dyn FnMut()>::new(move || {
        if let Some(sender) = sender.take() {
            let _ = sender.send(());
        }
    });
    request.set_onblocked(Some(blocked.as_ref().unchecked_ref()));
    async move {
        let _blocked = blocked;
        if receiver.await.is_err() {
            futures_util::future::pending::<()>().await;
        }
    }
}

fn cancelled() -> StoreError {
    StoreError::Failed("the browser cancelled it".into())
}

fn describe(error: &JsValue) -> StoreError {
    let Some(exception) = error.dyn_ref::<DomException>() else {
        return StoreError::Failed(crate::net::http::words(error));
    };
    match exception.name().as_str() {
        "QuotaExceededError" => StoreError::Full,
        "SecurityError" | "NotAllowedError" => StoreError::NotAllowed,
        "VersionError" => StoreError::TooNew,
        "NotFoundError" | "DataError" | "NotReadableError" => StoreError::Corrupted(exception.message()),
        _ => StoreError::Failed(exception.message()),
    }
}
