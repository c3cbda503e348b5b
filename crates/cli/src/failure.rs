//! What can go wrong, by what a script can do about it.

use std::fmt;

use sheaf_client::{AccountError, LibraryError, OpenError, session::SignInError, store::StoreError};
use sheaf_core::replica::ResolveFailure;

/// Why a command did not do what it was asked: a sentence, under an exit code of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Exit code 1.
    Other(String),
    /// Exit code 2, which is also what the argument parser leaves with.
    Usage(String),
    /// Exit code 3.
    SignIn(String),
    /// Exit code 4.
    NotFound(String),
    /// Exit code 5.
    NotAllowed(String),
    /// Exit code 6.
    Away(String),
}

impl Failure {
    /// The exit code, as `--help` lists it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Other(_) => 1,
            Failure::Usage(_) => 2,
            Failure::SignIn(_) => 3,
            Failure::NotFound(_) => 4,
            Failure::NotAllowed(_) => 5,
            Failure::Away(_) => 6,
        }
    }

    pub(crate) fn not_signed_in() -> Failure {
        Failure::SignIn("nobody is signed in here: sign in with `sheaf login HANDLE`".into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Other(what)
        | Failure::Usage(what)
        | Failure::SignIn(what)
        | Failure::NotFound(what)
        | Failure::NotAllowed(what)
        | Failure::Away(what)) = self;
        f.write_str(what)
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Failure {
        let what = error.to_string();
        match error {
            AccountError::NotAHandle(_) => Failure::Usage(what),
            AccountError::HandleUnreachable { .. }
            | AccountError::Unresolved { failure: ResolveFailure::Unreachable(_), .. } => Failure::Away(what),
            _ => Failure::NotFound(what),
        }
    }
}

impl From<SignInError> for Failure {
    fn from(error: SignInError) -> Failure {
        let what = error.to_string();
        match error {
            SignInError::Account(error) => error.into(),
            SignInError::Unreachable { .. } => Failure::Away(what),
            SignInError::Store(_) => Failure::Other(what),
            _ => Failure::SignIn(what),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Other(format!("this device's store does not work: {error}"))
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::NotSignedIn => Failure::not_signed_in(),
        }
    }
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Failure {
        match error {
            LibraryError::Store(error) => error.into(),
            LibraryError::Fetch(_) => Failure::Away(error.to_string()),
        }
    }
}
