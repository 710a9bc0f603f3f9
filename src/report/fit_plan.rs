//! What a fit is going to do, with the arithmetic of its numbers.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use indicatif::HumanDuration;
use serde::Serialize;

use crate::config::{Decay, Recompute, Warmup};

use super::build::{grouped, rounded};

/// Terms of a sum that are all shown.
const TERMS_SHOWN: usize = 6;

/// A fit before its first step.
#[derive(Clone, Debug, Serialize)]
pub struct FitPlan {
    /// The base model.
    pub model: String,
    /// Where it would be computed.
    pub device: String,
    /// Weights of the model.
    pub parameters: u64,
    /// Its blocks.
    pub blocks: u64,
    /// What is trained of it.
    pub trained: TrainedPlan,
    /// What it is trained on.
    pub samples: SamplesPlan,
    /// Steps.
    pub steps: StepsPlan,
    /// Bytes of memory, estimated.
    pub memory: MemoryPlan,
    /// Time, estimated.
    pub time: TimePlan,
}

/// What is trained.
#[derive(Clone, Debug, Serialize)]
pub struct TrainedPlan {
    /// The adapters; none where every weight is trained.
    pub adapters: Option<AdaptersPlan>,
    /// New tokens.
    pub new_tokens: u64,
    /// Weights of a row of a new token.
    pub row_weights: u64,
    /// Tables that have such a row: the embedding, and an output table of its own.
    pub tables: u64,
    /// Weights trained.
    pub weights: u64,
}

/// The adapters.
#[derive(Clone, Debug, Serialize)]
pub struct AdaptersPlan {
    /// Their inner size.
    pub rank: u64,
    /// Their outputs are scaled by alpha / rank.
    pub alpha: f64,
    /// Whether by alpha / sqrt(rank) instead.
    pub is_rslora: bool,
    /// Whether lengths of rows are trained apart.
    pub is_dora: bool,
    /// What their outputs are multiplied by.
    pub scale: f64,
    /// Matrices they stand beside.
    pub matrices: u64,
    /// Their weights.
    pub weights: u64,
}

/// The samples of a fit, as far as they were looked at.
#[derive(Clone, Debug, Serialize)]
pub struct SamplesPlan {
    /// Rows of the stream.
    pub rows: u64,
    /// Tokens a sample may have.
    pub max_length: u64,
    /// Rows looked at.
    pub looked_at: u64,
    /// Those of them that would be trained on.
    pub used: u64,
    /// The mean of their tokens.
    pub mean_tokens: f64,
    /// Tokens of the longest of them.
    pub longest: u64,
}

/// The steps of a fit.
#[derive(Clone, Debug, Serialize)]
pub struct StepsPlan {
    /// Samples in a step.
    pub batch_size: u64,
    /// Tokens computed at a time.
    pub micro_tokens: u64,
    /// Steps in a pass.
    pub per_epoch: u64,
    /// Steps of every stretch that optimiser and schedule are begun anew for.
    pub stretches: Vec<u64>,
    /// Passes.
    pub epochs: u64,
    /// Steps made.
    pub steps: u64,
    /// How long the learning rate rises, as it was asked for.
    #[serde(flatten)]
    pub warmup: Warmup,
    /// Steps over which it rises, of every stretch.
    pub rising: Vec<u64>,
    /// How it falls.
    pub schedule: Decay,
    /// The highest.
    pub lr: f64,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryPlan {
    /// The model's weights.
    pub weights: u64,
    /// What is trained, and the optimiser.
    pub training: u64,
    /// What the gradient of a micro-batch needs.
    pub activations: u64,
    /// Scores of the attention and over the vocabulary.
    pub scores: u64,
    /// All of it.
    pub total: u64,
    /// What the device has left, where that is known.
    pub free: Option<u64>,
    /// What is computed again instead of kept.
    pub recompute: Recompute,
    /// Whether the frozen projections are held in few bits.
    pub is_quantized: bool,
}

/// Time.
#[derive(Clone, Debug, Serialize)]
pub struct TimePlan {
    /// Tokens of all steps.
    pub tokens: f64,
    /// Multiplications and additions of all steps.
    pub operations: f64,
    /// How many of them the device made a second in a matrix product of the model's main shape.
    pub operations_per_second: f64,
    /// The share of that speed which a fit is taken to reach.
    pub efficiency: f64,
    /// Seconds of all steps.
    pub seconds: f64,
}

impl MemoryPlan {
    /// Whether it is more than there is, as far as that is known.
    pub fn is_too_much(&self) -> bool {
        self.free.is_some_and(|free| self.total > free)
    }
}

impl fmt::Display for FitPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "model   `{}`: {} weights, {} blocks",
            self.model,
            grouped(self.parameters),
            self.blocks
        )?;
        self.write_trained(f)?;
        self.write_steps(f)?;
        self.write_rate(f)?;
        self.write_batch(f)?;
        self.write_memory(f)?;
        let time = &self.time;
        write!(
            f,
            "time    {} on {} for all steps: {} tokens × {}FLOP at {} % of {}FLOP/s, which it made just now",
            about(time.seconds),
            self.device,
            in_thousands(time.tokens),
            in_thousands(time.operations / time.tokens.max(1.0)),
            rounded(100.0 * time.efficiency),
            in_thousands(time.operations_per_second),
        )
    }
}

impl FitPlan {
    fn write_trained(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trained = &self.trained;
        let mut parts = Vec::new();
        match &trained.adapters {
            Some(adapters) => parts.push(format!(
                "rank {} × (in + out){} over {} matrices = {}",
                adapters.rank,
                if adapters.is_dora { " + out" } else { "" },
                adapters.matrices,
                grouped(adapters.weights)
            )),
            None => parts.push("every weight".to_owned()),
        }
        if trained.new_tokens > 0 {
            let new = trained.new_tokens;
            let tables = match trained.tables {
                1 => String::new(),
                tables => format!(" × {tables} tables"),
            };
            parts.push(format!(
                "{new} new token{} × {}{tables} = {}",
                plural(new),
                grouped(trained.row_weights),
                grouped(new * trained.row_weights * trained.tables)
            ));
        }
        let share = 100.0 * trained.weights as f64 / self.parameters as f64;
        writeln!(
            f,
            "trained {}: {} weights, {share:.1} % of the model's",
            parts.join(", and "),
            grouped(trained.weights)
        )?;
        if let Some(adapters) = &trained.adapters {
            writeln!(
                f,
                "scale   alpha {} / {} {} = {}",
                rounded(adapters.alpha),
                if adapters.is_rslora {
                    "√rank"
                } else {
                    "rank"
                },
                adapters.rank,
                rounded(adapters.scale)
            )?;
        }
        Ok(())
    }

    fn write_steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (samples, steps) = (&self.samples, &self.steps);
        write!(
            f,
            "samples of up to {} tokens; {} of {} looked at have {} on average, the longest {}",
            grouped(samples.max_length),
            grouped(samples.used),
            grouped(samples.looked_at),
            rounded((samples.mean_tokens * 10.0).round() / 10.0),
            grouped(samples.longest)
        )?;
        if samples.used < samples.looked_at {
            write!(f, "; the others are left out")?;
        }
        writeln!(f)?;
        // Where the stream has stages, several steps may be short.
        let whole = (steps.per_epoch - 1) * steps.batch_size;
        let last = samples.rows.checked_sub(whole).unwrap_or(steps.batch_size);
        write!(
            f,
            "steps   {} samples / {} = {}",
            grouped(samples.rows),
            steps.batch_size,
            grouped(steps.per_epoch)
        )?;
        if last != steps.batch_size && steps.per_epoch > 1 {
            let whole = grouped(steps.per_epoch - 1);
            write!(f, " ({whole} of {}, one of {last})", steps.batch_size)?;
        }
        let all = steps.per_epoch * steps.epochs;
        write!(f, " × {} epoch{}", steps.epochs, plural(steps.epochs))?;
        if steps.epochs > 1 {
            write!(f, " = {}", grouped(all))?;
        }
        if steps.steps < all {
            write!(f, ", of which {} are made", grouped(steps.steps))?;
        }
        writeln!(f)?;
        if steps.stretches.len() > 1 {
            writeln!(
                f,
                "stages  {} steps: optimiser and learning rate begin anew with each",
                terms(&steps.stretches)
            )?;
        }
        Ok(())
    }

    fn write_rate(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = &self.steps;
        let all: u64 = steps.rising.iter().sum();
        let rising = match steps.warmup {
            _ if all == 0 => "none".to_owned(),
            Warmup::Share(share) => format!(
                "{} % of {} = {} step{}",
                rounded(100.0 * share),
                terms(&steps.stretches),
                terms(&steps.rising),
                plural(all)
            ),
            Warmup::Steps(_) => format!("{} step{}", terms(&steps.rising), plural(all)),
        };
        let way = match steps.schedule {
            Decay::Cosine => "then along a cosine to 0",
            Decay::Linear => "then along a line to 0",
            Decay::Constant => "which stays",
        };
        write!(f, "warm-up {rising}: learning rate {:e}, {way}", steps.lr)?;
        let last = steps.stretches.last().zip(steps.rising.last());
        if last.is_some_and(|(steps, rising)| steps <= rising) {
            write!(f, "; the last step is still below it")?;
        }
        writeln!(f)
    }

    fn write_batch(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (samples, steps) = (&self.samples, &self.steps);
        let used = steps.batch_size.min(samples.rows);
        let at_a_time = match steps.micro_tokens {
            1 => "a sample".to_owned(),
            n => grouped(n),
        };
        writeln!(
            f,
            "batch   {used} samples × {} tokens = {} a step, computed {at_a_time} at a time",
            rounded((samples.mean_tokens * 10.0).round() / 10.0),
            grouped((used as f64 * samples.mean_tokens) as u64),
        )
    }

    /// What would help against too little memory: it depends on what takes most of it, and on what is done already.
    fn relief(&self) -> &'static str {
        let memory = &self.memory;
        let (has_adapters, steps) = (self.trained.adapters.is_some(), &self.steps);
        let has_several = steps.micro_tokens > self.samples.longest;
        let parts = [
            (
                memory.weights,
                match memory.is_quantized {
                    false => {
                        "the weights take most of it, and `--quantize-base` holds them in fewer bits"
                    }
                    true => "the weights take most of it: this model needs another device",
                },
            ),
            (
                memory.training,
                match has_adapters {
                    false => {
                        "gradients and moments of every weight take most of it; without `--full` only an adapter is trained"
                    }
                    true => {
                        "the adapters take most of it; a smaller `--rank` or fewer `--targets` need less"
                    }
                },
            ),
            (
                memory.activations,
                match (memory.recompute, has_several) {
                    (Recompute::None | Recompute::Attention, _) => {
                        "what the gradient needs takes most of it; `--recompute block` needs less"
                    }
                    (Recompute::Block, true) => {
                        "what the gradient needs takes most of it; a smaller `--micro-tokens` needs less"
                    }
                    (Recompute::Block, false) => {
                        "the longest sample takes most of it; a smaller `--max-length` needs less"
                    }
                },
            ),
            (
                memory.scores,
                match has_several {
                    true => "scores take most of it; a smaller `--micro-tokens` needs less",
                    false => {
                        "scores of the longest sample take most of it; a smaller `--max-length` needs less"
                    }
                },
            ),
        ];
        let largest = parts.into_iter().max_by_key(|(bytes, _)| *bytes);
        largest.map_or("", |(_, relief)| relief)
    }

    fn write_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = &self.memory;
        let size = |bytes: u64| ByteSize(bytes).display().si();
        write!(
            f,
            "memory  about {}: weights {}, training {}, micro-batch {}, scores {}",
            size(memory.total),
            size(memory.weights),
            size(memory.training),
            size(memory.activations),
            size(memory.scores)
        )?;
        match memory.free {
            Some(free) => writeln!(f, "; {} are free", size(free))?,
            None => writeln!(f)?,
        }
        if memory.is_too_much() {
            writeln!(f, "note    that may not fit: {}", self.relief())?;
        }
        Ok(())
    }
}

/// A time in the words of a guess.
fn about(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if time < Duration::from_secs(1) => "less than a second".to_owned(),
        Ok(time) => format!("about {}", HumanDuration(time)),
        Err(_) => "longer than can be said".to_owned(),
    }
}

/// `12 + 803`; of more than a few, `12 + 803 + … (40 in all)`
fn terms(numbers: &[u64]) -> String {
    let shown = match numbers.len() {
        n if n > TERMS_SHOWN => &numbers[..2],
        _ => numbers,
    };
    let text: Vec<_> = shown.iter().map(|&n| grouped(n)).collect();
    let text = text.join(" + ");
    match numbers.len() {
        n if n > TERMS_SHOWN => format!("{text} + … ({n} in all)"),
        _ => text,
    }
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// `4.6 G`: three digits and the letter of a power of a thousand.
fn in_thousands(number: f64) -> String {
    let units = ["", "k", "M", "G", "T", "P", "E"];
    let mut rest = number;
    let mut nth = 0;
    while rest >= 999.5 && nth + 1 < units.len() {
        rest /= 1_000.0;
        nth += 1;
    }
    let decimals = match rest {
        _ if nth == 0 => 0,
        rest if rest < 9.995 => 2,
        rest if rest < 99.95 => 1,
        _ => 0,
    };
    format!("{rest:.decimals$} {}", units[nth])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> FitPlan {
        FitPlan {
            model: "bundled:tiny".to_owned(),
            device: "cpu".to_owned(),
            parameters: 1_050_000,
            blocks: 4,
            trained: TrainedPlan {
                adapters: Some(AdaptersPlan {
                    rank: 16,
                    alpha: 32.0,
                    is_rslora: false,
                    is_dora: false,
                    scale: 2.0,
                    matrices: 28,
                    weights: 155_648,
                }),
                new_tokens: 1,
                row_weights: 128,
                tables: 1,
                weights: 155_776,
            },
            samples: SamplesPlan {
                rows: 52_100,
                max_length: 2_048,
                looked_at: 512,
                used: 512,
                mean_tokens: 61.04,
                longest: 310,
            },
            steps: StepsPlan {
                batch_size: 64,
                micro_tokens: 1_024,
                per_epoch: 815,
                stretches: vec![815],
                epochs: 1,
                steps: 815,
                warmup: Warmup::Share(0.05),
                rising: vec![41],
                schedule: Decay::Cosine,
                lr: 2e-4,
            },
            memory: MemoryPlan {
                weights: 4_200_000,
                training: 4_361_728,
                activations: 30_000_000,
                scores: 20_000_000,
                total: 58_561_728,
                free: Some(8_000_000_000),
                recompute: Recompute::None,
                is_quantized: false,
            },
            time: TimePlan {
                tokens: 3_180_000.0,
                operations: 3_180_000.0 * 4.56e6,
                operations_per_second: 52e9,
                efficiency: 0.5,
                seconds: 558.0,
            },
        }
    }

    #[test]
    fn numbers_come_with_their_arithmetic() {
        let expected = "\
model   `bundled:tiny`: 1,050,000 weights, 4 blocks
trained rank 16 × (in + out) over 28 matrices = 155,648, and 1 new token × 128 = 128: 155,776 weights, 14.8 % of the model's
scale   alpha 32 / rank 16 = 2
samples of up to 2,048 tokens; 512 of 512 looked at have 61 on average, the longest 310
steps   52,100 samples / 64 = 815 (814 of 64, one of 4) × 1 epoch
warm-up 5 % of 815 = 41 steps: learning rate 2e-4, then along a cosine to 0
batch   64 samples × 61 tokens = 3,906 a step, computed 1,024 at a time
memory  about 58.6 MB: weights 4.2 MB, training 4.4 MB, micro-batch 30.0 MB, scores 20.0 MB; 8.0 GB are free
time    about 9 minutes on cpu for all steps: 3.18 M tokens × 4.56 MFLOP at 50 % of 52.0 GFLOP/s, which it made just now";
        assert_eq!(plan().to_string(), expected);
    }

    #[test]
    fn what_is_unusual_is_said() {
        let mut plan = plan();
        let mut adapters = plan.trained.adapters.take().expect("it has some");
        (adapters.is_rslora, adapters.is_dora, adapters.scale) = (true, true, 8.0);
        plan.trained.adapters = Some(adapters);
        let text = plan.to_string();
        for part in [
            "rank 16 × (in + out) + out over",
            "alpha 32 / √rank 16 = 8\n",
        ] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
        plan.trained.adapters = None;
        plan.trained.new_tokens = 0;
        plan.samples.used = 500;
        plan.steps.epochs = 3;
        plan.steps.steps = 10;
        plan.steps.warmup = Warmup::Steps(10);
        plan.steps.stretches = vec![12, 10];
        plan.steps.rising = vec![10, 10];
        plan.steps.schedule = Decay::Constant;
        plan.memory.free = Some(50_000_000);
        let text = plan.to_string();
        for line in [
            "trained every weight: ",
            "500 of 512 looked at have 61 on average, the longest 310; the others are left out\n",
            "× 3 epochs = 2,445, of which 10 are made\n",
            "stages  12 + 10 steps: optimiser",
            "warm-up 10 + 10 steps: learning rate 2e-4, which stays; the last step is still below it\n",
            "\nnote    that may not fit: what the gradient needs takes most of it; `--recompute block`",
        ] {
            assert!(text.contains(line), "`{line}` is not in:\n{text}");
        }
        assert!(!text.contains("scale "), "{text}");
        plan.memory.recompute = Recompute::Block;
        let text = plan.to_string();
        assert!(
            text.contains("takes most of it; a smaller `--micro-tokens`"),
            "{text}"
        );
        plan.steps.micro_tokens = 300;
        let text = plan.to_string();
        assert!(text.contains("a smaller `--max-length`"), "{text}");
        plan.memory.training = 1 << 40;
        let text = plan.to_string();
        assert!(text.contains("without `--full`"), "{text}");
        plan.memory.weights = 1 << 41;
        let text = plan.to_string();
        assert!(text.contains("`--quantize-base`"), "{text}");
        plan.memory.free = None;
        assert!(!plan.to_string().contains("note "), "nothing is known");
    }

    #[test]
    fn a_long_sum_is_cut() {
        assert_eq!(terms(&[12, 1_803]), "12 + 1,803");
        assert_eq!(terms(&[3, 6, 3, 6, 3, 6, 3, 6]), "3 + 6 + … (8 in all)");
    }

    #[test]
    fn any_time_can_be_said() {
        let said = [0.2, 90.0, 1e6, 1e30, f64::NAN].map(about);
        let expected = [
            "less than a second",
            "about 2 minutes",
            "about 2 weeks",
            "longer than can be said",
            "longer than can be said",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn large_numbers_have_three_digits() {
        let shown = [0.0, 999.0, 999.7, 12_345.0, 9.999e6, 4.56e12].map(in_thousands);
        assert_eq!(
            shown,
            ["0 ", "999 ", "1.00 k", "12.3 k", "10.0 M", "4.56 T"]
        );
    }
}
