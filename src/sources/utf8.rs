//! Text is UTF-8: other bytes are found with their place, or read as Windows-1252.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use encoding_rs::WINDOWS_1252;

/// The longest character of UTF-8.
const MAX_BYTES_PER_CHAR: usize = 4;

/// The first byte of a text that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUtf8 {
    pub(super) byte: u8,
    /// From the start of the text, or of what was looked at.
    pub(super) offset: u64,
    /// From 1; 0 where only a piece of a line was looked at.
    pub(super) line: u64,
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
            line: 0,
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

/// What a [`Utf8Reader`] tells while somebody reads from it.
#[derive(Debug, Default)]
pub(super) struct Account {
    n_repaired: Cell<u64>,
    failure: Cell<Option<NotUtf8>>,
}

impl Account {
    /// Repairs in what was read so far, to the byte.
    pub(super) fn n_repaired(&self) -> u64 {
        self.n_repaired.get()
    }

    /// The byte that ended the reading.
    pub(super) fn failure(&self) -> Option<NotUtf8> {
        self.failure.get()
    }
}

/// Hands on UTF-8 and nothing else.
pub(super) struct Utf8Reader<R> {
    reader: R,
    repair: bool,
    account: Rc<Account>,
    /// What was checked and not yet handed on, from `next` on.
    checked: Vec<u8>,
    next: usize,
    /// Where in `checked` something was repaired.
    repairs: VecDeque<usize>,
    /// The first bytes of a character whose others are not there yet.
    pending: Vec<u8>,
    /// Bytes and lines of the text before `pending`.
    offset: u64,
    line: u64,
    /// What comes after `checked`.
    failure: Option<NotUtf8>,
}

impl<R: BufRead> Utf8Reader<R> {
    /// `offset` says how far into the text `reader` begins.
    pub(super) fn new(reader: R, offset: u64, repair: bool) -> Utf8Reader<R> {
        Utf8Reader {
            reader,
            repair,
            account: Rc::default(),
            checked: Vec::new(),
            next: 0,
            repairs: VecDeque::new(),
            pending: Vec::new(),
            offset,
            line: 1,
            failure: None,
        }
    }

    /// What it tells.
    pub(super) fn account(&self) -> Rc<Account> {
        Rc::clone(&self.account)
    }

    fn refill(&mut self) -> io::Result<()> {
        self.checked.clear();
        self.next = 0;
        while self.checked.is_empty() {
            if let Some(failure) = self.failure {
                self.account.failure.set(Some(failure));
                return Err(io::Error::new(io::ErrorKind::InvalidData, failure));
            }
            let read = self.reader.fill_buf()?;
            let n_read = read.len();
            let is_end = n_read == 0;
            if is_end && self.pending.is_empty() {
                return Ok(());
            }
            let mut bytes = std::mem::take(&mut self.pending);
            bytes.extend_from_slice(read);
            self.reader.consume(n_read);
            self.check(bytes, is_end);
        }
        Ok(())
    }

    fn check(&mut self, bytes: Vec<u8>, is_end: bool) {
        if std::str::from_utf8(&bytes).is_ok() {
            self.pass(&bytes);
            self.checked = bytes;
            return;
        }
        let mut done = 0;
        for piece in bytes.utf8_chunks() {
            let (valid, invalid) = (piece.valid().as_bytes(), piece.invalid());
            self.pass(valid);
            self.checked.extend_from_slice(valid);
            done += valid.len() + invalid.len();
            if invalid.is_empty() {
                break;
            }
            let may_go_on = !is_end && done == bytes.len() && is_start_of_char(invalid);
            if may_go_on {
                self.pending = invalid.to_vec();
            } else if self.repair {
                self.repairs.push_back(self.checked.len());
                let text = WINDOWS_1252.decode_without_bom_handling(invalid).0;
                self.checked.extend_from_slice(text.as_bytes());
                self.pass(invalid);
            } else {
                self.failure = Some(NotUtf8 {
                    byte: invalid[0],
                    offset: self.offset,
                    line: self.line,
                });
                break;
            }
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.line += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
    }
}

/// Whether more bytes could make this a character.
fn is_start_of_char(bytes: &[u8]) -> bool {
    bytes.len() < MAX_BYTES_PER_CHAR
        && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

impl<R: BufRead> Read for Utf8Reader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.next == self.checked.len() && !into.is_empty() {
            self.refill()?;
        }
        let n_bytes = into.len().min(self.checked.len() - self.next);
        into[..n_bytes].copy_from_slice(&self.checked[self.next..self.next + n_bytes]);
        self.next += n_bytes;
        while self.repairs.front().is_some_and(|&place| place < self.next) {
            self.repairs.pop_front();
            self.account
                .n_repaired
                .set(self.account.n_repaired.get() + 1);
        }
        Ok(n_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

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

    #[test]
    fn a_reader_names_line_and_offset() {
        let mut reader = Utf8Reader::new(&b"ab\nc\xc3\xa9\n\xff"[..], 3, false);
        let mut read = Vec::new();
        let error = reader.read_to_end(&mut read).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(read, "ab\ncé\n".as_bytes());
        let failure = reader.account().failure().expect("a failure");
        assert_eq!((failure.byte, failure.offset, failure.line), (0xff, 10, 3));
    }

    #[test]
    fn repairs_are_counted_when_they_are_read() {
        let mut reader = Utf8Reader::new(&b"a\xe9b\x92"[..], 0, true);
        let account = reader.account();
        let mut byte = [0];
        let mut seen = Vec::new();
        while reader.read(&mut byte).expect("UTF-8") == 1 {
            seen.push((byte[0], account.n_repaired()));
        }
        let text: Vec<u8> = seen.iter().map(|(byte, _)| *byte).collect();
        assert_eq!(text, "aéb’".as_bytes());
        let counts: Vec<u64> = seen.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [0, 1, 1, 1, 2, 2, 2]);
    }

    proptest! {
        #[test]
        fn a_reader_agrees_with_the_whole_text_however_it_is_cut(
            bytes in prop::collection::vec(
                prop::sample::select(vec![b'a', b'\n', 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xff]),
                0..40,
            ),
            n_buffered in 1_usize..7,
            repair in any::<bool>(),
        ) {
            let mut reader = Utf8Reader::new(BufReader::with_capacity(n_buffered, &bytes[..]), 0, repair);
            let mut read = Vec::new();
            let outcome = reader.read_to_end(&mut read);
            match text(&bytes, repair) {
                Ok(whole) => {
                    prop_assert!(outcome.is_ok());
                    prop_assert_eq!(read, whole.as_bytes());
                }
                Err(not) => {
                    let failure = reader.account().failure().expect("a failure");
                    prop_assert_eq!((failure.byte, failure.offset), (not.byte, not.offset));
                    prop_assert_eq!(&read[..], &bytes[..not.offset as usize]);
                }
            }
        }

        #[test]
        fn good_text_is_never_touched(good in "\\PC{0,40}") {
            prop_assert!(matches!(text(good.as_bytes(), true), Ok(Cow::Borrowed(same)) if same == good));
        }
    }
}
