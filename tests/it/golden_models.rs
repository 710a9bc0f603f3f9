use std::fs;
use std::path::{Path, PathBuf};

use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor};
use delia::base_model::BaseModel;
use delia::config::{Decay, LossNorm, LossOn, Recompute};
use delia::loader::{ByKind, Example, GlobalBatch, MicroShape, micro_batches};
use delia::lora;
use delia::model::config::DecoderConfig;
use delia::model::{Decoder, Kernels, NewRows, Packing, Sequences, TokenTable, Weights};
use delia::sample::Kind;
use delia::tokenizer::Encoded;
use delia::trainer::{Schedule, Trainer, TrainerConfig};
use serde::Deserialize;

/// The CPU, as `delia-fit` uses it.
pub(crate) type Cpu = Autodiff<burn_flex::Flex>;

/// Tokens in each of the two golden sequences.
const SEQ_LEN: usize = 23;

/// The checkpoints made by `tests/golden/models/make.py`.
pub(crate) const MODELS: [&str; 10] = [
    "mha_untied",
    "gqa_tied",
    "llama3_rope",
    "sharded_bf16",
    "mistral",
    "gemma",
    "gemma2",
    "gemma3",
    "qwen2",
    "qwen3",
];

/// Those PEFT made ten steps with, and the adapters it did so with.
pub(crate) const STEPS: [(&str, &str); 6] = [
    ("mha_untied", "lora"),
    ("gqa_tied", "lora"),
    ("gqa_tied", "rslora"),
    ("gqa_tied", "dora"),
    ("gemma2", "lora"),
    ("qwen3", "lora"),
];

/// Where the checkpoints lie: in the repository, or in the folder a test binary was carried to.
pub(crate) fn folder(name: &str) -> PathBuf {
    let below = |root: &Path| root.join("tests/golden/models").join(name);
    let there = below(Path::new(env!("CARGO_MANIFEST_DIR")));
    if there.exists() {
        there
    } else {
        below(Path::new("."))
    }
}

pub(crate) fn model(name: &str) -> BaseModel {
    BaseModel::named(&folder(name)).expect("a golden checkpoint")
}

pub(crate) fn decoder<B: Kernels>(name: &str, dtype: DType, device: &B::Device) -> Decoder<B> {
    let model = model(name);
    let config = DecoderConfig::read(&model).expect("a configuration");
    let weights = Weights::open(&model).expect("weights");
    Decoder::load(&config, &weights, config.max_positions, dtype, device).expect("a decoder")
}

/// A tensor transformers computed.
struct Golden(safetensors::SafeTensors<'static>);

impl Golden {
    fn of(name: &str) -> Golden {
        let bytes = fs::read(folder(name).join("golden.safetensors")).expect("golden values");
        Golden(safetensors::SafeTensors::deserialize(bytes.leak()).expect("safetensors"))
    }

    fn values(&self, name: &str) -> Vec<f32> {
        let view = self.0.tensor(name).expect("a golden tensor");
        let numbers = view.data().as_chunks::<4>().0.iter();
        numbers.map(|four| f32::from_le_bytes(*four)).collect()
    }

    fn ids(&self) -> Vec<u32> {
        self.values("ids").into_iter().map(|id| id as u32).collect()
    }
}

pub(crate) fn host<B: burn::tensor::backend::Backend>(tensor: Tensor<B, 2>) -> Vec<f32> {
    tensor
        .cast(DType::F32)
        .into_data()
        .into_vec()
        .expect("32 bits")
}

/// The largest difference, relative to the largest value where that is above 1.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected
        .iter()
        .fold(1.0_f32, |largest, value| largest.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max) / largest
}

/// Compares all states between the blocks and the logits with what transformers computed.
pub(crate) fn compare_states<B: Kernels>(
    name: &str,
    dtype: DType,
    device: &B::Device,
    tolerance: f32,
) {
    let golden = Golden::of(name);
    let decoder = decoder::<B>(name, dtype, device);
    let ids = golden.ids();
    let packing = Packing::in_rows(vec![SEQ_LEN; 2], SEQ_LEN);
    let sequences = Sequences {
        ids: &ids,
        packing: &packing,
    };
    let states = decoder.hidden_states(sequences);
    for (place, state) in states.iter().enumerate() {
        let expected = golden.values(&format!("state_{place}"));
        let distance = distance(&host(state.clone()), &expected);
        assert!(
            distance < tolerance,
            "{name}: state {place} is off by {distance}"
        );
    }
    let logits = decoder.logits(decoder.forward(sequences, None));
    let distance = distance(&host(logits), &golden.values("logits"));
    assert!(distance < tolerance, "{name}: logits are off by {distance}");
}

#[derive(Deserialize)]
struct GoldenMicroBatch {
    ids: Vec<Vec<u32>>,
    starts: Vec<usize>,
}

#[derive(Deserialize)]
struct GoldenSteps {
    new_token: u32,
    steps: Vec<Vec<GoldenMicroBatch>>,
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
}

/// Ten steps of PEFT, step for step; the gradient's norm is compared relative to its size.
pub(crate) fn compare_steps<B>(
    (name, kind): (&str, &str),
    dtype: DType,
    device: &B::Device,
    tolerance: f64,
) where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    let text = fs::read_to_string(folder(name).join(kind).join("golden.json"));
    let text = text.expect("golden steps");
    let golden: GoldenSteps = serde_json::from_str(&text).expect("JSON");
    let mut trainer = Trainer::new(
        adapted::<B>(&format!("{name}/{kind}"), golden.new_token, dtype, device),
        trainer_config(Schedule {
            decay: Decay::Cosine,
            peak: 5e-3,
            warmup_steps: 2,
            n_steps: 10,
        }),
    );
    for (step, micro) in (0..).zip(&golden.steps) {
        let samples = micro
            .iter()
            .flat_map(|micro| micro.ids.iter().zip(&micro.starts));
        let found = trainer
            .step(&batch(
                step,
                samples.map(|(ids, &start)| (ids.clone(), start)),
            ))
            .expect("finite losses")
            .expect("targets");
        let (loss, norm) = (
            golden.losses[step as usize],
            golden.grad_norms[step as usize],
        );
        assert!(
            (found.loss - loss).abs() < tolerance,
            "{name} {kind}, step {step}: {} is not {loss}",
            found.loss
        );
        let off = (found.grad_norm - norm).abs() / norm;
        assert!(
            off < tolerance,
            "{name} {kind}, step {step}: gradient norm {} is not {norm}",
            found.grad_norm
        );
    }
}

/// Settings of PEFT's steps.
pub(crate) fn trainer_config(schedule: Schedule) -> TrainerConfig {
    TrainerConfig {
        schedule: schedule.into(),
        weight_decay: 0.01,
        clip: 1.0,
        dropout: 0.0,
        neftune: 0.0,
        lora_plus_ratio: 1.0,
        loss_norm: LossNorm::Token,
        recompute: Recompute::None,
        seed: 0,
    }
}

/// A golden checkpoint with a golden adapter in a folder of its own, and a new token.
pub(crate) fn adapted<B: AutodiffBackend + Kernels>(
    adapter: &str,
    new_token: u32,
    dtype: DType,
    device: &B::Device,
) -> Decoder<B> {
    let (name, _) = adapter.split_once('/').expect("a model and an adapter");
    let mut decoder = decoder::<B>(name, dtype, device);
    let d = decoder.config().hidden_size;
    let add = |table: &mut TokenTable<B>| {
        table.new = Some(NewRows {
            ids: vec![new_token],
            rows: Tensor::zeros([1, d], device).require_grad(),
        });
    };
    add(&mut decoder.embedding);
    decoder.head.as_mut().map(add);
    lora::load(&mut decoder, &model(adapter)).expect("the golden adapter");
    decoder
}

/// A step of samples: their tokens, and from which on they are counted.
pub(crate) fn batch(step: u64, samples: impl Iterator<Item = (Vec<u32>, usize)>) -> GlobalBatch {
    let examples = (0..)
        .zip(samples)
        .map(|(position, (ids, response_start))| Example {
            position,
            kind: Kind::Task,
            encoded: Encoded {
                ids,
                response_start,
            },
        });
    let examples: Vec<_> = examples.collect();
    let n_targets = |example: &Example| example.encoded.ids.len() - example.encoded.response_start;
    GlobalBatch {
        step,
        positions: 0..examples.len() as u64,
        n_samples: examples.len(),
        n_tokens: examples
            .iter()
            .map(|example| example.encoded.ids.len())
            .sum(),
        n_targets: examples.iter().map(n_targets).sum(),
        // Small enough that a step has several; rows, as a GPU needs them.
        micro_batches: micro_batches(
            examples,
            MicroShape {
                max_tokens: 20,
                row_multiple: Some(10),
            },
            LossOn::Response,
        ),
        too_long: ByKind::default(),
        no_target: ByKind::default(),
    }
}

#[test]
fn states_and_logits_are_those_of_transformers() {
    for name in MODELS {
        compare_states::<burn_flex::Flex>(name, DType::F32, &Default::default(), 1e-4);
    }
}

#[test]
fn ten_steps_have_the_losses_of_peft() {
    for steps in STEPS {
        compare_steps::<Cpu>(steps, DType::F32, &Default::default(), 1e-3);
    }
}

/// Sequences of several lengths, alone and one behind the other with padding between them.
pub(crate) fn compare_packed<B: Kernels>(
    name: &str,
    dtype: DType,
    device: &B::Device,
    tolerance: f32,
) {
    let decoder = decoder::<B>(name, dtype, device);
    let lengths = [9, 14, 1, 10, 12, 17, 5];
    let ids: Vec<u32> = (0..68).map(|nth| nth * 7 % 61).collect();
    let states = |ids: &[u32], packing: Packing| {
        let sequences = Sequences {
            ids,
            packing: &packing,
        };
        host(decoder.forward(sequences, None))
    };
    let together = states(&ids, Packing::in_rows(lengths.to_vec(), 34));
    let packing = Packing::of(lengths.to_vec());
    let alone = packing.sequences().flat_map(|tokens| {
        let length = tokens.len();
        states(&ids[tokens], Packing::of(vec![length]))
    });
    let distance = distance(&together, &alone.collect::<Vec<_>>());
    assert!(
        distance < tolerance,
        "{name}: packed sequences are off by {distance}"
    );
}

#[test]
fn packed_sequences_do_not_see_each_other() {
    for name in MODELS {
        compare_packed::<burn_flex::Flex>(name, DType::F32, &Default::default(), 1e-5);
    }
}
