//! Tensors of a model in safetensors files: one, or several with an index.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, TensorInfo};

use crate::base_model::BaseModel;
use crate::error::{Error, Result};

use super::header;
use super::numbers::decode;

/// The file of a model that has one.
pub const SINGLE_FILE: &str = "model.safetensors";
/// The index of a model that has several.
pub const INDEX_FILE: &str = "model.safetensors.index.json";
/// The file of a PEFT adapter.
pub const ADAPTER_FILE: &str = "adapter_model.safetensors";

/// How names of files end that hold weights in another way.
const OTHER_FORMATS: [&str; 4] = ["bin", "pth", "pt", "gguf"];

/// The tensors of a model by name; bytes are read when a tensor is asked for.
#[derive(Debug)]
pub struct Weights {
    /// The file a tensor that is nowhere is missing in.
    path: PathBuf,
    files: Vec<WeightFile>,
    places: HashMap<String, Place>,
}

#[derive(Debug)]
struct WeightFile {
    name: String,
    path: PathBuf,
    bytes: Bytes,
    /// Where the tensors' bytes begin.
    data_start: usize,
    /// The names of its tensors, in the order of their bytes.
    tensors: Vec<String>,
}

/// Where a tensor is.
#[derive(Debug)]
struct Place {
    /// Index into the files.
    file: usize,
    info: TensorInfo,
}

/// A tensor as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct RawTensor<'a> {
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: &'a [usize],
    /// Its numbers, row by row.
    pub bytes: &'a [u8],
}

#[derive(Debug)]
enum Bytes {
    Bundled(Cow<'static, [u8]>),
    Mapped(Mmap),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Bundled(bytes) => bytes,
            Bytes::Mapped(map) => map,
        }
    }
}

/// Which file holds which tensor.
#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Opens all files of a model: those its index names, or `model.safetensors`.
    ///
    /// # Errors
    /// [`Error::ModelFile`] where there are none, [`Error::WeightsFormat`] where they are of another format,
    /// [`Error::Weights`] for a file that is torn, missing, or elsewhere, [`Error::Tensor`] for a tensor that stands in two
    /// files or not in the one the index names.
    pub fn open(model: &BaseModel) -> Result<Weights> {
        let Some(index) = model.json::<Index>(INDEX_FILE)? else {
            return Weights::of_files(model, &[SINGLE_FILE]);
        };
        let path = model.path(INDEX_FILE);
        let mut names: Vec<&str> = index.weight_map.values().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        if let Some(name) = names.iter().find(|name| !is_plain(name)) {
            let problem = format!("it names the file `{name}`, which is not one of its folder");
            return Err(Error::Weights { path, problem });
        }
        let mut weights = Weights::of_files(model, &names)?;
        for (tensor, name) in &index.weight_map {
            let place = weights.places.get(tensor);
            if place.is_none_or(|place| weights.files[place.file].name != *name) {
                return Err(Error::Tensor {
                    path: model.path(name),
                    tensor: tensor.clone(),
                    problem: format!("is missing: `{INDEX_FILE}` says that it is there"),
                });
            }
        }
        weights.path = path;
        Ok(weights)
    }

    /// Opens the adapter in a PEFT folder.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn of_adapter(folder: &BaseModel) -> Result<Weights> {
        Weights::of_files(folder, &[ADAPTER_FILE])
    }

    fn of_files(model: &BaseModel, names: &[&str]) -> Result<Weights> {
        let mut weights = Weights {
            path: model.path(names.first().unwrap_or(&"")),
            files: Vec::new(),
            places: HashMap::new(),
        };
        for name in names {
            let (file, tensors) = WeightFile::open(model, name)?;
            let path = file.path.clone();
            weights.files.push(file);
            for (name, info) in tensors {
                let file = weights.files.len() - 1;
                let before = weights.places.insert(name.clone(), Place { file, info });
                if let Some(before) = before {
                    let other = &weights.files[before.file].name;
                    return Err(Error::Tensor {
                        problem: format!("is in `{other}` too"),
                        path,
                        tensor: name,
                    });
                }
            }
        }
        Ok(weights)
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.places.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The name and the place of every file, with its tensors in the order of their bytes.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path, &[String])> {
        let files = self.files.iter();
        files.map(|file| (&*file.name, &*file.path, &*file.tensors))
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// A tensor as it is stored.
    pub fn stored(&self, name: &str) -> Option<RawTensor<'_>> {
        let Place { file, info } = self.places.get(name)?;
        let file = &self.files[*file];
        let (start, end) = info.data_offsets;
        Some(RawTensor {
            dtype: info.dtype,
            shape: &info.shape,
            bytes: &file.bytes[file.data_start + start..file.data_start + end],
        })
    }

    /// The values of a tensor, row by row.
    ///
    /// # Errors
    /// [`Error::Tensor`] where it is missing, has another shape, or holds no floating-point numbers.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Some(stored) = self.stored(name) else {
            return Err(self.tensor_error(name, "is missing".to_owned()));
        };
        if stored.shape != shape {
            let problem = format!("has the shape {:?}, {shape:?} is expected", stored.shape);
            return Err(self.tensor_error(name, problem));
        }
        decode(stored.dtype, stored.bytes).ok_or_else(|| {
            let problem = format!("holds {:?}, F32, BF16 or F16 is expected", stored.dtype);
            self.tensor_error(name, problem)
        })
    }

    /// BLAKE3 over all tensors by name, in hex: the same however they are divided among files.
    pub fn blake3(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("delia weights v1");
        for name in self.names() {
            let stored = self.stored(name).expect("one of its names");
            let what = serde_json::json!([name, format!("{:?}", stored.dtype), stored.shape]);
            hasher.update(what.to_string().as_bytes());
            hasher.update(stored.bytes);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// An error that names a tensor of this model.
    pub fn tensor_error(&self, tensor: &str, problem: String) -> Error {
        Error::Tensor {
            path: match self.places.get(tensor) {
                Some(place) => self.files[place.file].path.clone(),
                None => self.path.clone(),
            },
            tensor: tensor.to_owned(),
            problem,
        }
    }
}

impl WeightFile {
    fn open(model: &BaseModel, name: &str) -> Result<(WeightFile, Vec<(String, TensorInfo)>)> {
        let path = model.path(name);
        let bytes = match model {
            BaseModel::Bundled => {
                let bytes = model.bytes(name)?;
                Bytes::Bundled(bytes.ok_or_else(|| missing(model, name))?)
            }
            BaseModel::Folder(_) => match map(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(missing(model, name));
                }
                map => map.map_err(Error::read(&path))?,
            },
        };
        let header = header::read(&bytes).map_err(|problem| Error::Weights {
            path: path.clone(),
            problem,
        })?;
        let file = WeightFile {
            name: name.to_owned(),
            path,
            bytes,
            data_start: header.data_start,
            tensors: header
                .tensors
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
        };
        Ok((file, header.tensors))
    }
}

/// Why a file of weights is not there.
fn missing(model: &BaseModel, name: &str) -> Error {
    let needed = [SINGLE_FILE, ADAPTER_FILE]
        .into_iter()
        .find(|single| *single == name);
    let Some(needed) = needed else {
        return Error::Weights {
            path: model.path(name),
            problem: format!("`{INDEX_FILE}` names it, and it is not there"),
        };
    };
    let names = model.file_names().unwrap_or_default();
    let is_other = |name: &&String| {
        let extension = Path::new(name).extension().and_then(OsStr::to_str);
        extension.is_some_and(|extension| OTHER_FORMATS.contains(&extension))
    };
    match names.iter().find(is_other) {
        Some(other) => Error::WeightsFormat {
            path: model.path(other),
            needed,
        },
        None => Error::ModelFile {
            path: model.path(""),
            file: needed,
        },
    }
}

/// Whether a name is that of a file in a folder, and no path to elsewhere.
fn is_plain(name: &str) -> bool {
    Path::new(name).file_name() == Some(OsStr::new(name))
}

#[expect(
    unsafe_code,
    reason = "a checkpoint is mapped, not read: it may be larger than memory"
)]
fn map(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    // SAFETY: the map is only read; whoever overwrites a model's weights while they are read gets those bytes.
    unsafe { Mmap::map(&file) }.map(Bytes::Mapped)
}
