//! What `sheaf-repo` promises, checked from outside: published vectors, random trees, and whatever a stranger could send.

mod bytes;
mod crypto;
mod data_model;
mod flips;
// These read files.
#[cfg(not(target_arch = "wasm32"))]
mod reference;
mod samples;
mod syntax;
mod tree_hostile;
mod tree_properties;
mod tree_vectors;
mod writer;
