//! What a network keeps in its directory: ports, secrets and accounts in `network.json`, the servers' data beside it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Ports, secrets and accounts. They outlive a run because DID documents carry the PDS's URL.
#[derive(Serialize, Deserialize, Clone)]
pub(crate) struct Saved {
    pub(crate) plc_port: u16,
    pub(crate) handles_port: u16,
    pub(crate) pdses: Vec<SavedPds>,
    pub(crate) accounts: Vec<SavedAccount>,
}

#[derive(Serialize, Deserialize, Clone)]
pub(crate) struct SavedPds {
    pub(crate) port: u16,
    /// Where it listens when a proxy has its own port.
    pub(crate) hidden_port: u16,
    pub(crate) jetstream_port: u16,
    jwt_secret: String,
    dpop_secret: String,
    plc_rotation_key: String,
    pub(crate) admin_password: String,
}

#[derive(Serialize, Deserialize, Clone)]
pub(crate) struct SavedAccount {
    pub(crate) pds: usize,
    pub(crate) handle: String,
    pub(crate) did: String,
    pub(crate) password: String,
}

impl Saved {
    fn new(pdses: usize) -> Result<Self> {
        let pds = || -> Result<SavedPds> {
            Ok(SavedPds {
                port: free_port()?,
                hidden_port: free_port()?,
                jetstream_port: free_port()?,
                jwt_secret: secret(32)?,
                dpop_secret: secret(32)?,
                plc_rotation_key: secret(32)?,
                admin_password: secret(16)?,
            })
        };
        Ok(Self {
            plc_port: free_port()?,
            handles_port: free_port()?,
            pdses: (0..pdses).map(|_| pds()).collect::<Result<_>>()?,
            accounts: Vec::new(),
        })
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        let of_pdses = self.pdses.iter().flat_map(|pds| [pds.port, pds.hidden_port, pds.jetstream_port]);
        [self.plc_port, self.handles_port].into_iter().chain(of_pdses)
    }
}

/// A network's directory, held by one network at a time.
pub(crate) struct Directory {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
    fresh: bool,
    _held: File,
}

impl Directory {
    /// Opens `data`, or a temporary directory, with what it holds or with new ports and secrets for `pdses` PDSes.
    pub(crate) fn open(data: Option<&Path>, pdses: usize) -> Result<(Self, Saved)> {
        let (path, temporary) =
            match data {
                Some(data) => {
                    fs::DirBuilder::new().recursive(true).mode(0o700).create(data).with_context(|| {
                        format!("the network's directory {} cannot be made", data.display())
                    })?;
                    (data.canonicalize()?, None)
                }
                None => {
                    let temporary = tempfile::Builder::new()
                        .prefix("sheaf-devnet-")
                        .tempdir()
                        .context("a temporary directory for the network cannot be made")?;
                    (temporary.path().to_owned(), Some(temporary))
                }
            };

        let held = private(&path.join("lock"))?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "a network is already running on {}: stop it first, or use another directory",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context("the network's directory cannot be locked");
            }
        }

        let file = path.join("network.json");
        let (saved, fresh) = match fs::read(&file) {
            Ok(bytes) => {
                let saved: Saved = serde_json::from_slice(&bytes).with_context(|| {
                    format!("{} is damaged: delete the directory to start anew", file.display())
                })?;
                ensure!(
                    saved.pdses.len() == pdses,
                    "{} holds a network of {} PDSes, not {pdses}: use another directory",
                    path.display(),
                    saved.pdses.len()
                );
                for port in saved.ports() {
                    ensure!(
                        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok(),
                        "port {port}, which the network kept in {} must have, is taken: stop the program that uses it",
                        path.display()
                    );
                }
                (saved, false)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => (Saved::new(pdses)?, true),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        };
        let directory = Self { path, temporary, fresh, _held: held };
        directory.save(&saved)?;
        Ok((directory, saved))
    }

    /// Writes `network.json`, readable by the owner alone, whole or not at all.
    pub(crate) fn save(&self, saved: &Saved) -> Result<()> {
        let new = self.path.join("network.json.new");
        let mut file = private(&new)?;
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec_pretty(saved)?)?;
        fs::rename(&new, self.path.join("network.json"))?;
        Ok(())
    }

    /// The file that takes what the servers print.
    pub(crate) fn log(&self) -> Result<(PathBuf, File)> {
        let path = self.path.join("network.log");
        let file = private(&path)?;
        Ok((path, file))
    }

    /// The configuration line for `network/server.mjs`.
    pub(crate) fn configuration(
        &self,
        saved: &Saved,
        rate_limits: bool,
        proxies: bool,
        jetstream: Option<(&Path, u32)>,
    ) -> Value {
        let pdses = saved.pdses.iter().enumerate().map(|(i, pds)| {
            json!({
                "port": pds.port,
                "listen": if proxies { pds.hidden_port } else { pds.port },
                "directory": self.path.join(format!("pds-{i}")),
                "jwtSecret": pds.jwt_secret,
                "dpopSecret": pds.dpop_secret,
                "plcRotationKey": pds.plc_rotation_key,
                "adminPassword": pds.admin_password,
            })
        });
        let jetstreams = saved.pdses.iter().enumerate().map(|(i, pds)| {
            let (binary, version) = jetstream.unzip();
            // The versions cannot read each other's data.
            let suffix = if version == Some(2) { "-v2" } else { "" };
            let directory = self.path.join(format!("jetstream-{i}{suffix}"));
            json!({
                "port": pds.jetstream_port,
                "fresh": !directory.exists(),
                "directory": directory,
                "binary": binary,
                "version": version,
                "log": self.path.join(format!("jetstream-{i}.log")),
            })
        });
        json!({
            "temporary": self.temporary.is_some().then_some(&self.path),
            "rateLimits": rate_limits,
            "plc": { "port": saved.plc_port, "file": self.path.join("plc.json") },
            "handlesPort": saved.handles_port,
            "pdses": pdses.collect::<Vec<_>>(),
            "jetstreams": if jetstream.is_some() { jetstreams.collect::<Vec<_>>() } else { Vec::new() },
        })
    }

    /// Whether nothing was kept here before.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }
}

/// Opens a file that only its owner may read, appending.
fn private(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// `bytes` random bytes in hex.
pub(crate) fn secret(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).context("the system gives no random numbers")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A port that is free now, below the range systems take for outgoing connections: a server that stops for a moment
/// finds its port again.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let mut random = [0; 2];
        getrandom::fill(&mut random).context("the system gives no random numbers")?;
        let port = 12_000 + u16::from_le_bytes(random) % 20_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port was found on 127.0.0.1 between 12000 and 32000")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn complaint(directory: &Path, pdses: usize) -> String {
        match Directory::open(Some(directory), pdses) {
            Ok(_) => panic!("it was opened"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn what_is_kept_is_the_owners_alone_and_there_again() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new/network");
        let (directory, mut saved) = Directory::open(Some(&path), 2).unwrap();
        assert!(directory.is_fresh());
        let account = SavedAccount {
            pds: 1,
            handle: "alice.test".into(),
            did: "did:plc:a".into(),
            password: "secret".into(),
        };
        saved.accounts.push(account);
        directory.save(&saved).unwrap();
        let mode = |name: &str| path.join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("network.json")), (0o700, 0o600));
        assert!(complaint(&path, 2).contains("already running"));

        drop(directory);
        let (directory, again) = Directory::open(Some(&path), 2).unwrap();
        assert!(!directory.is_fresh());
        assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&saved).unwrap());
    }

    #[test]
    fn what_cannot_be_used_is_said_in_a_sentence() {
        let kept = tempfile::tempdir().unwrap();
        let (directory, saved) = Directory::open(Some(kept.path()), 1).unwrap();
        drop(directory);
        assert!(complaint(kept.path(), 3).contains("holds a network of 1 PDSes, not 3"));
        let port = saved.plc_port;
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(complaint(kept.path(), 1).contains(&format!("port {port}")));
        drop(taken);
        fs::write(kept.path().join("network.json"), b"{").unwrap();
        assert!(complaint(kept.path(), 1).contains("is damaged"));
    }

    #[test]
    fn every_network_has_secrets_of_its_own() {
        let (first, second) = (Saved::new(1).unwrap(), Saved::new(1).unwrap());
        assert_eq!(first.pdses[0].jwt_secret.len(), 64);
        for (one, other) in [
            (&first.pdses[0].jwt_secret, &second.pdses[0].jwt_secret),
            (&first.pdses[0].plc_rotation_key, &second.pdses[0].plc_rotation_key),
            (&first.pdses[0].admin_password, &second.pdses[0].admin_password),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_temporary_directory_goes_with_its_network() {
        let (directory, _) = Directory::open(None, 1).unwrap();
        let path = directory.path.clone();
        assert!(path.join("network.json").exists());
        drop(directory);
        assert!(!path.exists());
    }
}
