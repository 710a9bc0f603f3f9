//! The shard writer: rows of real length encoded, hashed, synced and renamed.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use delia::sample::shard_schema;
use delia::shards::{Plan, ShardWriter};
use delia::sources::procedural::Sampler;

const N_ROWS: u64 = 32_768;

fn rows() -> RecordBatch {
    let Ok(sampler) = Sampler::new(0, &[]) else {
        unreachable!("no name is unknown")
    };
    let pairs: Vec<_> = (0..N_ROWS).map(|index| sampler.pair(index)).collect();
    let n = pairs.len();
    let text = |of: fn(&delia::sources::procedural::Pair) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(pairs.iter().map(of)))
    };
    let all = |value: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(vec![value; n])) };
    let ids = (0..N_ROWS).map(|row| blake3::hash(&row.to_le_bytes()).as_bytes()[..16].to_vec());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(0..N_ROWS)),
        all("diverse"),
        all("procedural"),
        Arc::new(UInt64Array::from_iter_values(0..N_ROWS)),
        Arc::new(FixedSizeBinaryArray::try_from_iter(ids).expect("ids of one size")),
        Arc::new(UInt64Array::new_null(n)),
        Arc::new(StringArray::new_null(n)),
        Arc::new(UInt32Array::from(vec![0; n])),
        text(|pair| &pair.instruction),
        text(|pair| &pair.input),
        text(|pair| &pair.output),
    ];
    RecordBatch::try_new(shard_schema(), columns).expect("the shard schema")
}

fn write(criterion: &mut Criterion) {
    let rows = rows();
    let plan = Plan::new(0, N_ROWS, 16_384, &[]);
    let mut group = criterion.benchmark_group("shard_write");
    group.throughput(Throughput::Elements(N_ROWS));
    group.sample_size(20);
    group.bench_function("32k_rows", |bencher| {
        bencher.iter(|| {
            let folder = tempfile::tempdir().expect("a folder");
            let journal = folder.path().join("journal");
            let mut writer = ShardWriter::resume(folder.path(), &journal, &plan).expect("a writer");
            writer.push(&rows).expect("written");
            writer.finish().expect("written").len()
        });
    });
    group.finish();
}

criterion_group!(benches, write);
criterion_main!(benches);
