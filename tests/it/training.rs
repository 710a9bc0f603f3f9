use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor};
use burn_flex::{Flex, FlexDevice};
use delia::base_model::BaseModel;
use delia::config::{Decay, LossNorm, QuantizeBase, Recompute, Targets};
use delia::loader::{GlobalBatch, MicroBatch};
use delia::lora::{self, AdapterConfig};
use delia::model::config::DecoderConfig;
use delia::model::{
    Decoder, Kernels, Noise, Packing, Sequences, Target, Weights, random, supervised_loss,
};
use delia::trainer::{Schedule, Trainer, TrainerConfig};

use crate::golden_models::{Cpu, adapted, batch, decoder, host, trainer_config};

const IDS: [u32; 12] = [5, 9, 41, 7, 30, 2, 8, 17, 60, 33, 12, 4];

fn config(peak: f64, n_steps: u64) -> TrainerConfig {
    trainer_config(Schedule {
        decay: Decay::Cosine,
        peak,
        warmup_steps: 0,
        n_steps,
    })
}

fn logits<B>(decoder: &Decoder<B>) -> Vec<f32>
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    let packing = Packing::of(vec![6, 6]);
    let sequences = Sequences {
        ids: &IDS,
        packing: &packing,
    };
    let decoder = decoder.inner();
    host(decoder.logits(decoder.forward(sequences, None)))
}

/// Every tensor of the base by name, bit by bit.
fn base(decoder: &mut Decoder<Cpu>) -> Vec<(String, Vec<u32>)> {
    let tensors = decoder.tensors_mut().into_iter();
    let of_base =
        tensors.filter(|(name, _)| !name.contains("lora_") && !name.contains("token_adapter"));
    of_base
        .map(|(name, tensor)| {
            (
                name,
                host(tensor.clone()).into_iter().map(f32::to_bits).collect(),
            )
        })
        .collect()
}

#[test]
fn fresh_adapters_change_nothing() {
    let mut decoder = decoder::<Cpu>("gqa_tied", DType::F32, &FlexDevice);
    let before = logits(&decoder);
    lora::attach(&mut decoder, &lora_config(false), 0).expect("attached");
    assert_eq!(logits(&decoder), before);
}

#[test]
fn one_batch_can_be_overfitted_and_the_base_stays_bit_by_bit() {
    for name in ["mha_untied", "gqa_tied"] {
        let new_token = decoder::<Cpu>(name, DType::F32, &FlexDevice)
            .config()
            .vocab_size as u32;
        let mut trainer = Trainer::new(
            adapted::<Cpu>(&format!("{name}/lora"), new_token, DType::F32, &FlexDevice),
            config(2e-2, 200),
        );
        let before = base(trainer.decoder_mut());
        let rows = |trainer: &Trainer<Cpu>| {
            let decoder = trainer.decoder();
            let tables = [Some(&decoder.embedding), decoder.head.as_ref()];
            let rows = tables
                .into_iter()
                .flatten()
                .map(|table| host(table.new.as_ref().expect("new rows").rows.clone()));
            rows.collect::<Vec<_>>()
        };
        let rows_before = rows(&trainer);
        let mut losses = Vec::new();
        for step in 0..200 {
            let samples = [
                (vec![5, 9, new_token, 7, 30, new_token], 3),
                (vec![8, 17, 60, 33, 12], 2),
            ];
            losses.push(
                trainer
                    .step(&batch(step, samples.into_iter()))
                    .expect("finite")
                    .expect("targets")
                    .loss,
            );
        }
        assert!(
            losses[0] > 2.0 && losses[199] < 0.2,
            "{name}: {} → {}",
            losses[0],
            losses[199]
        );
        assert_eq!(base(trainer.decoder_mut()), before, "{name}");
        for (before, after) in rows_before.iter().zip(rows(&trainer)) {
            assert_ne!(*before, after, "{name}: every new row is trained");
        }
    }
}

#[test]
fn tokens_that_are_not_counted_have_no_gradient() {
    let decoder = decoder::<Cpu>("mha_untied", DType::F32, &FlexDevice);
    let states = random::<Cpu>(
        [6, 24],
        burn::tensor::Distribution::Default,
        0,
        "states",
        &FlexDevice,
    )
    .require_grad();
    let targets = [Target { row: 3, token: 9 }, Target { row: 5, token: 60 }];
    let loss = supervised_loss(&decoder, states.clone(), &targets, 1.0);
    assert_eq!(loss.of_targets.len(), 2);
    let gradient = host(states.grad(&loss.surrogate.backward()).expect("a gradient"));
    for (row, values) in gradient.chunks(24).enumerate() {
        let is_counted = [3, 5].contains(&row);
        assert_eq!(
            values.iter().any(|&value| value != 0.0),
            is_counted,
            "row {row}"
        );
    }
}

/// The same seed drops the same numbers, in the gradient too.
pub(crate) fn check_dropout<B: Kernels>(device: &B::Device) {
    let shape = [64, 300];
    let ones = Tensor::<Autodiff<B>, 2>::ones(shape, (device, DType::F32)).require_grad();
    let drop = |seed| <Autodiff<B> as Kernels>::dropout(ones.clone(), 0.25, seed);
    let (first, again, other) = (drop(7), drop(7), drop(8));
    let mask = host(first.clone());
    assert_eq!(mask, host(again));
    assert_ne!(mask, host(other));
    let kept = mask.iter().filter(|&&value| value != 0.0).count() as f64 / mask.len() as f64;
    assert!((kept - 0.75).abs() < 0.02, "{kept} of the numbers are kept");
    let gradients = (first * 3.0).sum().backward();
    let gradient = host(ones.grad(&gradients).expect("a gradient"));
    let expected: Vec<f32> = mask.iter().map(|value| 3.0 * value).collect();
    assert_eq!(gradient, expected);
}

#[test]
fn dropout_is_a_function_of_its_seed() {
    check_dropout::<Flex>(&FlexDevice);
}

fn lora_config(use_dora: bool) -> AdapterConfig {
    AdapterConfig {
        rank: 4,
        alpha: 8.0,
        dropout: 0.0,
        use_rslora: false,
        use_dora,
        targets: Targets::All,
    }
}

/// Targets in both of two sequences of six tokens.
fn targets() -> Vec<Target> {
    let rows = [1, 4, 7, 9];
    let targets = rows.map(|row| Target {
        row,
        token: IDS[row as usize + 1],
    });
    targets.to_vec()
}

fn gradients<B>(
    decoder: &mut Decoder<B>,
    noise: Noise,
    recompute: Recompute,
) -> (f64, Vec<(String, Vec<f32>)>)
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    let packing = Packing::of(vec![6, 6]);
    let sequences = Sequences {
        ids: &IDS,
        packing: &packing,
    };
    let (losses, gradients) = decoder.gradients(sequences, Some(noise), &targets(), 1.0, recompute);
    let of_trained = decoder.trained_mut().into_iter().map(|(name, _)| {
        let gradient = gradients.get(&name).expect("every tensor has one");
        (name, host(gradient.clone()))
    });
    let loss = losses.iter().map(|&loss| f64::from(loss)).sum();
    (loss, of_trained.collect())
}

/// The gradient of every trained tensor, against the slope of the loss along it.
fn check_slopes(name: &str, decoder: &mut Decoder<Cpu>, noise: Noise) {
    let (_, found) = gradients(decoder, noise, Recompute::None);
    for (nth, (tensor_name, gradient)) in found.into_iter().enumerate() {
        // Along the gradient itself the slope is its norm.
        let norm = gradient
            .iter()
            .map(|value| value * value)
            .sum::<f32>()
            .sqrt();
        let distance = 1e-3 / norm.max(1.0);
        let moved = |sign: f32| {
            let mut decoder = decoder.clone();
            let mut tensors = decoder.trained_mut();
            let tensor = &mut *tensors[nth].1;
            let step = Tensor::<Cpu, 1>::from_floats(gradient.as_slice(), &FlexDevice)
                .reshape(tensor.dims());
            let moved = tensor.clone().detach() + step * (sign * distance / norm);
            *tensor = moved.detach().require_grad();
            gradients(&mut decoder, noise, Recompute::None).0
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * f64::from(distance));
        let off = (slope - f64::from(norm)).abs() / f64::from(norm).max(0.05);
        assert!(
            off < 2e-2,
            "{name}, {tensor_name}: slope {slope}, norm {norm}"
        );
    }
}

const QUIET: Noise = Noise {
    dropout: 0.0,
    neftune: 0.0,
    key: 1,
};
const NOISY: Noise = Noise {
    dropout: 0.2,
    neftune: 3.0,
    key: 1,
};

#[test]
fn a_gradient_is_the_slope_of_the_loss() {
    // Over whole decoders, so that every operation with a gradient written by hand is passed.
    for name in ["gqa_tied", "gemma2", "qwen3"] {
        let mut whole = decoder::<Cpu>(name, DType::F32, &FlexDevice);
        whole.train_all();
        check_slopes(name, &mut whole, QUIET);
    }
}

#[test]
fn a_gradient_of_an_adapter_is_the_slope_of_the_loss_with_the_same_noise() {
    let mut decoder = adapted::<Cpu>("gqa_tied/lora", 67, DType::F32, &FlexDevice);
    // Its token does not occur.
    decoder.embedding.new = None;
    check_slopes("lora", &mut decoder, NOISY);
}

#[test]
fn what_is_computed_again_is_computed_the_same() {
    check_recompute::<Cpu>(&FlexDevice);
}

/// Losses are the same, and gradients but for the order in which they are summed.
pub(crate) fn check_recompute<B>(device: &B::Device)
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    for kind in ["lora", "dora"] {
        let mut decoder = adapted::<B>(&format!("gqa_tied/{kind}"), 67, DType::F32, device);
        decoder.embedding.new = None;
        let (loss, expected) = gradients(&mut decoder, NOISY, Recompute::None);
        for recompute in [Recompute::Attention, Recompute::Block] {
            let (again, found) = gradients(&mut decoder, NOISY, recompute);
            assert_eq!(loss, again, "{recompute:?}");
            for ((name, expected), (_, found)) in expected.iter().zip(found) {
                let off = expected.iter().zip(&found).map(|(a, b)| (a - b).abs());
                let off = off.fold(0.0, f32::max);
                assert!(off < 1e-5, "{kind}, {recompute:?}, {name}: off by {off}");
            }
        }
    }
}

#[test]
fn halves_of_a_step_add_up_to_it() {
    let new_token = 67;
    let samples = [
        (vec![5, 9, new_token, 7, 30, new_token], 3),
        (vec![8, 17, 60, 33, 12], 2),
        (vec![1, 2, 3, 4, 5, 6, 7, 8, 9], 4),
        (vec![new_token, 2, 9], 1),
    ];
    let whole = batch(0, samples.into_iter());
    assert!(whole.micro_batches.len() > 1);
    let part = |micro_batches: &[MicroBatch]| GlobalBatch {
        micro_batches: micro_batches.to_vec(),
        ..whole.clone()
    };
    let (first, second) = whole.micro_batches.split_at(1);
    for loss_norm in [LossNorm::Token, LossNorm::Microbatch] {
        let mut config = config(1e-3, 10);
        (config.dropout, config.neftune) = (NOISY.dropout, NOISY.neftune);
        config.loss_norm = loss_norm;
        let decoder = adapted::<Cpu>("gqa_tied/lora", new_token, DType::F32, &FlexDevice);
        let mut trainer = Trainer::new(decoder, config);
        let (mut sum, of_first) = trainer.gradients(&part(first)).expect("finite");
        let (rest, of_second) = trainer.gradients(&part(second)).expect("finite");
        sum.add(rest);
        let (expected, all) = trainer.gradients(&whole).expect("finite");
        assert!((of_first.total + of_second.total - all.total).abs() < 1e-5);
        for (name, _) in trainer.decoder_mut().trained_mut() {
            let both = [&sum, &expected].map(|gradients| gradients.get(&name));
            let [sum, expected] = both.map(|gradient| host(gradient.expect("one").clone()));
            let off = sum.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f32::max) < 1e-6, "{loss_norm:?}, {name}");
        }
    }
}

#[test]
fn a_quantised_base_is_computed_with_as_what_its_bits_say() {
    check_quantised::<Cpu>(&FlexDevice);
    let mut narrow = decoder::<Cpu>("gqa_tied", DType::F32, &FlexDevice);
    let refused = narrow.quantise(QuantizeBase::Q4).expect_err("rows of 24");
    assert!(refused.to_string().contains("24 numbers"), "{refused}");
}

/// A quantised projection computes what its numbers, written out, compute, and these are near those it was made from.
pub(crate) fn check_quantised<B>(device: &B::Device)
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    let model = BaseModel::Bundled;
    let config = DecoderConfig::read(&model).expect("a configuration");
    let weights = Weights::open(&model).expect("weights");
    let load = || {
        let mut decoder = Decoder::<B>::load(&config, &weights, 16, DType::F32, device)
            .expect("the bundled model");
        lora::attach(&mut decoder, &lora_config(false), 0).expect("attached");
        decoder
    };
    let whole = logits(&load());
    for (bits, expected) in [(QuantizeBase::Q8, 0.02), (QuantizeBase::Q4, 0.35)] {
        let mut held = load();
        held.quantise(bits).expect("whole blocks");
        let mut spelled_out = load();
        let projections = spelled_out.projections_mut().zip(held.projections_mut());
        for ((name, spelled_out), (_, held)) in projections {
            assert!(matches!(held.weight.dtype(), DType::QFloat(_)), "{name}");
            spelled_out.weight = <B as Kernels>::dequantised(&held.weight);
        }
        let found = logits(&held);
        assert_eq!(found, logits(&spelled_out), "{bits:?}");
        let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>();
        let off = squares(&mut found.iter().zip(&whole).map(|(a, b)| a - b));
        let off = (off / squares(&mut whole.iter().copied())).sqrt();
        assert!(off > 0.0 && off < expected, "{bits:?}: off by {off}");
        let (loss, found) = gradients(&mut held, NOISY, Recompute::None);
        let (again, expected) = gradients(&mut spelled_out, NOISY, Recompute::Block);
        assert_eq!(loss, again);
        for ((name, found), (_, expected)) in found.iter().zip(&expected) {
            let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f32::max) < 1e-5, "{bits:?}, {name}");
        }
    }
}

#[test]
fn the_second_matrix_learns_faster_by_the_ratio_of_lora_plus() {
    let moved = |ratio: f64| {
        let mut config = config(1e-3, 10);
        (config.lora_plus_ratio, config.weight_decay) = (ratio, 0.0);
        let decoder = adapted::<Cpu>("gqa_tied/lora", 67, DType::F32, &FlexDevice);
        let mut trainer = Trainer::new(decoder, config);
        let values = |trainer: &mut Trainer<Cpu>| {
            let (_, projection) = trainer.decoder_mut().projections_mut().next().expect("one");
            let adapter = projection.adapter.as_ref().expect("an adapter");
            [host(adapter.a.clone()), host(adapter.b.clone())]
        };
        let before = values(&mut trainer);
        let samples = [(vec![5, 9, 41, 7, 30, 2], 3)];
        trainer
            .step(&batch(0, samples.into_iter()))
            .expect("finite");
        let after = values(&mut trainer);
        let distance = |before: &[f32], after: &[f32]| {
            let moves = before.iter().zip(after).map(|(a, b)| (a - b).abs());
            moves.fold(0.0, f32::max)
        };
        [
            distance(&before[0], &after[0]),
            distance(&before[1], &after[1]),
        ]
    };
    let ([a, b], [same_a, faster_b]) = (moved(1.0), moved(4.0));
    assert!((a - same_a).abs() < 1e-6, "{a} and {same_a}");
    assert!((faster_b / b - 4.0).abs() < 1e-2, "{b} and {faster_b}");
}

#[test]
fn a_step_may_be_the_mean_of_its_micro_batches() {
    let decoder = || adapted::<Cpu>("gqa_tied/lora", 67, DType::F32, &FlexDevice);
    let samples = [
        (vec![5, 9, 67, 7, 30, 67, 4, 8], 6),
        (vec![8, 17, 60, 33, 12, 9, 1], 1),
        (vec![1, 2, 3, 4, 5, 6, 7, 8, 9], 4),
        (vec![67, 2, 9], 1),
    ];
    let whole = batch(0, samples.into_iter());
    let n = whole.micro_batches.len();
    assert!(n > 1);
    let mut by_micro_batch = config(1e-3, 10);
    by_micro_batch.loss_norm = LossNorm::Microbatch;
    let mut trainer = Trainer::new(decoder(), by_micro_batch);
    let (found, _) = trainer.gradients(&whole).expect("finite");
    // Each alone as a step of its own, and then their mean.
    let mut trainer = Trainer::new(decoder(), config(1e-3, 10));
    let name = "model.layers.1.mlp.up_proj.lora_A.weight";
    let mut mean = vec![0.0; host(found.get(name).expect("one").clone()).len()];
    for micro in &whole.micro_batches {
        let alone = GlobalBatch {
            n_targets: micro.targets.len(),
            micro_batches: vec![micro.clone()],
            ..whole.clone()
        };
        let (gradients, _) = trainer.gradients(&alone).expect("finite");
        let gradient = host(gradients.get(name).expect("one").clone());
        for (mean, value) in mean.iter_mut().zip(gradient) {
            *mean += value / n as f32;
        }
    }
    let found = host(found.get(name).expect("one").clone());
    let largest = mean
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let off = found.iter().zip(&mean).map(|(a, b)| (a - b).abs());
    let off = off.fold(0.0, f32::max) / largest;
    assert!(off < 1e-5, "off by {off}");
}

#[test]
fn noise_on_embeddings_is_that_of_neftune() {
    let decoder = decoder::<Cpu>("gemma", DType::F32, &FlexDevice);
    let packing = Packing::of(vec![2, 10]);
    let sequences = Sequences {
        ids: &IDS,
        packing: &packing,
    };
    let quiet = host(decoder.embeddings(sequences, None));
    let noisy = |key| {
        let noise = Noise {
            dropout: 0.0,
            neftune: 5.0,
            key,
        };
        host(decoder.embeddings(sequences, Some(noise)))
    };
    assert_eq!(noisy(1), noisy(1));
    assert_ne!(noisy(1), noisy(2));
    let d = decoder.config().hidden_size;
    for (tokens, length) in [(0..2, 2.0), (2..12, 10.0)] {
        let bound = 5.0 / (length * d as f32).sqrt();
        let places = tokens.start * d..tokens.end * d;
        let noisy = noisy(1);
        let moves: Vec<f32> = places
            .map(|place| (noisy[place] - quiet[place]).abs())
            .collect();
        let largest = moves.iter().copied().fold(0.0, f32::max);
        assert!(
            largest <= bound * 1.001 && largest > bound * 0.8,
            "{largest} of {bound}"
        );
        let mean = moves.iter().sum::<f32>() / moves.len() as f32;
        assert!(
            (mean / bound - 0.5).abs() < 0.15,
            "uniform: {mean} of {bound}"
        );
    }
}
