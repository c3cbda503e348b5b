//! What people do and what goes wrong, done to the world.

use std::collections::BTreeSet;

use sheaf_core::{
    replica::{Event, Role},
    text::{Splice, Utf16Offset, apply_splices},
};
use sheaf_repo::repo::RecordWrite;

use crate::{
    choices::Choices,
    device::Dying,
    forger, liar,
    schedule::{Deed, Lie},
    tally::Occurrence,
    world::{Happening, News, World},
};

/// Clocks are wrong by half a day at most.
const MOST_SKEW: i64 = 12 * 3_600_000_000;

impl World {
    /// Does the act of this number.
    pub(crate) fn act(&mut self, number: usize) {
        let deed = self.acts[number].deed.clone();
        self.note(|| format!("** {deed:?}"));
        let until = |lasts: u64| self.now + lasts * 1_000;
        match deed {
            Deed::Type { device, place, delete, insert } => self.type_at(device, place, delete, insert),
            Deed::Paste { device, place, units, seed } => {
                let insert = Choices::new(seed, 3).letters(units);
                self.type_at(device, place, 0, insert);
            }
            Deed::Undo { device } if self.may_type(device) => self.hand(device, Event::Undo),
            Deed::Redo { device } if self.may_type(device) => self.hand(device, Event::Redo),
            Deed::Undo { .. } | Deed::Redo { .. } => {}
            Deed::Select { device, place } => {
                let borders = borders(&self.devices[device].view);
                let at = Utf16Offset(borders[at_place(&borders, place)]);
                self.hand(device, Event::Select { anchor: at, head: at });
            }
            Deed::Hide { device, hidden } => self.hand(device, Event::Hidden(hidden)),
            Deed::FlushNow { device } => self.hand(device, Event::FlushNow),
            Deed::Rename { device, title } => self.hand(device, Event::SetTitle(title)),
            Deed::Admit { device, account } => {
                let did = self.hosts.accounts[account].did.clone();
                self.hand(device, Event::AddEditor(did));
            }
            Deed::Dismiss { device, account } => {
                let did = self.hosts.accounts[account].did.clone();
                self.hand(device, Event::RemoveEditor(did));
            }
            Deed::Crash { device, after, down, renamed } => {
                if self.devices[device].replica.is_some() {
                    self.devices[device].dying = Some(Dying { after, down, renamed });
                }
            }
            Deed::DiskFull { device, lasts, leaks } => {
                let until = until(lasts);
                let disk = &mut self.devices[device].disk;
                (disk.full_until, disk.leaks) = (until, leaks);
            }
            Deed::Offline { device, lasts, told } => {
                let until = until(lasts);
                self.devices[device].link.offline_until = until;
                if told {
                    self.hand(device, Event::Online(false));
                    self.hand(device, Event::Doorbells { connected: None, hosts: vec![] });
                    self.expect(until, Happening::News { device, news: News::Network });
                }
                self.expect(until, Happening::News { device, news: News::Stream });
            }
            Deed::Partition { device, host, lasts } => {
                let until = until(lasts);
                self.devices[device].link.partitions.insert(host, until);
            }
            Deed::BadLink { device, lasts, lost, unanswered, slow } => {
                let bad_until = until(lasts);
                let link = &mut self.devices[device].link;
                (link.bad_until, link.lost, link.unanswered, link.slow) = (bad_until, lost, unanswered, slow);
            }
            Deed::Deaf { device, lasts } => self.devices[device].stream.deaf_until = until(lasts),
            Deed::StreamDown { device, lasts } => {
                let until = until(lasts);
                self.devices[device].stream.up = false;
                self.hand(device, Event::Doorbells { connected: None, hosts: vec![] });
                self.expect(until, Happening::News { device, news: News::Stream });
            }
            Deed::Throttle { account, lasts, retry_after } => {
                self.hosts.accounts[account].throttled = Some((until(lasts), retry_after));
            }
            Deed::HostFails { host, lasts, status } => self.hosts.failing[host] = (until(lasts), status),
            Deed::SessionEnds { device, lasts } => {
                let until = until(lasts);
                self.devices[device].signed_out_until = until;
                self.expect(until, Happening::News { device, news: News::Session });
            }
            Deed::ClockJumps { device, by } => {
                let now = self.now;
                let device = &mut self.devices[device];
                device.skew = (device.skew + by).clamp(-MOST_SKEW, MOST_SKEW);
                device.set_alarm(now);
            }
            Deed::Lie { account, lie, lasts } => {
                let until = until(lasts);
                if matches!(lie, Lie::WrongKey | Lie::Swap) {
                    self.forge(account);
                }
                self.hosts.accounts[account].lie = Some((lie, until));
            }
            Deed::Forgery { device, account, bell } => {
                self.tally.count(Occurrence::BellForged);
                self.forge(account);
                let other = (account + 1) % self.hosts.accounts.len();
                let path = self.hosts.accounts[account].repo.paths().next().map(str::to_owned);
                let path = path.unwrap_or_else(|| self.document.awareness_path());
                let now = sheaf_core::time::Timestamp::from_micros(self.now);
                let (account, other) = (&self.hosts.accounts[account], &self.hosts.accounts[other]);
                let bell = liar::bell(bell, account, other, path, now, &mut self.chances);
                self.hand(device, Event::Doorbell(bell));
            }
            Deed::RotateKey { account } => {
                self.hosts.accounts[account].rotate_key(self.now);
                self.ring(account, BTreeSet::new());
            }
            Deed::Migrate { account, host } => self.hosts.accounts[account].host = host,
            Deed::Hostile { account, record } => {
                let write = forger::hostile(record, &self.document, &self.hosts.accounts[0], self.now);
                self.write_past_everything(account, write);
            }
            Deed::LateWords { account, how } => {
                let did = self.hosts.accounts[account].did.clone();
                let is_former =
                    self.charter().is_some_and(|record| record.former.iter().any(|former| former.did == did));
                let write = forger::late_words(&self.hosts.accounts[account], &self.document, how, self.now);
                if let Some(write) = write.filter(|_| is_former) {
                    self.late.insert(did);
                    self.write_past_everything(account, write);
                }
            }
        }
    }

    /// A device gets to know of its surroundings.
    pub(crate) fn tell(&mut self, n: usize, news: News) {
        let now = self.now;
        match news {
            News::Network if self.devices[n].link.offline_until <= now => self.hand(n, Event::Online(true)),
            News::Stream => {
                self.devices[n].stream.up = true;
                if let Some(kind) = self.devices[n].doorbell(now) {
                    self.hand(n, Event::Doorbells { connected: None, hosts: vec![] });
                    self.hand(n, Event::Doorbells { connected: Some(kind), hosts: vec![] });
                }
            }
            News::Session if self.devices[n].signed_out_until <= now => self.hand(n, Event::Session(true)),
            News::Network | News::Session => {}
        }
    }

    fn type_at(&mut self, n: usize, place: u16, delete: u8, insert: String) {
        if !self.may_type(n) {
            return;
        }
        let borders = borders(&self.devices[n].view);
        let from = at_place(&borders, place);
        let to = (from + usize::from(delete)).min(borders.len() - 1);
        let splice = Splice { at: Utf16Offset(borders[from]), delete: borders[to] - borders[from], insert };
        if splice.delete == 0 && splice.insert.is_empty() {
            return;
        }
        let splices = vec![splice];
        apply_splices(&mut self.devices[n].view, &splices).expect("borders are in the text");
        self.hand(n, Event::Edit(splices));
    }

    /// What somebody without the account's key makes of its repo.
    fn forge(&mut self, account: usize) {
        let forged = forger::impostor(&self.hosts.accounts[account], &self.document, self.now);
        self.hosts.accounts[account].impostor = Some(forged);
    }

    pub(crate) fn write_past_everything(&mut self, account: usize, write: RecordWrite) {
        let path = match &write {
            RecordWrite::Put(path, _) | RecordWrite::Delete(path) => path.clone(),
        };
        self.hosts.accounts[account].commit(vec![write], self.now);
        self.ring(account, BTreeSet::from([path]));
    }

    /// All is well again: whatever was to go on for longer ends now.
    pub(crate) fn calm_down(&mut self) {
        let now = self.now;
        self.note(|| "** all is well again".to_owned());
        for device in &mut self.devices {
            device.dying = None;
            device.disk.full_until = now;
            device.link = Default::default();
            device.stream.deaf_until = now;
            device.signed_out_until = now;
        }
        for account in &mut self.hosts.accounts {
            account.lie = None;
            account.throttled = None;
        }
        self.hosts.failing.fill((0, 0));
        for n in 0..self.devices.len() {
            // The person signs in again, and the device sees that it is connected.
            self.hand(n, Event::Session(true));
            self.expect(now, Happening::News { device: n, news: News::Stream });
            self.expect(now, Happening::News { device: n, news: News::Network });
            if self.cast.nudged {
                self.hand(n, Event::Online(false));
                self.hand(n, Event::Online(true));
            }
        }
    }

    /// Whether this device's account is the owner or an editor by the owner's repo.
    pub(crate) fn is_editor(&self, n: usize) -> bool {
        let Some(did) = &self.devices[n].config.account else { return false };
        did == self.document.owner() || self.charter().is_some_and(|record| record.editors.contains(did))
    }

    /// What the person at this device may do, as far as it knows.
    pub(crate) fn role(&self, n: usize) -> Role {
        self.devices[n].replica.as_ref().map_or(Role::Reader, |replica| replica.role())
    }
}

/// Where characters begin and the text ends, in UTF-16 units.
fn borders(text: &str) -> Vec<u32> {
    let ends = text.chars().scan(0, |end, ch| {
        *end += ch.len_utf16() as u32;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

fn at_place(borders: &[u32], place: u16) -> usize {
    (borders.len() - 1) * usize::from(place.min(1_000)) / 1_000
}
