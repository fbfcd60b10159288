//! Writing heads: a cursor over a caller's buffer that lets nothing through which would break a head apart.

use super::fields::{is_token_byte, is_value_byte};

/// Why a head cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WriteError {
    /// A part has a byte that may not stand there, such as CR, LF or NUL.
    Invalid,
    /// The buffer is too small.
    NoSpace,
}

impl core::fmt::Display for WriteError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Invalid => "head has forbidden bytes",
            Self::NoSpace => "head does not fit into its buffer",
        })
    }
}

impl core::error::Error for WriteError {}

/// Appends to a buffer.
pub(super) struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// How many bytes were written.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends bytes that are known to be harmless.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.get_mut(self.len..self.len + bytes.len()).ok_or(WriteError::NoSpace)?.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }

    /// Appends a token (RFC 9110 5.6.2).
    pub(super) fn token(&mut self, token: &str) -> Result<(), WriteError> {
        self.checked(token.as_bytes(), is_token_byte)
    }

    /// Appends a target or a host: visible ASCII only.
    pub(super) fn visible(&mut self, text: &str) -> Result<(), WriteError> {
        self.checked(text.as_bytes(), |byte| byte.is_ascii_graphic())
    }

    /// Appends a header line.
    pub(super) fn field(&mut self, name: &str, value: &[u8]) -> Result<(), WriteError> {
        self.token(name)?;
        self.raw(b": ")?;
        // Without a way out in between it is done for many bytes at once.
        if value.iter().fold(0, |bad, &byte| bad | u8::from(!is_value_byte(byte))) != 0 {
            return Err(WriteError::Invalid);
        }
        self.raw(value)?;
        self.raw(b"\r\n")
    }

    /// Appends a header line whose value is formatted.
    pub(super) fn field_fmt(&mut self, name: &str, value: core::fmt::Arguments<'_>) -> Result<(), WriteError> {
        self.token(name)?;
        self.raw(b": ")?;
        self.fmt(value)?;
        self.raw(b"\r\n")
    }

    /// Appends formatted text that is known to be harmless.
    pub(super) fn fmt(&mut self, text: core::fmt::Arguments<'_>) -> Result<(), WriteError> {
        core::fmt::Write::write_fmt(self, text).map_err(|core::fmt::Error| WriteError::NoSpace)
    }

    fn checked(&mut self, bytes: &[u8], allowed: fn(u8) -> bool) -> Result<(), WriteError> {
        if bytes.is_empty() || !bytes.iter().all(|&byte| allowed(byte)) {
            return Err(WriteError::Invalid);
        }
        self.raw(bytes)
    }
}

impl core::fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.raw(text.as_bytes()).map_err(|_| core::fmt::Error)
    }
}
