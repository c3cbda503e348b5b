//! One link: frames in both directions of one stream, each led by its length.

use futures_channel::{mpsc, oneshot};
use futures_util::{FutureExt, SinkExt, StreamExt, pin_mut, select_biased};
use iroh::endpoint::{RecvStream, SendStream};

use crate::{
    MAX_FRAME, MAX_TOPIC,
    transport::{Happening, Order},
};

/// Carries frames until either side ends it. Whether that was this side, at the word of whoever drives the transport.
pub(crate) async fn run(
    link: u64,
    (mut writer, mut reader): (SendStream, RecvStream),
    mut orders: mpsc::Receiver<Order>,
    cut: oneshot::Receiver<()>,
    mut happenings: mpsc::Sender<Happening>,
) -> bool {
    let writing = async {
        while let Some(order) = orders.next().await {
            match order {
                Order::Send(frame) => {
                    if let Err(why) = write(&mut writer, &frame).await {
                        tracing::debug!(link, why, "a link can be written to no more");
                        return false;
                    }
                }
                Order::HangUp => {
                    // What was sent before is to arrive, if they still take it.
                    let _ = writer.finish();
                    let _ = writer.stopped().await;
                    return true;
                }
            }
        }
        // The other end of the orders is gone with a cut, which says whose wish it was.
        std::future::pending().await
    };
    let reading = async {
        loop {
            match read(&mut reader).await {
                Ok(bytes) => {
                    if happenings.send(Happening::Frame { link, bytes }).await.is_err() {
                        return false;
                    }
                }
                Err(why) => {
                    tracing::debug!(link, why, "a link can be read no more");
                    return false;
                }
            }
        }
    };
    let (writing, reading) = (writing.fuse(), reading.fuse());
    pin_mut!(writing, reading);
    select_biased! {
        by_us = writing => by_us,
        by_us = reading => by_us,
        // Let go of: it was hung up, and what waited has had its time.
        cut = cut.fuse() => cut.is_err(),
    }
}

async fn write(writer: &mut SendStream, frame: &[u8]) -> Result<(), String> {
    if frame.len() > MAX_FRAME {
        return Err("a frame is too long".into());
    }
    let length = (frame.len() as u32).to_be_bytes();
    writer.write_all(&[&length[..], frame].concat()).await.map_err(|why| why.to_string())
}

async fn read(reader: &mut RecvStream) -> Result<Vec<u8>, String> {
    let mut length = [0; 4];
    reader.read_exact(&mut length).await.map_err(|why| why.to_string())?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err("a frame is too long".into());
    }
    let mut frame = vec![0; length];
    reader.read_exact(&mut frame).await.map_err(|why| why.to_string())?;
    Ok(frame)
}

pub(crate) async fn write_topic(writer: &mut SendStream, topic: &str) -> Result<(), String> {
    if topic.len() > MAX_TOPIC {
        return Err("a topic is too long".into());
    }
    write(writer, topic.as_bytes()).await
}

pub(crate) async fn read_topic(reader: &mut RecvStream) -> Result<String, String> {
    let topic = read(reader).await?;
    if topic.len() > MAX_TOPIC {
        return Err("a topic is too long".into());
    }
    String::from_utf8(topic).map_err(|_| "a topic is no text".into())
}
