//! What strangers may send: for everything that reads bytes from outside, what must hold whatever they are.
//!
//! Each [`Target`] is one such reader with its promises as a function: it never panics, what it lets in reads back as it
//! was written, nothing false is ever proved, and no input takes more than [`MOST_MEMORY`]. The functions stand here
//! once and are run in two ways: by `cargo xtask fuzz`, where libFuzzer looks for inputs that reach new code, and by this
//! crate's tests, which mutate real values some twenty thousand times each ([`mutate`]). The [seeds](Target::seeds) of
//! both are values that our own writers make, and fixtures.
//!
//! Whatever links this crate has its allocations counted ([`memory`]).
//!
//! ```
//! let car = sheaf_hostile::target("car").expect("there is one");
//! let mut bytes = (car.seeds)().swap_remove(0);
//! assert!(sheaf_hostile::check(car, &bytes), "a real one is let in");
//! bytes[100] ^= 1;
//! assert!(!sheaf_hostile::check(car, &bytes), "every byte of it is hashed");
//! ```

mod archive;
mod bytes;
mod car;
mod door;
mod frame;
mod history;
mod identity;
mod jetstream;
mod live;
pub mod memory;
mod mst;
pub mod mutate;
mod names;
mod records;
mod relinked;

/// The longest input that is tried, in bytes. What may be longer has tests of its own for the memory it takes.
pub const MAX_INPUT: usize = 64 * 1024;

/// The most memory that reading one input may take, in bytes.
pub const MOST_MEMORY: usize = 16 * 1024 * 1024;

/// Something that reads bytes from outside, and what it promises.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called on the command line, and in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Reads an input, panics if a promise is broken, and says whether anything of it was let in.
    pub read: fn(&[u8]) -> bool,
    /// Inputs to begin with. The first is let in.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target { name: "door", read: door::read, seeds: door::seeds },
    Target { name: "car", read: car::read, seeds: car::seeds },
    Target { name: "mst", read: mst::read, seeds: mst::seeds },
    Target { name: "frame", read: frame::read, seeds: frame::seeds },
    Target { name: "jetstream", read: jetstream::read, seeds: jetstream::seeds },
    Target { name: "records", read: records::read, seeds: records::seeds },
    Target { name: "identity", read: identity::read, seeds: identity::seeds },
    Target { name: "names", read: names::read, seeds: names::seeds },
    Target { name: "live", read: live::read, seeds: live::seeds },
    Target { name: "archive", read: archive::read, seeds: archive::seeds },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Has a target read an input, and says whether anything of it was let in. Longer ones than [`MAX_INPUT`] are not tried.
///
/// # Panics
/// When a promise is broken, or reading took more than [`MOST_MEMORY`].
pub fn check(target: &Target, input: &[u8]) -> bool {
    if input.len() > MAX_INPUT {
        return false;
    }
    // What all inputs are held against is made once, and not theirs to pay for.
    history::history();
    let (let_in, peak) = memory::peak_of(|| (target.read)(input));
    assert!(peak <= MOST_MEMORY, "{}: {peak} bytes of memory for {} of input", target.name, input.len());
    let_in
}
