//! The layers of a recipe as operations, before it is known where their values lie.

use super::error::RecipeError;
use super::layer::{Layer, Padding, Width};
use super::parameters::{Parameter, Parameters};
use super::recipe::{NAME, Recipe, is_name};
use super::slot::{Border, Window};
use super::winograd::Winograd;
use crate::shape::Shape;
use crate::simd::BLOCK;

/// No image's activations of one layer have more values, channels being counted in whole blocks: 256 MB.
const ACTIVATIONS_MAX: usize = 1 << 26;
/// No layer makes more channels or values of a vector.
const WIDTH_MAX: usize = 1 << 16;
/// No kernel is wider, and no further from its neighbour.
const KERNEL_MAX: usize = 31;
/// No pooling window is wider: places in it are counted in a byte.
const POOL_MAX: usize = 15;

/// An operation before it is known where slots lie.
#[derive(Debug)]
pub enum Draft {
    Conv { from: usize, window: Window, skip: Option<usize>, relu: bool },
    Linear { from: usize, relu: bool },
    Relu { from: usize },
    Add { skip: usize, from: usize, relu: bool },
    MaxPool { from: usize, size: usize },
    Flatten { from: usize },
}

impl Draft {
    /// What it reads.
    pub fn reads(&self) -> Vec<usize> {
        match *self {
            Self::Add { skip, from, .. } | Self::Conv { from, skip: Some(skip), .. } => {
                vec![from, skip]
            }
            Self::Conv { from, .. }
            | Self::Linear { from, .. }
            | Self::Relu { from }
            | Self::MaxPool { from, .. }
            | Self::Flatten { from } => vec![from],
        }
    }
}

/// The operations of a recipe: number `i` makes slot `i + 1`, slot 0 is the input, the last one the logits.
#[derive(Debug)]
pub struct Drafts {
    pub ops: Vec<Draft>,
    /// Shapes of the slots.
    pub shapes: Vec<Shape>,
    pub parameters: Parameters,
}

impl Drafts {
    /// The operations that `recipe` makes for images of `shape` that belong to one of `classes`.
    pub fn new(recipe: &Recipe, shape: Shape, classes: usize) -> Result<Self, RecipeError> {
        let mut builder = Builder {
            recipe,
            classes,
            ops: Vec::new(),
            shapes: vec![shape],
            parameters: Vec::new(),
            skips: Vec::new(),
        };
        builder.layers(recipe.layers(), "", "")?;
        let Builder { ops, shapes, parameters, .. } = builder;
        let logits = Shape { channels: classes, height: 1, width: 1 };
        let last = shapes[ops.len()];
        if ops.is_empty() || last != logits {
            return Err(recipe.whole(format!(
                "its last layer makes {last} where {classes} logits are wanted: end with a linear layer, \
                 out = \"classes\""
            )));
        }
        Ok(Self { ops, shapes, parameters: Parameters::of(recipe, parameters)? })
    }

    /// The shapes without the pixels at the lower and right edges that never reach the logits: pooling drops what does
    /// not fill a window, and what is only read for that need not be computed either. Exact, for every layer but the
    /// last is read.
    pub fn extents(&self) -> Vec<Shape> {
        let mut extents: Vec<Shape> =
            self.shapes.iter().map(|shape| Shape { height: 1, width: 1, ..*shape }).collect();
        for (i, draft) in self.ops.iter().enumerate().rev() {
            let made = extents[i + 1];
            for from in draft.reads() {
                let whole = self.shapes[from];
                let side = |made: usize, whole: usize| match draft {
                    Draft::Conv { from: read, window, .. } if from == *read => {
                        let Window { kernel, stride, padding } = *window;
                        whole.min(((made - 1) * stride + kernel).saturating_sub(padding).max(1))
                    }
                    Draft::MaxPool { size, .. } => made * size,
                    Draft::Flatten { .. } => whole,
                    _ => made,
                };
                let (height, width) =
                    (side(made.height, whole.height), side(made.width, whole.width));
                let extent = &mut extents[from];
                *extent = Shape {
                    height: extent.height.max(height),
                    width: extent.width.max(width),
                    ..whole
                };
            }
        }
        // Images come whole.
        extents[0] = self.shapes[0];
        extents
    }

    /// The zeros around every slot that convolutions read, the slots having these extents.
    pub fn borders(&self, extents: &[Shape]) -> Vec<Border> {
        let mut borders = vec![Border::default(); extents.len()];
        for (i, draft) in self.ops.iter().enumerate() {
            if let Draft::Conv { from, window, .. } = draft {
                let padding = window.padding;
                let border = match self.by_tiles(i) {
                    true => Winograd::border(padding, extents[*from], extents[i + 1]),
                    false => Border { before: padding, after: padding },
                };
                borders[*from] = borders[*from].or(border);
            }
        }
        borders
    }

    /// Whether operation `i` is a convolution that Winograd's way is good for.
    pub fn by_tiles(&self, i: usize) -> bool {
        match self.ops[i] {
            Draft::Conv { from, window, .. } => {
                let (inputs, outputs) = (self.shapes[from].channels, self.shapes[i + 1].channels);
                // The network's input has no whole blocks of channels.
                from > 0 && Winograd::suits(window, inputs, outputs)
            }
            _ => false,
        }
    }
}

/// A recipe on its way.
struct Builder<'a> {
    recipe: &'a Recipe,
    classes: usize,
    ops: Vec<Draft>,
    shapes: Vec<Shape>,
    parameters: Vec<Parameter>,
    /// Inputs of the residuals that are not closed yet.
    skips: Vec<usize>,
}

/// Which layer of the recipe is being read: what errors call it, and the prefix of names.
struct Place<'a> {
    layer: String,
    prefix: &'a str,
}

impl Builder<'_> {
    /// The slot that the next layer reads.
    fn current(&self) -> usize {
        self.ops.len()
    }

    fn layers(&mut self, layers: &[Layer], prefix: &str, outer: &str) -> Result<(), RecipeError> {
        for (i, layer) in layers.iter().enumerate() {
            let place = Place { layer: format!("{outer}{} ({})", i + 1, describe(layer)), prefix };
            self.layer(layer, &place)?;
        }
        Ok(())
    }

    fn layer(&mut self, layer: &Layer, place: &Place<'_>) -> Result<(), RecipeError> {
        let from = self.current();
        let input = self.shapes[from];
        match layer {
            Layer::Linear { name, out } => {
                if input.height * input.width != 1 {
                    let problem = format!("its input is an image of {input}: flatten it first");
                    return Err(self.error(place, problem));
                }
                let channels = self.width(*out, place)?;
                self.parametrise(name, place, vec![channels, input.channels])?;
                let shape = Shape { channels, height: 1, width: 1 };
                self.push(Draft::Linear { from, relu: false }, shape, place)
            }
            Layer::Conv { name, out, kernel, stride, padding } => {
                let window = self.window(*kernel, *stride, *padding, place)?;
                let shape = vec![self.width(*out, place)?, input.channels, *kernel, *kernel];
                self.parametrise(name, place, shape)?;
                self.conv(*out, window, place)
            }
            Layer::Residual { name, layers } => self.residual(name, layers, place),
            Layer::Relu {} => {
                if !self.fuse_relu() {
                    self.push(Draft::Relu { from }, input, place)?;
                }
                Ok(())
            }
            Layer::MaxPool { size } => {
                if !(2..=POOL_MAX).contains(size) {
                    return Err(
                        self.error(place, format!("size = {size} is not in 2..={POOL_MAX}"))
                    );
                }
                let (height, width) = (input.height / size, input.width / size);
                if height * width == 0 {
                    let problem =
                        format!("its input {input} is smaller than a {size}x{size} window");
                    return Err(self.error(place, problem));
                }
                self.push(
                    Draft::MaxPool { from, size: *size },
                    Shape { height, width, ..input },
                    place,
                )
            }
            Layer::Flatten {} => {
                let shape = Shape { channels: input.values(), height: 1, width: 1 };
                if from == 0 && self.skips.is_empty() {
                    // The input lies in that order.
                    self.shapes[0] = shape;
                    return Ok(());
                }
                self.push(Draft::Flatten { from }, shape, place)
            }
        }
    }

    fn residual(
        &mut self,
        name: &str,
        layers: &[Layer],
        place: &Place<'_>,
    ) -> Result<(), RecipeError> {
        self.check_name(name, place)?;
        if layers.is_empty() {
            return Err(self.error(place, "it has no layers".to_owned()));
        }
        let skip = self.current();
        self.skips.push(skip);
        let prefix = format!("{}{name}.", place.prefix);
        self.layers(layers, &prefix, &format!("{} > ", place.layer))?;
        self.skips.pop();
        let from = self.current();
        let (input, output) = (self.shapes[skip], self.shapes[from]);
        if input != output {
            let problem = format!("its layers turn {input} into {output}, which cannot be added");
            return Err(self.error(place, problem));
        }
        match self.ops.last_mut() {
            Some(Draft::Conv { skip: added @ None, relu: false, .. })
                // The network's input has no whole blocks of channels.
                if skip > 0 =>
            {
                *added = Some(skip);
                Ok(())
            }
            _ => self.push(Draft::Add { skip, from, relu: false }, output, place),
        }
    }

    /// Makes a ReLU part of the operation before it, if that can be and nobody else reads what it made.
    fn fuse_relu(&mut self) -> bool {
        let current = self.current();
        match self.ops.last_mut() {
            Some(
                Draft::Conv { relu, .. } | Draft::Linear { relu, .. } | Draft::Add { relu, .. },
            ) if !self.skips.contains(&current) => {
                *relu = true;
                true
            }
            _ => false,
        }
    }

    fn conv(&mut self, out: Width, window: Window, place: &Place<'_>) -> Result<(), RecipeError> {
        let from = self.current();
        let input = self.shapes[from];
        let Window { kernel, stride, padding } = window;
        let side = |side: usize| {
            let bordered = side + 2 * padding;
            (bordered >= kernel).then(|| (bordered - kernel) / stride + 1)
        };
        let (Some(height), Some(width)) = (side(input.height), side(input.width)) else {
            let problem = format!("its input {input} is smaller than its {kernel}x{kernel} kernel");
            return Err(self.error(place, problem));
        };
        let channels = self.width(out, place)?;
        let shape = Shape { channels, height, width };
        self.push(Draft::Conv { from, window, skip: None, relu: false }, shape, place)
    }

    fn window(
        &self,
        kernel: usize,
        stride: usize,
        padding: Padding,
        place: &Place<'_>,
    ) -> Result<Window, RecipeError> {
        for (key, value) in [("kernel", kernel), ("stride", stride)] {
            if !(1..=KERNEL_MAX).contains(&value) {
                let problem = format!("{key} = {value} is not in 1..={KERNEL_MAX}");
                return Err(self.error(place, problem));
            }
        }
        let padding = match padding {
            Padding::Valid => 0,
            Padding::Same if kernel % 2 == 1 => kernel / 2,
            Padding::Same => {
                let problem = format!("padding = \"same\" needs an odd kernel, not {kernel}");
                return Err(self.error(place, problem));
            }
        };
        Ok(Window { kernel, stride, padding })
    }

    fn width(&self, width: Width, place: &Place<'_>) -> Result<usize, RecipeError> {
        match width {
            Width::Classes => Ok(self.classes),
            Width::Count(count) if count <= WIDTH_MAX => Ok(count),
            Width::Count(count) => {
                Err(self.error(place, format!("out = {count} is more than {WIDTH_MAX}")))
            }
        }
    }

    fn parametrise(
        &mut self,
        name: &str,
        place: &Place<'_>,
        shape: Vec<usize>,
    ) -> Result<(), RecipeError> {
        self.check_name(name, place)?;
        let (outputs, fan_in) = (shape[0], shape[1..].iter().product());
        let named = |suffix: &str| format!("{}{name}.{suffix}", place.prefix);
        self.parameters.push(Parameter { name: named("weight"), shape, fan_in });
        self.parameters.push(Parameter { name: named("bias"), shape: vec![outputs], fan_in });
        Ok(())
    }

    fn check_name(&self, name: &str, place: &Place<'_>) -> Result<(), RecipeError> {
        match is_name(name) {
            true => Ok(()),
            false => Err(self.error(place, format!("`{name}` is not {NAME}"))),
        }
    }

    fn push(&mut self, draft: Draft, shape: Shape, place: &Place<'_>) -> Result<(), RecipeError> {
        let Shape { channels, height, width } = shape;
        if channels.next_multiple_of(BLOCK) * height * width > ACTIVATIONS_MAX {
            let problem =
                format!("it makes {shape}, more than {ACTIVATIONS_MAX} values of an image");
            return Err(self.error(place, problem));
        }
        self.ops.push(draft);
        self.shapes.push(shape);
        Ok(())
    }

    fn error(&self, place: &Place<'_>, problem: String) -> RecipeError {
        let origin = self.recipe.origin().to_owned();
        RecipeError::Layer { origin, layer: place.layer.clone(), problem }
    }
}

/// A layer as errors name it.
fn describe(layer: &Layer) -> String {
    match layer {
        Layer::Linear { name, .. } => format!("linear `{name}`"),
        Layer::Conv { name, .. } => format!("conv `{name}`"),
        Layer::Residual { name, .. } => format!("residual `{name}`"),
        Layer::Relu {} => "relu".to_owned(),
        Layer::MaxPool { .. } => "maxpool".to_owned(),
        Layer::Flatten {} => "flatten".to_owned(),
    }
}
