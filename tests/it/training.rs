use burn::backend::Autodiff;
use burn::tensor::{DType, Tensor};
use burn_flex::{Flex, FlexDevice};
use delia::lora;
use delia::model::{Decoder, Kernels, Sequences, Target, supervised_loss};
use delia::trainer::{Schedule, Trainer, TrainerConfig};

use crate::golden_models::{Cpu, adapted, batch, decoder, host};

const IDS: [u32; 12] = [5, 9, 41, 7, 30, 2, 8, 17, 60, 33, 12, 4];

fn config(peak: f64, n_steps: u64) -> TrainerConfig {
    TrainerConfig {
        schedule: Schedule {
            peak,
            warmup_steps: 0,
            n_steps,
        },
        weight_decay: 0.01,
        clip: 1.0,
        dropout: 0.0,
        seed: 3,
    }
}

fn logits(decoder: &Decoder<Cpu>) -> Vec<f32> {
    let sequences = Sequences {
        ids: &IDS,
        seq_len: 6,
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
    lora::attach(&mut decoder, 4, 8.0, 0);
    assert_eq!(logits(&decoder), before);
}

#[test]
fn one_batch_can_be_overfitted_and_the_base_stays_bit_by_bit() {
    for name in ["mha_untied", "gqa_tied"] {
        let new_token = decoder::<Cpu>(name, DType::F32, &FlexDevice)
            .config()
            .vocab_size as u32;
        let mut trainer = Trainer::new(
            adapted::<Cpu>(name, new_token, DType::F32, &FlexDevice),
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
    let states =
        Tensor::<Cpu, 2>::random([6, 24], burn::tensor::Distribution::Default, &FlexDevice)
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

#[test]
fn a_gradient_is_the_slope_of_the_loss() {
    // Over a whole decoder, so that every operation with a gradient written by hand is passed.
    let mut decoder = decoder::<Cpu>("gqa_tied", DType::F32, &FlexDevice);
    decoder.train_all();
    let sequences = Sequences {
        ids: &IDS,
        seq_len: 6,
    };
    let targets: Vec<_> = [1, 4, 7, 9]
        .map(|row| Target {
            row,
            token: IDS[row as usize + 1],
        })
        .into();
    let loss = |decoder: &Decoder<Cpu>| {
        supervised_loss(decoder, decoder.forward(sequences, None), &targets, 1.0)
    };
    let gradients = loss(&decoder).surrogate.backward();
    let gradients: Vec<_> = decoder
        .trained_mut()
        .into_iter()
        .map(|(name, tensor)| {
            (
                name,
                host(tensor.grad(&gradients).expect("every weight has one")),
            )
        })
        .collect();
    for (nth, (name, gradient)) in gradients.into_iter().enumerate() {
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
            *tensor = tensor.clone() + step * (sign * distance / norm);
            loss(&decoder)
                .of_targets
                .iter()
                .map(|&loss| f64::from(loss))
                .sum::<f64>()
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * f64::from(distance));
        let off = (slope - f64::from(norm)).abs() / f64::from(norm);
        assert!(off < 2e-2, "{name}: slope {slope}, norm {norm}");
    }
}
