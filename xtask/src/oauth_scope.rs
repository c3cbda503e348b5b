//! Prints the OAuth scope that the app asks for, which the engine knows: `dist` writes it into the client's metadata.

use std::io::{Result, Write as _};

fn main() -> Result<()> {
    writeln!(std::io::stdout(), "{}", sheaf_core::record::oauth_scope())
}
