//! Safetensors files written tensor by tensor: a header needs only names and shapes, so no model is ever whole in memory.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::json;

use crate::error::Result;
use crate::shards::{FileEntry, replace_with};

use super::weights::SINGLE_FILE;

/// What Hugging Face's readers want to find in a safetensors file.
pub const FORMAT: (&str, &str) = ("format", "pt");

/// Headers are padded to a multiple of this, so that what follows is aligned.
const ALIGNMENT: usize = 8;

/// A tensor that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTensor {
    /// Its name.
    pub name: String,
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl NewTensor {
    /// Bytes it takes.
    pub fn n_bytes(&self) -> u64 {
        let n_values: usize = self.shape.iter().product();
        (n_values * self.dtype.bitsize()).div_ceil(8) as u64
    }
}

/// Writes a file of tensors: beside its place, synced, renamed. `fill` is called once for each, and writes its bytes.
///
/// # Errors
/// When it cannot be written; a file that stood there before is still whole.
///
/// # Panics
/// Where `fill` writes less or more than the tensor has.
pub fn write_tensors(
    path: &Path,
    mut tensors: Vec<NewTensor>,
    fill: &mut dyn FnMut(&NewTensor, &mut dyn Write) -> io::Result<()>,
) -> Result<FileEntry> {
    // As the library orders them: wide types first, so that all are aligned.
    tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    let header = header(&tensors);
    replace_with(path, &mut |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for tensor in &tensors {
            let mut counted = Counted { out, n_bytes: 0 };
            fill(tensor, &mut counted)?;
            assert_eq!(counted.n_bytes, tensor.n_bytes(), "{}", tensor.name);
        }
        Ok(())
    })
}

fn header(tensors: &[NewTensor]) -> Vec<u8> {
    let mut end = 0;
    let infos = tensors.iter().map(|tensor| {
        let start = end;
        end += tensor.n_bytes() as usize;
        let info = TensorInfo {
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            data_offsets: (start, end),
        };
        (tensor.name.clone(), info)
    });
    let (key, value) = FORMAT;
    let format = HashMap::from([(key.to_owned(), value.to_owned())]);
    let metadata = Metadata::new(Some(format), infos.collect()).expect("one behind the other");
    let mut header = serde_json::to_vec(&metadata).expect("names and numbers");
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    header
}

/// Divides tensors, in their order, among files of at most `limit` bytes of tensors; a larger one has a file of its own.
pub fn divide(tensors: Vec<NewTensor>, limit: u64) -> Vec<(String, Vec<NewTensor>)> {
    let mut files: Vec<Vec<NewTensor>> = vec![Vec::new()];
    let mut n_bytes = 0;
    for tensor in tensors {
        let size = tensor.n_bytes();
        if n_bytes > 0 && n_bytes + size > limit {
            files.push(Vec::new());
            n_bytes = 0;
        }
        n_bytes += size;
        files.last_mut().expect("at least one").push(tensor);
    }
    let n_files = files.len();
    let name = |nth: usize| match n_files {
        1 => SINGLE_FILE.to_owned(),
        _ => format!("model-{nth:05}-of-{n_files:05}.safetensors"),
    };
    (1..).map(name).zip(files).collect()
}

/// The index that says which file holds which tensor.
pub fn index_json(files: &[(String, Vec<NewTensor>)]) -> String {
    let entries = files.iter().flat_map(|(file, tensors)| {
        let entry = move |tensor: &NewTensor| (tensor.name.clone(), file.clone());
        tensors.iter().map(entry)
    });
    let weight_map: BTreeMap<String, String> = entries.collect();
    let sizes = files.iter().flat_map(|(_, tensors)| tensors);
    let total_size: u64 = sizes.map(NewTensor::n_bytes).sum();
    let index = json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map });
    format!("{index:#}\n")
}

struct Counted<'a> {
    out: &'a mut dyn Write,
    n_bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n_written = self.out.write(buffer)?;
        self.n_bytes += n_written as u64;
        Ok(n_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tensor(name: &str, dtype: Dtype, shape: &[usize]) -> NewTensor {
        NewTensor {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
        }
    }

    #[test]
    fn a_file_is_the_one_the_library_writes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.safetensors");
        let tensors = vec![
            tensor("b", Dtype::BF16, &[3]),
            tensor("c", Dtype::F32, &[2, 2]),
            tensor("a", Dtype::BF16, &[1, 5]),
        ];
        let mut order = Vec::new();
        let entry = write_tensors(&path, tensors.clone(), &mut |tensor, out| {
            order.push(tensor.name.clone());
            out.write_all(&vec![tensor.name.as_bytes()[0]; tensor.n_bytes() as usize])
        });
        let bytes = fs::read(&path).expect("a file");
        assert_eq!(entry.expect("written"), FileEntry::of_bytes(&bytes));
        assert_eq!(order, ["c", "a", "b"]);

        let data = tensors
            .iter()
            .map(|tensor| vec![tensor.name.as_bytes()[0]; tensor.n_bytes() as usize]);
        let data: Vec<_> = data.collect();
        let views = tensors.iter().zip(&data).map(|(tensor, data)| {
            let shape = tensor.shape.clone();
            let view = safetensors::tensor::TensorView::new(tensor.dtype, shape, data);
            (tensor.name.clone(), view.expect("a view"))
        });
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let library = safetensors::serialize(views, Some(format)).expect("bytes");
        assert_eq!(bytes, library);
    }

    #[test]
    fn tensors_are_divided_by_their_bytes() {
        let sizes = [4, 4, 20, 1, 1, 7];
        let tensors = sizes.map(|n| tensor(&format!("t{n}"), Dtype::U8, &[n]));
        let shapes = |limit| {
            let files = divide(tensors.to_vec(), limit).into_iter();
            let sizes = files.map(|(name, tensors)| {
                let sizes = tensors.iter().map(NewTensor::n_bytes);
                (name, sizes.collect::<Vec<_>>())
            });
            sizes.collect::<Vec<_>>()
        };
        let name = |nth| format!("model-0000{nth}-of-00003.safetensors");
        assert_eq!(
            shapes(9),
            [
                (name(1), vec![4, 4]),
                (name(2), vec![20]),
                (name(3), vec![1, 1, 7])
            ]
        );
        assert_eq!(
            shapes(37),
            [(SINGLE_FILE.to_owned(), sizes.map(|n| n as u64).to_vec())]
        );
    }
}
