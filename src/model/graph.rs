//! A recipe compiled for one kind of input: which layer reads and writes what, and where everything lies.

use super::conv::{Conv, Places, is_flat};
use super::pointwise::{Add, Flatten, Relu};
use super::pool::MaxPool;
use super::recipe::{Layer, NAME, Padding, Recipe, RecipeError, Width, is_name};
use super::slot::{Slot, Window};
use super::tape::Deposit;
use crate::flat::Layout;
use crate::shape::Shape;

/// One layer at work.
#[derive(Debug)]
pub enum Op {
    Conv(Conv),
    Relu(Relu),
    Add(Add),
    MaxPool(MaxPool),
    Flatten(Flatten),
}

/// A parameter tensor, and how many inputs each unit that it belongs to has.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub fan_in: usize,
}

/// The layers as a straight line of operations: each reads slots that are complete and fills a new one.
#[derive(Debug)]
pub struct Graph {
    /// Slot 0 is the input, the last one the logits.
    pub slots: Vec<Slot>,
    pub ops: Vec<Op>,
    /// From this operation on images are rows of a matrix; before it they are worked on one by one.
    pub split: usize,
    pub layout: Layout,
    /// Weight, bias, weight, bias, ... in the order of the layers.
    pub parameters: Vec<Parameter>,
}

/// No image's activations of one layer have more values: 256 MB.
const ACTIVATIONS_MAX: usize = 1 << 26;
/// No layer makes more channels or values of a vector.
const WIDTH_MAX: usize = 1 << 16;
/// No kernel is wider, and no further from its neighbour.
const KERNEL_MAX: usize = 31;
/// No pooling window is wider: places in it are counted in a byte.
const POOL_MAX: usize = 15;
/// No model has more parameters: 1 GB.
const PARAMETERS_MAX: usize = 1 << 28;

/// An operation before it is known where slots lie.
enum Draft {
    Conv { from: usize, window: Window, relu: bool },
    Relu { from: usize },
    Add { skip: usize, from: usize, relu: bool },
    MaxPool { from: usize, size: usize },
    Flatten { from: usize },
}

impl Draft {
    /// What it reads.
    fn reads(&self) -> Vec<usize> {
        match *self {
            Self::Add { skip, from, .. } => vec![from, skip],
            Self::Conv { from, .. }
            | Self::Relu { from }
            | Self::MaxPool { from, .. }
            | Self::Flatten { from } => vec![from],
        }
    }
}

/// The layers so far. Operation `i` makes slot `i + 1`.
struct Builder<'a> {
    recipe: &'a Recipe,
    classes: usize,
    drafts: Vec<Draft>,
    shapes: Vec<Shape>,
    borders: Vec<usize>,
    parameters: Vec<Parameter>,
    /// Inputs of the residuals that are not closed yet.
    skips: Vec<usize>,
}

/// Which layer of the recipe is being read: what errors call it, and the prefix of names.
struct Place<'a> {
    layer: String,
    prefix: &'a str,
}

impl Graph {
    /// Compiles `recipe` for images of `shape` that belong to one of `classes`.
    pub fn new(recipe: &Recipe, shape: Shape, classes: usize) -> Result<Self, RecipeError> {
        let mut builder = Builder {
            recipe,
            classes,
            drafts: Vec::new(),
            shapes: vec![shape],
            borders: vec![0],
            parameters: Vec::new(),
            skips: Vec::new(),
        };
        builder.layers(recipe.layers(), "", "")?;
        builder.finish()
    }
}

impl Builder<'_> {
    /// The slot that the next layer reads.
    fn current(&self) -> usize {
        self.drafts.len()
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
                let window = Window { kernel: 1, stride: 1, padding: 0 };
                let shape = vec![self.width(*out, place)?, input.channels];
                self.parameters(name, place, shape)?;
                self.conv(*out, window, place)
            }
            Layer::Conv { name, out, kernel, stride, padding } => {
                let window = self.window(*kernel, *stride, *padding, place)?;
                let shape = vec![self.width(*out, place)?, input.channels, *kernel, *kernel];
                self.parameters(name, place, shape)?;
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
        self.push(Draft::Add { skip, from, relu: false }, output, place)
    }

    /// Makes a ReLU part of the operation before it, if that can be and nobody else reads what it made.
    fn fuse_relu(&mut self) -> bool {
        let current = self.current();
        match self.drafts.last_mut() {
            Some(Draft::Conv { relu, .. } | Draft::Add { relu, .. })
                if !self.skips.contains(&current) =>
            {
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
        self.borders[from] = self.borders[from].max(padding);
        let channels = self.width(out, place)?;
        let shape = Shape { channels, height, width };
        self.push(Draft::Conv { from, window, relu: false }, shape, place)
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

    fn parameters(
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
        if shape.values() > ACTIVATIONS_MAX {
            let problem =
                format!("it makes {shape}, more than {ACTIVATIONS_MAX} values of an image");
            return Err(self.error(place, problem));
        }
        self.drafts.push(draft);
        self.shapes.push(shape);
        self.borders.push(0);
        Ok(())
    }

    fn error(&self, place: &Place<'_>, problem: String) -> RecipeError {
        let origin = self.recipe.origin().to_owned();
        RecipeError::Layer { origin, layer: place.layer.clone(), problem }
    }

    fn finish(self) -> Result<Graph, RecipeError> {
        let Self { recipe, classes, drafts, shapes, borders, parameters, .. } = self;
        let logits = Shape { channels: classes, height: 1, width: 1 };
        let last = shapes[drafts.len()];
        if drafts.is_empty() || last != logits {
            return Err(recipe.whole(format!(
                "its last layer makes {last} where {classes} logits are wanted: end with a linear layer, out = \"classes\""
            )));
        }
        let tensors = parameters.iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone()));
        let layout = Layout::new(tensors)
            .map_err(|source| RecipeError::Layout { origin: recipe.origin().to_owned(), source })?;
        if layout.values() > PARAMETERS_MAX {
            let found = layout.values();
            return Err(recipe.whole(format!("{found} parameters are more than {PARAMETERS_MAX}")));
        }
        let deposits = deposits(&drafts);
        let split = split(&drafts, &shapes);
        let slots = slots(&drafts, &shapes, &borders, &deposits, split);
        let ops = place(drafts, &slots, &deposits, &parameters, &layout);
        Ok(Graph { slots, ops, split, layout, parameters })
    }
}

/// For every operation how it hands on the gradient of each slot that it reads.
fn deposits(drafts: &[Draft]) -> Vec<Vec<Deposit>> {
    let mut trained = vec![false];
    for draft in drafts {
        let inputs = draft.reads().iter().any(|&from| trained[from]);
        trained.push(inputs || matches!(draft, Draft::Conv { .. }));
    }
    let mut stored = vec![false; trained.len()];
    let mut backward = drafts.iter().rev().map(|draft| {
        let deposit =
            |from: usize| match (trained[from], std::mem::replace(&mut stored[from], true)) {
                (false, _) => Deposit::Nothing,
                (true, false) => Deposit::Store,
                (true, true) => Deposit::Add,
            };
        draft.reads().into_iter().map(deposit).collect()
    });
    let mut all: Vec<_> = backward.by_ref().collect();
    all.reverse();
    all
}

/// The operation from which on all of them take vectors to vectors.
fn split(drafts: &[Draft], shapes: &[Shape]) -> usize {
    let is_vectors = |(draft, shape): (&Draft, &Shape)| match draft {
        Draft::Conv { window, .. } => is_flat(*window, *shape),
        Draft::Relu { .. } | Draft::Add { .. } => shape.height * shape.width == 1,
        Draft::MaxPool { .. } | Draft::Flatten { .. } => false,
    };
    // Operation `i` makes slot `i + 1`; a flat convolution's input has the size of its output.
    let vectors = drafts.iter().zip(&shapes[1..]).rev().take_while(|pair| is_vectors(*pair));
    drafts.len() - vectors.count()
}

/// Lays out every slot for those that read and write it.
fn slots(
    drafts: &[Draft],
    shapes: &[Shape],
    borders: &[usize],
    deposits: &[Vec<Deposit>],
    split: usize,
) -> Vec<Slot> {
    let results = shapes.iter().zip(borders).skip(1);
    let mut slots = vec![Slot::input(shapes[0], borders[0])];
    slots.extend(results.map(|(shape, border)| Slot::result(*shape, *border)));
    for (i, draft) in drafts.iter().enumerate() {
        if let Draft::Conv { from, window, .. } = draft
            && deposits[i][0] != Deposit::Nothing
        {
            slots[i + 1].spread_delta(*window, shapes[*from]);
        }
        if i >= split {
            draft.reads().into_iter().for_each(|from| slots[from].delta_each = true);
        }
    }
    // The loss writes the gradients of all images of a chunk at once.
    slots[drafts.len()].delta_each = true;
    (split..drafts.len()).for_each(|i| slots[i + 1].delta_each = true);
    slots
}

/// Turns drafts into operations that know where everything lies.
fn place(
    drafts: Vec<Draft>,
    slots: &[Slot],
    deposits: &[Vec<Deposit>],
    parameters: &[Parameter],
    layout: &Layout,
) -> Vec<Op> {
    let values = |parameter: &Parameter| {
        let tensor = layout.tensor(&parameter.name).expect("the layout is made of the parameters");
        tensor.values.clone()
    };
    let mut tensors = parameters.chunks_exact(2).map(|pair| (values(&pair[0]), values(&pair[1])));
    let (mut packed, mut turned) = (0, 0);
    let ops = drafts.into_iter().enumerate().map(|(i, draft)| {
        let (to, deposit) = (i + 1, deposits[i][0]);
        match draft {
            Draft::Conv { from, window, relu } => {
                let (weight, bias) = tensors.next().expect("every convolution has two parameters");
                let places = Places { weight, bias, packed, turned };
                let conv = Conv::new((from, to), window, relu, deposit, slots, places);
                (packed, turned) = conv.ends();
                Op::Conv(conv)
            }
            Draft::Relu { from } => Op::Relu(Relu { from, to, deposit }),
            Draft::Add { skip, from, relu } => {
                let [deposit_from, deposit_skip] = [deposit, deposits[i][1]];
                Op::Add(Add { skip, from, to, relu, deposit_skip, deposit_from })
            }
            Draft::MaxPool { from, size } => Op::MaxPool(MaxPool { from, to, size, deposit }),
            Draft::Flatten { from } => Op::Flatten(Flatten { from, to, deposit }),
        }
    });
    ops.collect()
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
