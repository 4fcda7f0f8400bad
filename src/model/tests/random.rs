//! Random small models of every kind of layer.

use crate::rng::{self, Rng};
use crate::shape::Shape;

/// A recipe, and the data that it is for.
pub struct Model {
    pub text: String,
    pub shape: Shape,
    pub classes: usize,
    pub batch: usize,
}

/// The random model with this seed.
pub fn model(seed: u64) -> Model {
    let mut writer = Writer { rng: rng::stream(seed, "model", 0), lines: Vec::new(), names: 0 };
    let shape = Shape {
        channels: writer.pick(&[1, 2, 3]),
        height: writer.pick(&[1, 4, 5, 7, 8, 11]),
        width: writer.pick(&[3, 4, 6, 9, 10]),
    };
    let (classes, batch) = (writer.pick(&[2, 3, 10]), writer.pick(&[1, 1, 2, 3, 5, 17]));
    let mut at = shape;
    for _ in 0..writer.pick(&[0, 1, 2, 3]) {
        at = writer.image_layer(at);
    }
    writer.line("kind = \"flatten\"");
    let mut values = at.values();
    for _ in 0..writer.pick(&[0, 1, 2]) {
        values = writer.vector_layer(values);
    }
    writer.parametric("kind = \"linear\", out = \"classes\"");
    let layers = writer.lines.concat();
    let text = format!(
        "name = \"random\"\nlayers = [\n{layers}]\n[defaults]\nlr = 0.1\nmomentum = 0.9\nbatch = {batch}\n"
    );
    Model { text, shape, classes, batch }
}

struct Writer {
    rng: Rng,
    lines: Vec<String>,
    names: usize,
}

impl Writer {
    fn pick(&mut self, choices: &[usize]) -> usize {
        choices[rng::below(&mut self.rng, choices.len() as u64) as usize]
    }

    fn line(&mut self, layer: &str) {
        self.lines.push(format!("    {{ {layer} }},\n"));
    }

    fn parametric(&mut self, layer: &str) {
        self.names += 1;
        self.line(&format!("name = \"p{}\", {layer}", self.names));
    }

    fn image_layer(&mut self, at: Shape) -> Shape {
        let smallest = at.height.min(at.width);
        match self.pick(&[0, 0, 0, 1, 2, 3, 3]) {
            1 => {
                self.line("kind = \"relu\"");
                at
            }
            2 if smallest >= 2 => {
                let size = self.pick(&[2, 2, 3]).min(smallest);
                self.line(&format!("kind = \"maxpool\", size = {size}"));
                Shape { height: at.height / size, width: at.width / size, ..at }
            }
            3 => {
                self.residual(|writer, kind| {
                    let kernel = writer.pick(&[1, 3]);
                    let out = at.channels;
                    format!("{kind} = \"conv\", out = {out}, kernel = {kernel}, padding = \"same\"")
                });
                at
            }
            _ => self.conv(at),
        }
    }

    fn conv(&mut self, at: Shape) -> Shape {
        let (kernel, stride) = (self.pick(&[1, 3, 5]), self.pick(&[1, 1, 2, 3]));
        let same = kernel > at.height.min(at.width) || self.pick(&[0, 1]) == 1;
        let channels = self.pick(&[1, 5, 32, 33, 40]);
        let padding = if same { "same" } else { "valid" };
        self.parametric(&format!(
            "kind = \"conv\", out = {channels}, kernel = {kernel}, stride = {stride}, padding = \"{padding}\""
        ));
        if self.pick(&[0, 1]) == 1 {
            self.line("kind = \"relu\"");
        }
        let border = if same { kernel / 2 } else { 0 };
        let side = |side: usize| (side + 2 * border - kernel) / stride + 1;
        Shape { channels, height: side(at.height), width: side(at.width) }
    }

    fn vector_layer(&mut self, values: usize) -> usize {
        match self.pick(&[0, 0, 1, 2]) {
            1 => {
                self.line("kind = \"relu\"");
                values
            }
            2 if values < 100 => {
                self.residual(|_, kind| format!("{kind} = \"linear\", out = {values}"));
                values
            }
            _ => {
                let out = self.pick(&[1, 7, 32, 65]);
                self.parametric(&format!("kind = \"linear\", out = {out}"));
                out
            }
        }
    }

    /// Two layers of one kind in a residual, with ReLUs where chance puts them.
    fn residual(&mut self, layer: impl Fn(&mut Self, &str) -> String) {
        let outside = std::mem::take(&mut self.lines);
        for _ in 0..2 {
            if self.pick(&[0, 1]) == 1 {
                self.line("kind = \"relu\"");
            }
            let layer = layer(self, "kind");
            self.parametric(&layer);
        }
        if self.pick(&[0, 1]) == 1 {
            self.line("kind = \"relu\"");
        }
        let inside = std::mem::replace(&mut self.lines, outside).concat();
        self.parametric(&format!("kind = \"residual\", layers = [\n{inside}    ]"));
        if self.pick(&[0, 1]) == 1 {
            self.line("kind = \"relu\"");
        }
    }
}
