//! A file is opened by what it holds: gzip and zstd by their first bytes, then JSON, CSV or Parquet. CSV is told by the
//! ending of the name, or by its first line where there is none.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};

/// Bytes read at a time; sniffing sees no further.
const BUFFER_BYTES: usize = 256 * 1024;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const PARQUET: &[u8] = b"PAR1";
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const UTF_16: [&[u8]; 2] = [&[0xff, 0xfe], &[0xfe, 0xff]];

/// Decompressed bytes.
pub(super) type Reader = Box<dyn BufRead>;

/// A source file, ready to be read.
pub(super) struct Opened {
    /// What it holds.
    pub(super) format: Format,
    /// Bytes of the text that were passed over: a byte order mark.
    pub(super) offset: u64,
}

/// What a source file holds.
pub(super) enum Format {
    /// `[{…}, {…}]`, however it is printed.
    JsonArray(Reader),
    /// An object a line, as the file's name says.
    JsonLines(Reader),
    /// An object a line, or else something that is not.
    JsonObjects(Reader),
    /// RFC 4180, with a header.
    Csv {
        /// Its text.
        reader: Reader,
        /// `,` or a tab.
        delimiter: u8,
    },
    /// A Parquet file, decompressed.
    Parquet(File),
}

/// Opens `path`; `name` is the file's own name, and `typed` how messages call it.
///
/// # Errors
/// When it cannot be opened, is empty, is of no known format, or its compression is damaged from the start.
pub(super) fn open(path: &Path, name: &str, typed: &str) -> Result<Opened> {
    let file = File::open(path).map_err(Error::read(path))?;
    let mut packed = BufReader::with_capacity(BUFFER_BYTES, file);
    let magic = packed.fill_buf().map_err(Error::read(path))?;
    let broken = |source: io::Error| Error::SourceBroken {
        path: typed.to_owned(),
        place: "at its beginning".to_owned(),
        source: source.into(),
    };
    let (mut reader, is_packed): (Reader, bool) = if magic.starts_with(GZIP) {
        (
            Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                MultiGzDecoder::new(packed),
            )),
            true,
        )
    } else if magic.starts_with(ZSTD) {
        let decoder = zstd::Decoder::with_buffer(packed).map_err(broken)?;
        (
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)),
            true,
        )
    } else {
        (Box::new(packed), false)
    };
    let start = reader.fill_buf().map_err(broken)?;
    if start.starts_with(PARQUET) {
        let file = if is_packed {
            unpacked(reader).map_err(broken)?
        } else {
            File::open(path).map_err(Error::read(path))?
        };
        return Ok(Opened {
            format: Format::Parquet(file),
            offset: 0,
        });
    }
    if UTF_16.iter().any(|mark| start.starts_with(mark)) {
        return Err(Error::SourceUtf16 {
            path: typed.to_owned(),
        });
    }
    let mut offset = 0;
    if start.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
        offset = BYTE_ORDER_MARK.len() as u64;
    }
    let first = first_visible(&mut reader)
        .map_err(broken)?
        .ok_or_else(|| Error::SourceEmpty {
            path: typed.to_owned(),
        })?;
    let name = Path::new(name).file_name().unwrap_or_default();
    let name = name.to_string_lossy().to_ascii_lowercase();
    let unpacked_name = name
        .trim_end_matches(".gz")
        .trim_end_matches(".zst")
        .trim_end_matches(".zstd");
    let format = match (unpacked_name.rsplit('.').next().unwrap_or_default(), first) {
        ("csv", _) => Format::Csv {
            reader,
            delimiter: b',',
        },
        ("tsv", _) => Format::Csv {
            reader,
            delimiter: b'\t',
        },
        (_, b'[') => Format::JsonArray(reader),
        ("jsonl" | "ndjson", _) => Format::JsonLines(reader),
        (_, b'{') => Format::JsonObjects(reader),
        // Standard input and many an address have no ending.
        _ => match delimiter(&mut reader).filter(|_| !unpacked_name.contains('.')) {
            Some(delimiter) => Format::Csv { reader, delimiter },
            None => {
                return Err(Error::SourceFormat {
                    path: typed.to_owned(),
                });
            }
        },
    };
    Ok(Opened { format, offset })
}

/// The first byte that is no white space; it is not consumed.
fn first_visible(reader: &mut Reader) -> io::Result<Option<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(None);
        }
        match buffer.iter().position(|byte| !byte.is_ascii_whitespace()) {
            // The spaces stay: a line number counted from here would be wrong without them.
            Some(place) => return Ok(Some(buffer[place])),
            None => {
                let n_spaces = buffer.len();
                reader.consume(n_spaces);
                // Lines and offsets counted from here on would be wrong.
                if !reader.fill_buf()?.is_empty() {
                    return Err(io::Error::other(
                        "it begins with a quarter of a megabyte of white space",
                    ));
                }
            }
        }
    }
}

/// What separates the fields of a first line that could be a CSV header; nothing is consumed.
fn delimiter(reader: &mut Reader) -> Option<u8> {
    let line = reader
        .fill_buf()
        .ok()?
        .split(|&byte| byte == b'\n')
        .next()?;
    // That of a web page is none.
    if line.trim_ascii_start().starts_with(b"<") {
        return None;
    }
    [b'\t', b','].into_iter().find(|byte| line.contains(byte))
}

/// Parquet is read from its end, so a compressed one is unpacked into a file without a name.
fn unpacked(mut reader: impl Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut reader, &mut file)?;
    file.rewind()?;
    Ok(file)
}
