//! `histogram(number, n_bins)`: an aggregate that counts numbers in at most `n_bins` bins of equal width, as a list of
//! `{low, high, rows}`; a bin holds the numbers from `low` up to, without, `high`.
//!
//! The width is a power of two and every bin begins at a multiple of it, so that two bins always make one of twice the width.
//! Bins are therefore widened as numbers come, in memory that does not grow with the rows, and the result is the same in
//! whatever order and on however many threads they come: the narrowest such bins that hold them all.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StructArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type, UInt64Type};
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

/// Bins one may ask for: each is kept for every group, and one could not hold both -1 and 1, as every bin ends at 0.
const N_BINS: std::ops::RangeInclusive<i64> = 2..=10_000;

/// Beyond it a width would no longer be a number.
const LARGEST: f64 = 1e300;

/// No bin is narrower than about a millionth of the largest number: equal numbers share a bin one can read.
const FINEST: i32 = 20;

/// The narrowest width, as a power of two; narrower ones cannot be divided by.
const LEAST_EXPONENT: i32 = -1_000;

pub(super) fn function() -> AggregateUDF {
    AggregateUDF::from(Histogram {
        signature: Signature::exact(
            vec![DataType::Float64, DataType::Int64],
            Volatility::Immutable,
        ),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Histogram {
    signature: Signature,
}

impl AggregateUDFImpl for Histogram {
    fn name(&self) -> &str {
        "histogram"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item(DataType::Struct(bin_fields()))))
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Counter {
            n_bins: 0,
            bins: Bins::new(),
        }))
    }

    fn state_fields(&self, _: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |name, data_type| Arc::new(Field::new(name, data_type, true));
        Ok(vec![
            field("n_bins", DataType::Int64),
            field("exponent", DataType::Int64),
            field("is_whole", DataType::Boolean),
            field("bins", DataType::List(item(DataType::Int64))),
            field("rows", DataType::List(item(DataType::UInt64))),
        ])
    }
}

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type, true))
}

fn bin_fields() -> Fields {
    Fields::from(vec![
        Field::new("low", DataType::Float64, false),
        Field::new("high", DataType::Float64, false),
        Field::new("rows", DataType::UInt64, false),
    ])
}

/// The bins of one group; `n_bins` is 0 before the first row.
#[derive(Debug)]
struct Counter {
    n_bins: i64,
    bins: Bins,
}

impl Counter {
    fn allow(&mut self, n_bins: Option<i64>) -> Result<()> {
        match n_bins {
            Some(n_bins) if N_BINS.contains(&n_bins) => self.n_bins = n_bins,
            Some(n_bins) => {
                return exec_err!("a histogram has between 2 and 10,000 bins, got {n_bins}");
            }
            None => return exec_err!("a histogram needs a number of bins, got NULL"),
        }
        Ok(())
    }
}

impl Accumulator for Counter {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let numbers = values[0].as_primitive::<Float64Type>();
        let n_bins = values[1].as_primitive::<Int64Type>();
        if self.n_bins == 0 && !n_bins.is_empty() {
            self.allow(n_bins.iter().next().flatten())?;
        }
        for number in numbers.iter().flatten() {
            if number.is_nan() || number.abs() > LARGEST {
                return exec_err!("a histogram holds numbers up to {LARGEST:e}, got {number}");
            }
            self.bins.add(number, self.n_bins);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (n_bins, exponents) = (
            states[0].as_primitive::<Int64Type>(),
            states[1].as_primitive::<Int64Type>(),
        );
        let are_whole = states[2].as_boolean();
        let (bins, rows) = (states[3].as_list::<i32>(), states[4].as_list::<i32>());
        for nth in 0..n_bins.len() {
            if n_bins.value(nth) == 0 {
                continue;
            }
            self.allow(Some(n_bins.value(nth)))?;
            let exponent = i32::try_from(exponents.value(nth));
            let (bins, rows) = (bins.value(nth), rows.value(nth));
            let (bins, rows) = (
                bins.as_primitive::<Int64Type>(),
                rows.as_primitive::<UInt64Type>(),
            );
            let other = Bins {
                exponent: exponent.map_err(|_| exec_datafusion_err!("no width of a bin"))?,
                is_whole: are_whole.value(nth),
                rows: bins
                    .values()
                    .iter()
                    .copied()
                    .zip(rows.values().iter().copied())
                    .collect(),
            };
            self.bins.merge(other, self.n_bins);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let bins = Int64Array::from_iter_values(self.bins.rows.keys().copied());
        let rows = UInt64Array::from_iter_values(self.bins.rows.values().copied());
        Ok(vec![
            ScalarValue::from(self.n_bins),
            ScalarValue::from(i64::from(self.bins.exponent)),
            ScalarValue::from(self.bins.is_whole),
            ScalarValue::List(list(Arc::new(bins))),
            ScalarValue::List(list(Arc::new(rows))),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (mut lows, mut highs, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for (low, high, n_rows) in self.bins.all() {
            lows.push(low);
            highs.push(high);
            rows.push(n_rows);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(lows)),
            Arc::new(Float64Array::from(highs)),
            Arc::new(UInt64Array::from(rows)),
        ];
        let bins = StructArray::try_new(bin_fields(), columns, None)?;
        Ok(ScalarValue::List(list(Arc::new(bins))))
    }

    fn size(&self) -> usize {
        // A node of the map holds two words a bin, beside some room for more.
        size_of_val(self) + self.bins.rows.len() * 32
    }
}

/// One list that holds all of `values`.
fn list(values: ArrayRef) -> Arc<ListArray> {
    let field = item(values.data_type().clone());
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Arc::new(ListArray::new(field, offsets, values, None))
}

/// Rows by bin: bin `n` holds the numbers in `[n, n + 1) · 2^exponent`.
#[derive(Clone, Debug, PartialEq)]
struct Bins {
    exponent: i32,
    is_whole: bool,
    rows: BTreeMap<i64, u64>,
}

impl Bins {
    fn new() -> Bins {
        Bins {
            exponent: LEAST_EXPONENT,
            is_whole: true,
            rows: BTreeMap::new(),
        }
    }

    fn add(&mut self, number: f64, n_bins: i64) {
        self.widen(finest(number));
        self.is_whole &= number.fract() == 0.0;
        let place = number / width(self.exponent);
        // A quotient too small to be a number has lost its sign.
        let bin = match place == 0.0 && number < 0.0 {
            true => -1,
            false => place.floor() as i64,
        };
        *self.rows.entry(bin).or_default() += 1;
        self.fit(n_bins);
    }

    fn merge(&mut self, mut other: Bins, n_bins: i64) {
        self.widen(other.exponent);
        other.widen(self.exponent);
        self.is_whole &= other.is_whole;
        for (bin, n_rows) in other.rows {
            *self.rows.entry(bin).or_default() += n_rows;
        }
        self.fit(n_bins);
    }

    /// Widens the bins until there are at most so many.
    fn fit(&mut self, n_bins: i64) {
        while self.span() > n_bins {
            self.widen(self.exponent + 1);
        }
    }

    fn span(&self) -> i64 {
        let first = self.rows.keys().next();
        let last = self.rows.keys().next_back();
        first.zip(last).map_or(0, |(first, last)| last - first + 1)
    }

    fn widen(&mut self, exponent: i32) {
        if exponent <= self.exponent {
            return;
        }
        // A shift to the right is a division that rounds down, below zero too.
        let shift = (exponent - self.exponent).min(63);
        self.exponent = exponent;
        let mut wider = BTreeMap::new();
        for (bin, n_rows) in std::mem::take(&mut self.rows) {
            *wider.entry(bin >> shift).or_default() += n_rows;
        }
        self.rows = wider;
    }

    /// Every bin from the first to the last, empty ones too. Whole numbers have bins of whole width.
    fn all(&self) -> Vec<(f64, f64, u64)> {
        let mut bins = self.clone();
        if bins.is_whole {
            bins.widen(0);
        }
        let width = width(bins.exponent);
        let first = bins.rows.keys().next().copied().unwrap_or(0);
        (first..first + bins.span())
            .map(|bin| {
                let n_rows = bins.rows.get(&bin).copied().unwrap_or(0);
                (bin as f64 * width, (bin + 1) as f64 * width, n_rows)
            })
            .collect()
    }
}

fn width(exponent: i32) -> f64 {
    2_f64.powi(exponent)
}

/// The width, as a power of two, below which a number's bins would be too fine to tell apart.
fn finest(number: f64) -> i32 {
    if number == 0.0 {
        return LEAST_EXPONENT;
    }
    let exponent = (number.to_bits() >> 52 & 0x7ff) as i32 - 1_023;
    (exponent - FINEST).max(LEAST_EXPONENT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bins(numbers: &[f64], n_bins: i64) -> Bins {
        let mut bins = Bins::new();
        for number in numbers {
            bins.add(*number, n_bins);
        }
        bins
    }

    #[test]
    fn whole_numbers_have_bins_of_whole_width() {
        assert_eq!(
            bins(&[1.0, 2.0, 2.0, 4.0], 10).all(),
            [(1.0, 2.0, 1), (2.0, 3.0, 2), (3.0, 4.0, 0), (4.0, 5.0, 1)]
        );
        assert_eq!(bins(&[7.0, 7.0], 10).all(), [(7.0, 8.0, 2)]);
        assert_eq!(bins(&[], 10).all(), []);
    }

    #[test]
    fn known_bins() {
        assert_eq!(
            bins(&[0.0, 5.0, 9.0, 100.0], 4).all(),
            [
                (0.0, 32.0, 3),
                (32.0, 64.0, 0),
                (64.0, 96.0, 0),
                (96.0, 128.0, 1)
            ]
        );
        assert_eq!(bins(&[-1.0, 1.0], 2).all(), [(-2.0, 0.0, 1), (0.0, 2.0, 1)]);
        assert_eq!(
            bins(&[0.8, 0.9, 1.0], 4).all(),
            [(0.75, 0.875, 1), (0.875, 1.0, 1), (1.0, 1.125, 1)]
        );
    }

    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        let number = prop_oneof![
            (-1_000_i32..1_000).prop_map(f64::from),
            -1e3_f64..1e3,
            any::<f64>().prop_filter("small enough", |number| number.abs() <= LARGEST),
        ];
        prop::collection::vec(number, 1..60)
    }

    proptest! {
        #[test]
        fn no_number_is_lost_and_each_stands_in_its_bin(numbers in numbers(), n_bins in 2_i64..50) {
            let all = bins(&numbers, n_bins).all();
            prop_assert!(all.len() as i64 <= n_bins);
            prop_assert_eq!(all.iter().map(|(_, _, n_rows)| n_rows).sum::<u64>(), numbers.len() as u64);
            for (low, high, n_rows) in all {
                let inside = numbers.iter().filter(|number| (low..high).contains(*number)).count();
                prop_assert_eq!(inside as u64, n_rows, "{}..{}", low, high);
            }
        }

        #[test]
        fn neither_order_nor_threads_change_the_bins(
            numbers in numbers(),
            n_bins in 2_i64..50,
            cut in 0_usize..60,
        ) {
            let forward = bins(&numbers, n_bins);
            let reversed: Vec<f64> = numbers.iter().rev().copied().collect();
            prop_assert_eq!(&forward, &bins(&reversed, n_bins));
            let (left, right) = numbers.split_at(cut.min(numbers.len()));
            let mut merged = bins(right, n_bins);
            merged.merge(bins(left, n_bins), n_bins);
            prop_assert_eq!(forward, merged);
        }
    }
}
