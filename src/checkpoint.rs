//! The state of an unfinished fit in one file, written beside its place and renamed.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::loader::ByKind;
use crate::report::HeldOutLosses;
use crate::shards::replace;

/// The key of the progress in the file's metadata.
const PROGRESS: &str = "progress";

/// A trained tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Values, row by row.
    pub values: Vec<f32>,
    /// The optimiser's, once it has made a step.
    pub moments: Option<Moments>,
}

/// The running means of AdamW.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Steps they were formed over.
    pub n_steps: u64,
    /// Of the gradient.
    pub first: Vec<f32>,
    /// Of its square.
    pub second: Vec<f32>,
}

/// How far a fit has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps made; the next one has this number.
    pub steps: u64,
    /// Samples trained on.
    pub samples: u64,
    /// Tokens computed, padding left out.
    pub tokens: u64,
    /// Tokens computed, padding included.
    pub padded_tokens: u64,
    /// Tokens the loss counted.
    pub targets: u64,
    /// Samples left out because they have too many tokens.
    pub too_long: ByKind,
    /// Samples left out because none of their tokens would be counted.
    pub no_target: ByKind,
    /// Seconds over all runs.
    pub seconds: f64,
    /// Those of them that measuring on held-out rows took.
    pub evaluation_seconds: f64,
    /// Seconds of them in which the next samples were waited for.
    #[serde(default)]
    pub waiting_seconds: f64,
    /// The losses on held-out rows before the first step.
    pub held_out_before: HeldOutLosses,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Whose it is: the text of the fit's `run.toml`, with its settings and the hashes of shards and model.
    pub run: String,
    /// How far the fit has come.
    pub progress: Progress,
    /// Its trained tensors by name.
    pub tensors: BTreeMap<String, Saved>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    run: String,
    progress: Progress,
    /// Steps of AdamW by tensor.
    optimizer_steps: BTreeMap<String, u64>,
    /// BLAKE3 over the arrays in the order of their names, in hex.
    blake3: String,
}

impl Checkpoint {
    /// Writes it, in place of an earlier one.
    ///
    /// # Errors
    /// When it cannot be written; the earlier one is still there then.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut arrays: BTreeMap<String, ([usize; 2], Vec<u8>)> = BTreeMap::new();
        let mut optimizer_steps = BTreeMap::new();
        for (name, saved) in &self.tensors {
            let mut put = |part: &str, values: &[f32]| {
                arrays.insert(format!("{part}/{name}"), (saved.shape, f32_bytes(values)));
            };
            put("value", &saved.values);
            if let Some(moments) = &saved.moments {
                put("moment_1", &moments.first);
                put("moment_2", &moments.second);
                optimizer_steps.insert(name.clone(), moments.n_steps);
            }
        }
        let mut hasher = blake3::Hasher::new();
        for (_, bytes) in arrays.values() {
            hasher.update(bytes);
        }
        let header = Header {
            run: self.run.clone(),
            progress: self.progress,
            optimizer_steps,
            blake3: hasher.finalize().to_hex().to_string(),
        };
        let header = serde_json::to_string(&header).expect("numbers and names");
        let bytes = safetensors_bytes(&arrays, Dtype::F32, (PROGRESS, &header));
        replace(path, &bytes)?;
        Ok(())
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a file that is missing, torn, or was written by no fit.
    pub fn read(path: &Path) -> Result<Checkpoint> {
        let unusable = |problem| Error::Checkpoint {
            path: path.to_owned(),
            problem,
            older: None,
        };
        if !path.exists() {
            return Err(unusable("it is missing".to_owned()));
        }
        let bytes = fs::read(path).map_err(Error::read(path))?;
        Checkpoint::parse(&bytes).map_err(unusable)
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Checkpoint, String> {
        let in_words = |error: safetensors::SafeTensorError| error.to_string();
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(in_words)?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(PROGRESS));
        let header: Header = serde_json::from_str(header.ok_or("it is not a checkpoint of a fit")?)
            .map_err(|error| error.to_string())?;
        let arrays = SafeTensors::deserialize(bytes).map_err(in_words)?;
        let mut sorted = arrays.tensors();
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut hasher = blake3::Hasher::new();
        for (_, array) in &sorted {
            hasher.update(array.data());
        }
        if hasher.finalize().to_hex().as_str() != header.blake3 {
            return Err("its bytes are not those that were written".to_owned());
        }
        let array = |part: &str, name: &str| {
            let view = arrays.tensor(&format!("{part}/{name}")).map_err(in_words)?;
            let values = view
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|four| f32::from_le_bytes(*four));
            Ok::<_, String>((view.shape().to_vec(), values.collect::<Vec<f32>>()))
        };
        let names = arrays
            .names()
            .into_iter()
            .filter_map(|name| name.strip_prefix("value/"));
        let mut tensors = BTreeMap::new();
        for name in names {
            let (shape, values) = array("value", name)?;
            let moments = match header.optimizer_steps.get(name) {
                None => None,
                Some(&n_steps) => Some(Moments {
                    n_steps,
                    first: array("moment_1", name)?.1,
                    second: array("moment_2", name)?.1,
                }),
            };
            let shape = shape
                .try_into()
                .map_err(|_| format!("`{name}` is no matrix"))?;
            let saved = Saved {
                shape,
                values,
                moments,
            };
            tensors.insert(name.to_owned(), saved);
        }
        Ok(Checkpoint {
            run: header.run,
            progress: header.progress,
            tensors,
        })
    }
}

/// A safetensors file; a shape `[1, n]` is written as given.
pub fn safetensors_bytes<S: AsRef<[usize]>>(
    arrays: &BTreeMap<String, (S, Vec<u8>)>,
    dtype: Dtype,
    (key, value): (&str, &str),
) -> Vec<u8> {
    let views = arrays.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(dtype, shape.as_ref().to_vec(), bytes);
        (name, view.expect("as many bytes as the shape says"))
    });
    let metadata = HashMap::from([(key.to_owned(), value.to_owned())]);
    safetensors::serialize(views, Some(metadata)).expect("views that were just made")
}

/// Numbers as safetensors stores them.
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_bit_by_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint");
        let unusable = |problem: &str| match Checkpoint::read(&path) {
            Err(Error::Checkpoint { problem: found, .. }) => {
                assert!(found.contains(problem), "`{problem}` is not in: {found}");
            }
            other => panic!("{other:?}"),
        };
        unusable("it is missing");
        let saved = |moments| Saved {
            shape: [1, 3],
            values: vec![0.1, f32::MIN_POSITIVE, -0.0],
            moments,
        };
        let moments = Moments {
            n_steps: 7,
            first: vec![1.0, 2.0, 3.0],
            second: vec![1e-20, 0.0, 3.0],
        };
        let checkpoint = Checkpoint {
            run: "[fit]\nrank = 4\n".to_owned(),
            progress: Progress {
                steps: 7,
                seconds: 0.1 + 0.2,
                held_out_before: HeldOutLosses {
                    task: Some(0.1),
                    diverse: Some(f32::MIN_POSITIVE),
                },
                ..Progress::default()
            },
            tensors: BTreeMap::from([
                ("a.lora_A.weight".to_owned(), saved(Some(moments))),
                ("b".to_owned(), saved(None)),
            ]),
        };
        checkpoint.write(&path).expect("written");
        assert_eq!(Checkpoint::read(&path).expect("read"), checkpoint);

        let bytes = fs::read(&path).expect("a file");
        fs::write(&path, &bytes[..bytes.len() - 1]).expect("torn");
        unusable("");
        let mut rotten = bytes.clone();
        *rotten.last_mut().expect("bytes") ^= 1;
        fs::write(&path, rotten).expect("written");
        unusable("its bytes are not those that were written");
        let arrays = BTreeMap::from([("a", ([1], f32_bytes(&[1.0])))]);
        let arrays = arrays
            .into_iter()
            .map(|(name, array)| (name.to_owned(), array));
        let foreign = safetensors_bytes(&arrays.collect(), Dtype::F32, ("format", "pt"));
        fs::write(&path, foreign).expect("written");
        unusable("it is not a checkpoint of a fit");
    }
}
