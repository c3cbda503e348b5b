//! What the page is shown: plain values, made from the client's and typed for TypeScript.

use serde::{Deserialize, Serialize};
use sheaf_client::LibraryEntry;
use sheaf_core::{
    document_link::DocumentLink,
    replica::{self, Presence, Stalled},
    text::{self, Utf16Offset},
};

use crate::clock;

/// One change of the text, in UTF-16 code units. Of several, each counts in the text as the ones before left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Splice {
    /// Where.
    pub at: u32,
    /// How many code units go.
    pub delete: u32,
    /// What comes in their place.
    pub insert: String,
}

impl From<Splice> for text::Splice {
    fn from(splice: Splice) -> Self {
        Self { at: Utf16Offset(splice.at), delete: splice.delete, insert: splice.insert }
    }
}

impl From<text::Splice> for Splice {
    fn from(splice: text::Splice) -> Self {
        Self { at: splice.at.0, delete: splice.delete, insert: splice.insert }
    }
}

/// [`Editor`]s, to cross the border in one go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(transparent)]
pub struct Editors(pub Vec<Editor>);

/// A list of [`Splice`]s, to cross the border in one go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(transparent)]
pub struct Splices(pub Vec<Splice>);

/// A change that a view sent and was told nothing of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct OnItsWay {
    /// Its number.
    pub number: u32,
    /// What it does to the text that the view was told; each splice begins where the one before it ended, or later.
    pub splices: Vec<Splice>,
}

/// What a view goes on from that had another engine before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct GoingOn {
    /// The text as the view was told it, without its own changes that it was told nothing of.
    pub text: String,
    /// Its own change.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub on_its_way: Option<OnItsWay>,
}

/// What a view begins with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// The whole text, for a view that has none.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub text: Option<String>,
    /// Whether what was on its way has arrived, and is durable.
    pub arrived: bool,
    /// What leads from the view's text (with what has arrived) to the engine's, numbered from 1.
    pub splices: Vec<Splice>,
    /// What there is to know beside the text.
    pub news: News,
}

/// What there is to know of a document beside its text. A view is told all of it when it begins, and then what has changed:
/// what is left out is as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct News {
    /// The title.
    pub title: String,
    /// The fragment that leads here, to pass on.
    pub link: String,
    /// What is true of it right now.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub status: Option<Status>,
    /// Who may write.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub editors: Option<Vec<Editor>>,
    /// Who is here.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub people: Option<Vec<Person>>,
    /// Where they are, in the text as the view was told it; nothing while they are in a text that it was not told yet.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub carets: Option<Vec<Caret>>,
    /// Whether there is an own change to take back.
    pub can_undo: bool,
    /// Whether there is one to bring back.
    pub can_redo: bool,
}

impl News {
    /// Whether somebody who opens the document would see it otherwise at once.
    pub(crate) fn is_seen_otherwise_than(&self, other: &Self) -> bool {
        let seen = |news: &Self| news.status.as_ref().map(|status| (status.document, status.role));
        seen(self) != seen(other) || self.title != other.title
    }

    /// What of it is new to who was told the other; nothing where all of it is as it was.
    pub(crate) fn since(&self, told: &Self) -> Option<Self> {
        fn new<T: Clone + PartialEq>(now: &Option<T>, told: &Option<T>) -> Option<T> {
            now.clone().filter(|_| now != told)
        }
        (self != told).then(|| Self {
            title: self.title.clone(),
            link: self.link.clone(),
            status: new(&self.status, &told.status),
            editors: new(&self.editors, &told.editors),
            people: new(&self.people, &told.people),
            carets: new(&self.carets, &told.carets),
            can_undo: self.can_undo,
            can_redo: self.can_redo,
        })
    }
}

/// What a view is told, in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub enum Told {
    /// What a view that just begins has to show until the engine has the text: what was seen last. From there it goes on.
    LastSeen {
        /// The whole text.
        text: String,
        /// What was known beside it.
        news: News,
    },
    /// The text changed otherwise than by the view's own change.
    Text {
        /// How many splices it has been told with these.
        number: u32,
        /// One after another.
        splices: Vec<Splice>,
        /// Whether it is what the view asked to be taken back or brought back.
        own: bool,
    },
    /// What the view wrote is not in the document, which did not take it; it is taken back.
    NotTaken(String),
    /// The view's change of this number is durable, or what it asked for is done.
    Done(u32),
    /// Something beside the text changed.
    News(News),
    /// When it has seen so many splices, its text must have this length and this sum.
    Check {
        /// So many.
        number: u32,
        /// In UTF-16 code units.
        length: u32,
        /// FNV-1a over them, 32 bits.
        sum: u32,
    },
    /// The view and the engine do not speak of the same text: it has to begin anew.
    OutOfStep,
}

/// Somebody's caret, or their selection from `anchor` to `head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Caret {
    /// Whose, by their place among the people here.
    pub person: usize,
    /// Where the selection began.
    pub anchor: u32,
    /// Where the caret is.
    pub head: u32,
}

/// Somebody who is here now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Their account.
    pub did: String,
    /// What to call them: their handle, after a name they chose where they did. Checked and capped, only ever text.
    pub name: String,
    /// Their handle, where it is verified: for where there is no room for more.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub handle: Option<String>,
    /// `#rrggbb`, checked.
    pub color: String,
    /// Whether it is the one looking at the page.
    pub is_self: bool,
}

impl From<replica::Person> for Person {
    fn from(person: replica::Person) -> Self {
        Self {
            did: person.did.to_string(),
            name: person.name,
            handle: person.handle,
            color: person.color,
            is_self: person.is_self,
        }
    }
}

/// Where each of these people is, as far as it is known.
pub(crate) fn carets(people: &[replica::Person]) -> Vec<Caret> {
    let caret = |(person, of): (usize, &replica::Person)| {
        let replica::CaretAt { anchor, head } = of.caret?;
        Some(Caret { person, anchor: anchor.0, head: head.0 })
    };
    people.iter().enumerate().filter_map(caret).collect()
}

/// Somebody who may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Editor {
    /// Their account.
    pub did: String,
    /// Their handle, or the DID where none is known for certain.
    pub name: String,
    /// Whether the document is theirs.
    pub is_owner: bool,
    /// What is wrong with reading from them, as a sentence.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub trouble: Option<String>,
}

impl From<&replica::EditorStatus> for Editor {
    fn from(editor: &replica::EditorStatus) -> Self {
        Self {
            did: editor.did.to_string(),
            name: editor.handle.clone().unwrap_or_else(|| editor.did.to_string()),
            is_owner: editor.is_owner,
            trouble: editor.trouble.as_ref().map(|trouble| crate::sentence::of(&trouble.to_string())),
        }
    }
}

/// How pressing the status line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub enum Tone {
    /// All is well.
    Calm,
    /// Something is under way that will end by itself.
    Working,
    /// The person may want to do something about it.
    Attention,
}

/// What there is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub enum Shown {
    /// Not here yet.
    Looking,
    /// The text.
    Here,
    /// Nothing: there is no such document.
    NotFound,
    /// The text as this device has it; its owner deleted the document.
    Deleted,
    /// Nothing: a newer version made it.
    UnknownFormat,
}

/// What the account may do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Writes, renames, says who else writes.
    Owner,
    /// Writes.
    Editor,
    /// Reads along.
    Reader,
}

impl From<replica::Role> for Role {
    fn from(role: replica::Role) -> Self {
        match role {
            replica::Role::Owner => Self::Owner,
            replica::Role::Editor => Self::Editor,
            replica::Role::Reader => Self::Reader,
        }
    }
}

/// What is true of the document right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The status line.
    pub sentence: String,
    /// How pressing it is.
    pub tone: Tone,
    /// Whether there is a document.
    pub document: Shown,
    /// What the account may do.
    pub role: Role,
    /// Changes on this device that are not yet published.
    pub waiting: usize,
    /// Changes not yet safe on this device.
    pub unsaved: usize,
    /// Whether what the status line says is that changes are being saved: normally for some milliseconds.
    pub saving: bool,
    /// Whether the device says that it has a network.
    pub online: bool,
    /// Whether the session has ended and signing in again would help.
    pub sign_in_again: bool,
    /// How many people are here.
    pub people: usize,
    /// Who reads along, as far as they say who they are. Nobody has checked it.
    pub readers: Vec<Reader>,
}

/// Somebody who reads along, as they say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Reader {
    /// The account they say they have.
    pub did: String,
    /// Its handle, or the DID where none is known for certain.
    pub name: String,
}

impl From<&replica::Reading> for Reader {
    fn from(reader: &replica::Reading) -> Self {
        let did = reader.did.to_string();
        Self { name: reader.handle.clone().unwrap_or_else(|| did.clone()), did }
    }
}

impl From<&replica::Status> for Status {
    fn from(status: &replica::Status) -> Self {
        Self {
            sentence: status.sentence_since(clock::of_day),
            tone: tone(status),
            document: match status.document {
                Presence::Looking => Shown::Looking,
                Presence::Here => Shown::Here,
                Presence::NotFound => Shown::NotFound,
                Presence::Deleted => Shown::Deleted,
                Presence::UnknownFormat(_) => Shown::UnknownFormat,
            },
            role: status.role.into(),
            waiting: status.waiting,
            unsaved: status.unsaved,
            online: status.online,
            saving: status.unsaved > 0 && status.store_trouble.is_none() && status.document == Presence::Here,
            sign_in_again: status.stalled == Some(Stalled::SignInAgain),
            people: status.people,
            readers: status.live.reading.iter().map(Reader::from).collect(),
        }
    }
}

fn tone(status: &replica::Status) -> Tone {
    let gone = !matches!(status.document, Presence::Here | Presence::Looking);
    let stuck = matches!(
        status.stalled,
        Some(Stalled::SignInAgain | Stalled::Refused(_) | Stalled::NoLongerEditor | Stalled::TextMissing)
    );
    let troubled = status.editors.iter().any(|editor| editor.trouble.is_some());
    if gone || stuck || troubled || status.store_trouble.is_some() || !status.online {
        Tone::Attention
    } else if status.waiting + status.unsaved > 0 || status.document == Presence::Looking {
        Tone::Working
    } else {
        Tone::Calm
    }
}

/// A document this device or account knows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct KnownDocument {
    /// The fragment that leads to it.
    pub link: String,
    /// Its title.
    pub title: String,
    /// When it last changed, in milliseconds since 1970.
    pub updated_at: f64,
    /// Who else writes: handles, or DIDs where no handle is known.
    pub with: Vec<String>,
    /// Whether somebody else made it.
    pub shared: bool,
    /// Changes on this device that are not yet published.
    pub waiting: usize,
}

impl From<LibraryEntry> for KnownDocument {
    fn from(entry: LibraryEntry) -> Self {
        Self {
            link: DocumentLink::new(entry.uri).fragment(),
            title: entry.title,
            updated_at: clock::millis(entry.updated_at),
            with: entry.with,
            shared: entry.shared,
            waiting: entry.waiting,
        }
    }
}

/// [`KnownDocument`]s, to cross the border in one go.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(transparent)]
pub struct Library(pub Vec<KnownDocument>);

/// An account that was looked up, checked both ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Account {
    /// Its DID.
    pub did: String,
    /// Its handle.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub handle: Option<String>,
    /// Its server's origin.
    pub pds: String,
}

/// Who is signed in; the keys and tokens are the page's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct SignedIn {
    /// The account.
    pub did: String,
    /// Its handle.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub handle: Option<String>,
    /// Its server's origin.
    pub pds: String,
}

/// What the page's OAuth client needs to know of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct SignInSettings {
    /// The PLC directory.
    pub plc: String,
    /// The client id, where one is configured.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub client_id: Option<String>,
    /// Whether the network is a local one, whose servers speak plain HTTP.
    pub local: bool,
    /// What to ask the account for: Sheaf's own collections and nothing else.
    pub scope: String,
}

#[cfg(target_arch = "wasm32")]
impl SignInSettings {
    pub(crate) fn of(config: &sheaf_client::config::NetworkConfig) -> Self {
        Self {
            plc: config.plc.clone(),
            client_id: config.client_id.clone(),
            local: config.is_local(),
            scope: sheaf_client::session::scope(),
        }
    }
}

/// Makes a value the page's own: a plain object, owned by its garbage collector.
#[cfg(target_arch = "wasm32")]
pub(crate) fn show<T: tsify::Tsify + Serialize>(value: &T) -> tsify::Ts<T> {
    value.into_ts().expect("plain values of numbers, texts and lists always have a JavaScript form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_told_what_is_new_and_nothing_twice() {
        let link = "at://did:web:alice.example/dev.sheaf.document/3jzfcijpj2z2a".parse().expect("a link");
        let seen =
            crate::last_seen::LastSeen { title: "Notes".into(), role: Role::Editor, text: String::new() };
        let told = News { people: Some(vec![]), carets: Some(vec![]), ..seen.news(&link, true) };
        assert_eq!(told.since(&told), None);

        // A key of somebody else's: they are at another place, and that is all.
        let carets = Some(vec![Caret { person: 1, anchor: 4, head: 4 }]);
        let new = News { carets: carets.clone(), ..told.clone() }.since(&told).expect("it is new");
        assert_eq!((new.carets, new.people, new.editors, new.status), (carets, None, None, None));

        // Whoever knew nothing of who is here is told so, even where it is nobody.
        let new = told.since(&News { people: None, ..told.clone() }).expect("it is new");
        assert_eq!((new.people, new.carets), (Some(vec![]), None));
        let new = News { can_undo: true, ..told.clone() }.since(&told).expect("it is new");
        assert!(new.can_undo && new.people.is_none());
    }
}
