//! What near-duplicates and the measures of diversity cost by the row: the SQL functions on whole columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::Field;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use datafusion::scalar::ScalarValue;
use delia::sources::procedural::Sampler;
use delia::tables::{Bands, FirstCome, Keys, RarePrefix, functions, members};

const N_ROWS: usize = 8_192;

fn function(name: &str) -> ScalarUDF {
    let found = functions().into_iter().find(|known| known.name() == name);
    found.expect("a function of ours")
}

/// Calls a SQL function on whole columns.
fn call(function: &ScalarUDF, arguments: &[ColumnarValue], n_rows: usize) -> ArrayRef {
    let fields: Vec<_> = arguments
        .iter()
        .map(|argument| Arc::new(Field::new("argument", argument.data_type(), true)))
        .collect();
    let return_field = function
        .return_field_from_args(ReturnFieldArgs {
            arg_fields: &fields,
            scalar_arguments: &vec![None; fields.len()],
        })
        .expect("a return type");
    let result = function.invoke_with_args(ScalarFunctionArgs {
        args: arguments.to_vec(),
        arg_fields: fields,
        number_rows: n_rows,
        return_field,
        config_options: Arc::new(ConfigOptions::default()),
    });
    let result = result.and_then(|result| result.into_array(n_rows));
    result.expect("the arguments fit")
}

fn literal(value: impl Into<ScalarValue>) -> ColumnarValue {
    ColumnarValue::Scalar(value.into())
}

fn prompts() -> ColumnarValue {
    let Ok(sampler) = Sampler::new(0, &[]) else {
        unreachable!("no name is unknown")
    };
    let prompts = (0..N_ROWS as u64).map(|index| {
        let pair = sampler.pair(index);
        format!("{}\n{}", pair.instruction, pair.input)
    });
    ColumnarValue::Array(Arc::new(StringArray::from_iter_values(prompts)))
}

fn near(criterion: &mut Criterion) {
    let prompts = prompts();
    let shingles = function("shingles");
    let sets = call(&shingles, &[prompts.clone(), literal("word:3")], N_ROWS);
    let pieces = sets.as_list::<i32>().values().len();
    let mut group = criterion.benchmark_group("near");
    group.throughput(Throughput::Elements(N_ROWS as u64));
    for kind in ["word:3", "char:5"] {
        let arguments = [prompts.clone(), literal(kind)];
        group.bench_function(format!("shingles/{kind}/8k_rows"), |bencher| {
            bencher.iter(|| call(&shingles, &arguments, N_ROWS).len());
        });
    }
    for name in ["exact", "minhash_128"] {
        let keys = || match name {
            "exact" => Keys::Rarest(RarePrefix::new(0.8, [])),
            _ => Keys::Bands(Bands::new(128, 6, 0)),
        };
        group.bench_function(format!("first_come/{name}/8k_rows"), |bencher| {
            bencher.iter(|| {
                let mut first_come = FirstCome::new(0.8, keys(), usize::MAX);
                let offers = (0..N_ROWS).filter_map(|row| {
                    first_come.offer(row, members(&sets, row).unwrap_or_default(), false)
                });
                offers.count()
            });
        });
    }
    // Every row with the one after it.
    let after = sets.slice(1, N_ROWS - 1);
    let before = sets.slice(0, N_ROWS - 1);
    let arguments = [ColumnarValue::Array(before), ColumnarValue::Array(after)];
    let jaccard = function("jaccard");
    group.bench_function(
        format!("jaccard/8k_pairs_of_{}_pieces", pieces / N_ROWS),
        |bencher| {
            bencher.iter(|| call(&jaccard, &arguments, N_ROWS - 1).len());
        },
    );
    group.finish();
}

fn diversity(criterion: &mut Criterion) {
    let prompts = prompts();
    let mut group = criterion.benchmark_group("diversity");
    group.throughput(Throughput::Elements(N_ROWS as u64));
    for name in ["word_hashes", "lead_pair"] {
        let function = function(name);
        let arguments = [prompts.clone()];
        group.bench_function(format!("{name}/8k_rows"), |bencher| {
            bencher.iter(|| call(&function, &arguments, N_ROWS).len());
        });
    }
    group.finish();
}

criterion_group!(benches, near, diversity);
criterion_main!(benches);
