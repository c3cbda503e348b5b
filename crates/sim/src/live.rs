//! The live channel: links between processes, cut every few seconds, and peers who are not what they say.

use std::collections::BTreeMap;

use sheaf_core::{
    live::{EndpointId, LinkId, LiveEffect, LiveEvent},
    replica::Event,
};

use crate::{
    choices::Choices,
    tally::Occurrence,
    world::{Happening, START, World},
};

/// The purpose of the chances that the channel draws.
const PURPOSE: u64 = 5;

/// All links there are.
#[derive(Debug)]
pub(crate) struct LiveNet {
    /// Both ends of each link.
    ends: BTreeMap<End, End>,
    links: u64,
    /// When the last frame of each direction arrives: they keep their order.
    arrives: BTreeMap<End, u64>,
    /// What was sent lately, to be replayed.
    pub(crate) heard: Vec<Vec<u8>>,
    pub(crate) chances: Choices,
}

/// One process's end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    device: usize,
    life: u32,
    link: LinkId,
}

impl LiveNet {
    pub(crate) fn new(seed: u64) -> LiveNet {
        LiveNet {
            ends: BTreeMap::new(),
            links: 0,
            arrives: BTreeMap::new(),
            heard: Vec::new(),
            chances: Choices::new(seed, PURPOSE),
        }
    }
}

/// The secret of the session key of a device, whatever name its replica has.
pub(crate) fn secret(device: usize) -> [u8; 32] {
    [device as u8 + 1; 32]
}

pub(crate) fn endpoint(device: usize) -> EndpointId {
    EndpointId([device as u8 + 1; 32])
}

impl World {
    /// A process has begun: some time later its transport is up.
    pub(crate) fn live_opens(&mut self, n: usize) {
        if !self.cast.live {
            return;
        }
        let at = self.now + 1_000 * self.live.chances.between(20, 1_500);
        let ready = LiveEvent::Ready { endpoint: endpoint(n), relay: None };
        let life = self.devices[n].life;
        self.expect(at, Happening::Event { device: n, life, event: Event::Live(ready) });
    }

    pub(crate) fn carry_out_live(&mut self, n: usize, effect: LiveEffect) {
        match effect {
            LiveEffect::Dial { peer, .. } => self.live_dial(n, peer),
            LiveEffect::Send { link, frame } => self.live_send(n, link, frame),
            LiveEffect::HangUp { link } => {
                let end = End { device: n, life: self.devices[n].life, link };
                self.live_end(end, false);
            }
        }
    }

    fn live_dial(&mut self, n: usize, peer: EndpointId) {
        let now = self.now;
        let at = now + 1_000 * self.live.chances.between(2, 300);
        let life = self.devices[n].life;
        let reachable = |m: &usize| {
            let device = &self.devices[*m];
            endpoint(*m) == peer && device.replica.is_some() && device.link.offline_until <= now
        };
        let other = (0..self.devices.len())
            .find(reachable)
            .filter(|_| self.devices[n].link.offline_until <= now && !self.live.chances.chance(100));
        let Some(other) = other else {
            let event = Event::Live(LiveEvent::NotReached { peer });
            return self.expect(at, Happening::Event { device: n, life, event });
        };
        self.tally.count(Occurrence::PeersLinked);
        self.live.links += 2;
        let here = End { device: n, life, link: LinkId(self.live.links - 1) };
        let there = End { device: other, life: self.devices[other].life, link: LinkId(self.live.links) };
        self.live.ends.insert(here, there);
        self.live.ends.insert(there, here);
        for (end, peer, dialled) in [(here, peer, true), (there, endpoint(n), false)] {
            let event = Event::Live(LiveEvent::Linked { link: end.link, peer, dialled });
            self.live.arrives.insert(end, at);
            self.expect(at, Happening::Event { device: end.device, life: end.life, event });
        }
    }

    fn live_send(&mut self, n: usize, link: LinkId, frame: Vec<u8>) {
        let end = End { device: n, life: self.devices[n].life, link };
        let Some(there) = self.live.ends.get(&end).copied() else { return };
        let now = self.now;
        if self.devices[n].link.offline_until > now || self.devices[there.device].link.offline_until > now {
            return self.live_end(end, true);
        }
        self.tally.count(Occurrence::FrameSent);
        self.check_said(n, &frame);
        if self.live.heard.len() < 200 {
            self.live.heard.push(frame.clone());
        }
        let mischief = self.live.chances.chance(15) && now < START + self.cast.ends_at * 1_000;
        let mut frames = if mischief { self.mischief(n, there.device) } else { Vec::new() };
        frames.push(frame);
        for bytes in frames {
            let at = (now + 1_000 * self.live.chances.between(1, 80)).max(self.live.arrives[&there]);
            self.live.arrives.insert(there, at);
            let event = Event::Live(LiveEvent::Frame { link: there.link, bytes });
            self.expect(at, Happening::Event { device: there.device, life: there.life, event });
        }
    }

    /// All links of a device are cut.
    pub(crate) fn live_cut(&mut self, n: usize) {
        let mine: Vec<End> = self.live.ends.keys().filter(|end| end.device == n).copied().collect();
        for end in mine {
            self.live_end(end, true);
        }
    }

    fn live_end(&mut self, end: End, told: bool) {
        let Some(there) = self.live.ends.remove(&end) else { return };
        self.live.ends.remove(&there);
        let ends = if told { vec![end, there] } else { vec![there] };
        for end in ends {
            // A side that is just gone is noticed late.
            let late = self.now + 1_000 * self.live.chances.between(1, 3_000);
            let at = late.max(self.live.arrives.get(&end).copied().unwrap_or_default());
            let event = Event::Live(LiveEvent::Unlinked { link: end.link });
            self.expect(at, Happening::Event { device: end.device, life: end.life, event });
        }
    }

    /// Links come and go every few seconds, as long as anything goes wrong.
    pub(crate) fn flap(&mut self) {
        if self.now >= START + self.cast.ends_at * 1_000 {
            return;
        }
        let n = self.live.chances.below(self.devices.len());
        if self.live.chances.chance(700) {
            self.live_cut(n);
        }
        if self.live.chances.chance(20) {
            self.carry_what_nobody_signed();
        }
        let next = self.now + 1_000 * self.live.chances.between(500, 6_000);
        self.expect(next, Happening::Flap);
    }
}
