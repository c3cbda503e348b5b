//! A way to a server on which every byte takes its time, or stays where it is.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// A running forwarder of TCP; dropping it cuts every connection through it.
pub struct SlowWay {
    port: u16,
    /// How long a byte takes; for ever if `None`.
    takes: watch::Sender<Option<Duration>>,
    serving: AbortHandle,
}

impl SlowWay {
    /// Starts on a free port of 127.0.0.1 in front of the server on the port `upstream`. Each byte takes so long in each
    /// direction, however many there are.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(upstream: u16, takes: Duration) -> Result<SlowWay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the way has no port")?;
        let port = listener.local_addr()?.port();
        let takes = watch::Sender::new(Some(takes));
        let serving = tokio::spawn(serve(listener, upstream, takes.subscribe())).abort_handle();
        Ok(SlowWay { port, takes, serving })
    }

    /// The address of what is behind it: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on nothing gets through, and nobody is told. What was on its way stays there.
    pub fn stall(&self) {
        self.takes.send_replace(None);
    }

    /// From now on each byte takes so long, those among them that were stuck.
    pub fn flow(&self, takes: Duration) {
        self.takes.send_replace(Some(takes));
    }
}

impl Drop for SlowWay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, upstream: u16, takes: watch::Receiver<Option<Duration>>) {
    // Those who come are let go of with the way itself.
    let mut under_way = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else { continue };
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = far.into_split();
        under_way.spawn(forward(near_in, far_out, takes.clone()));
        under_way.spawn(forward(far_in, near_out, takes.clone()));
        while under_way.try_join_next().is_some() {}
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    mut takes: watch::Receiver<Option<Duration>>,
) {
    let (on_its_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(4_096);
    let reading = async move {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(len @ 1..) = from.read(&mut bytes).await {
            if on_its_way.send((Instant::now(), bytes[..len].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((since, bytes)) = arriving.recv().await {
            loop {
                let Ok(state) = takes.wait_for(Option::is_some).await.map(|state| *state) else { return };
                let due = since + state.unwrap_or_default();
                if due <= Instant::now() {
                    break;
                }
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    _ = takes.changed() => {}
                }
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The other side learns that this one has ended.
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time_stay_where_they_are_and_arrive_whole() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (slow, second) = (Duration::from_secs(3), Duration::from_secs(1));
        let way = SlowWay::start(server.local_addr().unwrap().port(), slow).await.unwrap();
        let mut near = TcpStream::connect((Ipv4Addr::LOCALHOST, way.port)).await.unwrap();
        let (mut far, _) = server.accept().await.unwrap();
        let began = Instant::now();
        near.write_all(b"there").await.unwrap();
        let mut heard = [0; 5];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"there");
        assert!(began.elapsed() >= slow, "{:?}", began.elapsed());
        way.stall();
        far.write_all(b"back!").await.unwrap();
        let stuck = tokio::time::timeout(100 * second, near.read_exact(&mut heard)).await;
        assert!(stuck.is_err(), "nothing gets through");
        way.flow(Duration::ZERO);
        near.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"back!");
        drop(far);
        assert_eq!(near.read(&mut heard).await.unwrap(), 0, "the end arrives too");
    }
}
