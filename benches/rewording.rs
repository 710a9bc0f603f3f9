//! Rewording by rules: wordings a second on one thread, of different instructions and of a single one.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use delia::reword::{Original, Wordings};
use delia::sources::procedural::Sampler;

const N_WORDINGS: u64 = 10_000;
/// Wordings of a single instruction: as many as a task of the usual size needs.
const N_OF_ONE: usize = 100;

fn wordings(criterion: &mut Criterion) {
    let Ok(sampler) = Sampler::new(0, &[]) else {
        unreachable!("no name is unknown")
    };
    let originals: Vec<Original> = (0..N_WORDINGS)
        .map(|index| Original {
            text: sampler.pair(index).instruction,
            has_input: true,
            keys: Vec::new(),
        })
        .collect();
    let task = Original {
        text: "Judge whether the answer to the question contains a hallucination: a claim that is false, or that the given facts \
            contradict or do not support. Explain how you reach your verdict, then state it as yes or no. Follow the <sep> format."
            .to_owned(),
        has_input: true,
        keys: vec!["thought".to_owned(), "hallucination".to_owned()],
    };
    let tokens = ["<sep>".to_owned()];
    let mut group = criterion.benchmark_group("rewording");
    group.throughput(Throughput::Elements(N_WORDINGS));
    group.bench_function("10k_instructions", |bencher| {
        bencher.iter(|| {
            (originals.iter())
                .map(|original| Wordings::new(original, &tokens, 0).next(1).len())
                .sum::<usize>()
        });
    });
    group.throughput(Throughput::Elements(N_OF_ONE as u64));
    group.bench_function("100_of_one", |bencher| {
        bencher.iter(|| Wordings::new(&task, &tokens, 0).next(N_OF_ONE).len());
    });
    group.finish();
}

criterion_group!(benches, wordings);
criterion_main!(benches);
