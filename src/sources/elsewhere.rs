//! Sources that are not files here: what they hold is brought into the cache, and read from there.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::config::{HubDataset, SourceSpec};
use crate::error::{Error, Result};
use crate::http::{Download, Requests};

use super::FileState;
use super::access::Access;
use super::cache::Cache;
use super::download::download;
use super::hub;
use super::names::stem;

/// What needs no network.
const OFFLINE: &str =
    "a recipe that a build wrote needs no network for files that are in the cache";

/// What samples of a language model are called.
pub(super) const SAMPLED: &str = "llm";

/// What a source elsewhere brought.
#[derive(Debug)]
pub(super) struct Arrived {
    /// How the source is written in the frozen recipe.
    pub(super) path: String,
    /// What it is called unless it is given a name.
    pub(super) name: String,
    /// What distinguishes it from another of that name.
    pub(super) parent: Option<String>,
    pub(super) files: Vec<ArrivedFile>,
    /// BLAKE3 of the files' bytes, one after the other.
    pub(super) blake3: String,
    pub(super) licence: Option<String>,
}

/// A file in the cache.
#[derive(Clone, Debug)]
pub(super) struct ArrivedFile {
    pub(super) path: PathBuf,
    /// Its own name, which may tell its format.
    pub(super) name: String,
    pub(super) state: FileState,
}

impl ArrivedFile {
    /// A file as it is now.
    pub(super) fn new(path: PathBuf, name: String) -> Result<ArrivedFile> {
        let state = FileState::of(&path)?;
        Ok(ArrivedFile { path, name, state })
    }
}

/// Brings sources here.
pub(super) struct Elsewhere<'a> {
    cache: Cache,
    access: &'a Access,
    progress: &'a dyn Fn(Download),
    /// The hash a recipe holds for the source.
    known: Option<&'a str>,
    /// Whether that hash is binding: then bytes that have it need not be asked for.
    is_binding: bool,
}

impl<'a> Elsewhere<'a> {
    pub(super) fn new(
        access: &'a Access,
        progress: &'a dyn Fn(Download),
        known: Option<&'a str>,
        accept_changed: bool,
    ) -> Result<Elsewhere<'a>> {
        Ok(Elsewhere {
            cache: Cache::open(access.cache_folder()?)?,
            access,
            progress,
            known,
            is_binding: !accept_changed,
        })
    }

    /// Brings a source here. The licence of a dataset on a hub is asked for unless one is stated already.
    ///
    /// # Errors
    /// When it is neither in the cache nor to be had.
    pub(super) async fn bring(&self, spec: &SourceSpec, is_licensed: bool) -> Result<Arrived> {
        match spec {
            SourceSpec::Web(url) => self.web(url).await,
            SourceSpec::Hub(dataset) => self.hub(dataset, is_licensed).await,
            _ => self.stdin(),
        }
    }

    fn requests(&self) -> Result<Requests<'_>> {
        Requests::new(&self.access.network, OFFLINE, self.progress)
    }

    async fn web(&self, url: &Url) -> Result<Arrived> {
        let file_name = file_name(url);
        let host = url.host_str().unwrap_or_default();
        let (path, blake3) = match self.known_file()? {
            Some(found) => found,
            None => {
                let requests = self.requests()?;
                download(&requests, &self.cache, url, self.known).await?
            }
        };
        Ok(Arrived {
            path: url.to_string(),
            name: match file_name.as_str() {
                "" => host.to_owned(),
                name => stem(name.as_ref()),
            },
            parent: Some(host.to_owned()),
            files: vec![ArrivedFile::new(path, file_name)?],
            blake3,
            licence: None,
        })
    }

    /// The Parquet files of a split.
    async fn hub(&self, dataset: &HubDataset, is_licensed: bool) -> Result<Arrived> {
        let arrived = |dataset: &HubDataset, files, blake3, licence| Arrived {
            path: dataset.to_string(),
            name: dataset.name.clone(),
            parent: Some(dataset.owner.clone()),
            files,
            blake3,
            licence,
        };
        let is_named = dataset.config.is_some() && dataset.split.is_some() && is_licensed;
        // What is not said has to be asked for, so that the same recipe says the same whatever is in the cache.
        if is_named && let Some((files, blake3)) = self.known_split()? {
            return Ok(arrived(dataset, files, blake3, None));
        }
        let requests = self.requests()?;
        let (dataset, urls) = hub::files(&requests, dataset).await?;
        let mut files = Vec::new();
        let mut hashes = Vec::new();
        for url in &urls {
            let known = self.known.filter(|_| urls.len() == 1);
            let (path, hash) = download(&requests, &self.cache, url, known).await?;
            files.push(ArrivedFile::new(path, file_name(url))?);
            hashes.push(hash);
        }
        let blake3 = match hashes.as_slice() {
            [only] => only.clone(),
            _ => {
                let blake3 = hash_of_all(&files)?;
                self.cache.note_split(&blake3, &hashes)?;
                blake3
            }
        };
        let licence = match is_licensed {
            true => None,
            false => hub::licence(&requests, &dataset).await?,
        };
        Ok(arrived(&dataset, files, blake3, licence))
    }

    /// Standard input; the bytes a recipe names are served from the cache instead.
    fn stdin(&self) -> Result<Arrived> {
        let (path, blake3) = match self.known_file()? {
            Some(found) => found,
            None => self.cache.spool((self.access.stdin)(), "-")?,
        };
        Ok(Arrived {
            path: "-".to_owned(),
            name: "stdin".to_owned(),
            parent: None,
            files: vec![ArrivedFile::new(path, String::new())?],
            blake3,
            licence: None,
        })
    }

    /// What was sampled earlier, where a recipe names it and it is still there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn sampled(&self, path: &str) -> Result<Option<Arrived>> {
        let Some((file, blake3)) = self.known_file()? else {
            return Ok(None);
        };
        Ok(Some(Arrived {
            path: path.to_owned(),
            name: SAMPLED.to_owned(),
            parent: None,
            files: vec![ArrivedFile::new(file, format!("{SAMPLED}.jsonl"))?],
            blake3,
            licence: None,
        }))
    }

    fn known_file(&self) -> Result<Option<(PathBuf, String)>> {
        match self.known.filter(|_| self.is_binding) {
            Some(known) => {
                let file = self.cache.file(known)?;
                Ok(file.map(|path| (path, known.to_owned())))
            }
            None => Ok(None),
        }
    }

    fn known_split(&self) -> Result<Option<(Vec<ArrivedFile>, String)>> {
        if let Some((path, blake3)) = self.known_file()? {
            return Ok(Some((vec![ArrivedFile::new(path, String::new())?], blake3)));
        }
        let Some(known) = self.known.filter(|_| self.is_binding) else {
            return Ok(None);
        };
        let mut files = Vec::new();
        for hash in self.cache.split(known).unwrap_or_default() {
            match self.cache.file(&hash)? {
                Some(path) => files.push(ArrivedFile::new(path, String::new())?),
                None => return Ok(None),
            }
        }
        let is_whole = !files.is_empty() && hash_of_all(&files)? == known;
        Ok(is_whole.then(|| (files, known.to_owned())))
    }
}

fn hash_of_all(files: &[ArrivedFile]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let opened = std::fs::File::open(&file.path).map_err(Error::read(&file.path))?;
        let hashed = hasher.update_reader(opened);
        hashed.map_err(Error::read(&file.path))?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn file_name(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut parts| parts.next_back());
    percent_decode_str(last.unwrap_or_default())
        .decode_utf8_lossy()
        .replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_as_its_address_ends() {
        for (url, name) in [
            (
                "https://example.org/data/alpaca.json.zst?download=1#top",
                "alpaca.json.zst",
            ),
            ("https://example.org/my%20data.csv", "my data.csv"),
            ("https://example.org/", ""),
            ("https://example.org", ""),
        ] {
            assert_eq!(file_name(&Url::parse(url).expect("an address")), name);
        }
    }
}
