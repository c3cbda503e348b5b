//! The live channel of the small world: links between devices that lose nothing while they hold, and can be cut.

use std::collections::{BTreeMap, BTreeSet};

use sheaf_core::{
    live::{EndpointId, Frame, LinkId, LiveEffect, LiveEvent},
    replica::Event,
};

use super::World;

/// Who is linked with whom.
#[derive(Debug, Default)]
pub(crate) struct LiveNet {
    /// Devices whose transport is up.
    pub(crate) up: BTreeSet<usize>,
    /// Both ends of each link, by the device and the name it has there.
    ends: BTreeMap<(usize, LinkId), (usize, LinkId)>,
    links: u64,
    /// Frames sent so far, and their bytes.
    pub(crate) frames: u32,
    pub(crate) bytes: usize,
    /// Peers that are played by a test: what they were sent.
    pub(crate) played: BTreeMap<(usize, LinkId), Vec<Frame>>,
}

/// The endpoint of this device.
pub(crate) fn endpoint(n: usize) -> EndpointId {
    EndpointId([n as u8 + 1; 32])
}

impl World {
    /// The device's transport comes up.
    pub(crate) fn live_up(&mut self, n: usize) {
        self.live.up.insert(n);
        let ready = LiveEvent::Ready { endpoint: endpoint(n), relay: None };
        self.hand(n, Event::Live(ready));
    }

    /// It goes, and all its links with it.
    pub(crate) fn live_down(&mut self, n: usize) {
        self.live.up.remove(&n);
        self.live_cut(n);
        self.hand(n, Event::Live(LiveEvent::Down));
    }

    /// All links of a device are cut: the others notice.
    pub(crate) fn live_cut(&mut self, n: usize) {
        let mine: Vec<_> = self.live.ends.keys().filter(|(device, _)| *device == n).copied().collect();
        for end in mine {
            let Some((other, link)) = self.live.ends.remove(&end) else { continue };
            self.live.ends.remove(&(other, link));
            self.devices[n].inbox.push_back(Event::Live(LiveEvent::Unlinked { link: end.1 }));
            self.devices[other].inbox.push_back(Event::Live(LiveEvent::Unlinked { link }));
        }
    }

    /// Somebody whom no replica plays links with a device, and greets or not: the name of the link.
    pub(crate) fn play_peer(&mut self, n: usize, endpoint: EndpointId) -> LinkId {
        self.live.links += 1;
        let link = LinkId(self.live.links);
        self.live.played.insert((n, link), Vec::new());
        self.hand(n, Event::Live(LiveEvent::Linked { link, peer: endpoint, dialled: false }));
        link
    }

    /// What the played peer sends.
    pub(crate) fn play(&mut self, n: usize, link: LinkId, frame: &Frame) {
        self.hand(n, Event::Live(LiveEvent::Frame { link, bytes: frame.encode() }));
    }

    /// Whether the device still holds a link with the played peer.
    pub(crate) fn is_held(&self, n: usize, link: LinkId) -> bool {
        self.live.played.contains_key(&(n, link))
    }

    pub(super) fn carry_out_live(&mut self, n: usize, effect: LiveEffect) {
        match effect {
            LiveEffect::Dial { peer, .. } => {
                let other = self.live.up.iter().copied().find(|m| endpoint(*m) == peer && *m != n);
                let both = other.filter(|m| self.devices[n].online && self.devices[*m].online);
                let Some(other) = both else {
                    self.devices[n].inbox.push_back(Event::Live(LiveEvent::NotReached { peer }));
                    return;
                };
                self.live.links += 2;
                let (here, there) = (LinkId(self.live.links - 1), LinkId(self.live.links));
                self.live.ends.insert((n, here), (other, there));
                self.live.ends.insert((other, there), (n, here));
                let mine = LiveEvent::Linked { link: here, peer, dialled: true };
                let theirs = LiveEvent::Linked { link: there, peer: endpoint(n), dialled: false };
                self.devices[n].inbox.push_back(Event::Live(mine));
                self.devices[other].inbox.push_back(Event::Live(theirs));
            }
            LiveEffect::Send { link, frame } => {
                self.live.frames += 1;
                self.live.bytes += frame.len();
                if let Some(heard) = self.live.played.get_mut(&(n, link)) {
                    heard.push(Frame::parse(&frame).expect("what is sent can be read"));
                } else if let Some((other, link)) = self.live.ends.get(&(n, link)).copied() {
                    self.devices[other].inbox.push_back(Event::Live(LiveEvent::Frame { link, bytes: frame }));
                }
            }
            LiveEffect::HangUp { link } => {
                self.live.played.remove(&(n, link));
                if let Some((other, there)) = self.live.ends.remove(&(n, link)) {
                    self.live.ends.remove(&(other, there));
                    self.devices[other].inbox.push_back(Event::Live(LiveEvent::Unlinked { link: there }));
                }
            }
        }
    }
}
