//! Gradients beside PyTorch's: `benches/torch/fixtures.py` made the fixtures and says what is in them.

#[path = "../benches/torch/formula.rs"]
mod formula;

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::str::FromStr;

use mlt_lite::model::{Network, Recipe};
use mlt_lite::shape::Shape;
use mlt_lite::simd::Level;
use safetensors::SafeTensors;

const SHAPE: Shape = Shape { channels: 1, height: 28, width: 28 };
const CLASSES: usize = 10;
/// How far from PyTorch's f32 at most, as a share of the tensor's largest magnitude.
const DIFFERENCE_MAX: f64 = 3e-6;
/// How much farther from the exact gradient than PyTorch's f32 is, at most.
const ERROR_RATIO_MAX: f64 = 1.5;
/// An error below this share of PyTorch's largest in the same model is small wherever it is: which of two small errors
/// is the larger one is chance.
const SMALL: f64 = 0.5;

/// PyTorch's gradient of one parameter, at some places.
struct Expected {
    stride: usize,
    largest: f64,
    rounded: Vec<f64>,
    exact: Vec<f64>,
}

struct Fixture {
    images: usize,
    first: usize,
    loss: f64,
    gradients: Vec<(String, Expected)>,
}

/// The bytes of a tensor as numbers of `N` bytes.
fn numbers<const N: usize>(
    file: &SafeTensors<'_>,
    name: &str,
    read: fn([u8; N]) -> f64,
) -> Vec<f64> {
    let (numbers, rest) =
        file.tensor(name).expect("the parameter has a gradient").data().as_chunks::<N>();
    assert!(rest.is_empty(), "{name}");
    numbers.iter().map(|&bytes| read(bytes)).collect()
}

fn word<T: FromStr>(metadata: &HashMap<String, String>, key: &str) -> T {
    metadata[key].parse().unwrap_or_else(|_| panic!("{key}: {}", metadata[key]))
}

impl Fixture {
    fn load(model: &str, network: &Network) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gradients");
        let bytes =
            fs::read(folder.join(format!("{model}.safetensors"))).expect("the fixture is there");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("the fixture is whole");
        let metadata = header.metadata().as_ref().expect("the fixture has metadata");
        let file = SafeTensors::deserialize(&bytes).expect("the fixture is whole");
        let tensors = network.layout().tensors().iter();
        let expected = tensors.map(|tensor| {
            let of = |what: &str| format!("{}.{what}", tensor.name);
            let expected = Expected {
                stride: word(metadata, &of("stride")),
                largest: word(metadata, &of("largest")),
                rounded: numbers(&file, &of("f32"), |bytes| f32::from_le_bytes(bytes).into()),
                exact: numbers(&file, &of("f64"), f64::from_le_bytes),
            };
            (tensor.name.clone(), expected)
        });
        Self {
            images: word(metadata, "images"),
            first: word(metadata, "first"),
            loss: word(metadata, "loss"),
            gradients: expected.collect(),
        }
    }
}

/// The largest distance of two lists, as a share of `largest`.
fn distance(a: &[f64], b: &[f64], largest: f64) -> f64 {
    assert_eq!(a.len(), b.len());
    let distances = a.iter().zip(b).map(|(a, b)| (a - b).abs() / largest);
    // In this order a NaN is the largest.
    distances.max_by(f64::total_cmp).expect("no gradient is empty")
}

/// The gradients of a model at a level that are too far from PyTorch's.
fn compare(model: &str, level: Level) -> Vec<String> {
    let recipe = Recipe::builtin(model).expect("it is built in");
    let mut network =
        Network::at_level(&recipe, SHAPE, CLASSES, NonZeroUsize::MIN, level).expect("it fits");
    let fixture = Fixture::load(model, &network);
    let parameters = formula::parameters(network.layout());
    let (images, labels) = formula::images(fixture.first, fixture.images, SHAPE, CLASSES);
    let mut gradient = vec![0.0; parameters.len()];
    let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
    assert!((loss / fixture.loss - 1.0).abs() < 1e-6, "{model}, {level}: loss {loss}");
    let their_error =
        |expected: &Expected| distance(&expected.rounded, &expected.exact, expected.largest);
    let their_errors = fixture.gradients.iter().map(|(_, expected)| their_error(expected));
    let small = SMALL * their_errors.max_by(f64::total_cmp).expect("a model has parameters");
    let mut findings = Vec::new();
    for (name, expected) in &fixture.gradients {
        let place = network.layout().tensor(name).expect("it is of the layout").values.clone();
        let values = gradient[place].iter().step_by(expected.stride);
        let ours: Vec<f64> = values.map(|&value| value.into()).collect();
        let difference = distance(&ours, &expected.rounded, expected.largest);
        let error = distance(&ours, &expected.exact, expected.largest);
        let theirs = their_error(expected);
        let report = format!(
            "{model}, {level}, {name}: {difference:.1e} from f32, {error:.1e} from f64 (PyTorch {theirs:.1e})"
        );
        eprintln!("{report}");
        let is_near = difference <= DIFFERENCE_MAX && error <= ERROR_RATIO_MAX * theirs.max(small);
        if !is_near {
            findings.push(report);
        }
    }
    findings
}

#[test]
fn gradients_are_pytorchs_at_every_level() {
    let levels = Level::ALL.into_iter().filter(|level| level.is_available());
    let findings: Vec<_> = levels
        .flat_map(|level| Recipe::names().into_iter().flat_map(move |name| compare(name, level)))
        .collect();
    assert!(findings.is_empty(), "too far from PyTorch's:\n  {}", findings.join("\n  "));
}
