//! Weight files: safetensors in, named tensors, safetensors out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result, ShapeMismatch};

/// Named tensors with the file header's metadata.
///
/// Tensors keep their stored element type on the CPU, so a half-precision file costs half the
/// memory; [`load_into`] and [`Weights::float`] upcast.
///
/// ```
/// use diffusion_lora::Weights;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("one.safetensors");
/// let mut weights = Weights::new();
/// weights.insert("layer.weight", tch::Tensor::from_slice(&[1.0f32, 2.0]));
/// weights.save(&path)?;
/// assert_eq!(Weights::read(&path)?.float("layer.weight").expect("it was saved").size(), [2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
    origin: PathBuf,
}

impl Weights {
    /// An empty set.
    pub fn new() -> Self {
        Self { origin: PathBuf::from("(in memory)"), ..Self::default() }
    }

    /// Reads a safetensors file onto the CPU.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Io`], [`Error::Safetensors`] or [`Error::ElementType`],
    /// each with the file.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::MissingFile { path: path.to_owned(), purpose: "weights" });
        }
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let damaged = |source| Error::Safetensors { path: path.to_owned(), source };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let parsed = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in parsed.iter() {
            let Some(kind) = kind_of(view.dtype()) else {
                return Err(Error::ElementType {
                    path: path.to_owned(),
                    name: name.to_owned(),
                    dtype: format!("{:?}", view.dtype()),
                });
            };
            let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
            let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)?;
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(Self { tensors, metadata, origin: path.to_owned() })
    }

    /// The parameters of a network, sharing its memory.
    pub fn of(store: &VarStore) -> Self {
        let mut weights = Self::new();
        weights.tensors = store.variables().into_iter().collect();
        weights
    }

    /// The tensors in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// A tensor as it is stored.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// A tensor in f32 (half-precision files upcast without loss).
    pub fn float(&self, name: &str) -> Option<Tensor> {
        self.get(name).map(|tensor| tensor.to_kind(Kind::Float))
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.tensors.insert(name.into(), tensor);
    }

    /// The header's free text fields.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Sets a text field of the header.
    pub fn set_metadata(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.metadata.insert(key.into(), value.into());
    }

    /// The file the tensors were read from.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// The same tensors on another device, floating point ones in another element type.
    pub fn to(&self, device: Device, kind: Kind) -> Self {
        let convert = |tensor: &Tensor| {
            let moved = tensor.to_device(device);
            if tensor.is_floating_point() { moved.to_kind(kind) } else { moved }
        };
        Self {
            tensors: self.tensors.iter().map(|(name, t)| (name.clone(), convert(t))).collect(),
            metadata: self.metadata.clone(),
            origin: self.origin.clone(),
        }
    }

    /// Writes the tensors as they are: to a neighbouring file first, which then takes the name.
    ///
    /// The bytes depend on the contents alone (names sorted, wider elements first so that every
    /// tensor is aligned).
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.write(path, |kind| kind)
    }

    /// [`Weights::save`] with floating point tensors rounded to f16.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn save_f16(&self, path: &Path) -> Result<()> {
        self.write(path, |kind| match kind {
            Kind::Float | Kind::Double | Kind::BFloat16 => Kind::Half,
            other => other,
        })
    }

    fn write(&self, path: &Path, stored_kind: impl Fn(Kind) -> Kind) -> Result<()> {
        let mut rows: Vec<(&str, &Tensor, Kind)> =
            self.iter().map(|(name, tensor)| (name, tensor, stored_kind(tensor.kind()))).collect();
        rows.sort_by_key(|&(name, _, kind)| (std::cmp::Reverse(kind.elt_size_in_bytes()), name));
        let mut header = serde_json::Map::new();
        if !self.metadata.is_empty() {
            header.insert("__metadata__".to_owned(), serde_json::json!(self.metadata));
        }
        let mut offset = 0;
        for &(name, tensor, kind) in &rows {
            let end = offset + tensor.numel() * kind.elt_size_in_bytes();
            let Some(dtype) = dtype_of(kind) else {
                return Err(Error::ElementType {
                    path: path.to_owned(),
                    name: name.to_owned(),
                    dtype: format!("{kind:?}"),
                });
            };
            header.insert(
                name.to_owned(),
                serde_json::json!({
                    "dtype": dtype, "shape": tensor.size(), "data_offsets": [offset, end],
                }),
            );
            offset = end;
        }
        let mut head = serde_json::Value::Object(header).to_string().into_bytes();
        head.resize(head.len().next_multiple_of(8), b' ');
        write_atomically(path, |out| {
            out.write_all(&(head.len() as u64).to_le_bytes())?;
            out.write_all(&head)?;
            let mut bytes = Vec::new();
            for (_, tensor, kind) in rows {
                let stored = tensor.to_kind(kind).to_device(Device::Cpu).contiguous();
                bytes.resize(stored.numel() * kind.elt_size_in_bytes(), 0);
                stored.f_copy_data_u8(&mut bytes, stored.numel()).map_err(std::io::Error::other)?;
                out.write_all(&bytes)?;
            }
            Ok(())
        })
    }
}

/// Writes a file under a temporary neighbouring name, flushes it to the disk and renames it, so
/// that a reader sees the old file or the new one and never a part.
///
/// # Errors
/// [`Error::Io`] with the file.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let attempt = || {
        let mut out = std::io::BufWriter::new(std::fs::File::create(&part)?);
        fill(&mut out)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&part, path)
    };
    attempt().map_err(Error::io(path))
}

/// Copies weights into a network's parameters, converting device and element type.
///
/// `rename` turns a file's tensor name into the network's, or `None` for a tensor to leave out;
/// `|name| Some(name.to_owned())` where they agree.
///
/// # Errors
/// [`Error::WeightNames`] unless the renamed file and the network hold exactly the same names
/// and shapes; nothing is copied then.
pub fn load_into(
    store: &VarStore,
    weights: &Weights,
    rename: impl Fn(&str) -> Option<String>,
) -> Result<()> {
    let mut parameters: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let mut missing: BTreeSet<String> = parameters.keys().cloned().collect();
    let (mut unexpected, mut mismatched, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for (file_name, tensor) in weights.iter() {
        let Some(name) = rename(file_name) else { continue };
        missing.remove(&name);
        match parameters.remove(&name) {
            None => unexpected.push(file_name.to_owned()),
            Some(parameter) if parameter.size() != tensor.size() => {
                let (expected, actual) = (parameter.size(), tensor.size());
                mismatched.push(ShapeMismatch { name, expected, actual });
            }
            Some(parameter) => copies.push((parameter, tensor)),
        }
    }
    if !(missing.is_empty() && unexpected.is_empty() && mismatched.is_empty()) {
        return Err(Error::WeightNames {
            path: weights.origin().to_owned(),
            missing: missing.into_iter().collect(),
            unexpected,
            mismatched,
        });
    }
    tch::no_grad(|| {
        for (mut parameter, tensor) in copies {
            parameter.f_copy_(tensor)?;
        }
        Ok(())
    })
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}

fn dtype_of(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Half => "F16",
        Kind::BFloat16 => "BF16",
        Kind::Float => "F32",
        Kind::Double => "F64",
        Kind::Int64 => "I64",
        Kind::Int => "I32",
        Kind::Int16 => "I16",
        Kind::Int8 => "I8",
        Kind::Uint8 => "U8",
        Kind::Bool => "BOOL",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> VarStore {
        let store = VarStore::new(Device::Cpu);
        let _weight = store.root().sub("layer").zeros("weight", &[2, 3]);
        let _bias = store.root().sub("layer").zeros("bias", &[2]);
        store
    }

    #[test]
    fn loading_lists_everything_that_does_not_fit_and_copies_nothing() {
        let store = store();
        let mut weights = Weights::new();
        weights.insert("layer.weight", Tensor::ones([3, 2], (Kind::Float, Device::Cpu)));
        weights.insert("other", Tensor::ones([1], (Kind::Float, Device::Cpu)));
        let same = |name: &str| Some(name.to_owned());
        match load_into(&store, &weights, same) {
            Err(Error::WeightNames { missing, unexpected, mismatched, .. }) => {
                assert_eq!(missing, ["layer.bias"]);
                assert_eq!(unexpected, ["other"]);
                assert_eq!(mismatched[0].expected, [2, 3]);
                assert_eq!(mismatched[0].actual, [3, 2]);
            }
            other => panic!("{other:?}"),
        }
        weights.insert("layer.weight", Tensor::ones([2, 3], (Kind::Half, Device::Cpu)));
        weights.insert("old.bias", Tensor::ones([2], (Kind::Float, Device::Cpu)));
        let rename = |name: &str| (name != "other").then(|| name.replace("old", "layer"));
        load_into(&store, &weights, rename).expect("fits now");
        let sum = |name: &str| store.variables()[name].sum(Kind::Float).double_value(&[]);
        assert!((sum("layer.weight") - 6.0).abs() < 1e-9 && (sum("layer.bias") - 2.0).abs() < 1e-9);
    }

    #[test]
    fn every_element_type_survives_a_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("types.safetensors");
        let mut weights = Weights::new();
        for kind in
            [Kind::Half, Kind::BFloat16, Kind::Float, Kind::Double, Kind::Int64, Kind::Uint8]
        {
            weights
                .insert(format!("{kind:?}"), Tensor::from_slice(&[1.5f32, 2.0, 7.0]).to_kind(kind));
        }
        weights.insert("empty", Tensor::zeros([0, 4], (Kind::Float, Device::Cpu)));
        weights.insert("scalar", Tensor::from(3.0f32));
        weights.set_metadata("b", "2");
        weights.set_metadata("a", "ü \" 1");
        weights.save(&path).expect("saves");
        let again = Weights::read(&path).expect("reads back");
        assert_eq!(again.metadata(), weights.metadata());
        assert_eq!(again.len(), weights.len());
        for (name, tensor) in weights.iter() {
            let read = again.get(name).expect("the same names");
            assert_eq!((read.kind(), read.size()), (tensor.kind(), tensor.size()), "{name}");
            assert_eq!(read, tensor, "{name}");
        }
        weights.save_f16(&path).expect("saves");
        let half = Weights::read(&path).expect("reads back");
        assert_eq!(half.get("Double").map(Tensor::kind), Some(Kind::Half));
        assert_eq!(half.get("Int64").map(Tensor::kind), Some(Kind::Int64));
    }

    #[test]
    fn a_damaged_file_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("damaged.safetensors");
        let mut weights = Weights::new();
        weights.insert("a", Tensor::from_slice(&[1.0f32, 2.0]));
        weights.save(&path).expect("saves");
        let bytes = std::fs::read(&path).expect("readable");
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).expect("writable");
            let error = Weights::read(&path).expect_err("cut short").to_string();
            assert!(error.contains("damaged.safetensors"), "{error}");
        }
    }
}
