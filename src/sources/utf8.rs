//! Text is UTF-8: other bytes are found with their place, or read as Windows-1252.

use std::borrow::Cow;
use std::fmt;

use encoding_rs::WINDOWS_1252;

/// The first byte of a text that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUtf8 {
    pub(super) byte: u8,
    /// From the start of the text, or of what was looked at.
    pub(super) offset: u64,
}

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the byte 0x{:02x} at offset {} is not UTF-8",
            self.byte, self.offset
        )
    }
}

impl std::error::Error for NotUtf8 {}

/// The text these bytes are; with `repair`, bytes that are not UTF-8 are read as Windows-1252. It is borrowed exactly when
/// nothing had to be repaired.
///
/// # Errors
/// Without `repair`, the first byte that is not UTF-8.
pub(super) fn text(bytes: &[u8], repair: bool) -> Result<Cow<'_, str>, NotUtf8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) if repair => Ok(Cow::Owned(repaired(bytes))),
        Err(error) => Err(NotUtf8 {
            byte: bytes[error.valid_up_to()],
            offset: error.valid_up_to() as u64,
        }),
    }
}

fn repaired(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for piece in bytes.utf8_chunks() {
        text.push_str(piece.valid());
        text.push_str(&WINDOWS_1252.decode_without_bom_handling(piece.invalid()).0);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_of_windows_1252_become_what_they_meant() {
        assert_eq!(
            text(b"caf\xe9 \x93quoted\x94 \x80 5", true).expect("repaired"),
            "café “quoted” € 5"
        );
        // Whatever is UTF-8 stays, beside what is not.
        assert_eq!(
            text(
                "grün "
                    .as_bytes()
                    .iter()
                    .chain(b"gr\xfcn")
                    .copied()
                    .collect::<Vec<_>>()
                    .as_slice(),
                true
            )
            .expect("repaired"),
            "grün grün"
        );
        let not = text(b"caf\xe9", false).unwrap_err();
        assert_eq!(not.to_string(), "the byte 0xe9 at offset 3 is not UTF-8");
    }

    proptest! {
        #[test]
        fn good_text_is_never_touched(good in "\\PC{0,40}") {
            prop_assert!(matches!(text(good.as_bytes(), true), Ok(Cow::Borrowed(same)) if same == good));
        }
    }
}
