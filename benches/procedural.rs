//! The procedural sampler: pairs a second on one thread.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use delia::sources::procedural::Sampler;

const N_PAIRS: u64 = 10_000;

fn pairs(criterion: &mut Criterion) {
    let Ok(sampler) = Sampler::new(0, &[]) else {
        unreachable!("no name is unknown")
    };
    let mut group = criterion.benchmark_group("procedural");
    group.throughput(Throughput::Elements(N_PAIRS));
    group.bench_function("10k_pairs", |bencher| {
        bencher.iter(|| {
            (0..N_PAIRS)
                .map(|index| sampler.pair(index).output.len())
                .sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, pairs);
criterion_main!(benches);
