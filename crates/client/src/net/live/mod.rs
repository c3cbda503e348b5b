//! The live channel's way out: one transport for all open documents, and what happens on it brought to the right one.
//!
//! Natively the transport is `sheaf-live` itself ([`native`]); in the browser it is a module of its own, which the page's worker
//! loads when it is first needed and hands in as a [`LiveTransport`].

#[cfg(not(target_arch = "wasm32"))]
pub mod native;

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
};

use litemap::LiteMap;
use sheaf_core::{
    document_uri::DocumentUri,
    live::{EndpointId, LinkId, LiveEffect, LiveEvent},
    record::MAX_RELAY_BYTES,
    replica::Event,
};

use super::origin::{self, Reach};
use crate::driver::Open;

/// What carries frames between endpoints. A topic is what a link is about: here always a document's address.
pub trait LiveTransport {
    /// Takes links of this topic from now on.
    fn listen(&self, topic: &str);
    /// Takes them no more.
    fn unlisten(&self, topic: &str);
    /// Tries to reach an endpoint. Answered by [`Happening::Linked`] or [`Happening::NotReached`].
    fn dial(&self, topic: &str, peer: EndpointId, relay: Option<&str>);
    /// Sends a frame on a link.
    fn send(&self, link: LinkId, frame: Vec<u8>);
    /// Ends a link once what was sent on it has left.
    fn hang_up(&self, link: LinkId);
}

/// What happens on a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// It can be reached, or can be through another relay than before.
    Ready {
        /// Its endpoint.
        endpoint: EndpointId,
        /// The relay it is at home with.
        relay: String,
    },
    /// It is gone, and all links with it.
    Down,
    /// There is a link.
    Linked {
        /// Which.
        link: LinkId,
        /// About what.
        topic: String,
        /// Who is at the other end.
        peer: EndpointId,
        /// Whether this side dialled.
        dialled: bool,
    },
    /// A dial went wrong.
    NotReached {
        /// About what.
        topic: String,
        /// Who was dialled.
        peer: EndpointId,
    },
    /// A frame came.
    Frame {
        /// On which link.
        link: LinkId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A link has ended.
    Unlinked {
        /// Which.
        link: LinkId,
    },
}

/// The switchboard between a transport and the documents that are open.
pub(crate) struct Switchboard {
    /// Which relays others may have this device turn to.
    reach: Reach,
    transport: RefCell<Option<Rc<dyn LiveTransport>>>,
    ready: RefCell<Option<(EndpointId, Option<String>)>>,
    documents: RefCell<LiteMap<String, Weak<Open>>>,
    /// What each link is about.
    links: RefCell<LiteMap<LinkId, String>>,
}

impl Switchboard {
    pub(crate) fn new(reach: Reach) -> Self {
        Self {
            reach,
            transport: RefCell::default(),
            ready: RefCell::default(),
            documents: RefCell::default(),
            links: RefCell::default(),
        }
    }

    /// There is a transport from now on, or another than before.
    pub(crate) fn connect(&self, transport: Rc<dyn LiveTransport>) {
        for topic in self.documents.borrow().keys() {
            transport.listen(topic);
        }
        *self.transport.borrow_mut() = Some(transport);
    }

    /// A document is open. Where it is open twice in one client, the first takes part in the channel.
    pub(crate) fn join(&self, open: &Rc<Open>) {
        let topic = open.uri.to_string();
        let before = self.documents.borrow().get(&topic).and_then(Weak::upgrade);
        if before.as_ref().is_some_and(|before| !before.is_closing()) {
            return;
        }
        // One that is being closed may take a while: it has nothing more to say here.
        before.inspect(|before| self.leave(before));
        self.documents.borrow_mut().insert(topic.clone(), Rc::downgrade(open));
        self.with_transport(|transport| transport.listen(&topic));
        let ready = self.ready.borrow().clone();
        if let Some((endpoint, relay)) = ready {
            open.happen(Event::Live(LiveEvent::Ready { endpoint, relay }));
        }
    }

    /// It is closed: nobody need wait for it.
    pub(crate) fn leave(&self, open: &Open) {
        let topic = open.uri.to_string();
        let is_this = |known: &Weak<Open>| std::ptr::eq(known.as_ptr(), open);
        if !self.documents.borrow().get(&topic).is_some_and(is_this) {
            return;
        }
        self.documents.borrow_mut().remove(&topic);
        let links: Vec<LinkId> = {
            let mut links = self.links.borrow_mut();
            let gone = links.iter().filter(|(_, about)| **about == topic).map(|(link, _)| *link).collect();
            links.retain(|_, about| *about != topic);
            gone
        };
        self.with_transport(|transport| {
            transport.unlisten(&topic);
            links.iter().for_each(|link| transport.hang_up(*link));
        });
    }

    /// Carries out what a document wants of the channel.
    pub(crate) fn carry_out(&self, document: &DocumentUri, effect: LiveEffect) {
        let topic = || document.to_string();
        match effect {
            LiveEffect::Dial { peer, relay } => {
                // A record may name any address. Where it is none to go to, they may be at home with one's own relay.
                let relay = relay.and_then(|relay| origin::origin(&relay, self.reach).ok());
                let dialled =
                    self.with_transport(|transport| transport.dial(&topic(), peer, relay.as_deref()));
                if !dialled {
                    self.happened(Happening::NotReached { topic: topic(), peer });
                }
            }
            LiveEffect::Send { link, frame } => {
                self.with_transport(|transport| transport.send(link, frame));
            }
            LiveEffect::HangUp { link } => {
                self.links.borrow_mut().remove(&link);
                self.with_transport(|transport| transport.hang_up(link));
            }
        }
    }

    /// Something happened on the transport.
    pub(crate) fn happened(&self, happening: Happening) {
        match happening {
            Happening::Ready { endpoint, relay } => {
                let relay = Some(relay).filter(|relay| relay.len() <= MAX_RELAY_BYTES);
                *self.ready.borrow_mut() = Some((endpoint, relay.clone()));
                self.tell_all(|| LiveEvent::Ready { endpoint, relay: relay.clone() });
            }
            Happening::Down => {
                *self.ready.borrow_mut() = None;
                self.links.borrow_mut().clear();
                self.tell_all(|| LiveEvent::Down);
            }
            Happening::Linked { link, topic, peer, dialled } => {
                self.links.borrow_mut().insert(link, topic.clone());
                if !self.tell(&topic, LiveEvent::Linked { link, peer, dialled }) {
                    // It was closed meanwhile.
                    self.links.borrow_mut().remove(&link);
                    self.with_transport(|transport| transport.hang_up(link));
                }
            }
            Happening::NotReached { topic, peer } => {
                self.tell(&topic, LiveEvent::NotReached { peer });
            }
            Happening::Frame { link, bytes } => {
                let topic = self.links.borrow().get(&link).cloned();
                topic.map(|topic| self.tell(&topic, LiveEvent::Frame { link, bytes }));
            }
            Happening::Unlinked { link } => {
                let topic = self.links.borrow_mut().remove(&link);
                topic.map(|topic| self.tell(&topic, LiveEvent::Unlinked { link }));
            }
        }
    }

    fn tell(&self, topic: &str, event: LiveEvent) -> bool {
        let open = self.documents.borrow().get(topic).and_then(Weak::upgrade);
        let open = open.filter(|open| !open.closed.get());
        open.map(|open| open.happen(Event::Live(event))).is_some()
    }

    fn tell_all(&self, event: impl Fn() -> LiveEvent) {
        let open: Vec<Rc<Open>> = self.documents.borrow().values().filter_map(Weak::upgrade).collect();
        for open in open.iter().filter(|open| !open.closed.get()) {
            open.happen(Event::Live(event()));
        }
    }

    fn with_transport(&self, act: impl FnOnce(&dyn LiveTransport)) -> bool {
        // A clone, so that whatever the transport causes may look here.
        let transport = self.transport.borrow().clone();
        transport.map(|transport| act(&*transport)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Noted(RefCell<Vec<Option<String>>>);

    impl LiveTransport for Noted {
        fn listen(&self, _: &str) {}
        fn unlisten(&self, _: &str) {}
        fn dial(&self, _: &str, _: EndpointId, relay: Option<&str>) {
            self.0.borrow_mut().push(relay.map(str::to_owned));
        }
        fn send(&self, _: LinkId, _: Vec<u8>) {}
        fn hang_up(&self, _: LinkId) {}
    }

    #[test]
    fn nobody_is_sent_to_a_relay_where_one_may_not_go() {
        let document = "at://did:web:ada.example/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap();
        let relays = [
            "https://relay.example",
            "http://127.0.0.1:3340",
            "http://relay.example",
            "https://127.0.0.1",
            "?",
        ];
        for (reach, allowed) in [(Reach::World, vec![0]), (Reach::Local, vec![0, 1, 3])] {
            let noted = Rc::new(Noted::default());
            let switchboard = Switchboard::new(reach);
            switchboard.connect(noted.clone());
            for relay in relays {
                let relay = Some(relay.to_owned());
                switchboard.carry_out(&document, LiveEffect::Dial { peer: EndpointId([7; 32]), relay });
            }
            let dialled = noted.0.borrow();
            let through: Vec<usize> = (0..relays.len()).filter(|n| dialled[*n].is_some()).collect();
            assert_eq!((dialled.len(), through), (relays.len(), allowed), "{reach:?}");
        }
    }
}
