//! `delia-fit`: shards become an adapter.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "no_cuda.rs"]
mod cuda;
mod export;
mod folder;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::backend::Autodiff;
use burn::tensor::DType;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::{Flex, FlexDevice};
use serde_json::{Map, Value};

use crate::base_model::BaseModel;
use crate::checkpoint::{Checkpoint, Progress};
use crate::config::FitConfig;
use crate::device::{self, Chosen, Device};
use crate::error::{Error, Result};
use crate::generate::generate;
use crate::loader::{GlobalBatch, LoaderConfig};
use crate::lora;
use crate::model::config::{CONFIG_FILE, DecoderConfig};
use crate::model::{Decoder, Kernels, Weights};
use crate::report::{FitReport, Metrics, MetricsLog, Outcome, Tried, loss_rows};
use crate::sample::Prompt;
use crate::shards::{MANIFEST, Manifest};
use crate::tokenizer::ChatTokenizer;
use crate::trainer::{Schedule, StepLoss, Trainer, TrainerConfig};

use folder::{CHECKPOINT, FitFolder, METRICS, METRICS_PARQUET, REPORT, SHARDS, State};

/// Tokens computed at a time on the CPU: more only cost memory and cache.
const CPU_MICRO_TOKENS: usize = 1_024;
/// Tokens computed at a time on a GPU; unmeasured.
const CUDA_MICRO_TOKENS: usize = 8_192;
/// Tokens of a response that is only looked at.
const TRY_TOKENS: usize = 200;

/// What a fit is asked to do beyond its configuration.
#[derive(Clone, Debug)]
pub struct FitRequest<'a> {
    /// The finished build.
    pub shards: &'a Path,
    /// Where the adapter goes.
    pub out: &'a Path,
    /// Where to compute.
    pub device: crate::config::DeviceChoice,
    /// Start over instead of going on.
    pub fresh: bool,
    /// A prompt to answer before and after.
    pub prompt: Option<&'a str>,
    /// Set by whoever wants the fit to stop after the step it is at.
    pub stop: &'a AtomicBool,
}

/// What a fit tells while it runs.
#[derive(Clone, Debug)]
pub enum FitEvent<'a> {
    /// Something the user should know.
    Note(String),
    /// A step was made.
    Step {
        /// Steps made.
        done: u64,
        /// Steps in all.
        total: u64,
        /// What it measured.
        metrics: &'a Metrics,
    },
}

/// Everything a fit needs, checked, before the first tensor is made.
struct Plan<'a> {
    config: &'a FitConfig,
    request: &'a FitRequest<'a>,
    model: BaseModel,
    /// The fields of `config.json`.
    fields: Map<String, Value>,
    decoder: DecoderConfig,
    tokenizer: Arc<ChatTokenizer>,
    loader: LoaderConfig,
    n_steps: u64,
    device: Chosen,
}

/// Fits an adapter, or with `full` every weight, to a finished build.
///
/// # Errors
/// Whatever is wrong with the shards, the model, the device or the folder, before anything is computed; a loss that is not a
/// number; [`Error::Interrupted`] when it was stopped, after a checkpoint.
pub fn fit(
    config: &FitConfig,
    request: &FitRequest<'_>,
    watch: &dyn Fn(FitEvent<'_>),
) -> Result<FitReport> {
    let manifest = Manifest::open(request.shards)?;
    let model = BaseModel::named(&config.model)?;
    let (fields, decoder) = decoder_config(config, &model)?;
    let special_tokens = config
        .special_token
        .as_ref()
        .unwrap_or(&manifest.plan.special_tokens);
    let tokenizer = Arc::new(ChatTokenizer::read(&model, special_tokens)?);
    if !tokenizer.template().is_own() {
        watch(FitEvent::Note("the model has no chat template: `### Instruction:` and `### Response:` are put around prompts".to_owned()));
    }
    let device = device::choose(request.device)?;
    watch(FitEvent::Note(format!("device {device}")));
    let max_length = config.max_length_of(decoder.max_positions)?;
    let loader = LoaderConfig {
        folder: request.shards.to_owned(),
        batch_size: config.batch_size.resolve(manifest.plan.rows),
        plan: manifest.plan,
        max_length,
        too_long: config.too_long,
        loss_on: config.loss_on,
        micro_tokens: match device.device {
            Device::Cpu => CPU_MICRO_TOKENS,
            Device::Cuda(_) => CUDA_MICRO_TOKENS,
        },
    };
    let all_steps = loader.steps_per_epoch() * u64::from(config.epochs);
    let plan = Plan {
        n_steps: config.max_steps.unwrap_or(all_steps).min(all_steps),
        config,
        request,
        model,
        fields,
        decoder,
        tokenizer,
        loader,
        device,
    };
    let run = plan.run_toml()?;
    let folder = FitFolder::lock(request.out)?;
    let state = folder.enter(&run, request.fresh)?;
    if state == State::Complete {
        return up_to_date(&folder, request.out);
    }
    plan.loader.check_lengths(&plan.tokenizer)?;
    match plan.device.device {
        Device::Cpu => plan.run::<Autodiff<Flex>>(&folder, DType::F32, &FlexDevice, watch),
        Device::Cuda(index) => cuda::run(&plan, &folder, index, watch),
    }
}

impl Plan<'_> {
    /// The training, from loading the model to writing what it became.
    fn run<B>(
        &self,
        folder: &FitFolder,
        dtype: DType,
        device: &B::Device,
        watch: &dyn Fn(FitEvent<'_>),
    ) -> Result<FitReport>
    where
        B: AutodiffBackend + Kernels,
        B::InnerBackend: Kernels,
    {
        let mut decoder = self.load::<B>(dtype, device)?;
        let n_trained = decoder
            .trained_mut()
            .iter()
            .map(|(_, tensor)| tensor.shape().num_elements() as u64)
            .sum();
        let before = self.answer(&decoder)?;
        let mut trainer = Trainer::new(decoder, self.trainer_config());
        let mut progress = Progress::default();
        let checkpoint = folder.file(CHECKPOINT);
        if let Some(saved) = Checkpoint::read(&checkpoint)? {
            trainer
                .restore(saved.tensors)
                .map_err(|tensor| Error::Tensor {
                    path: checkpoint.clone(),
                    tensor,
                    problem: "is missing or has another shape".to_owned(),
                })?;
            progress = saved.progress;
            watch(FitEvent::Note(format!(
                "going on after step {}",
                progress.steps
            )));
        }
        let mut log = MetricsLog::resume(&folder.file(METRICS), progress.steps)?;
        let save = |trainer: &mut Trainer<B>, progress| {
            let tensors = trainer.save();
            Checkpoint { progress, tensors }.write(&checkpoint)
        };

        let (batches, worker) = self
            .loader
            .clone()
            .start(Arc::clone(&self.tokenizer), progress.steps..self.n_steps);
        for batch in batches {
            let batch = batch?;
            let started = Instant::now();
            let loss = match trainer.step(&batch) {
                Err(error @ Error::NotANumber { .. }) => {
                    // The step has changed nothing: what came before it is good.
                    save(&mut trainer, progress)?;
                    return Err(error);
                }
                loss => loss?,
            };
            let metrics = metrics(&batch, loss, started.elapsed().as_secs_f64());
            log.push(&metrics)?;
            count(&mut progress, &batch, started.elapsed().as_secs_f64());
            watch(FitEvent::Step {
                done: progress.steps,
                total: self.n_steps,
                metrics: &metrics,
            });
            let stop = self.request.stop.load(Ordering::Relaxed) && progress.steps < self.n_steps;
            if stop || progress.steps % self.config.save_every == 0 {
                save(&mut trainer, progress)?;
            }
            if stop {
                return Err(Error::Interrupted {
                    steps: progress.steps,
                });
            }
        }

        if progress.steps < self.n_steps {
            // The worker ended before its work did: it panicked, and has said so.
            let panic = worker.join().expect_err("it sends every batch or an error");
            std::panic::resume_unwind(panic);
        }

        // The last steps are kept until everything that is made of them is written.
        save(&mut trainer, progress)?;
        let after = self.answer(trainer.decoder())?;
        if self.config.full {
            export::model(
                folder,
                trainer.decoder_mut(),
                self.fields.clone(),
                &self.model,
                &self.tokenizer,
            )?;
        } else {
            export::adapter(
                folder,
                trainer.decoder_mut(),
                &self.model,
                &self.tokenizer,
                self.config,
            )?;
        }
        let steps = log.to_parquet(&folder.file(METRICS_PARQUET))?;
        let report = FitReport {
            out: self.request.out.to_owned(),
            outcome: Outcome::Built,
            device: self.device.device.to_string(),
            parameters: self.decoder.n_parameters() as u64,
            trained_parameters: n_trained,
            steps: progress.steps,
            samples: progress.samples,
            too_long: progress.too_long.total(),
            no_target: progress.no_target.total(),
            tokens: progress.tokens,
            padding: 1.0 - progress.tokens as f64 / progress.padded_tokens.max(1) as f64,
            tokens_per_second: progress.tokens as f64 / progress.seconds.max(f64::MIN_POSITIVE),
            seconds: progress.seconds,
            losses: loss_rows(&steps),
            tried: self.request.prompt.map(|prompt| Tried {
                prompt: prompt.to_owned(),
                before: before.unwrap_or_default(),
                after: after.unwrap_or_default(),
            }),
        };
        folder.finish(&report)?;
        Ok(report)
    }

    /// The decoder as it is before the first step.
    fn load<B: AutodiffBackend + Kernels>(
        &self,
        dtype: DType,
        device: &B::Device,
    ) -> Result<Decoder<B>> {
        let config = self.config;
        let positions = self.loader.max_length;
        // Weights that are trained need all their bits.
        let dtype = if config.full { DType::F32 } else { dtype };
        let mut decoder = match &config.init_model {
            Some(_) => Decoder::fresh(&self.decoder, positions, config.seed, dtype, device),
            None => {
                let weights = Weights::open(&self.model)?;
                Decoder::load(&self.decoder, &weights, positions, dtype, device)?
            }
        };
        lora::add_tokens(&mut decoder, &self.tokenizer, &config.init, config.seed)?;
        if config.full {
            decoder.train_all();
        } else {
            lora::attach(&mut decoder, config.rank, config.alpha, config.seed);
        }
        Ok(decoder)
    }

    fn trainer_config(&self) -> TrainerConfig {
        let config = self.config;
        TrainerConfig {
            schedule: Schedule::new(config.lr, config.warmup, self.n_steps),
            weight_decay: config.weight_decay,
            clip: config.clip,
            dropout: config.dropout,
            seed: config.seed,
        }
    }

    fn answer<B: AutodiffBackend + Kernels>(&self, decoder: &Decoder<B>) -> Result<Option<String>>
    where
        B::InnerBackend: Kernels,
    {
        let Some(prompt) = self.request.prompt else {
            return Ok(None);
        };
        let prompt = Prompt {
            instruction: prompt,
            input: "",
        };
        generate(&decoder.inner(), &self.tokenizer, prompt, TRY_TOKENS).map(Some)
    }

    /// What decides the result: the settings, and the hashes of what they are applied to.
    fn run_toml(&self) -> Result<String> {
        #[derive(serde::Serialize)]
        struct Run<'a> {
            fit: &'a FitConfig,
            run: toml::Table,
        }
        let manifest = self.request.shards.join(MANIFEST);
        let manifest = std::fs::read(&manifest).map_err(Error::read(&manifest))?;
        let mut run = toml::Table::new();
        let mut put = |key: &str, value: String| run.insert(key.to_owned(), value.into());
        put("delia", env!("CARGO_PKG_VERSION").to_owned());
        put(SHARDS, self.request.shards.display().to_string());
        put("manifest", blake3::hash(&manifest).to_hex().to_string());
        put("base-model", self.model_hash()?);
        put(
            "device",
            match self.device.device {
                Device::Cpu => "cpu".to_owned(),
                Device::Cuda(_) => "cuda".to_owned(),
            },
        );
        let run = Run {
            fit: self.config,
            run,
        };
        Ok(toml::to_string(&run).expect("settings and texts"))
    }

    /// A hash over the model's configuration, tokenizer and weights.
    fn model_hash(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(Value::Object(self.fields.clone()).to_string().as_bytes());
        hasher.update(self.tokenizer.to_json()?.as_bytes());
        if self.config.init_model.is_none() {
            Weights::open(&self.model)?.hash_into(&mut hasher);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

fn decoder_config(
    config: &FitConfig,
    model: &BaseModel,
) -> Result<(Map<String, Value>, DecoderConfig)> {
    let Some(path) = &config.init_model else {
        model.required(CONFIG_FILE)?;
        return Ok((
            model.json(CONFIG_FILE)?.unwrap_or_default(),
            DecoderConfig::read(model)?,
        ));
    };
    let text = std::fs::read(path).map_err(Error::read(path))?;
    let fields: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|source| Error::ModelJson {
            path: path.clone(),
            source,
        })?;
    let decoder =
        DecoderConfig::from_fields(fields.clone()).map_err(|problem| Error::ModelConfig {
            path: path.clone(),
            problem,
        })?;
    Ok((fields, decoder))
}

fn metrics(batch: &GlobalBatch, loss: Option<StepLoss>, seconds: f64) -> Metrics {
    Metrics {
        step: batch.step,
        loss: loss.map(|loss| loss.loss),
        task_loss: loss.and_then(|loss| loss.task),
        diverse_loss: loss.and_then(|loss| loss.diverse),
        lr: loss.map(|loss| loss.lr),
        grad_norm: loss.map(|loss| loss.grad_norm),
        samples: batch.n_samples as u64,
        tokens: batch.n_tokens as u64,
        targets: batch.n_targets as u64,
        tokens_per_second: batch.n_tokens as f64 / seconds.max(f64::MIN_POSITIVE),
    }
}

fn count(progress: &mut Progress, batch: &GlobalBatch, seconds: f64) {
    progress.steps = batch.step + 1;
    progress.samples += batch.n_samples as u64;
    progress.tokens += batch.n_tokens as u64;
    progress.padded_tokens += batch
        .micro_batches
        .iter()
        .map(|micro| micro.ids.len() as u64)
        .sum::<u64>();
    progress.targets += batch.n_targets as u64;
    progress.too_long += batch.too_long;
    progress.no_target += batch.no_target;
    progress.seconds += seconds;
}

fn up_to_date(folder: &FitFolder, out: &Path) -> Result<FitReport> {
    let path = folder.file(REPORT);
    let text = std::fs::read(&path).map_err(Error::read(&path))?;
    let report =
        serde_json::from_slice(&text).map_err(|source| Error::Manifest { path, source })?;
    Ok(FitReport {
        out: out.to_owned(),
        outcome: Outcome::UpToDate,
        ..report
    })
}
