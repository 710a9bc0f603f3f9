//! `--export`: what is made of a finished adapter and its base, both read from disk, each in a folder of its own.
//!
//! A folder is written beside its place and renamed when it is whole, so one that is there is complete.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::base_model::BaseModel;
use crate::config::Export;
use crate::error::{Error, Result};
use crate::lora::{ADAPTER_CONFIG, Merge};
use crate::model::config::CONFIG_FILE;
use crate::model::numbers;
use crate::model::save::{NewTensor, divide, index_json, write_tensors};
use crate::model::{ADAPTER_FILE, INDEX_FILE, SINGLE_FILE};
use crate::shards::{FileEntry, replace};
use crate::tokenizer::GENERATION_CONFIG;

use super::folder::{Files, FitFolder, UNFINISHED};
use super::result::{pretty, tokenizer_bytes};
use super::{FitEvent, Plan};

/// The file of the rows that a base with tokens has of its own.
const TOKENS_FILE: &str = "model-tokens.safetensors";
/// What is left of a base that was one file: under its own name it would be read instead of the index.
const REST_FILE: &str = "model-base.safetensors";
/// The folder of the adapter without rows of tokens.
const PLAIN_ADAPTER: &str = "adapter";

/// Writes what the fit is asked to export and `files` lacks, and adds it to `files`. Says whether there was anything to write.
pub(super) fn write(
    plan: &Plan<'_>,
    folder: &FitFolder,
    files: &mut Files,
    watch: &dyn Fn(FitEvent<'_>),
) -> Result<bool> {
    let mut has_written = false;
    for export in &plan.config.export {
        let Some(name) = export.folder() else {
            continue;
        };
        let prefix = format!("{name}/");
        if files.keys().any(|file| file.starts_with(&prefix)) {
            continue;
        }
        let out = BaseModel::Folder(folder.file(""));
        let merge = Merge::open(&plan.model, &out, plan.decoder.is_tied)?;
        let mut written = Written::begin(folder, name)?;
        match export {
            Export::Merged => {
                if plan.config.quantize_base.is_some() {
                    watch(FitEvent::Note("the adapter is merged into the base's own weights; it was trained beside quantised ones".to_owned()));
                }
                merged(plan, &merge, &mut written)?;
            }
            _ => base_with_tokens(plan, &merge, &mut written)?,
        }
        model_files(plan, &merge, &mut written)?;
        files.append(&mut written.finish()?);
        has_written = true;
    }
    Ok(has_written)
}

/// The folder of an export under construction.
struct Written<'a> {
    folder: &'a FitFolder,
    name: &'static str,
    files: Files,
}

impl<'a> Written<'a> {
    fn begin(folder: &'a FitFolder, name: &'static str) -> Result<Written<'a>> {
        let written = Written {
            folder,
            name,
            files: Files::new(),
        };
        remove_folder(&written.path(""))?;
        let path = written.path("");
        fs::create_dir_all(&path).map_err(Error::write(path))?;
        Ok(written)
    }

    /// Where a file is until the folder is whole.
    fn path(&self, file: &str) -> PathBuf {
        self.folder
            .file(&format!("{}{UNFINISHED}/{file}", self.name))
    }

    /// Where the folder will be.
    fn place(&self) -> PathBuf {
        self.folder.file(self.name)
    }

    fn note(&mut self, file: &str, entry: FileEntry) {
        self.files.insert(format!("{}/{file}", self.name), entry);
    }

    fn bytes(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        let entry = replace(&self.path(file), bytes)?;
        self.note(file, entry);
        Ok(())
    }

    fn tensors(
        &mut self,
        file: &str,
        tensors: Vec<NewTensor>,
        write: impl Fn(&str, &mut dyn io::Write) -> io::Result<()>,
    ) -> Result<()> {
        let path = self.path(file);
        let entry = write_tensors(&path, tensors, &mut |tensor, out| write(&tensor.name, out))?;
        self.note(file, entry);
        Ok(())
    }

    /// A file of the base: the same one where it can have a second name, else a copy.
    fn link(&mut self, from: &Path, file: &str) -> Result<()> {
        // What a symbolic link points to, as it stands in a cache of downloads, and not the link.
        let from = fs::canonicalize(from).map_err(Error::read(from))?;
        let path = self.path(file);
        if fs::hard_link(&from, &path).is_err() {
            fs::copy(&from, &path).map_err(Error::write(&path))?;
        }
        let entry = File::open(&path).and_then(|file| FileEntry::of_file(&file));
        let entry = entry.map_err(Error::read(&path))?;
        self.note(file, entry);
        Ok(())
    }

    /// Puts the folder into its place.
    fn finish(self) -> Result<Files> {
        let place = self.place();
        remove_folder(&place)?;
        fs::rename(self.path(""), &place).map_err(Error::write(&place))?;
        let around = self.folder.file("");
        let sync = File::open(&around).and_then(|folder| folder.sync_all());
        sync.map_err(Error::write(around))?;
        Ok(self.files)
    }
}

/// The whole model, one tensor after the other.
fn merged(plan: &Plan<'_>, merge: &Merge, written: &mut Written<'_>) -> Result<()> {
    let names = merge.base().files().flat_map(|(_, _, names)| names);
    let tensors = names
        .filter(|name| !merge.is_copy(name))
        .filter_map(|name| merge.new_tensor(name));
    let limit = plan.config.export_shard_size.bytes();
    let files = divide(tensors.collect(), limit);
    if files.len() > 1 {
        written.bytes(INDEX_FILE, index_json(&files).as_bytes())?;
    }
    for (file, tensors) in files {
        written.tensors(&file, tensors, |name, out| merge.write_merged(name, out))?;
    }
    Ok(())
}

/// The base's files, but for those that hold rows of the vocabulary: what reads whole files, as vLLM does, would find the old
/// rows and the new ones under one name. The new rows are in a file of their own, the rest of such a file is copied.
fn base_with_tokens(plan: &Plan<'_>, merge: &Merge, written: &mut Written<'_>) -> Result<()> {
    let is_moved = |name: &&String| merge.has_new_rows(name) || merge.is_copy(name);
    let has_new_rows =
        |(_, _, names): (_, _, &[String])| names.iter().any(|name| merge.has_new_rows(name));
    let is_resized = merge.base().files().any(has_new_rows);
    let mut files = Vec::new();
    let mut moved = Vec::new();
    for (file, path, names) in merge.base().files() {
        let (of_tokens, rest): (Vec<_>, Vec<_>) = match is_resized {
            true => names.iter().partition(is_moved),
            false => (Vec::new(), names.iter().collect()),
        };
        let new_tensors = |names: &[&String]| -> Vec<NewTensor> {
            let tensors = names.iter().filter_map(|name| merge.new_tensor(name));
            tensors.collect()
        };
        let is_whole = of_tokens.is_empty();
        moved.extend(of_tokens.into_iter().filter(|name| !merge.is_copy(name)));
        if rest.is_empty() {
            continue;
        }
        let tensors = new_tensors(&rest);
        let name = match file {
            SINGLE_FILE if is_resized => REST_FILE,
            file => file,
        };
        match (&plan.model, is_whole) {
            (BaseModel::Folder(_), true) => written.link(path, name)?,
            _ => written.tensors(name, tensors.clone(), |name, out| {
                merge.write_base(name, out)
            })?,
        }
        files.push((name.to_owned(), tensors));
    }
    if is_resized {
        let taken: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let free = (1..)
            .map(|nth| match nth {
                1 => TOKENS_FILE.to_owned(),
                _ => format!("model-tokens-{nth}.safetensors"),
            })
            .find(|name| !taken.contains(name.as_str()));
        let name = free.expect("one of any number");
        let tensors = moved.iter().filter_map(|name| merge.new_tensor(name));
        let tensors: Vec<_> = tensors.collect();
        written.tensors(&name, tensors.clone(), |name, out| {
            merge.write_base(name, out)
        })?;
        files.push((name, tensors));
    }
    if is_resized || files.len() > 1 {
        written.bytes(INDEX_FILE, index_json(&files).as_bytes())?;
    }
    plain_adapter(merge, written)
}

/// The adapter without rows of tokens, which stand in the base beside it.
fn plain_adapter(merge: &Merge, written: &mut Written<'_>) -> Result<()> {
    let folder = written.path(PLAIN_ADAPTER);
    fs::create_dir_all(&folder).map_err(Error::write(folder))?;
    let path = written.folder.file(ADAPTER_CONFIG);
    let text = fs::read(&path).map_err(Error::read(&path))?;
    let parsed = serde_json::from_slice(&text);
    let mut config: Value = parsed.map_err(|source| Error::ModelJson { path, source })?;
    let around = written.folder.file("");
    let base = fs::canonicalize(&around).map_err(Error::read(around))?;
    config["base_model_name_or_path"] = json!(base.join(written.name));
    config["trainable_token_indices"] = Value::Null;
    let name = format!("{PLAIN_ADAPTER}/{ADAPTER_CONFIG}");
    written.bytes(&name, pretty(&config).as_bytes())?;
    let name = format!("{PLAIN_ADAPTER}/{ADAPTER_FILE}");
    written.tensors(&name, merge.plain_adapter(), |name, out| {
        merge.write_adapter(name, out)
    })
}

/// What a model's folder has besides its weights.
fn model_files(plan: &Plan<'_>, merge: &Merge, written: &mut Written<'_>) -> Result<()> {
    let mut config = plan.fields.clone();
    if let Some(vocab_size) = merge.vocab_size() {
        config.insert("vocab_size".to_owned(), vocab_size.into());
    }
    if !["dtype", "torch_dtype"]
        .iter()
        .any(|name| config.contains_key(*name))
    {
        // A reader that is not told takes a type of its own. All versions know the old name.
        let names = merge.base().names();
        let stored = names.first().and_then(|name| merge.base().stored(name));
        if let Some(name) = stored.and_then(|stored| numbers::name(stored.dtype)) {
            config.insert("torch_dtype".to_owned(), name.into());
        }
    }
    written.bytes(CONFIG_FILE, pretty(&Value::Object(config)).as_bytes())?;
    if let Some(bytes) = plan.model.bytes(GENERATION_CONFIG)? {
        written.bytes(GENERATION_CONFIG, &bytes)?;
    }
    for (name, bytes) in tokenizer_bytes(plan)? {
        written.bytes(name, &bytes)?;
    }
    Ok(())
}

fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::write(path)(error)),
        _ => Ok(()),
    }
}
