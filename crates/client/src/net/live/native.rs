//! The channel where there is an operating system: `sheaf-live` in this process.

use std::rc::Rc;

use futures_util::StreamExt;
use sheaf_core::live::{EndpointId, LinkId};

use super::{Happening, LiveTransport};
use crate::{Client, platform, store::StoreError};

// What core sends, the transport takes.
const _: () = assert!(sheaf_core::live::MAX_FRAME <= sheaf_live::MAX_FRAME);

/// Brings the channel up for a client: documents opened from now on take part in it. `relay_only` reaches peers through relays
/// alone, as where UDP is blocked.
///
/// # Errors
/// [`StoreError`] when the device's store does not work.
pub async fn go_live(client: &Client, relay_only: bool) -> Result<(), StoreError> {
    let relays = client.config().relays.clone();
    if relays.is_empty() {
        return Ok(());
    }
    let secret = client.expect_live().await?;
    let config = sheaf_live::Config { secret, relays, relay_only };
    let (transport, mut happenings) = sheaf_live::Transport::start(config);
    client.connect_live(Rc::new(Native(transport)));
    let client = client.downgrade();
    platform::spawn(async move {
        while let Some(happening) = happenings.next().await {
            let Some(client) = client.upgrade() else { return };
            client.live_happened(happening.into());
        }
    });
    Ok(())
}

struct Native(sheaf_live::Transport);

impl LiveTransport for Native {
    fn listen(&self, topic: &str) {
        self.0.listen(topic);
    }

    fn unlisten(&self, topic: &str) {
        self.0.unlisten(topic);
    }

    fn dial(&self, topic: &str, peer: EndpointId, relay: Option<&str>) {
        self.0.dial(topic, peer.0, relay.map(str::to_owned));
    }

    fn send(&self, link: LinkId, frame: Vec<u8>) {
        self.0.send(link.0, frame);
    }

    fn hang_up(&self, link: LinkId) {
        self.0.hang_up(link.0);
    }
}

impl From<sheaf_live::Happening> for Happening {
    fn from(happening: sheaf_live::Happening) -> Happening {
        use sheaf_live::Happening as Theirs;
        match happening {
            Theirs::Ready { endpoint, relay } => Happening::Ready { endpoint: EndpointId(endpoint), relay },
            Theirs::Linked { link, topic, peer, dialled } => {
                Happening::Linked { link: LinkId(link), topic, peer: EndpointId(peer), dialled }
            }
            Theirs::NotReached { topic, peer } => Happening::NotReached { topic, peer: EndpointId(peer) },
            Theirs::Frame { link, bytes } => Happening::Frame { link: LinkId(link), bytes },
            Theirs::Unlinked { link } => Happening::Unlinked { link: LinkId(link) },
        }
    }
}
