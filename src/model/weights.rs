//! Tensors of a model in safetensors files: one, or several with an index.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Deref;
use std::path::PathBuf;

use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata};

use crate::base_model::BaseModel;
use crate::error::{Error, Result};

/// The file of a model that has one.
const SINGLE_FILE: &str = "model.safetensors";
/// The index of a model that has several.
const INDEX_FILE: &str = "model.safetensors.index.json";
/// The file of a PEFT adapter.
pub const ADAPTER_FILE: &str = "adapter_model.safetensors";

/// Elements a thread converts at a time.
const CONVERT_BLOCK: usize = 1 << 16;

/// The tensors of a model by name; bytes are read when a tensor is asked for.
#[derive(Debug)]
pub struct Weights {
    /// How the model is named in messages.
    path: PathBuf,
    files: Vec<WeightFile>,
    /// Tensor name → index into `files`.
    places: HashMap<String, usize>,
}

#[derive(Debug)]
struct WeightFile {
    path: PathBuf,
    bytes: Bytes,
    metadata: Metadata,
    /// Where the tensors' bytes begin.
    data_start: usize,
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

impl Weights {
    /// Opens all files of a model: those its index names, or `model.safetensors`.
    ///
    /// # Errors
    /// [`Error::ModelFile`] where there are none, [`Error::Weights`] for a file that is torn.
    pub fn open(model: &BaseModel) -> Result<Weights> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let index: Option<Index> = model.json(INDEX_FILE)?;
        let mut names: Vec<String> = match index {
            Some(index) => index.weight_map.into_values().collect(),
            None => vec![SINGLE_FILE.to_owned()],
        };
        names.sort();
        names.dedup();
        Weights::of_files(model, &names)
    }

    /// Opens the adapter in a PEFT folder.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn of_adapter(folder: &BaseModel) -> Result<Weights> {
        Weights::of_files(folder, &[ADAPTER_FILE.to_owned()])
    }

    fn of_files(model: &BaseModel, names: &[String]) -> Result<Weights> {
        let files = names
            .iter()
            .map(|name| WeightFile::open(model, name))
            .collect::<Result<Vec<_>>>()?;
        let mut places = HashMap::new();
        for (place, file) in files.iter().enumerate() {
            for name in file.metadata.offset_keys() {
                places.insert(name, place);
            }
        }
        Ok(Weights {
            path: model.path(""),
            files,
            places,
        })
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.places.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The values of a tensor, row by row.
    ///
    /// # Errors
    /// [`Error::Tensor`] where it is missing, has another shape, or holds no floating-point numbers.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Some(&place) = self.places.get(name) else {
            return Err(self.tensor_error(name, "is missing".to_owned()));
        };
        let file = &self.files[place];
        let info = file
            .metadata
            .info(name)
            .expect("its name came from this metadata");
        if info.shape != shape {
            let problem = format!("has the shape {:?}, {shape:?} is expected", info.shape);
            return Err(self.tensor_error(name, problem));
        }
        let (start, end) = info.data_offsets;
        let bytes = &file.bytes[file.data_start + start..file.data_start + end];
        match info.dtype {
            Dtype::F32 => Ok(convert(bytes, f32::from_le_bytes)),
            Dtype::BF16 => Ok(convert(bytes, |two| bf16::from_le_bytes(two).to_f32())),
            Dtype::F16 => Ok(convert(bytes, |two| f16::from_le_bytes(two).to_f32())),
            other => Err(self.tensor_error(
                name,
                format!("holds {other:?}, F32, BF16 or F16 is expected"),
            )),
        }
    }

    /// Feeds the bytes of all files to a hash.
    pub fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for file in &self.files {
            hasher.update(&file.bytes);
        }
    }

    /// An error that names a tensor of this model.
    pub fn tensor_error(&self, tensor: &str, problem: String) -> Error {
        Error::Tensor {
            path: match self.places.get(tensor) {
                Some(&place) => self.files[place].path.clone(),
                None => self.path.clone(),
            },
            tensor: tensor.to_owned(),
            problem,
        }
    }
}

impl WeightFile {
    fn open(model: &BaseModel, name: &str) -> Result<WeightFile> {
        let path = model.path(name);
        let bytes = match model {
            BaseModel::Bundled => Bytes::Bundled(model.bytes(name)?.ok_or(Error::ModelFile {
                path: model.path(""),
                file: SINGLE_FILE,
            })?),
            BaseModel::Folder(_) => map(&path).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound if name == SINGLE_FILE => Error::ModelFile {
                    path: model.path(""),
                    file: SINGLE_FILE,
                },
                _ => Error::Read {
                    path: path.clone(),
                    source,
                },
            })?,
        };
        let (header_bytes, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| Error::Weights {
                path: path.clone(),
                problem: error.to_string(),
            })?;
        // The header is preceded by its length as a u64.
        let data_start = header_bytes + size_of::<u64>();
        let promised = data_start + metadata.data_len();
        if promised != bytes.len() {
            return Err(Error::Weights {
                path,
                problem: format!(
                    "its header promises {promised} bytes, it has {}",
                    bytes.len()
                ),
            });
        }
        Ok(WeightFile {
            path,
            bytes,
            metadata,
            data_start,
        })
    }
}

#[expect(
    unsafe_code,
    reason = "a checkpoint is mapped, not read: it may be larger than memory"
)]
fn map(path: &std::path::Path) -> std::io::Result<Bytes> {
    let file = File::open(path)?;
    // SAFETY: the map is only read; whoever overwrites a model's weights while they are read gets those bytes.
    unsafe { Mmap::map(&file) }.map(Bytes::Mapped)
}

fn convert<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / N];
    values
        .par_chunks_mut(CONVERT_BLOCK)
        .zip(bytes.par_chunks(CONVERT_BLOCK * N))
        .for_each(|(values, bytes)| {
            for (to, from) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
                *to = value(*from);
            }
        });
    values
}
