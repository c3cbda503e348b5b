//! Prints the OAuth scope that a Sheaf client asks for. `cargo xtask dist` writes it into the app's client metadata.

use std::io::{Result, Write as _};

fn main() -> Result<()> {
    writeln!(std::io::stdout(), "{}", sheaf_core::record::oauth_scope())
}
