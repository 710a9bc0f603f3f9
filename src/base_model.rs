//! The files of a base model: a Hugging Face folder, or the model that comes with the program.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The name of the bundled model.
pub const BUNDLED_MODEL: &str = "bundled:tiny";

macro_rules! bundled {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../data/model/tiny/", $name)))),*]
    };
}

const TINY: &[(&str, &[u8])] = bundled![
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];

/// Where the files of a model come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseModel {
    /// The model that is part of the program.
    Bundled,
    /// A folder in Hugging Face's layout.
    Folder(PathBuf),
}

impl BaseModel {
    /// The model of this name: `bundled:tiny`, or else a folder.
    ///
    /// # Errors
    /// [`Error::Setting`] for another bundled name, [`Error::NoModel`] for a folder that is not there, [`Error::Read`] for a file.
    pub fn named(name: &Path) -> Result<BaseModel> {
        if name == Path::new(BUNDLED_MODEL) {
            return Ok(BaseModel::Bundled);
        }
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("bundled:"))
        {
            return Err(Error::Setting {
                key: "model",
                problem: format!("there is no bundled model `{}`", name.display()),
                hint: format!("bundled is `{BUNDLED_MODEL}`"),
            });
        }
        if !name.is_dir() {
            if name.exists() {
                return Err(Error::read(name)(ErrorKind::NotADirectory.into()));
            }
            return Err(Error::NoModel {
                path: name.to_owned(),
            });
        }
        Ok(BaseModel::Folder(name.to_owned()))
    }

    /// How a file of this model is named in messages.
    pub fn path(&self, file: &str) -> PathBuf {
        match self {
            BaseModel::Bundled => Path::new(BUNDLED_MODEL).join(file),
            BaseModel::Folder(folder) => folder.join(file),
        }
    }

    /// The names of all its files, sorted; folders and what is in them do not count.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn file_names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = match self {
            BaseModel::Bundled => TINY.iter().map(|(name, _)| (*name).to_owned()).collect(),
            BaseModel::Folder(folder) => fs::read_dir(folder)
                .map_err(Error::read(folder))?
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| folder.join(name).is_file())
                .collect(),
        };
        names.sort();
        Ok(names)
    }

    /// The bytes of a file, or `None` where the model has no such file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn bytes(&self, file: &str) -> Result<Option<Cow<'static, [u8]>>> {
        match self {
            BaseModel::Bundled => Ok(TINY
                .iter()
                .find(|(name, _)| *name == file)
                .map(|(_, bytes)| Cow::Borrowed(*bytes))),
            BaseModel::Folder(folder) => {
                let path = folder.join(file);
                match fs::read(&path) {
                    Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(Error::Read { path, source }),
                }
            }
        }
    }

    /// The bytes of a file the model cannot do without.
    ///
    /// # Errors
    /// [`Error::ModelFile`] where it is missing, [`Error::Read`] where it cannot be read.
    pub fn required(&self, file: &'static str) -> Result<Cow<'static, [u8]>> {
        self.bytes(file)?.ok_or_else(|| Error::ModelFile {
            path: self.path(""),
            file,
        })
    }

    /// A JSON file of the model.
    ///
    /// # Errors
    /// When it is there and is not JSON of this shape.
    pub fn json<T: serde::de::DeserializeOwned>(&self, file: &str) -> Result<Option<T>> {
        let Some(bytes) = self.bytes(file)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| Error::ModelJson {
                path: self.path(file),
                source,
            })
    }
}
