//! Jinja as transformers renders chat templates with it. A template is a stranger's program, so its work is bounded.

use std::fmt;
use std::io::{self, Write};
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};
use regex::Regex;

use super::{python, tojson};

/// Bytes of a template: ten times those of the longest in use.
pub(super) const SOURCE_BYTES_MAX: usize = 256 << 10;
/// Steps of work for one rendering: an instruction, or 64 bytes that it makes or looks at.
const FUEL: usize = 32_000;
/// Bytes of the messages that allow one more, so that long ones may be looked at sixteen times.
const BYTES_PER_FUEL: usize = 4;
/// The most, however long the messages are.
const FUEL_MAX: usize = 4_000_000;
/// Stack for a step of work, or a byte of a template: a list in a list in a list is made in a step each, and is printed and
/// dropped by functions that call themselves. It is only reserved; memory is taken where it is used.
const STACK_PER_FUEL: usize = 1_024;
/// Bytes that a rendering may have besides the messages.
const OUTPUT_BYTES: usize = 1 << 20;
/// How often the text of the messages may stand in it.
const OUTPUT_COPIES: usize = 4;

/// A template, ready to render.
#[derive(Debug)]
pub(super) struct Jinja {
    name: String,
    environment: Environment<'static>,
}

/// Why nothing was rendered.
#[derive(Debug)]
pub(super) enum Failure {
    /// The template called `raise_exception` with these words.
    Refused(String),
    /// It did more than a rendering may.
    Limit(String),
    /// It is wrong.
    Broken(Error),
}

impl Jinja {
    /// Parses a template; errors call it by `name`.
    pub(super) fn parse(name: &str, source: &str) -> Result<Jinja, Error> {
        let mut environment = Environment::new();
        // As transformers renders: without them, templates laid out over lines print their layout.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .expect("the usual delimiters");
        environment.set_syntax(syntax);
        // The engine would go by the ending of the name.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(python::method);
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", tojson::tojson);
        environment.add_filter("trim", python::trim);
        environment.add_filter("string", python::string);
        environment.add_filter("join", python::join);
        environment.add_test("sequence", is_sequence);
        let stack = STACK_PER_FUEL * (source.len() + FUEL);
        stacker::grow(stack, || {
            environment.add_template_owned(name.to_owned(), readied(source))
        })?;
        Ok(Jinja {
            name: name.to_owned(),
            environment,
        })
    }

    /// Renders messages of so many bytes.
    pub(super) fn render(&self, context: Value, message_bytes: usize) -> Result<String, Failure> {
        let fuel = (FUEL + message_bytes / BYTES_PER_FUEL).min(FUEL_MAX);
        let mut out = Bounded {
            bytes: Vec::new(),
            bytes_max: OUTPUT_BYTES.saturating_add(message_bytes.saturating_mul(OUTPUT_COPIES)),
            is_full: false,
        };
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel as u64));
        let render = || {
            let template = environment.get_template(&self.name)?;
            template.render_captured_to(context, &mut out).map(drop)
        };
        let rendered = stacker::grow(STACK_PER_FUEL * fuel, render);
        match rendered {
            Ok(()) => Ok(String::from_utf8(out.bytes).expect("texts are UTF-8")),
            Err(_) if out.is_full => {
                Err(Failure::Limit(format!("{} bytes of text", out.bytes_max)))
            }
            Err(error) => Err(self.failure(error, fuel)),
        }
    }

    fn failure(&self, error: Error, fuel: usize) -> Failure {
        // A macro or a block wraps what fails in it.
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(at_hand) = cause {
            if let Some(Refusal(message)) = at_hand.downcast_ref() {
                return Failure::Refused(message.clone());
            }
            let of_engine = at_hand.downcast_ref::<Error>();
            if of_engine.is_some_and(|error| error.kind() == ErrorKind::OutOfFuel) {
                return Failure::Limit(format!("{fuel} steps of work"));
            }
            if of_engine.and_then(Error::detail) == Some("recursion limit exceeded") {
                let limit = self.environment.recursion_limit();
                return Failure::Limit(format!("{limit} blocks and calls in each other"));
            }
            cause = at_hand.source();
        }
        Failure::Broken(error)
    }
}

/// A template as the engine has to read it: with Unix line ends, which Jinja takes all others for, and its `generation` blocks,
/// by which transformers finds what an assistant says, as blocks with a scope of their own.
fn readied(source: &str) -> String {
    static GENERATION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("a pattern")
    });
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    GENERATION
        .replace_all(&source, "{%${1} ${2}with ${3}%}")
        .into_owned()
}

/// In Python, texts and dictionaries are sequences too.
fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::String | ValueKind::Map
    )
}

/// What templates call to refuse a conversation.
fn raise_exception(state: &State<'_, '_>, message: &Value) -> Result<Value, Error> {
    let message = python::string(state, message)?.to_string();
    let refusal = Refusal(message.clone());
    Err(Error::new(ErrorKind::InvalidOperation, message).with_source(refusal))
}

/// The words of a template that refuses.
#[derive(Debug)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// Bytes, up to a number of them.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use minijinja::context;
    use serde::Deserialize;

    use super::*;

    const USER: &str = "Ünïcode & <b>\n1 2";

    fn render(template: &str) -> Result<String, Failure> {
        let jinja = Jinja::parse("t.jinja", template).map_err(Failure::Broken)?;
        let context = context! {
            messages => [
                context! { role => "system", content => "  Be brief. " },
                context! { role => "user", content => USER },
            ],
            tools => (),
            documents => (),
            add_generation_prompt => true,
            bos_token => "<s>",
            eos_token => "</s>",
        };
        jinja.render(context, USER.len())
    }

    #[test]
    fn what_templates_use_works_as_in_transformers() {
        #[derive(Deserialize)]
        struct Feature {
            template: String,
            text: Option<String>,
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/templates");
        let text = std::fs::read(folder.join("features.json")).expect("golden values");
        let features: Vec<Feature> = serde_json::from_slice(&text).expect("golden values");
        assert!(features.len() > 50);
        for Feature { template, text } in features {
            let ours = render(&template);
            match (&ours, &text) {
                (Ok(ours), Some(text)) => assert_eq!(ours, text, "{template}"),
                (Err(_), None) => {}
                _ => panic!("{template}\nours: {ours:?}\ntheirs: {text:?}"),
            }
        }
    }

    #[test]
    fn windows_line_ends_are_line_ends() {
        let text = render("a\r\n{% if true %}\r\nb\r\n{% endif %}\rc\r\n").expect("rendered");
        assert_eq!(text, "a\nb\nc");
    }

    #[test]
    fn the_date_is_not_defined() {
        let asked = "{{ strftime_now('%Y') if strftime_now is defined else 'fixed' }}";
        assert_eq!(render(asked).expect("rendered"), "fixed");
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (template, named) in [
            ("{{ 'a'.zfill(3) }}", "zfill"),
            ("{{ 'a' | wordcount }}", "wordcount"),
            ("{{ cycler('a') }}", "cycler"),
            ("{{ '%s' % 'a' }}", "%"),
        ] {
            match render(template) {
                Err(Failure::Broken(error)) => {
                    assert!(error.to_string().contains(named), "{error}");
                }
                other => panic!("{template}: {other:?}"),
            }
        }
    }
}
