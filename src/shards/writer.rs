//! The ordered stream, cut into shards.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::sample::shard_schema;

use super::file::{FileEntry, FileWriter, Use};
use super::manifest::{Plan, shard_name};

/// Writes the stream's shards one after the other, and knows which are already there from an earlier run.
///
/// A shard counts as finished when the journal names it and its bytes are those the journal says; the journal is read back
/// up to its first torn line.
pub struct ShardWriter {
    folder: PathBuf,
    rows_per_shard: u64,
    n_rows: u64,
    journal: File,
    finished: Vec<FileEntry>,
    open: Option<FileWriter>,
}

#[derive(Serialize, Deserialize)]
struct JournalLine {
    shard: u64,
    #[serde(flatten)]
    entry: FileEntry,
}

impl ShardWriter {
    /// Continues the shards in `folder`, of which `journal` lists the finished ones.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub fn resume(folder: &Path, journal: &Path, plan: &Plan) -> Result<ShardWriter> {
        let finished = finished_shards(folder, journal)?;
        let mut file = File::create(journal).map_err(Error::write(journal))?;
        for (shard, entry) in (0..).zip(&finished) {
            append(&mut file, shard, entry).map_err(Error::write(journal))?;
        }
        Ok(ShardWriter {
            folder: folder.to_owned(),
            rows_per_shard: plan.rows_per_shard,
            n_rows: plan.rows,
            journal: file,
            finished,
            open: None,
        })
    }

    /// The position of the first row still to be pushed.
    pub fn next_position(&self) -> u64 {
        let started = self.open.as_ref().map_or(0, FileWriter::n_rows);
        (self.finished.len() as u64 * self.rows_per_shard + started).min(self.n_rows)
    }

    /// Appends rows, which must follow each other without a gap from [`ShardWriter::next_position`] on.
    ///
    /// # Errors
    /// When they cannot be encoded or written.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut taken = 0;
        while taken < batch.num_rows() {
            let mut shard = match self.open.take() {
                Some(shard) => shard,
                None => FileWriter::create(&self.shard_path(), &shard_schema(), Use::Artefact)?,
            };
            let room = usize::try_from(self.rows_per_shard - shard.n_rows()).unwrap_or(usize::MAX);
            let n_rows = room.min(batch.num_rows() - taken);
            shard.push(batch.slice(taken, n_rows))?;
            taken += n_rows;
            if shard.n_rows() == self.rows_per_shard {
                self.close(shard)?;
            } else {
                self.open = Some(shard);
            }
        }
        Ok(())
    }

    /// Closes the last shard and returns all of them, those of earlier runs included.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<Vec<FileEntry>> {
        if let Some(shard) = self.open.take() {
            self.close(shard)?;
        }
        Ok(self.finished)
    }

    fn close(&mut self, shard: FileWriter) -> Result<()> {
        let path = self.shard_path();
        let first_position = self.finished.len() as u64 * self.rows_per_shard;
        let entry = FileEntry {
            first_position: Some(first_position),
            ..shard.finish()?
        };
        append(&mut self.journal, self.finished.len() as u64, &entry)
            .map_err(Error::write(path))?;
        self.finished.push(entry);
        Ok(())
    }

    fn shard_path(&self) -> PathBuf {
        self.folder.join(shard_name(self.finished.len() as u64))
    }
}

fn finished_shards(folder: &Path, journal: &Path) -> Result<Vec<FileEntry>> {
    let file = match OpenOptions::new().read(true).open(journal) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(Error::read(journal))?,
    };
    let mut finished = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(Error::read(journal))?;
        let Ok(JournalLine { shard, entry }) = serde_json::from_str(&line) else {
            break;
        };
        if shard != finished.len() as u64 || entry.verify(&folder.join(shard_name(shard))).is_err()
        {
            break;
        }
        finished.push(entry);
    }
    Ok(finished)
}

fn append(journal: &mut File, shard: u64, entry: &FileEntry) -> std::io::Result<()> {
    let mut line = serde_json::to_string(&JournalLine {
        shard,
        entry: entry.clone(),
    })?;
    line.push('\n');
    journal.write_all(line.as_bytes())?;
    journal.sync_data()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, FixedSizeBinaryArray, StringArray, UInt32Array, UInt64Array};

    use super::*;

    /// Rows whose texts are their own positions, so that any mistake of order shows.
    fn rows(positions: std::ops::Range<u64>) -> RecordBatch {
        let n = positions.clone().count();
        let numbers = || -> ArrayRef { Arc::new(UInt64Array::from_iter_values(positions.clone())) };
        let texts = || -> ArrayRef {
            Arc::new(StringArray::from_iter_values(
                positions.clone().map(|position| position.to_string()),
            ))
        };
        let ids = FixedSizeBinaryArray::try_from_iter(
            positions
                .clone()
                .map(|position| u128::from(position).to_le_bytes()),
        );
        let columns: Vec<ArrayRef> = vec![
            numbers(),
            texts(),
            texts(),
            numbers(),
            Arc::new(ids.expect("ids of one size")),
            Arc::new(UInt64Array::new_null(n)),
            Arc::new(StringArray::new_null(n)),
            Arc::new(UInt32Array::from(vec![0; n])),
            texts(),
            texts(),
            texts(),
        ];
        RecordBatch::try_new(shard_schema(), columns).expect("the shard schema")
    }

    #[test]
    fn finished_shards_are_kept_and_the_stream_goes_on_behind_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = folder.path().join("journal");
        let plan = Plan::new(0, 1_000, 100, &[]);
        let resume = || ShardWriter::resume(folder.path(), &journal, &plan).expect("a writer");
        let shard = |shard_idx| folder.path().join(shard_name(shard_idx));

        let mut interrupted = resume();
        interrupted.push(&rows(0..350)).expect("written");
        drop(interrupted);
        assert!(
            shard(2).exists() && !shard(3).exists(),
            "an unfinished shard is not in its place"
        );
        assert_eq!(resume().next_position(), 300);

        // A torn shard and all behind it are written again.
        let whole = fs::read(shard(1)).expect("a shard");
        fs::write(shard(1), &whole[..whole.len() / 2]).expect("torn");
        let mut resumed = resume();
        assert_eq!(resumed.next_position(), 100);
        resumed.push(&rows(100..117)).expect("written");
        resumed.push(&rows(117..1_000)).expect("written");
        let entries = resumed.finish().expect("finished");
        assert_eq!(entries.len(), 10);
        assert_eq!(
            fs::read(shard(1)).expect("a shard"),
            whole,
            "batches of another size make the same bytes"
        );
        assert_eq!(resume().next_position(), 1_000);
    }

    #[test]
    fn a_torn_journal_is_read_up_to_its_last_whole_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = folder.path().join("journal");
        let plan = Plan::new(0, 300, 100, &[]);
        let mut writer = ShardWriter::resume(folder.path(), &journal, &plan).expect("a writer");
        writer.push(&rows(0..300)).expect("written");
        drop(writer);
        let text = fs::read_to_string(&journal).expect("a journal");
        fs::write(&journal, &text[..text.len() - 10]).expect("torn");
        let resumed = ShardWriter::resume(folder.path(), &journal, &plan).expect("a writer");
        assert_eq!(resumed.next_position(), 200);
    }
}
