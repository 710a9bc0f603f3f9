//! `may_repeat(sample_id)`: whether a row with the same id may stand elsewhere. Most rows have no copies, and a pass over all
//! ids shows it for nearly all of those, with a few bytes for each; only the others are brought into an order.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::prelude::SessionContext;

use crate::sample::sample_id_type;

/// Slots for each row, at the most, and half as many at the least: one row in eight to sixteen shares its slot by chance.
const SLOTS_PER_ROW: u64 = 16;

/// Slots in a block: the lower bits say which were met, the upper ones which were met again.
const SLOTS: u64 = 32;

/// Which ids may stand twice: each has a slot, and a slot that was met twice may have met the same id.
#[derive(Default)]
pub struct Repeats {
    blocks: Vec<u64>,
}

impl Repeats {
    /// Room for so many rows, in at most so many bytes, and at least in those of a block.
    pub fn for_rows(n_rows: u64, bytes_max: usize) -> Repeats {
        let blocks_max = (bytes_max / size_of::<u64>()).max(1);
        let wanted = (n_rows.saturating_mul(SLOTS_PER_ROW) / SLOTS).max(1);
        let n_blocks = usize::try_from(wanted).map_or(blocks_max, |wanted| wanted.min(blocks_max));
        Repeats {
            // Rounded down.
            blocks: vec![0; (n_blocks / 2 + 1).next_power_of_two()],
        }
    }

    /// A row with this id.
    pub fn add(&mut self, id: &[u8]) {
        let (block, met) = self.place(id);
        let block = &mut self.blocks[block];
        *block |= met | (*block & met) << SLOTS;
    }

    /// Whether another row may have this id, once all are added. Where nothing was, any may.
    fn may_repeat(&self, id: &[u8]) -> bool {
        let (block, met) = self.place(id);
        self.blocks
            .get(block)
            .is_none_or(|bits| bits >> SLOTS & met != 0)
    }

    /// An id is a hash: any of its bits will do.
    fn place(&self, id: &[u8]) -> (usize, u64) {
        let bits = id.first_chunk().map_or(0, |bits| u64::from_le_bytes(*bits));
        let block = (bits / SLOTS) as usize & self.blocks.len().saturating_sub(1);
        (block, 1 << (bits % SLOTS))
    }
}

impl fmt::Debug for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repeats of {} blocks", self.blocks.len())
    }
}

/// From now on `may_repeat` answers from these.
pub fn register_may_repeat(session: &SessionContext, repeats: Repeats) {
    session.register_udf(function(repeats));
}

pub(super) fn function(repeats: Repeats) -> ScalarUDF {
    create_udf(
        "may_repeat",
        vec![sample_id_type()],
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(move |arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let ids = columns[0].as_fixed_size_binary().iter();
            let answers: BooleanArray = ids.map(|id| Some(repeats.may_repeat(id?))).collect();
            Ok(ColumnarValue::Array(Arc::new(answers)))
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn id(nth: u64) -> [u8; 32] {
        *blake3::hash(&nth.to_le_bytes()).as_bytes()
    }

    #[test]
    fn nothing_is_ruled_out_before_rows_were_added() {
        assert!(Repeats::default().may_repeat(&id(0)));
    }

    #[test]
    fn few_rows_without_copies_are_left() {
        let mut repeats = Repeats::for_rows(10_000, usize::MAX);
        (0..10_000).for_each(|nth| repeats.add(&id(nth)));
        let n_left = (0..10_000)
            .filter(|nth| repeats.may_repeat(&id(*nth)))
            .count();
        assert!(n_left < 10_000 / 6, "{n_left}");
    }

    #[test]
    fn it_keeps_within_its_bytes() {
        for bytes_max in [8, 100, 4096, 5000] {
            let bytes = Repeats::for_rows(1 << 40, bytes_max).blocks.len() * 8;
            assert!(
                bytes <= bytes_max && bytes > bytes_max / 2,
                "{bytes} of {bytes_max}"
            );
        }
    }

    proptest! {
        /// No copy is ruled out, however little room there is.
        #[test]
        fn copies_are_always_left(rows in prop::collection::vec(0_u64..200, 0..200), bytes_max in 0_usize..256) {
            let mut repeats = Repeats::for_rows(rows.len() as u64, bytes_max);
            let mut counts = HashMap::new();
            for row in rows {
                repeats.add(&id(row));
                *counts.entry(row).or_insert(0) += 1;
            }
            for (row, count) in counts {
                prop_assert!(count == 1 || repeats.may_repeat(&id(row)));
            }
        }
    }
}
