//! Gradients against candle's automatic differentiation (without max-pool: candle's gradient of it is wrong).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use candle_core::{DType, Device, Tensor, Var};

use super::super::*;
use super::{batch, distance};
use crate::rng;
use crate::shape::Shape;

const RECIPE: &str = r#"
name = "small"
layers = [
    { kind = "conv", name = "a", out = 6, kernel = 3 },
    { kind = "relu" },
    { kind = "conv", name = "b", out = 33, kernel = 5, stride = 2, padding = "same" },
    { kind = "relu" },
    { kind = "flatten" },
    { kind = "linear", name = "c", out = 20 },
    { kind = "relu" },
    { kind = "linear", name = "d", out = "classes" },
]
[defaults]
lr = 0.1
momentum = 0.9
batch = 8
"#;

/// A square: candle cannot take a stride back over anything else.
const SHAPE: Shape = Shape { channels: 3, height: 11, width: 11 };
const CLASSES: usize = 7;

/// Loss and gradients of `RECIPE` in f64.
fn candle(
    variables: &BTreeMap<String, Var>,
    images: &[f32],
    labels: &[u8],
) -> candle_core::Result<(f64, BTreeMap<String, Vec<f64>>)> {
    let v = |name: &str| variables[name].as_tensor();
    let shape = (labels.len(), SHAPE.channels, SHAPE.height, SHAPE.width);
    let x = Tensor::from_slice(images, shape, &Device::Cpu)?.to_dtype(DType::F64)?;
    let channels = |bias: &Tensor| bias.reshape((1, (), 1, 1));
    let x = x.conv2d(v("a.weight"), 0, 1, 1, 1)?.broadcast_add(&channels(v("a.bias"))?)?.relu()?;
    let x = x.conv2d(v("b.weight"), 2, 2, 1, 1)?.broadcast_add(&channels(v("b.bias"))?)?.relu()?;
    let x = x.flatten_from(1)?;
    let x = x.matmul(&v("c.weight").t()?)?.broadcast_add(v("c.bias"))?.relu()?;
    let logits = x.matmul(&v("d.weight").t()?)?.broadcast_add(v("d.bias"))?;
    let labels: Vec<u32> = labels.iter().copied().map(u32::from).collect();
    let labels = Tensor::new(labels, &Device::Cpu)?;
    let loss = candle_nn::loss::cross_entropy(&logits, &labels)?;
    let gradients = loss.backward()?;
    let gradient = |(name, variable): (&String, &Var)| {
        let gradient = gradients.get(variable.as_tensor()).unwrap();
        Ok((name.clone(), gradient.flatten_all()?.to_vec1()?))
    };
    let all = variables.iter().map(gradient).collect::<candle_core::Result<_>>()?;
    Ok((loss.to_scalar()?, all))
}

#[test]
fn gradients_are_those_of_candle() {
    let recipe = Recipe::parse(RECIPE, "small").unwrap();
    let mut network = Network::new(&recipe, SHAPE, CLASSES, NonZeroUsize::MIN).unwrap();
    for seed in 0..3 {
        let (images, labels) = batch(&mut rng::stream(seed, "data", 0), SHAPE, CLASSES, 9);
        let parameters = network.init(seed);
        let mut gradient = vec![0.0; parameters.len()];
        let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
        let tensors = network.layout().tensors().iter();
        let variable = |tensor: &crate::flat::Tensor| {
            let values: Vec<_> =
                parameters[tensor.values.clone()].iter().copied().map(f64::from).collect();
            let var = Tensor::from_vec(values, tensor.shape.as_slice(), &Device::Cpu).unwrap();
            (tensor.name.clone(), Var::from_tensor(&var).unwrap())
        };
        let (expected, gradients) =
            candle(&tensors.map(variable).collect(), &images, &labels).unwrap();
        assert!((loss - expected).abs() < 1e-5);
        for tensor in network.layout().tensors() {
            let error = distance(&gradient[tensor.values.clone()], &gradients[&tensor.name]);
            assert!(error < 1e-4, "seed {seed} {}: {error}", tensor.name);
        }
    }
}
