//! Counts requests and bytes by listening to what the client logs of each exchange.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tracing::{
    Event,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

/// What went over the wire since the last [`Traffic::take`].
#[derive(Clone, Default)]
pub(crate) struct Traffic(Arc<Counts>);

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// Listens from now on.
pub(crate) fn install() -> Traffic {
    let traffic = Traffic::default();
    let subscriber = tracing_subscriber::registry().with(traffic.clone());
    tracing::subscriber::set_global_default(subscriber).expect("nobody else listens in this process");
    traffic
}

impl Traffic {
    /// Requests answered and bytes of their answers' bodies, counted from zero again.
    pub(crate) fn take(&self) -> (u64, u64) {
        (self.0.requests.swap(0, Ordering::Relaxed), self.0.bytes.swap(0, Ordering::Relaxed))
    }
}

impl<S: tracing::Subscriber> Layer<S> for Traffic {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut body = Body(None);
        if event.metadata().target() == "sheaf_client::net::http" {
            event.record(&mut body);
        }
        if let Some(bytes) = body.0 {
            self.0.requests.fetch_add(1, Ordering::Relaxed);
            self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

struct Body(Option<u64>);

impl Visit for Body {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "body_bytes" {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
