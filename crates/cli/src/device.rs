//! This device: its stores, its session, and the network it is on.

use std::{path::PathBuf, rc::Rc};

use etcetera::BaseStrategy as _;
use sheaf_client::{
    Client, Parts,
    config::NetworkConfig,
    net::live::native::go_live,
    platform,
    session::{self, Authed, FileSessions, SessionStore},
    slots::{FileLocks, MemoryLocks},
    store::{Memory, Sqlite},
};

use crate::{arguments::DeviceArguments, failure::Failure, output};

pub(crate) struct Device {
    pub(crate) config: NetworkConfig,
    folder: PathBuf,
    quiet: bool,
}

impl Device {
    /// Finds the folder and the network; asks nobody anything and makes nothing.
    pub(crate) fn open(arguments: &DeviceArguments) -> Result<Device, Failure> {
        let folder = match &arguments.data_dir {
            Some(folder) => folder.clone(),
            None => etcetera::choose_base_strategy()
                .map_err(|_| Failure::Usage("there is no home folder: name a folder with --data-dir".into()))?
                .data_dir()
                .join("sheaf"),
        };
        Ok(Device { config: network(arguments)?, folder, quiet: arguments.quiet })
    }

    /// Says something that is not an error, unless silence was asked for.
    pub(crate) fn say(&self, sentence: &str) {
        if !self.quiet {
            output::say(sentence);
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A new folder for files that are only needed for a while, or to be kept where something went wrong.
    pub(crate) fn scratch(&self) -> Result<PathBuf, Failure> {
        let at = platform::now().as_micros();
        let folder = self.folder.join("edit").join(format!("{at}-{}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let made = builder.create(&folder);
        made.map_err(|error| Failure::Other(format!("{} cannot be made: {error}", folder.display())))?;
        Ok(folder)
    }

    /// Where the session is kept: one file that only its owner reads.
    pub(crate) fn sessions(&self) -> Rc<dyn SessionStore> {
        Rc::new(FileSessions::new(self.folder.join("session.json")))
    }

    /// Whoever is signed in; asks no server.
    pub(crate) async fn session(&self) -> Result<Option<Rc<dyn Authed>>, Failure> {
        Ok(session::restore(&self.config, self.sessions()).await?)
    }

    /// A client in the name of whoever is signed in, or of nobody.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        self.client_as(self.session().await?)
    }

    /// A client that hears others at once, for whoever stays: see `sheaf_client::net::live`.
    pub(crate) async fn live_client(&self) -> Result<Client, Failure> {
        let client = self.client().await?;
        go_live(&client, false).await?;
        Ok(client)
    }

    /// A client in somebody's name; fails where nobody is signed in.
    pub(crate) async fn signed_in(&self) -> Result<Client, Failure> {
        match self.session().await? {
            Some(account) => self.client_as(Some(account)),
            None => Err(Failure::not_signed_in()),
        }
    }

    /// A client of somebody who knows nothing yet and keeps nothing.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(Parts {
            config: self.config.clone(),
            store: Rc::new(Memory::new()),
            locks: Rc::new(MemoryLocks::default()),
            account: None,
            name: None,
        })
    }

    /// Every account has a store of its own, so that what waits in one is never sent in another's name.
    fn client_as(&self, account: Option<Rc<dyn Authed>>) -> Result<Client, Failure> {
        let name = account.as_ref().map_or("reader".into(), |account| folder_name(account.did().as_str()));
        let folder = self.folder.join(name);
        let store = Rc::new(Sqlite::open(&folder.join("store.sqlite"))?);
        let locks = FileLocks::new(&folder.join("locks"))
            .map_err(|error| Failure::Other(format!("{} cannot be used: {error}", folder.display())))?;
        Ok(Client::new(Parts {
            config: self.config.clone(),
            store,
            locks: Rc::new(locks),
            account,
            name: None,
        }))
    }
}

fn network(arguments: &DeviceArguments) -> Result<NetworkConfig, Failure> {
    let mut config = NetworkConfig::default();
    if let Some(plc) = &arguments.plc {
        config.plc.clone_from(plc);
    }
    config.handle_resolver.clone_from(&arguments.handle_resolver);
    if arguments.plc.is_some() || !arguments.jetstream.is_empty() {
        // The public Jetstreams know nothing of another network; without any, the editors' own servers ring.
        config.jetstream.clone_from(&arguments.jetstream);
    }
    if arguments.plc.is_some() || !arguments.relay.is_empty() {
        config.relays.clone_from(&arguments.relay);
    }
    let mut config = config.validated().map_err(|error| Failure::Usage(error.to_string()))?;
    if config.is_local() {
        // The handles of a network on this machine are in no DNS.
        config.doh = None;
    }
    Ok(config)
}

/// A DID as a folder's name: colons are not for folders everywhere, and `+` is in no DID.
fn folder_name(did: &str) -> String {
    did.replace(':', "+")
}
