//! From a seed and a place to a pair.
//!
//! Every row has a generator of its own, keyed by the seed and the row's index. Nothing is carried from row to row,
//! so rows can be drawn in any order, by any number of threads, and a longer draw begins with the shorter one.

use std::fmt;

use rand::{Rng as _, SeedableRng as _};

use crate::sample::sample_id;

use super::{BadSelection, Family, Pair, Rng, selection::select};

/// Pairs of builds.
const BUILD_STREAM: &str = "delia procedural sampler: build stream v3";
/// Pairs of base models.
const BASE_MODEL_STREAM: &str = "delia procedural sampler: base model stream v1";

/// One prompt in so many, by its hash, is kept for base models, and no build draws it.
const PROMPTS_PER_RESERVED: u8 = 16;

/// Pairs a family draws before another takes its place: a family with few prompts may have none of the kind wanted.
const MAX_ATTEMPTS: u32 = 256;

/// An endless stream of pairs, fixed by a seed and a choice of families.
#[derive(Clone)]
pub struct Sampler {
    key: [u8; 32],
    is_for_base_model: bool,
    families: Vec<&'static Family>,
}

impl Sampler {
    /// The stream of this seed over the families that are named, by themselves, by group or by difficulty; no names means
    /// every family.
    ///
    /// Only the set of names matters, not their order or how often each is given.
    ///
    /// # Errors
    /// A name that is unknown, and names that leave no family.
    pub fn new(seed: u64, names: &[String]) -> Result<Sampler, BadSelection> {
        Self::in_space(false, seed, names)
    }

    /// Like [`Sampler::new`], over the prompts that builds never draw: what a base model was trained or tested on is in no build.
    ///
    /// # Errors
    /// As [`Sampler::new`].
    pub fn for_base_model(seed: u64, names: &[String]) -> Result<Sampler, BadSelection> {
        Self::in_space(true, seed, names)
    }

    fn in_space(
        is_for_base_model: bool,
        seed: u64,
        names: &[String],
    ) -> Result<Sampler, BadSelection> {
        let families = select(names)?;
        let context = if is_for_base_model {
            BASE_MODEL_STREAM
        } else {
            BUILD_STREAM
        };
        Ok(Sampler {
            key: blake3::derive_key(context, &seed.to_le_bytes()),
            is_for_base_model,
            families,
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
