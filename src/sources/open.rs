//! A file is opened by what it holds: gzip and zstd by their first bytes, then JSON, CSV or Parquet.

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

/// Decompressed bytes.
pub(super) type Reader = Box<dyn BufRead>;

/// A source file, ready to be read.
pub(super) enum Opened {
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

/// Opens `path`; `typed` is how messages call it.
///
/// # Errors
/// When it cannot be opened, is empty, is of no known format, or its compression is damaged from the start.
pub(super) fn open(path: &Path, typed: &str) -> Result<Opened> {
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
        return Ok(Opened::Parquet(file));
    }
    if start.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    let first = first_visible(&mut reader)
        .map_err(broken)?
        .ok_or_else(|| Error::SourceEmpty {
            path: typed.to_owned(),
        })?;
    let name = path.to_string_lossy().to_ascii_lowercase();
    let unpacked_name = name
        .trim_end_matches(".gz")
        .trim_end_matches(".zst")
        .trim_end_matches(".zstd");
    Ok(
        match (unpacked_name.rsplit('.').next().unwrap_or_default(), first) {
            ("csv", _) => Opened::Csv {
                reader,
                delimiter: b',',
            },
            ("tsv", _) => Opened::Csv {
                reader,
                delimiter: b'\t',
            },
            (_, b'[') => Opened::JsonArray(reader),
            ("jsonl" | "ndjson", _) => Opened::JsonLines(reader),
            (_, b'{') => Opened::JsonObjects(reader),
            _ => {
                return Err(Error::SourceFormat {
                    path: typed.to_owned(),
                });
            }
        },
    )
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
            }
        }
    }
}

/// Parquet is read from its end, so a compressed one is unpacked into a file without a name.
fn unpacked(mut reader: impl Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut reader, &mut file)?;
    file.rewind()?;
    Ok(file)
}
