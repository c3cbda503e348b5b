//! The Node process that runs the servers, and the JSON lines spoken with it (see `network/server.mjs`).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Starting takes about three seconds; a machine that is busy building takes many times that.
const START_LIMIT: Duration = Duration::from_secs(120);
/// No command does more than close or open one server.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// How often to look whether the process is still there.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) struct Process {
    talk: Mutex<Talk>,
    child: std::sync::Mutex<Child>,
    group: Option<rustix::process::Pid>,
}

struct Talk {
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    next_id: u64,
    log: PathBuf,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    ready: bool,
    id: Option<u64>,
    error: Option<String>,
}

impl Process {
    /// Starts the script and waits until every server in `configuration` answers.
    pub(crate) async fn start(
        node: &Path,
        script: &Path,
        configuration: &Value,
        (log, log_file): (PathBuf, std::fs::File),
        compile_cache: &Path,
    ) -> Result<Self> {
        let mut child = Command::new(node)
            .arg(script)
            // Settings for some other PDS, or telemetry, must not leak in from the environment.
            .env_clear()
            .env("LOG_ENABLED", "false")
            .env("NODE_COMPILE_CACHE", compile_cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            // Of its own group, so that Ctrl-C in a terminal reaches us alone and we can end all of it at once.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("the pinned Node runtime {} cannot be run", node.display()))?;
        let group = child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32));
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let talk = Talk { stdin, answers: BufReader::new(stdout).lines(), next_id: 0, log };
        let process = Self { talk: Mutex::new(talk), child: std::sync::Mutex::new(child), group };

        let mut talk = process.talk.lock().await;
        talk.say(configuration).await?;
        match timeout(START_LIMIT, talk.hear()).await {
            Ok(Ok(Answer { ready: true, .. })) => {}
            Ok(Ok(_)) => bail!("the network's servers answered something else than that they are ready"),
            Ok(Err(error)) => return Err(error),
            Err(_) => bail!("the network's servers did not start within {} s", START_LIMIT.as_secs()),
        }
        drop(talk);
        Ok(process)
    }

    /// Has the script do `command`, on the server numbered `index`, and waits until it is done.
    pub(crate) async fn command(&self, command: &str, index: usize) -> Result<()> {
        self.command_with(command, index, &Value::Null).await
    }

    /// The same for a command that has to be told more.
    pub(crate) async fn command_with(&self, command: &str, index: usize, details: &Value) -> Result<()> {
        let mut talk = self.talk.lock().await;
        talk.next_id += 1;
        let id = talk.next_id;
        talk.say(&json!({ "id": id, "do": command, "index": index, "with": details })).await?;
        // An earlier caller may have gone away before its answer came.
        let answer = async {
            loop {
                let answer = talk.hear().await?;
                if answer.id == Some(id) {
                    return anyhow::Ok(answer);
                }
            }
        };
        match timeout(COMMAND_LIMIT, answer).await {
            Ok(Ok(Answer { error: None, .. })) => Ok(()),
            Ok(Ok(Answer { error: Some(error), .. })) => Err(anyhow!("{command} {index}: {error}")),
            Ok(Err(error)) => Err(error),
            Err(_) => bail!("{command} {index} did not end within {} s", COMMAND_LIMIT.as_secs()),
        }
    }

    /// Waits until the process has ended by itself, and tells what it said last.
    pub(crate) async fn ended(&self) -> anyhow::Error {
        while self.is_running() {
            tokio::time::sleep(LOOK).await;
        }
        self.talk.lock().await.ended()
    }

    fn is_running(&self) -> bool {
        let mut child = self.child.lock().expect("no holder of this lock panics");
        matches!(child.try_wait(), Ok(None))
    }

    /// Lets everything save its state, then ends it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let stopped = self.command("stop", 0).await;
        self.kill();
        stopped
    }

    fn kill(&mut self) {
        if let (Some(group), true) = (self.group, self.is_running()) {
            // Fails only when the group is gone already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            // It is gone within milliseconds; until then it might still write to the directory we delete next.
            for _ in 0..200 {
                if !self.is_running() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.group = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Talk {
    async fn say(&mut self, message: &Value) -> Result<()> {
        let line = format!("{message}\n");
        if self.stdin.write_all(line.as_bytes()).await.is_err() {
            return Err(self.ended());
        }
        Ok(())
    }

    async fn hear(&mut self) -> Result<Answer> {
        match self.answers.next_line().await {
            Ok(Some(line)) => {
                serde_json::from_str(&line).with_context(|| format!("the network's servers said {line:?}"))
            }
            Ok(None) | Err(_) => Err(self.ended()),
        }
    }

    fn ended(&self) -> anyhow::Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        anyhow!("the network's servers ended:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell script in place of the servers.
    async fn played_by(script: &str) -> (tempfile::TempDir, Process) {
        let folder = tempfile::tempdir().unwrap();
        let (path, log) = (folder.path().join("servers.sh"), folder.path().join("log"));
        std::fs::write(&path, script).unwrap();
        let log = (log.clone(), std::fs::File::create(&log).unwrap());
        let process =
            Process::start(Path::new("/bin/sh"), &path, &json!({}), log, folder.path()).await.unwrap();
        (folder, process)
    }

    #[tokio::test]
    async fn servers_that_end_by_themselves_are_noticed_with_their_last_words() {
        let script = "read configuration; echo '{\"ready\":true}'; echo 'out of memory' >&2; exit 1";
        let (_folder, process) = played_by(script).await;
        let ended = timeout(START_LIMIT, process.ended()).await.expect("it has ended");
        assert!(ended.to_string().contains("out of memory"), "{ended}");
    }

    #[tokio::test]
    async fn who_does_not_wait_for_the_stop_ends_them_at_once() {
        let script = "read configuration; echo '{\"ready\":true}'; while true; do read command; done";
        let (_folder, process) = played_by(script).await;
        let group = process.group.unwrap();
        // It never answers.
        assert!(timeout(Duration::from_millis(1), process.stop()).await.is_err());
        assert!(rustix::process::test_kill_process_group(group).is_err(), "and is gone");
    }
}
