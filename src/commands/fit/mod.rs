//! `delia-fit`: shards become an adapter.

mod checkpoints;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "no_cuda.rs"]
mod cuda;
mod evaluation;
mod exports;
mod folder;
mod plan;
mod result;
mod run;
mod stream;

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::backend::Autodiff;
use burn::tensor::DType;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::{Flex, FlexDevice};
use serde_json::{Map, Value};

use crate::base_model::BaseModel;
use crate::config::{FitConfig, OF_ADAPTER, ShardsAt};
use crate::device::{self, Chosen, Device};
use crate::error::{Error, Result};
use crate::generate::generate;
use crate::loader::{LoaderConfig, MicroShape, Steps};
use crate::lora::{self, ADAPTER_CONFIG, AdapterConfig};
use crate::model::config::{CONFIG_FILE, DecoderConfig};
use crate::model::{Decoder, Kernels, Weights};
use crate::report::{FitPlan, FitReport, Metrics, Tried};
use crate::sample::Prompt;
use crate::shards::remote::Downloads;
use crate::tokenizer::ChatTokenizer;
use crate::trainer::{Schedule, Schedules, TrainerConfig};

use evaluation::Evaluation;
use folder::{
    BUILD, FitFolder, HASH_OF_ADAPTER, HASH_OF_MODEL, HASH_OF_SHARDS, HASH_OF_TEMPLATE,
    HASH_OF_WEIGHTS, SHARDS,
};
use run::Run;
use stream::Stream;

/// Tokens computed at a time on the CPU: more only cost memory and cache.
const CPU_MICRO_TOKENS: usize = 1_024;
/// Tokens computed at a time on a GPU; unmeasured.
const CUDA_MICRO_TOKENS: usize = 8_192;
/// On a GPU the length of rows is a multiple of this, so that kernels are tuned for few shapes.
const CUDA_ROW_MULTIPLE: usize = 256;
/// Tokens of a response that is only looked at.
const TRY_TOKENS: usize = 200;

/// What a fit is asked to do beyond its configuration.
#[derive(Clone, Debug)]
pub struct FitRequest<'a> {
    /// The build.
    pub shards: &'a ShardsAt,
    /// How it is fetched, where it is behind an address.
    pub downloads: &'a Downloads,
    /// Where the adapter goes.
    pub out: &'a Path,
    /// Where to compute.
    pub device: crate::config::DeviceChoice,
    /// Start over instead of going on.
    pub fresh: bool,
    /// A prompt to answer before and after.
    pub prompt: Option<&'a str>,
    /// A folder for event files, which TensorBoard reads.
    pub log_tensorboard: Option<&'a Path>,
    /// Set by whoever wants the fit to stop after the step it is at.
    pub stop: &'a AtomicBool,
}

/// What a fit tells while it runs.
#[derive(Clone, Debug)]
pub enum FitEvent<'a> {
    /// Something the user should know.
    Note(String),
    /// Steps begin: the first, or that after the last checkpoint.
    Started {
        /// Steps made.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// A step was made.
    Step {
        /// Steps made.
        done: u64,
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
    /// What the adapters are.
    adapter_config: AdapterConfig,
    /// The adapter they start from.
    adapter: Option<BaseModel>,
    tokenizer: Arc<ChatTokenizer>,
    stream: Stream,
    loader: LoaderConfig,
    n_steps: u64,
    device: Chosen,
    evaluation: Evaluation,
    weights_hash: OnceCell<String>,
}

/// Fits an adapter, or with `full` every weight, to a build.
///
/// # Errors
/// Whatever is wrong with the shards, the model, the device or the folder, before anything is computed, and of shards that are
/// still to come when their turn comes; [`Error::Diverged`] for a loss that is not a number; [`Error::Interrupted`] when it was
/// stopped, after a checkpoint.
pub fn fit(
    config: &FitConfig,
    request: &FitRequest<'_>,
    watch: &dyn Fn(FitEvent<'_>),
) -> Result<FitReport> {
    let mut plan = prepare(config, request, watch)?;
    plan.check_adapter(watch)?;
    let run = plan.run_toml(plan.stream.manifest.as_deref())?;
    let folder = FitFolder::lock(request.out)?;
    let mut finished = match folder.enter(&run, request.fresh)? {
        true => Some(folder.report(request.out)?),
        false => None,
    };
    if let Some(report) = &mut finished
        && exports::write(&plan, &folder, &mut report.files, watch)?
    {
        folder.add(&report.files)?;
    }
    match finished {
        Some(report) if request.prompt.is_none() => return Ok(report),
        Some(_) => {}
        None => {
            plan.enter(&folder, &run)?;
            plan.evaluation = Evaluation::read(&plan)?;
        }
    }
    match plan.device.device {
        Device::Cpu => {
            plan.run::<Autodiff<Flex>>(&folder, finished, DType::F32, &FlexDevice, watch)
        }
        Device::Cuda(index) => cuda::run(&plan, &folder, finished, index, watch),
    }
}

/// Says what [`fit`] would do, what it would take of memory and time, and whether that is there. Writes nothing but the cache.
///
/// # Errors
/// As [`fit`], but for what only the folder or the training can show.
pub fn plan(
    config: &FitConfig,
    request: &FitRequest<'_>,
    watch: &dyn Fn(FitEvent<'_>),
) -> Result<FitPlan> {
    let plan = prepare(config, request, watch)?;
    plan.check_adapter(watch)?;
    plan.check_ahead()?;
    match plan.device.device {
        Device::Cpu => plan.describe::<Flex>(DType::F32, &FlexDevice, 0, watch),
        Device::Cuda(index) => cuda::describe(&plan, index, watch),
    }
}

/// Checks everything that can be checked before the first tensor is made.
fn prepare<'a>(
    config: &'a FitConfig,
    request: &'a FitRequest<'a>,
    watch: &dyn Fn(FitEvent<'_>),
) -> Result<Plan<'a>> {
    let stream = Stream::open(request, config.epochs > 1, watch)?;
    let model = BaseModel::named(&config.model)?;
    let (fields, decoder) = decoder_config(config, &model)?;
    let special_tokens = config
        .special_token
        .as_ref()
        .unwrap_or(&stream.plan.special_tokens);
    let (template, system) = (config.template.as_ref(), config.system.as_deref());
    let tokenizer = ChatTokenizer::laid_out(&model, special_tokens, template, system)?;
    let tokenizer = Arc::new(tokenizer);
    if config.template.is_none() && !tokenizer.template().is_own() {
        watch(FitEvent::Note("the model has no chat template: prompts and responses are laid out as Alpaca's (`--template alpaca`)".to_owned()));
    }
    if let Some(eos) = tokenizer.appended_eos() {
        let note = format!("the chat template puts no end behind a response: `{eos}` is put there");
        watch(FitEvent::Note(note));
    }
    if config.init_model.is_some() && !config.full {
        watch(FitEvent::Note("`--init-model` without `--full`: the adapter is beside weights that are saved nowhere, to measure with".to_owned()));
    }
    let device = device::choose(request.device)?;
    watch(FitEvent::Note(format!("device {device}")));
    let max_length = config.max_length_of(decoder.max_positions)?;
    let batch_size = config.batch_size.resolve(stream.plan.rows);
    let loader = LoaderConfig {
        supply: Arc::clone(&stream.supply),
        steps: Steps::new(&stream.plan, batch_size, config.epochs, config.max_steps),
        plan: stream.plan.clone(),
        max_length,
        too_long: config.too_long,
        loss_on: config.loss_on,
        micro_shape: match device.device {
            Device::Cpu => MicroShape {
                max_tokens: config.micro_tokens.unwrap_or(CPU_MICRO_TOKENS),
                row_multiple: None,
            },
            Device::Cuda(_) => MicroShape {
                max_tokens: config.micro_tokens.unwrap_or(CUDA_MICRO_TOKENS),
                row_multiple: Some(CUDA_ROW_MULTIPLE),
            },
        },
    };
    let adapter = config
        .adapter
        .as_deref()
        .map(BaseModel::named)
        .transpose()?;
    let adapter_config = match &adapter {
        // Dropout is of the training, not of the adapter.
        Some(adapter) => AdapterConfig {
            dropout: config.dropout,
            ..AdapterConfig::read(adapter)?
        },
        None => AdapterConfig::of_fit(config),
    };
    Ok(Plan {
        adapter_config,
        adapter,
        n_steps: loader.steps.n(),
        config,
        request,
        model,
        fields,
        decoder,
        tokenizer,
        stream,
        loader,
        device,
        evaluation: Evaluation::default(),
        weights_hash: OnceCell::new(),
    })
}

impl Plan<'_> {
    /// What is left to look at once the folder is held.
    fn enter(&self, folder: &FitFolder, run: &str) -> Result<()> {
        self.stream.remember(folder, self.request.shards)?;
        if self.stream.manifest.is_some() {
            folder.note_manifest(run)?;
        }
        self.check_ahead()
    }

    /// Trains, or where the fit is finished only answers the prompt.
    fn run<B>(
        &self,
        folder: &FitFolder,
        finished: Option<FitReport>,
        dtype: DType,
        device: &B::Device,
        watch: &dyn Fn(FitEvent<'_>),
    ) -> Result<FitReport>
    where
        B: AutodiffBackend + Kernels,
        B::InnerBackend: Kernels,
    {
        if finished.is_none() {
            let n_done = folder.checkpoints()?.last().copied().unwrap_or_default();
            let from = match n_done {
                n_done if n_done < self.n_steps => self.loader.steps.positions(n_done).start,
                _ => 0,
            };
            let plan = self.describe::<B::InnerBackend>(dtype, device, from, watch);
            let plan = plan.map_err(|error| match error {
                Error::Interrupted { what, .. } => Error::Interrupted { n_done, what },
                error => error,
            })?;
            watch(FitEvent::Note(plan.to_string()));
        }
        let decoder = self.load::<B>(dtype, device)?;
        let before = self.answer(&decoder)?;
        if let Some(report) = finished {
            let after = self.answer(&self.trained(decoder, folder)?)?;
            let tried = self.tried(before, after);
            return Ok(FitReport { tried, ..report });
        }
        let mut run = Run::begin(self, folder, decoder, watch)?;
        let trained = run.train(watch);
        // The loader may be waiting for a shard.
        self.stream.supply.close();
        trained?;
        if let Some(manifest) = self.stream.settle(self.n_steps, self.request.stop, watch)? {
            folder.note_manifest(&self.run_toml(Some(&manifest))?)?;
        }
        let after = self.answer(run.decoder())?;
        run.finish(self.tried(before, after), watch)
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
        if let Some(bits) = config.quantize_base {
            decoder.quantise(bits)?;
        }
        lora::add_tokens(&mut decoder, &self.tokenizer, &config.init, config.seed)?;
        if config.full {
            decoder.train_all();
        } else {
            match &self.adapter {
                Some(adapter) => {
                    lora::load(&mut decoder, adapter)?;
                    lora::take_saved_rows(&mut decoder, adapter, &self.tokenizer)?;
                }
                None => lora::attach(&mut decoder, &self.adapter_config, config.seed)?,
            }
        }
        Ok(decoder)
    }

    fn trainer_config(&self) -> TrainerConfig {
        let config = self.config;
        TrainerConfig {
            schedule: Schedules::new(self.loader.steps.stretches(), |n_steps| Schedule {
                decay: config.schedule,
                peak: config.lr,
                warmup_steps: config.warmup.steps(n_steps),
                n_steps,
            }),
            weight_decay: config.weight_decay,
            clip: config.clip,
            dropout: config.dropout,
            neftune: config.neftune,
            lora_plus_ratio: config.lora_plus_ratio,
            loss_norm: config.loss_norm,
            recompute: config.recompute,
            seed: config.seed,
        }
    }

    /// What a finished fit in `folder` has made of the decoder.
    fn trained<B: AutodiffBackend + Kernels>(
        &self,
        mut decoder: Decoder<B>,
        folder: &FitFolder,
    ) -> Result<Decoder<B>> {
        let model = BaseModel::Folder(folder.file(""));
        if self.config.full {
            let device = decoder.embedding.base.device();
            let config = DecoderConfig::read(&model)?;
            let weights = Weights::open(&model)?;
            let positions = self.loader.max_length;
            return Decoder::load(&config, &weights, positions, DType::F32, &device);
        }
        lora::load(&mut decoder, &model)?;
        Ok(decoder)
    }

    fn answer<B: AutodiffBackend + Kernels>(&self, decoder: &Decoder<B>) -> Result<String>
    where
        B::InnerBackend: Kernels,
    {
        let Some(prompt) = self.request.prompt else {
            return Ok(String::new());
        };
        let prompt = Prompt {
            instruction: prompt,
            input: "",
        };
        generate(&decoder.inner(), &self.tokenizer, prompt, TRY_TOKENS)
    }

    fn tried(&self, before: String, after: String) -> Option<Tried> {
        self.request.prompt.map(|prompt| Tried {
            prompt: prompt.to_owned(),
            before,
            after,
        })
    }

    /// What decides the result: the settings, and the hashes of what they are applied to; that of the manifest is not known
    /// before there is one.
    fn run_toml(&self, manifest: Option<&str>) -> Result<String> {
        #[derive(serde::Serialize)]
        struct Run {
            fit: toml::Table,
            run: toml::Table,
        }
        let mut fit = toml::Table::try_from(self.config).expect("settings");
        if self.adapter.is_some() {
            fit.retain(|key, _| !OF_ADAPTER.contains(&key));
        }
        let mut run = toml::Table::new();
        let mut put = |key: &str, value: String| run.insert(key.to_owned(), value.into());
        put("delia", env!("CARGO_PKG_VERSION").to_owned());
        put(SHARDS, self.request.shards.to_string());
        for (key, hash) in [
            (HASH_OF_SHARDS, manifest),
            (BUILD, self.stream.build.as_deref()),
        ] {
            if let Some(hash) = hash {
                put(key, hash.to_owned());
            }
        }
        put(HASH_OF_MODEL, self.model_hash()?);
        put(HASH_OF_WEIGHTS, self.weights_hash()?.to_owned());
        put(HASH_OF_TEMPLATE, self.tokenizer.template().blake3());
        if let Some(adapter) = &self.adapter {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&adapter.required(ADAPTER_CONFIG)?);
            hasher.update(Weights::of_adapter(adapter)?.blake3().as_bytes());
            put(HASH_OF_ADAPTER, hasher.finalize().to_hex().to_string());
        }
        put(
            "device",
            match self.device.device {
                Device::Cpu => "cpu".to_owned(),
                Device::Cuda(_) => "cuda".to_owned(),
            },
        );
        Ok(toml::to_string(&Run { fit, run }).expect("settings and texts"))
    }

    /// A hash over the model's configuration, tokenizer and weights.
    fn model_hash(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(Value::Object(self.fields.clone()).to_string().as_bytes());
        hasher.update(self.tokenizer.to_json()?.as_bytes());
        hasher.update(self.weights_hash()?.as_bytes());
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The hash of the base's weights, computed once; of none where they are drawn.
    fn weights_hash(&self) -> Result<&str> {
        if self.weights_hash.get().is_none() {
            let hash = match self.config.init_model {
                Some(_) => "drawn".to_owned(),
                None => Weights::open(&self.model)?.blake3(),
            };
            self.weights_hash.get_or_init(|| hash);
        }
        Ok(self.weights_hash.get().expect("set above"))
    }

    /// Refuses an adapter to start from that a fit of another base has left.
    fn check_adapter(&self, watch: &dyn Fn(FitEvent<'_>)) -> Result<()> {
        let (Some(adapter), None) = (&self.adapter, &self.config.init_model) else {
            return Ok(());
        };
        let Some(expected) = folder::weights_hash_in(adapter)? else {
            let note = "the adapter to start from does not say which weights it was trained beside: that they are these is taken for granted";
            watch(FitEvent::Note(note.to_owned()));
            return Ok(());
        };
        if self.weights_hash()? == expected {
            return Ok(());
        }
        Err(Error::AdapterConfig {
            path: adapter.path(folder::RUN),
            problem: "the adapter was trained beside other weights than those of the model; where these are the same numbers in another form, remove this file".to_owned(),
        })
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
