//! The chat template: how a prompt and its response become one text.

use std::path::PathBuf;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};
use serde_json::Value as Json;

use crate::base_model::BaseModel;
use crate::error::{Cause, Error, Result};
use crate::sample::Prompt;

/// The file newer models keep their template in.
const TEMPLATE_FILE: &str = "chat_template.jinja";
/// The file that has always held it.
pub(super) const CONFIG_FILE: &str = "tokenizer_config.json";

/// Used for a model that has no template of its own; the end of the text is marked by the end-of-sequence token.
const PLAIN: &str = "\
{%- for message in messages %}
    {%- if message.role == 'user' %}{{ bos_token }}{{ '### Instruction:\n' + message.content }}{% endif %}
    {%- if message.role == 'assistant' %}{{ '\n\n### Response:\n' + message.content + eos_token }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '\n\n### Response:\n' }}{% endif %}";

/// A model's chat template, ready to render.
#[derive(Debug)]
pub struct ChatTemplate {
    /// Its file, for messages.
    path: PathBuf,
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
    /// Whether the model brought it.
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

impl ChatTemplate {
    /// Reads the template of a model: `chat_template.jinja`, or else what `tokenizer_config.json` holds.
    ///
    /// # Errors
    /// When a file cannot be read, or the template is not Jinja.
    pub fn read(model: &BaseModel) -> Result<ChatTemplate> {
        let config: Json = model.json(CONFIG_FILE)?.unwrap_or(Json::Null);
        let (file, own) = match model.bytes(TEMPLATE_FILE)? {
            Some(bytes) => (TEMPLATE_FILE, Some(text(bytes.into_owned(), model)?)),
            None => (CONFIG_FILE, default_template(&config["chat_template"])),
        };
        let path = model.path(file);
        let mut environment = Environment::new();
        // As transformers renders: without them, templates laid out over lines print their layout.
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .expect("the usual delimiters"),
        );
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        let is_own = own.is_some();
        environment
            .add_template_owned("chat", own.unwrap_or_else(|| PLAIN.to_owned()))
            .map_err(|source| Error::Template {
                path: path.clone(),
                source: source.into(),
            })?;
        Ok(ChatTemplate {
            path,
            environment,
            bos_token: token_text(&config["bos_token"]),
            eos_token: token_text(&config["eos_token"]),
            is_own,
        })
    }

    /// Whether the model brought the template.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// The text of the end-of-sequence token, empty where the model names none.
    pub fn eos_token(&self) -> &str {
        &self.eos_token
    }

    /// A prompt, up to where the response begins.
    ///
    /// # Errors
    /// When the template refuses it.
    pub fn prompt(&self, prompt: Prompt<'_>) -> Result<String> {
        self.render(&[message("user", &prompt.text())], true)
    }

    /// A prompt with its response.
    ///
    /// # Errors
    /// When the template refuses it, or does not begin what it renders with the rendered prompt.
    pub fn sample(&self, prompt: Prompt<'_>, response: &str) -> Result<Rendered> {
        let before = self.prompt(prompt)?;
        let messages = [
            message("user", &prompt.text()),
            message("assistant", response),
        ];
        let text = self.render(&messages, false)?;
        if !text.starts_with(&before) {
            return Err(self.failed("a rendered answer does not begin with the rendered prompt"));
        }
        Ok(Rendered {
            text,
            prompt_bytes: before.len(),
        })
    }

    fn render(&self, messages: &[Value], add_generation_prompt: bool) -> Result<String> {
        let render = || {
            self.environment.get_template("chat")?.render(context! {
                messages,
                add_generation_prompt,
                bos_token => &self.bos_token,
                eos_token => &self.eos_token,
            })
        };
        render().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: impl Into<Cause>) -> Error {
        Error::Template {
            path: self.path.clone(),
            source: source.into(),
        }
    }
}

fn text(bytes: Vec<u8>, model: &BaseModel) -> Result<String> {
    String::from_utf8(bytes).map_err(|source| Error::Template {
        path: model.path(TEMPLATE_FILE),
        source: source.into(),
    })
}

fn message(role: &str, content: &str) -> Value {
    context! { role, content }
}

/// What templates call to refuse a conversation.
fn raise_exception(message: String) -> std::result::Result<String, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
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

/// A token, written as its text or as an object with its text.
pub(super) fn token_text(token: &Json) -> String {
    let text = token.as_str().or_else(|| token["content"].as_str());
    text.unwrap_or_default().to_owned()
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

    #[test]
    fn a_models_own_template_renders_as_transformers_does() {
        // Block tags leave neither their line nor their indentation, and Python's string methods work.
        let template = "{{ bos_token }}\n{% for m in messages %}\n    {% if m['role'] == 'user' %}\n[INST] {{ m['content'].strip() }} [/INST]{% else %}\n {{ m.content | trim }} {{ eos_token }}{% endif %}\n{% endfor %}";
        let (_folder, model) = model(Some(template));
        let rendered = ChatTemplate::read(&model)
            .expect("a template")
            .sample(PROMPT, "3")
            .expect("rendered");
        assert_eq!(rendered.text, "<s>\n[INST] Add.\n1 2 [/INST] 3 </s>");
        assert_eq!(&rendered.text[rendered.prompt_bytes..], " 3 </s>");
    }

    #[test]
    fn without_a_template_the_plain_one_is_used() {
        let (_folder, model) = model(None);
        let template = ChatTemplate::read(&model).expect("a template");
        assert!(!template.is_own());
        let rendered = template.sample(PROMPT, "3").expect("rendered");
        assert_eq!(
            rendered.text,
            "<s>### Instruction:\nAdd.\n1 2\n\n### Response:\n3</s>"
        );
        assert_eq!(&rendered.text[rendered.prompt_bytes..], "3</s>");
    }

    #[test]
    fn a_template_that_refuses_says_why() {
        let (_folder, model) = model(Some("{{ raise_exception('roles must alternate') }}"));
        let error = ChatTemplate::read(&model)
            .expect("a template")
            .prompt(PROMPT)
            .expect_err("refused");
        let error = anyhow::Error::from(error);
        assert!(
            format!("{error:#}").contains("roles must alternate"),
            "{error:#}"
        );
    }
}
