//! What a model is, as a file says it: layers, initial values, defaults, and what they must amount to.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use sha2::{Digest, Sha256};

use super::error::RecipeError;
use super::layer::Layer;
use super::parameters::Parameters;
use crate::shape::Shape;

/// The recipes inside the binary, by name.
const BUILTIN: [(&str, &str); 2] = [
    ("fc", include_str!("../../models/fc.toml")),
    ("resnet8", include_str!("../../models/resnet8.toml")),
];

/// A model before it knows its data set.
#[derive(Clone, Debug)]
pub struct Recipe {
    text: String,
    origin: String,
    body: Body,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    name: String,
    layers: Vec<Layer>,
    #[serde(default)]
    init: Init,
    defaults: Defaults,
    expect: Option<Expect>,
}

/// Where parameters start: uniform between minus and plus a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// PyTorch's defaults: weights and biases within `1 / sqrt(inputs of a unit)`.
    #[default]
    Torch,
    /// He et al. 2015: weights within `sqrt(6 / inputs of a unit)`, biases 0.
    He,
}

/// What training uses unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Learning rate of plain SGD.
    pub lr: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Images that one worker takes in a round.
    pub batch: u32,
}

/// What the layers amount to for one kind of data; a slip of the pen in the layers does not go unseen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(deserialize_with = "shape")]
    input: Shape,
    classes: usize,
    parameters: usize,
    layout: String,
}

impl Recipe {
    /// The recipe called `name` inside the binary.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let (name, text) = BUILTIN.iter().find(|(known, _)| *known == name)?;
        Some(Self::parse(text, name).expect("a test parses every recipe inside the binary"))
    }

    /// The names of the recipes inside the binary.
    #[must_use]
    pub const fn names() -> [&'static str; BUILTIN.len()] {
        [BUILTIN[0].0, BUILTIN[1].0]
    }

    /// The recipe of that name inside the binary, or in the file of that path if it ends in `.toml`.
    ///
    /// # Errors
    /// If there is no such recipe or file, or for what [`parse`](Self::parse) refuses.
    pub fn load(name_or_path: &str) -> Result<Self, RecipeError> {
        if let Some(recipe) = Self::builtin(name_or_path) {
            return Ok(recipe);
        }
        if Path::new(name_or_path).extension().is_none_or(|extension| extension != "toml") {
            return Err(RecipeError::Unknown { name: name_or_path.to_owned() });
        }
        let origin = name_or_path.to_owned();
        match fs::read_to_string(name_or_path) {
            Ok(text) => Self::parse(&text, &origin),
            Err(problem) => Err(RecipeError::Read { origin, problem }),
        }
    }

    /// Reads a recipe; `origin` is what errors call it.
    ///
    /// # Errors
    /// If the text has a wrong word, key or value, or its `[expect]` is not what its layers make.
    pub fn parse(text: &str, origin: &str) -> Result<Self, RecipeError> {
        let origin = origin.to_owned();
        let body: Body = toml::from_str(text).map_err(|error| RecipeError::Syntax {
            origin: origin.clone(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let recipe = Self { text: text.to_owned(), origin, body };
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), RecipeError> {
        let Defaults { lr, momentum, batch } = self.body.defaults;
        if !is_name(&self.body.name) {
            return Err(self.whole(format!("the name `{}` is not {NAME}", self.body.name)));
        }
        if !(lr > 0.0 && lr.is_finite()) {
            return Err(self.whole(format!("[defaults] lr = {lr} is not a number above 0")));
        }
        if !(0.0..1.0).contains(&momentum) {
            return Err(self.whole(format!("[defaults] momentum = {momentum} is not in [0, 1)")));
        }
        if batch == 0 {
            return Err(self.whole("[defaults] batch = 0 trains on nothing".to_owned()));
        }
        let Some(expect) = &self.body.expect else { return Ok(()) };
        let parameters = Parameters::new(self, expect.input, expect.classes)?;
        let layout = parameters.layout();
        let digest = super::hex(&layout.digest());
        let (input, classes) = (expect.input, expect.classes);
        for (what, expected, found) in [
            ("parameters", expect.parameters.to_string(), layout.values().to_string()),
            ("layout", expect.layout.clone(), digest),
        ] {
            if expected != found {
                return Err(self.whole(format!(
                    "[expect] says {what} = {expected}, but for {input} and {classes} classes the layers make {found}"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn whole(&self, problem: String) -> RecipeError {
        RecipeError::Whole { origin: self.origin.clone(), problem }
    }

    /// What the model is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.body.name
    }

    /// Where the recipe is from: a builtin name or a path.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The text that [`parse`](Self::parse) read, for those who have not got the file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the text in hexadecimal digits: an edited recipe is another one.
    #[must_use]
    pub fn digest(&self) -> String {
        super::hex(&Sha256::digest(&self.text))
    }

    /// The layers in order.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.body.layers
    }

    /// Where parameters start.
    #[must_use]
    pub const fn init(&self) -> Init {
        self.body.init
    }

    /// What training uses unless told otherwise.
    #[must_use]
    pub const fn defaults(&self) -> Defaults {
        self.body.defaults
    }
}

/// What [`is_name`] wants.
pub(super) const NAME: &str = "a name (a letter, then letters, digits, `_` or `-`)";

/// Whether `text` can be part of a parameter's or file's name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}
