//! The chat template: how a prompt and its response become one text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use minijinja::{ErrorKind, Value, context};
use serde_json::Value as Json;

use crate::base_model::BaseModel;
use crate::config::TemplateChoice;
use crate::error::{Cause, Error, Result};
use crate::sample::Prompt;

use super::jinja::{Failure, Jinja, SOURCE_BYTES_MAX};

/// The file newer models keep their template in.
pub const TEMPLATE_FILE: &str = "chat_template.jinja";
/// The file that has always held it.
pub(super) const CONFIG_FILE: &str = "tokenizer_config.json";
/// Where older models name their special tokens.
const TOKENS_FILE: &str = "special_tokens_map.json";

/// The layout of Stanford Alpaca, also for a model that has no template of its own.
const ALPACA: &str = include_str!("alpaca.jinja");
/// Prompt, response, and the end.
const RAW: &str = include_str!("raw.jinja");

/// What a template is tried with before anything is computed.
pub(super) const TRIAL: Prompt<'static> = Prompt {
    instruction: "Name it.",
    input: "",
};
/// The response of the trial.
pub(super) const TRIAL_RESPONSE: &str = "It.";
/// How long the trial may take. Steps of work are counted too, but not those of comparing lists that hold themselves many times
/// over.
const TRIAL_SECONDS_MAX: u64 = 5;

/// A chat template, ready to render.
#[derive(Debug)]
pub struct ChatTemplate {
    /// Its file, for messages.
    path: PathBuf,
    source: String,
    jinja: Jinja,
    /// The special tokens by the names that templates know: `bos_token`, `eos_token`, …
    tokens: BTreeMap<String, String>,
    system: Option<String>,
    is_own: bool,
}

/// A rendered sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Prompt and response.
    pub text: String,
    /// Bytes of the prompt, with everything the template puts before the response.
    pub prompt_bytes: usize,
}

/// A template that was found, not yet parsed.
struct Found {
    path: PathBuf,
    source: String,
    is_own: bool,
}

impl ChatTemplate {
    /// Reads the template that is asked for. The model's own is `chat_template.jinja`, or else what `tokenizer_config.json`
    /// holds; without a choice it is taken, and Alpaca's layout where there is none. `system` stands before every prompt.
    ///
    /// # Errors
    /// When a file cannot be read, when the template is not Jinja, does not end or refuses a question and its answer, and where
    /// it has no use for a system message.
    pub fn read(
        model: &BaseModel,
        choice: Option<&TemplateChoice>,
        system: Option<&str>,
    ) -> Result<ChatTemplate> {
        let found = find(model, choice)?;
        let tokens = special_tokens(model)?;
        let path = found.path.clone();
        let template = in_time(path, move || {
            let template = ChatTemplate::parse(found, tokens)?;
            template.sample(TRIAL, TRIAL_RESPONSE)?;
            Ok(template)
        })?;
        match system {
            Some(system) => template.with_system(system),
            None => Ok(template),
        }
    }

    fn parse(found: Found, tokens: BTreeMap<String, String>) -> Result<ChatTemplate> {
        let Found {
            path,
            source,
            is_own,
        } = found;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let broken = |error: minijinja::Error| Error::Template {
            path: path.clone(),
            source: error.into(),
        };
        let jinja = Jinja::parse(&name, &source).map_err(broken)?;
        Ok(ChatTemplate {
            path,
            source,
            jinja,
            tokens,
            system: None,
            is_own,
        })
    }

    /// This template with a system message before every prompt.
    fn with_system(mut self, system: &str) -> Result<ChatTemplate> {
        let refuse = |template: &ChatTemplate, problem: String| {
            Err(Error::Setting {
                key: "system",
                problem: format!("the chat template `{}` {problem}", template.path.display()),
                hint: "leave it out, put the text into the instructions, or choose a `--template` with a place for it".to_owned(),
            })
        };
        let mut rendered_with = |system: String| {
            self.system = Some(system);
            self.prompt(TRIAL)
        };
        let other = rendered_with(format!("{system}."));
        match (rendered_with(system.to_owned()), other) {
            (Err(Error::Template { source, .. }), _) => {
                refuse(&self, format!("takes no system message: {source}"))
            }
            (Ok(one), Ok(other)) if one == other => {
                refuse(&self, "ignores the system message".to_owned())
            }
            (one, _) => one.map(|_| self),
        }
    }

    /// Whether the model brought the template.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// The template as it is written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// BLAKE3 over the template and the tokens it may name, in hex.
    pub fn blake3(&self) -> String {
        let decisive = serde_json::json!([self.source, self.tokens]);
        blake3::hash(decisive.to_string().as_bytes())
            .to_hex()
            .to_string()
    }

    /// How the template is named in messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The texts of the special tokens the model names.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.values().map(String::as_str)
    }

    /// The text of the end-of-sequence token, empty where the model names none.
    pub fn eos_token(&self) -> &str {
        self.tokens.get("eos_token").map_or("", String::as_str)
    }

    /// A prompt, up to where the response begins.
    ///
    /// # Errors
    /// When the template refuses it.
    pub fn prompt(&self, prompt: Prompt<'_>) -> Result<String> {
        self.render(prompt, None)
    }

    /// A prompt with its response.
    ///
    /// # Errors
    /// When the template refuses it, or does not begin what it renders with the rendered prompt.
    pub fn sample(&self, prompt: Prompt<'_>, response: &str) -> Result<Rendered> {
        let before = self.prompt(prompt)?;
        let text = self.render(prompt, Some(response))?;
        if !text.starts_with(&before) {
            return Err(self.failed("a rendered answer does not begin with the rendered prompt"));
        }
        Ok(Rendered {
            text,
            prompt_bytes: before.len(),
        })
    }

    fn render(&self, prompt: Prompt<'_>, response: Option<&str>) -> Result<String> {
        let content = prompt.text();
        let system = self.system.as_deref();
        let messages: Vec<Value> = [
            system.map(|content| context! { role => "system", content }),
            Some(question(prompt, &content)),
            response.map(|content| context! { role => "assistant", content }),
        ]
        .into_iter()
        .flatten()
        .collect();
        let texts = [
            system.unwrap_or_default(),
            &content,
            response.unwrap_or_default(),
        ];
        let context = context! {
            messages,
            add_generation_prompt => response.is_none(),
            // transformers defines both, as none, where a conversation has neither.
            tools => (),
            documents => (),
            ..Value::from(self.tokens.clone())
        };
        let rendered = self.jinja.render(context, texts.map(str::len).iter().sum());
        rendered.map_err(|failure| match failure {
            Failure::Refused(words) => self.failed(format!("it refuses: {words}")),
            Failure::Limit(limit) => Error::TemplateLimit {
                path: self.path.clone(),
                limit,
            },
            Failure::Broken(error) if wants_the_date(&error) => self.failed(
                "it calls `strftime_now` unasked, which is left out: a text with the date would be another every day",
            ),
            Failure::Broken(error) => self.failed(error),
        })
    }

    fn failed(&self, source: impl Into<Cause>) -> Error {
        Error::Template {
            path: self.path.clone(),
            source: source.into(),
        }
    }
}

/// What the user says: the whole prompt, and where it has two parts, these too for layouts that keep them apart.
fn question(prompt: Prompt<'_>, content: &str) -> Value {
    let Prompt { instruction, input } = prompt;
    if instruction.is_empty() || input.is_empty() {
        context! { role => "user", content }
    } else {
        context! { role => "user", content, instruction, input }
    }
}

fn wants_the_date(error: &minijinja::Error) -> bool {
    let detail = error.detail().unwrap_or_default();
    error.kind() == ErrorKind::UnknownFunction && detail.contains("strftime_now")
}

fn find(model: &BaseModel, choice: Option<&TemplateChoice>) -> Result<Found> {
    let provided = |name: &str, source: &str| Found {
        path: name.into(),
        source: source.to_owned(),
        is_own: false,
    };
    match choice {
        Some(TemplateChoice::Alpaca) => Ok(provided("alpaca", ALPACA)),
        Some(TemplateChoice::Raw) => Ok(provided("raw", RAW)),
        Some(TemplateChoice::File(path)) => Ok(Found {
            path: path.clone(),
            source: read_file(path)?,
            is_own: false,
        }),
        Some(TemplateChoice::Chat) => own(model)?.ok_or_else(|| Error::Setting {
            key: "template",
            problem: format!(
                "the model `{}` has no chat template",
                model.path("").display()
            ),
            hint: "`alpaca` and `raw` need none, and a Jinja file is one".to_owned(),
        }),
        None => Ok(own(model)?.unwrap_or_else(|| provided("alpaca", ALPACA))),
    }
}

/// A file named by the user.
fn read_file(path: &Path) -> Result<String> {
    if !path.exists() {
        return Err(Error::Setting {
            key: "template",
            problem: format!("there is no file `{}`", path.display()),
            hint: "it is `chat`, `alpaca`, `raw` or a Jinja file; a path is relative to the current folder, in a recipe to the recipe"
                .to_owned(),
        });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::read(path))?;
    // One more than is allowed shows that there are too many; a device would not end.
    let mut file = file.take(SOURCE_BYTES_MAX as u64 + 1);
    file.read_to_end(&mut bytes).map_err(Error::read(path))?;
    text(bytes, path)
}

/// The template the model brings.
fn own(model: &BaseModel) -> Result<Option<Found>> {
    let (file, source) = match model.bytes(TEMPLATE_FILE)? {
        Some(bytes) => {
            let path = model.path(TEMPLATE_FILE);
            (TEMPLATE_FILE, Some(text(bytes.into_owned(), &path)?))
        }
        None => {
            let config: Json = model.json(CONFIG_FILE)?.unwrap_or(Json::Null);
            (CONFIG_FILE, default_template(&config["chat_template"]))
        }
    };
    Ok(source.map(|source| Found {
        path: model.path(file),
        source,
        is_own: true,
    }))
}

fn text(bytes: Vec<u8>, path: &Path) -> Result<String> {
    if bytes.len() > SOURCE_BYTES_MAX {
        return Err(Error::Template {
            path: path.to_owned(),
            source: format!("it has more than {SOURCE_BYTES_MAX} bytes").into(),
        });
    }
    String::from_utf8(bytes).map_err(|source| Error::Template {
        path: path.to_owned(),
        source: format!("it is not UTF-8: {}", source.utf8_error()).into(),
    })
}

/// A template, or the one named `default` of several.
fn default_template(template: &Json) -> Option<String> {
    match template {
        Json::String(text) => Some(text.clone()),
        Json::Array(named) => named
            .iter()
            .find(|entry| entry["name"] == "default")
            .and_then(|entry| entry["template"].as_str())
            .map(str::to_owned),
        _ => None,
    }
}

/// The special tokens the model names, each by its text or as an object with its text.
fn special_tokens(model: &BaseModel) -> Result<BTreeMap<String, String>> {
    let mut tokens = BTreeMap::new();
    // The newer file wins.
    for file in [TOKENS_FILE, CONFIG_FILE] {
        let config: Json = model.json(file)?.unwrap_or(Json::Null);
        let named = config.as_object().into_iter().flatten();
        for (name, token) in named.filter(|(name, _)| name.ends_with("_token")) {
            if let Some(text) = token.as_str().or_else(|| token["content"].as_str()) {
                tokens.insert(name.clone(), text.to_owned());
            }
        }
    }
    Ok(tokens)
}

/// Does the work on another thread, and does not wait for it for ever.
fn in_time<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    let worker = thread::spawn(move || {
        // Whoever waited may have stopped waiting.
        drop(sender.send(work()));
    });
    match receiver.recv_timeout(Duration::from_secs(TRIAL_SECONDS_MAX)) {
        Ok(done) => done,
        Err(RecvTimeoutError::Timeout) => Err(Error::TemplateLimit {
            path,
            limit: format!("{TRIAL_SECONDS_MAX} seconds"),
        }),
        Err(RecvTimeoutError::Disconnected) => {
            let panic = worker.join().expect_err("it would have sent its result");
            std::panic::resume_unwind(panic)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(template: Option<&str>) -> (tempfile::TempDir, BaseModel) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = serde_json::json!({
            "bos_token": {"content": "<s>"},
            "eos_token": "</s>",
        });
        if let Some(template) = template {
            config["chat_template"] = template.into();
        }
        std::fs::write(folder.path().join(CONFIG_FILE), config.to_string()).expect("written");
        let model = BaseModel::named(folder.path()).expect("a folder");
        (folder, model)
    }

    const PROMPT: Prompt<'static> = Prompt {
        instruction: "Add.",
        input: "1 2",
    };

    fn message(error: Error) -> String {
        format!("{:#}", anyhow::Error::from(error))
    }

    #[test]
    fn a_models_own_template_renders_as_transformers_does() {
        // Block tags leave neither their line nor their indentation, and Python's string methods work.
        let template = "{{ bos_token }}\n{% for m in messages %}\n    {% if m['role'] == 'user' %}\n[INST] {{ m['content'].strip() }} [/INST]{% else %}\n {{ m.content | trim }} {{ eos_token }}{% endif %}\n{% endfor %}";
        let (_folder, model) = model(Some(template));
        let rendered = ChatTemplate::read(&model, None, None)
            .expect("a template")
            .sample(PROMPT, "3")
            .expect("rendered");
        assert_eq!(rendered.text, "<s>\n[INST] Add.\n1 2 [/INST] 3 </s>");
        assert_eq!(&rendered.text[rendered.prompt_bytes..], " 3 </s>");
    }

    #[test]
    fn without_a_template_the_layout_is_alpacas() {
        let (_folder, model) = model(None);
        let template = ChatTemplate::read(&model, None, None).expect("a template");
        assert!(!template.is_own());
        let rendered = template.sample(PROMPT, "3").expect("rendered");
        assert_eq!(
            rendered.text,
            "<s>Below is an instruction that describes a task, paired with an input that provides further context. Write a \
             response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### \
             Response:\n3</s>"
        );
        assert_eq!(&rendered.text[rendered.prompt_bytes..], "3</s>");
        let alone = Prompt {
            input: "",
            ..PROMPT
        };
        let rendered = template.prompt(alone).expect("rendered");
        assert_eq!(
            rendered,
            "<s>Below is an instruction that describes a task. Write a response that appropriately completes the \
             request.\n\n### Instruction:\nAdd.\n\n### Response:\n"
        );
        let asked = ChatTemplate::read(&model, Some(&TemplateChoice::Alpaca), None);
        assert_eq!(asked.expect("a template").blake3(), template.blake3());
    }

    #[test]
    fn a_system_message_has_a_place_in_the_layouts_provided() {
        let (_folder, model) = model(None);
        for (choice, system, expected) in [
            (
                TemplateChoice::Alpaca,
                "Be brief.",
                "<s>Be brief.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n",
            ),
            (
                TemplateChoice::Alpaca,
                "",
                "<s>### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n",
            ),
            (TemplateChoice::Raw, "Be brief.", "<s>Be brief.\nAdd.\n1 2"),
            (TemplateChoice::Raw, "", "<s>Add.\n1 2"),
        ] {
            let template = ChatTemplate::read(&model, Some(&choice), Some(system));
            let rendered = template.expect("a template").sample(PROMPT, "3");
            let rendered = rendered.expect("rendered");
            assert_eq!(rendered.text, format!("{expected}3</s>"));
            assert_eq!(rendered.prompt_bytes, expected.len());
        }
    }

    #[test]
    fn a_template_that_refuses_says_why() {
        let (_folder, model) = model(Some("{{ raise_exception('roles must alternate') }}"));
        let error = message(ChatTemplate::read(&model, None, None).expect_err("refused"));
        assert!(
            error.contains("it refuses: roles must alternate"),
            "{error}"
        );
    }

    #[test]
    fn the_own_template_can_be_asked_for_only_where_there_is_one() {
        let (_folder, model) = model(None);
        let error = ChatTemplate::read(&model, Some(&TemplateChoice::Chat), None);
        let error = message(error.expect_err("refused"));
        assert!(error.contains("has no chat template"), "{error}");
    }
}
