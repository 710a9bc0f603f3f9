//! From a seed and a place to a pair.
//!
//! Every row has a generator of its own, keyed by the seed and the row's index. Nothing is carried from row to row,
//! so rows can be drawn in any order, by any number of threads, and a longer draw begins with the shorter one.

use std::fmt;

use rand::{Rng as _, SeedableRng as _};

use crate::sample::sample_id;

use super::{FAMILIES, Family, Pair, Rng};

/// Pairs of builds.
const BUILD_STREAM: &str = "delia procedural sampler: build stream v2";
/// Pairs of base models.
const BASE_MODEL_STREAM: &str = "delia procedural sampler: base model stream v1";

/// One prompt in so many, by its hash, is kept for base models, and no build draws it.
const PROMPTS_PER_RESERVED: u8 = 16;

/// Pairs a family draws before another takes its place: a family with few prompts may have none of the kind wanted.
const MAX_ATTEMPTS: u32 = 256;

/// Names further from every family than this share of their length get no suggestion.
const PLAUSIBLE_TYPO: f64 = 0.4;

/// An endless stream of pairs, fixed by a seed and a choice of families.
#[derive(Clone)]
pub struct Sampler {
    key: [u8; 32],
    is_for_base_model: bool,
    families: Vec<&'static Family>,
}

/// A family was asked for by a name that no family has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFamily {
    /// The name as it was given.
    pub name: String,
    /// The family whose name is closest, if it is close enough to be meant.
    pub nearest: Option<&'static str>,
}

impl Sampler {
    /// The stream of this seed over the named families; no names means every family.
    ///
    /// Only the set of names matters, not their order or how often each is given.
    pub fn new(seed: u64, names: &[String]) -> Result<Sampler, UnknownFamily> {
        Self::in_space(false, seed, names)
    }

    /// Like [`Sampler::new`], over the prompts that builds never draw: what a base model was trained or tested on is in no build.
    pub fn for_base_model(seed: u64, names: &[String]) -> Result<Sampler, UnknownFamily> {
        Self::in_space(true, seed, names)
    }

    fn in_space(
        is_for_base_model: bool,
        seed: u64,
        names: &[String],
    ) -> Result<Sampler, UnknownFamily> {
        if let Some(name) = names
            .iter()
            .find(|name| FAMILIES.iter().all(|family| family.name != **name))
        {
            return Err(UnknownFamily {
                name: name.clone(),
                nearest: nearest_family(name),
            });
        }
        let chosen =
            |family: &&Family| names.is_empty() || names.iter().any(|name| name == family.name);
        let context = if is_for_base_model {
            BASE_MODEL_STREAM
        } else {
            BUILD_STREAM
        };
        Ok(Sampler {
            key: blake3::derive_key(context, &seed.to_le_bytes()),
            is_for_base_model,
            families: FAMILIES.iter().filter(chosen).collect(),
        })
    }

    /// The pair at this place of the stream: a pure function of seed, chosen families and index.
    pub fn pair(&self, index: u64) -> Pair {
        let row = blake3::keyed_hash(&self.key, &index.to_le_bytes());
        let mut rng = Rng::from_seed(*row.as_bytes());
        loop {
            let family = self.families[rng.random_range(0..self.families.len())];
            let drawn = (0..MAX_ATTEMPTS)
                .map(|_| (family.sample)(&mut rng))
                .find(|pair| is_reserved(pair) == self.is_for_base_model);
            if let Some(pair) = drawn {
                return pair;
            }
        }
    }
}

/// Whether a pair's prompt is one of those kept for base models.
pub(super) fn is_reserved(pair: &Pair) -> bool {
    let id = sample_id(&pair.instruction, &pair.input, "");
    id[0].is_multiple_of(PROMPTS_PER_RESERVED)
}

/// The seed's key and the families' names, which together decide every pair.
impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.families.iter().map(|family| family.name).collect();
        write!(
            f,
            "Sampler({} {names:?})",
            blake3::Hash::from(self.key).to_hex()
        )
    }
}

fn nearest_family(name: &str) -> Option<&'static str> {
    let (distance, nearest) = FAMILIES
        .iter()
        .map(|family| (strsim::damerau_levenshtein(name, family.name), family.name))
        .min()?;
    let longer = name.chars().count().max(nearest.len());
    (distance as f64 <= PLAUSIBLE_TYPO * longer as f64).then_some(nearest)
}
