//! One Parquet file, written so that its bytes depend on its rows alone and that half a file never stands in its place.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Rows in a row group: one read of the loader, and the grain of resuming.
const ROWS_PER_GROUP: usize = 2_048;

/// Rows from which on a row group of a stage is full: what is read as a whole is read faster in fewer of them.
const ROWS_PER_STAGE_GROUP: usize = 16_384;

/// Row groups encoded at the same time; bounds what a writer holds in memory, and more than the cores of a workstation
/// brings nothing.
const GROUPS_IN_FLIGHT: usize = 8;

/// Bytes that wait to be encoded, whatever the row groups' number, or for a row group of a stage to be full: long texts must
/// not add up.
const BYTES_IN_FLIGHT: usize = 32 << 20;

/// What a file is written for, which decides how hard it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Kept, shared, read by other tools: zstd.
    Artefact,
    /// Read by the next queries, then deleted: as it is, since they would decompress it again and again.
    Stage,
}

/// What the manifest says of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The position of its first row, for a shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_position: Option<u64>,
    /// Rows in it; `None` for a file without rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hex.
    pub blake3: String,
}

impl FileEntry {
    /// The entry of a file that holds exactly these bytes.
    pub fn of_bytes(bytes: &[u8]) -> FileEntry {
        FileEntry {
            first_position: None,
            rows: None,
            bytes: bytes.len() as u64,
            blake3: blake3::hash(bytes).to_hex().to_string(),
        }
    }

    /// The entry of a file as it is, read through `file`, which stands at its beginning again afterwards.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(mut file: &File) -> io::Result<FileEntry> {
        file.rewind()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        file.rewind()?;
        Ok(FileEntry {
            first_position: None,
            rows: None,
            bytes: hasher.count(),
            blake3: hasher.finalize().to_hex().to_string(),
        })
    }

    /// Whether two entries are of the same bytes.
    pub fn is_same(&self, other: &FileEntry) -> bool {
        (self.bytes, &self.blake3) == (other.bytes, &other.blake3)
    }

    /// Compares the file at `path` with this entry.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is missing, has another size or other bytes.
    pub fn verify(&self, path: &Path) -> Result<()> {
        self.verify_size(path)?;
        let found = File::open(path).and_then(|file| FileEntry::of_file(&file));
        if found.map_err(Error::read(path))?.blake3 != self.blake3 {
            return Err(Error::Damaged {
                path: path.to_owned(),
                problem: "its bytes are not those that were written".to_owned(),
            });
        }
        Ok(())
    }

    /// Compares only the size, which finds every torn file without reading it.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is missing or has another size.
    pub fn verify_size(&self, path: &Path) -> Result<()> {
        let damaged = |problem| Error::Damaged {
            path: path.to_owned(),
            problem,
        };
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("it is missing".to_owned()));
            }
            metadata => metadata.map_err(Error::read(path))?,
        };
        if metadata.len() != self.bytes {
            return Err(damaged(format!(
                "it has {} bytes, {} were written",
                metadata.len(),
                self.bytes
            )));
        }
        Ok(())
    }
}

/// Writes `bytes` to `path` as a whole: beside it, synced, renamed.
///
/// # Errors
/// [`Error::Write`] with the path; a file that stood there before is still whole.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<FileEntry> {
    replace_with(path, &mut |out| out.write_all(bytes))
}

/// [`replace`] with what `write` puts out, piece by piece.
///
/// # Errors
/// As [`replace`], and those of `write`.
pub fn replace_with(
    path: &Path,
    write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<FileEntry> {
    let beside = beside(path);
    let mut write = || {
        let mut out = HashingFile {
            file: File::create(&beside)?,
            hasher: Some(blake3::Hasher::new()),
            bytes: 0,
        };
        write(&mut out)?;
        commit(&out.file, &beside, path)?;
        Ok(FileEntry {
            first_position: None,
            rows: None,
            bytes: out.bytes,
            blake3: out.hash(),
        })
    };
    write().map_err(Error::write(path))
}

/// A Parquet file under construction. Rows come in batches of any size; row groups of an artefact have a fixed one, and those
/// of a stage are made of the batches as they come.
pub struct FileWriter {
    path: PathBuf,
    beside: PathBuf,
    schema: SchemaRef,
    /// Cuts the incoming batches into row groups, for an artefact.
    cut: Option<BatchCoalescer>,
    /// The row group of a stage that is not full.
    open: Group,
    factory: ArrowRowGroupWriterFactory,
    file: SerializedFileWriter<HashingFile>,
    waiting: Vec<Group>,
    n_groups: usize,
    n_rows: u64,
}

/// The rows of a row group.
#[derive(Default)]
struct Group {
    batches: Vec<RecordBatch>,
    n_rows: usize,
    n_bytes: usize,
}

impl Group {
    fn push(&mut self, batch: RecordBatch) {
        self.n_rows += batch.num_rows();
        self.n_bytes += batch.get_array_memory_size();
        self.batches.push(batch);
    }
}

impl FileWriter {
    /// Opens a file beside `path`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path, schema: &SchemaRef, used_as: Use) -> Result<FileWriter> {
        let is_artefact = used_as == Use::Artefact;
        let beside = beside(path);
        let file = File::create(&beside).map_err(Error::write(path))?;
        let hashing = HashingFile {
            file,
            hasher: is_artefact.then(blake3::Hasher::new),
            bytes: 0,
        };
        let writer = ArrowWriter::try_new(
            hashing,
            Arc::clone(schema),
            Some(properties(schema, used_as)),
        )
        .map_err(|error| lift(path, error))?;
        let (file, factory) = writer
            .into_serialized_writer()
            .map_err(|error| lift(path, error))?;
        Ok(FileWriter {
            path: path.to_owned(),
            beside,
            schema: Arc::clone(schema),
            cut: is_artefact.then(|| BatchCoalescer::new(Arc::clone(schema), ROWS_PER_GROUP)),
            open: Group::default(),
            factory,
            file,
            waiting: Vec::new(),
            n_groups: 0,
            n_rows: 0,
        })
    }

    /// Rows pushed so far.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Appends rows.
    ///
    /// # Errors
    /// When they cannot be encoded or written.
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.n_rows += batch.num_rows() as u64;
        match &mut self.cut {
            Some(cut) => {
                cut.push_batch(batch)
                    .map_err(|error| lift(&self.path, error.into()))?;
                self.take_cut()
            }
            None => {
                self.open.push(batch);
                let is_full = self.open.n_rows >= ROWS_PER_STAGE_GROUP
                    || self.open.n_bytes >= BYTES_IN_FLIGHT;
                match is_full {
                    true => self.close_group(),
                    false => Ok(()),
                }
            }
        }
    }

    /// Has the row groups that were cut encoded.
    fn take_cut(&mut self) -> Result<()> {
        while let Some(group) = self
            .cut
            .as_mut()
            .and_then(BatchCoalescer::next_completed_batch)
        {
            self.open.push(group);
            self.close_group()?;
        }
        Ok(())
    }

    /// The open row group waits to be encoded, with others.
    fn close_group(&mut self) -> Result<()> {
        self.waiting.push(std::mem::take(&mut self.open));
        let n_bytes: usize = self.waiting.iter().map(|group| group.n_bytes).sum();
        match self.waiting.len() == GROUPS_IN_FLIGHT || n_bytes >= BYTES_IN_FLIGHT {
            true => self.write_waiting(),
            false => Ok(()),
        }
    }

    /// Writes the rest and the footer, syncs, and renames the file into its place. The entry of a stage holds no hash.
    ///
    /// # Errors
    /// When any of that fails; nothing stands in its place then.
    pub fn finish(mut self) -> Result<FileEntry> {
        if let Some(cut) = &mut self.cut {
            cut.finish_buffered_batch()
                .map_err(|error| lift(&self.path, error.into()))?;
            self.take_cut()?;
        }
        if self.open.n_rows > 0 {
            self.close_group()?;
        }
        self.write_waiting()?;
        self.file
            .finish()
            .map_err(|error| lift(&self.path, error))?;
        let written = self.file.inner();
        commit(&written.file, &self.beside, &self.path).map_err(Error::write(&self.path))?;
        Ok(FileEntry {
            first_position: None,
            rows: Some(self.n_rows),
            bytes: written.bytes,
            blake3: written.hash(),
        })
    }

    /// Encodes the waiting row groups in parallel and appends them in order.
    fn write_waiting(&mut self) -> Result<()> {
        let (factory, schema, first) = (&self.factory, &self.schema, self.n_groups);
        let encoded: Vec<_> = self
            .waiting
            .par_iter()
            .enumerate()
            .map(|(nth, group)| encode(factory, schema, first + nth, group))
            .collect();
        self.n_groups += self.waiting.len();
        self.waiting.clear();
        for chunks in encoded {
            self.append(chunks)
                .map_err(|error| lift(&self.path, error))?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        chunks: parquet::errors::Result<Vec<ArrowColumnChunk>>,
    ) -> parquet::errors::Result<()> {
        let mut row_group = self.file.next_row_group()?;
        for chunk in chunks? {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close().map(drop)
    }
}

fn encode(
    factory: &ArrowRowGroupWriterFactory,
    schema: &SchemaRef,
    group_idx: usize,
    group: &Group,
) -> parquet::errors::Result<Vec<ArrowColumnChunk>> {
    let mut writers = factory.create_column_writers(group_idx)?;
    for batch in &group.batches {
        let mut next = writers.iter_mut();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, column)? {
                next.next()
                    .expect("one writer per leaf column")
                    .write(&leaf)?;
            }
        }
    }
    writers.into_iter().map(|writer| writer.close()).collect()
}

fn properties(schema: &SchemaRef, used_as: Use) -> WriterProperties {
    let compression = match used_as {
        Use::Artefact => Compression::ZSTD(ZstdLevel::default()),
        Use::Stage => Compression::UNCOMPRESSED,
    };
    // Only prose is worth compressing: hashes cannot be, numbers and names are small by their encoding, and a compressor is
    // made anew for every column of a row group. What is read once is not worth a dictionary.
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(used_as == Use::Artefact);
    for field in schema.fields() {
        let column = || field.name().as_str().into();
        properties = match (field.data_type(), field.name().as_str()) {
            // Nearly every text is different: a dictionary would be a second copy, and bounds of prose prune nothing.
            (DataType::Utf8, "instruction" | "input" | "output" | "matched") => properties
                .set_column_compression(column(), compression)
                .set_column_dictionary_enabled(column(), false)
                .set_column_statistics_enabled(column(), EnabledStatistics::None),
            (DataType::FixedSizeBinary(_), _) => properties
                .set_column_dictionary_enabled(column(), false)
                .set_column_statistics_enabled(column(), EnabledStatistics::None),
            // 0, 1, 2, …: a few bytes a row group. The others are small numbers, seldom the same.
            (DataType::Int64 | DataType::UInt64, "position" | "source_row" | "task_row") => {
                properties
                    .set_column_dictionary_enabled(column(), false)
                    .set_column_encoding(column(), Encoding::DELTA_BINARY_PACKED)
            }
            _ => properties.set_column_statistics_enabled(column(), EnabledStatistics::Chunk),
        };
    }
    properties.build()
}

/// Counts and hashes what passes through, so that a finished file need not be read again; a stage is not hashed.
struct HashingFile {
    file: File,
    hasher: Option<blake3::Hasher>,
    bytes: u64,
}

impl HashingFile {
    /// In hex; empty where nothing was hashed.
    fn hash(&self) -> String {
        let hash = self.hasher.as_ref().map(blake3::Hasher::finalize);
        hash.map(|hash| hash.to_hex().to_string())
            .unwrap_or_default()
    }
}

impl Write for HashingFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n_written = self.file.write(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..n_written]);
        }
        self.bytes += n_written as u64;
        Ok(n_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

fn commit(file: &File, beside: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(beside, path)?;
    // The rename itself must survive a power cut too.
    File::open(
        path.parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    )?
    .sync_all()
}

/// A full disk is a matter of writing, not of Parquet: the cause is looked up and reported as such.
fn lift(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(source) => Error::Write {
                path: path.to_owned(),
                source: *source,
            },
            Err(cause) => Error::Encode {
                path: path.to_owned(),
                source: cause,
            },
        },
        error => Error::Encode {
            path: path.to_owned(),
            source: error.into(),
        },
    }
}
