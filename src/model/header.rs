//! The header of a safetensors file. What it says is checked here, tensor by tensor, before anything is made of it: the
//! library's own check does not say which tensor is wrong, and takes the last of two of the same name.

use std::collections::HashSet;
use std::fmt;

use safetensors::tensor::TensorInfo;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// Bytes of the number a file begins with: the length of its header.
const LENGTH_BYTES: usize = size_of::<u64>();

/// The longest header that is read. A tensor takes some 120 bytes of it and a decoder of a hundred blocks has a thousand
/// tensors; parsed, a header takes several times its bytes.
const MAX_HEADER_BYTES: usize = 16 << 20;

/// The key that is no tensor.
const METADATA: &str = "__metadata__";

/// A header that fits its file.
pub(super) struct Header {
    /// Where the tensors' bytes begin.
    pub(super) data_start: usize,
    /// The tensors by their places in the file.
    pub(super) tensors: Vec<(String, TensorInfo)>,
}

/// Reads the header of a file.
pub(super) fn read(file: &[u8]) -> Result<Header, String> {
    let Some((length, rest)) = file.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(format!(
            "it has {} bytes, the length of its header alone takes {LENGTH_BYTES}",
            file.len()
        ));
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|end| rest.get(..end));
    let header = header.ok_or_else(|| {
        let n_rest = rest.len();
        format!("its header is {length} bytes long, {n_rest} follow")
    })?;
    if header.len() > MAX_HEADER_BYTES {
        return Err(format!(
            "its header is {length} bytes long, at most {MAX_HEADER_BYTES} are read"
        ));
    }
    let entries: Entries =
        serde_json::from_slice(header).map_err(|error| format!("its header: {error}"))?;
    let mut tensors = entries.0;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let n_data = check_places(&tensors)?;
    let data_start = LENGTH_BYTES + header.len();
    if data_start.checked_add(n_data) != Some(file.len()) {
        return Err(format!(
            "its header promises {n_data} bytes of tensors, it has {}",
            file.len() - data_start
        ));
    }
    Ok(Header {
        data_start,
        tensors,
    })
}

/// Whether each tensor begins where the one before it ends, and is as long as its shape says; how long they are together.
fn check_places(tensors: &[(String, TensorInfo)]) -> Result<usize, String> {
    let mut end = 0;
    for (name, info) in tensors {
        let (from, to) = info.data_offsets;
        let shape = &info.shape;
        let Some(n_bytes) = n_bytes(info) else {
            return Err(format!(
                "tensor `{name}` of the shape {shape:?} is larger than any file"
            ));
        };
        if to.checked_sub(from) != Some(n_bytes) {
            return Err(format!(
                "tensor `{name}` of the shape {shape:?} takes {n_bytes} bytes of type {:?}, not those from {from} to {to}",
                info.dtype
            ));
        }
        if from != end {
            return Err(format!(
                "tensor `{name}` begins at byte {from}, the one before it ends at {end}"
            ));
        }
        end = to;
    }
    Ok(end)
}

fn n_bytes(info: &TensorInfo) -> Option<usize> {
    let mut sizes = info.shape.iter();
    let n_values = sizes.try_fold(1_usize, |product, &size| product.checked_mul(size))?;
    Some(n_values.checked_mul(info.dtype.bitsize())?.div_ceil(8))
}

/// The tensors as they stand in a header, each name once.
struct Entries(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        struct Tensors;

        impl<'de> Visitor<'de> for Tensors {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut tensors = Vec::new();
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!(
                            "tensor `{name}` stands there twice"
                        )));
                    }
                    tensors.push((name, map.next_value()?));
                }
                Ok(Entries(tensors))
            }
        }

        deserializer.deserialize_map(Tensors)
    }
}
