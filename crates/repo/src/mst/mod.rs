//! The Merkle search tree that a repo is: keys in order, each at the layer that its hash says.
//!
//! Spec: <https://atproto.com/specs/repository#mst-structure>
//!
//! [`walk`] reads ranges of a tree whose blocks may be only partly at hand and proves what is there. [`build`] makes the one
//! tree that a set of records has; [`Mst`] keeps that tree while the records change.

mod node;
mod tree;
mod walk;
mod write;

pub use self::{
    node::{MAX_ENTRIES, MAX_KEY_BYTES, MstError, Node, NodeEntry, is_path, layer_of},
    tree::{Mst, Written},
    walk::{BlockSource, KeyRange, MAX_LAYER, Walk, walk},
    write::build,
};
