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
        let entry = shard.finish()?;
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
