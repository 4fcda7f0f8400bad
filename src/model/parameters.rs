//! The parameters of a model: what they are called, where they lie, where they start.

use super::draft::Drafts;
use super::error::RecipeError;
use super::recipe::{Init, Recipe};
use crate::flat::Layout;
use crate::rng;
use crate::shape::Shape;

/// One parameter tensor, and how many inputs each unit that it belongs to has.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub fan_in: usize,
}

/// The parameters of a recipe for an input shape and a number of classes: the same ones whatever computes with them.
#[derive(Clone, Debug)]
pub struct Parameters {
    layout: Layout,
    /// Weight, bias, weight, bias, ... in the order of the layers.
    list: Vec<Parameter>,
    init: Init,
}

/// No model has more parameters: 1 GB.
const PARAMETERS_MAX: usize = 1 << 28;

impl Parameters {
    /// The parameters of `recipe` for images of `shape` that belong to one of `classes`.
    ///
    /// # Errors
    /// If the layers do not fit the shape.
    pub fn new(recipe: &Recipe, shape: Shape, classes: usize) -> Result<Self, RecipeError> {
        Ok(Drafts::new(recipe, shape, classes)?.parameters)
    }

    /// Lays out the parameters in `list`, which are those of `recipe`.
    pub(super) fn of(recipe: &Recipe, list: Vec<Parameter>) -> Result<Self, RecipeError> {
        let tensors = list.iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone()));
        let layout = Layout::new(tensors).map_err(|problem| RecipeError::Layout {
            origin: recipe.origin().to_owned(),
            problem,
        })?;
        match layout.values() {
            found if found > PARAMETERS_MAX => {
                Err(recipe.whole(format!("{found} parameters are more than {PARAMETERS_MAX}")))
            }
            _ => Ok(Self { layout, list, init: recipe.init() }),
        }
    }

    /// Their names and shapes.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Weight and bias of each layer that has them, in the order of the layers.
    pub(super) fn pairs(&self) -> impl Iterator<Item = [&crate::flat::Tensor; 2]> {
        let tensor = |parameter: &Parameter| {
            self.layout.tensor(&parameter.name).expect("the layout is made of the parameters")
        };
        self.list.chunks_exact(2).map(move |pair| [tensor(&pair[0]), tensor(&pair[1])])
    }

    /// The values that a run with this seed starts from, the same on every machine.
    #[must_use]
    pub fn init(&self, seed: u64) -> Vec<f32> {
        let mut values = vec![0.0; self.layout.values()];
        for parameter in &self.list {
            let tensor = self.layout.tensor(&parameter.name);
            let tensor = tensor.expect("the layout is made of the parameters");
            let fan_in = parameter.fan_in as f64;
            let is_bias = parameter.shape.len() == 1;
            let bound = match self.init {
                Init::Torch => (1.0 / fan_in).sqrt(),
                Init::He if is_bias => 0.0,
                Init::He => (6.0 / fan_in).sqrt(),
            };
            // A stream per tensor: another layer does not change the numbers of this one.
            let mut rng = rng::stream(seed, &format!("init {}", parameter.name), 0);
            for value in &mut values[tensor.values.clone()] {
                *value = ((2.0 * rng::unit(&mut rng) - 1.0) * bound) as f32;
            }
        }
        values
    }
}
