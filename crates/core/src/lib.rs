//! (being written)

pub mod client_id;
pub mod document;
pub mod door;
pub mod text;
pub mod time;
