// SPDX-License-Identifier: Apache-2.0
//! What can go wrong, as the header numbers it. A text is a fixed string or made of epoch numbers
//! only: no secret can get into one.

/// The codes of e2ee §15; the numbers are the boundary's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(dead_code)] // those of backup, linking and transparency come with their functions
pub(crate) enum Code {
    Arg = -1,
    Format = -2,
    Crypto = -3,
    Policy = -4,
    Epoch = -5,
    State = -6,
    Rejoin = -7,
    Limit = -8,
    Time = -9,
    Suite = -10,
    Identity = -11,
    Devlist = -12,
    Random = -13,
    Internal = -14,
    Kt = -15,
}

/// A code, and one sentence for people: what happened, why, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub code: Code,
    text: Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Fixed(&'static str),
    Epochs { have: u64, want: u64 },
    Place { file: &'static str, line: u32 },
}

pub(crate) type Result<T> = core::result::Result<T, Error>;

impl Error {
    pub const fn new(code: Code, text: &'static str) -> Self {
        Error { code, text: Text::Fixed(text) }
    }

    /// `PE_E_EPOCH`: the group stands at `have`, the message at `want`.
    pub const fn epoch(have: u64, want: u64) -> Self {
        Error { code: Code::Epoch, text: Text::Epochs { have, want } }
    }

    /// `PE_E_INTERNAL` with the line that noticed it: a bug of ours, or of a library under us.
    #[track_caller]
    pub fn internal() -> Self {
        let at = core::panic::Location::caller();
        Error { code: Code::Internal, text: Text::Place { file: at.file(), line: at.line() } }
    }

    pub fn text(&self) -> String {
        match self.text {
            Text::Fixed(text) => text.to_owned(),
            Text::Epochs { have, want } => format!(
                "the group stands at epoch {have}, the message is of epoch {want}: fetch what lies \
                 between"
            ),
            Text::Place { file, line } => {
                format!("this should not happen ({file}:{line}): please report it")
            }
        }
    }
}

pub(crate) const fn arg(text: &'static str) -> Error {
    Error::new(Code::Arg, text)
}

pub(crate) const fn format(text: &'static str) -> Error {
    Error::new(Code::Format, text)
}

pub(crate) const fn crypto(text: &'static str) -> Error {
    Error::new(Code::Crypto, text)
}

pub(crate) const fn state(text: &'static str) -> Error {
    Error::new(Code::State, text)
}

pub(crate) const fn limit(text: &'static str) -> Error {
    Error::new(Code::Limit, text)
}
