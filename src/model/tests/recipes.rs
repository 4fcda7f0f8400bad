//! The recipes inside the binary, and those that are refused.

use super::super::*;
use super::{MNIST, ONE};
use crate::shape::Shape;

#[test]
fn every_recipe_inside_the_binary_makes_what_it_expects() {
    let parameters = Recipe::names().map(|name| {
        let recipe = Recipe::builtin(name).unwrap();
        assert!(recipe.name() == name && recipe.text().contains("[expect]"));
        assert_eq!(Recipe::parse(recipe.text(), "copy").unwrap().layers(), recipe.layers());
        Network::new(&recipe, MNIST, 10, ONE).unwrap().layout().values()
    });
    assert_eq!(parameters, [7850, 206_730]);
    assert!(Recipe::builtin("vgg").is_none());
}

#[test]
fn resnet8_has_these_parameters() {
    let network = Network::new(&Recipe::builtin("resnet8").unwrap(), MNIST, 10, ONE).unwrap();
    let tensors = network.layout().tensors().iter();
    let lines: Vec<_> = tensors.map(|t| format!("{} {:?}", t.name, t.shape)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn input_and_classes_follow_the_data_set() {
    let recipe = Recipe::builtin("resnet8").unwrap();
    let cifar = Shape { channels: 3, height: 32, width: 32 };
    let network = Network::new(&recipe, cifar, 100, ONE).unwrap();
    let shape = |name: &str| network.layout().tensor(name).unwrap().shape.clone();
    assert_eq!(shape("conv1.weight"), [32, 3, 3, 3]);
    assert_eq!(shape("fc1.weight"), [128, 64 * 5 * 5]);
    assert_eq!(shape("fc2.weight"), [100, 128]);
}

#[test]
fn parameters_start_within_their_bounds_and_do_not_depend_on_other_layers() {
    let recipe = Recipe::builtin("resnet8").unwrap();
    let network = Network::new(&recipe, MNIST, 10, ONE).unwrap();
    let parameters = network.init(3);
    assert_eq!(parameters, network.init(3));
    assert_ne!(parameters, network.init(4));
    for (tensor, fan_in) in [("conv1.bias", 9.0), ("conv2.weight", 288.0), ("fc2.weight", 128.0)] {
        let values = &parameters[network.layout().tensor(tensor).unwrap().values.clone()];
        let largest = values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let bound = (1.0 / fan_in as f32).sqrt();
        assert!(largest <= bound && largest > 0.8 * bound, "{tensor} {largest} {bound}");
    }
    let he = recipe.text().replacen("layers = [", "init = \"he\"\nlayers = [", 1);
    let he = Network::new(&Recipe::parse(&he, "he").unwrap(), MNIST, 10, ONE).unwrap();
    let start = he.init(3);
    let bias = &start[he.layout().tensor("conv1.bias").unwrap().values.clone()];
    assert!(bias.iter().all(|x| *x == 0.0));
    let weight = he.layout().tensor("fc1.weight").unwrap().values.clone();
    let ratio = start[weight.start] / parameters[weight.start];
    assert!((ratio - 6f32.sqrt()).abs() < 1e-4);
}

fn refusal(layers: &str) -> String {
    let text = format!(
        "name = \"bad\"\nlayers = [\n{layers}\n]\n[defaults]\nlr = 0.1\nmomentum = 0.9\nbatch = 8\n"
    );
    match Recipe::parse(&text, "bad.toml") {
        Err(error) => error.to_string(),
        Ok(recipe) => Network::new(&recipe, MNIST, 10, ONE).unwrap_err().to_string(),
    }
}

#[test]
fn bad_layers_are_refused_by_name() {
    let bad = [
        r#"{ kind = "dropout", p = 0.5 }"#,
        r#"{ kind = "conv", name = "c", out = 8, kernal = 3 }"#,
        r#"{ kind = "conv", name = "c", out = 8 }"#,
        r#"{ kind = "conv", name = "c", out = 0, kernel = 3 }"#,
        r#"{ kind = "conv", name = "c", out = "many", kernel = 3 }"#,
        r#"{ kind = "conv", name = "c", out = 8, kernel = 3, padding = "full" }"#,
        r#"{ kind = "conv", name = "c", out = 8, kernel = 4, padding = "same" }"#,
        r#"{ kind = "conv", name = "c", out = 8, kernel = 29 }"#,
        r#"{ kind = "conv", name = "c", out = 8, kernel = 0 }"#,
        r#"{ kind = "conv", name = "c", out = 8, kernel = 3, stride = 0 }"#,
        r#"{ kind = "conv", name = "c.1", out = 8, kernel = 3 }"#,
        r#"{ kind = "conv", name = "c", out = 99999999, kernel = 3 }"#,
        r#"{ kind = "maxpool", size = 1 }"#,
        r#"{ kind = "maxpool", size = 2 }, { kind = "maxpool", size = 15 }"#,
        r#"{ kind = "relu", slope = 0.1 }"#,
        r#"{ kind = "linear", name = "l", out = "classes" }"#,
        r#"{ kind = "flatten" }"#,
        r#"{ kind = "flatten" }, { kind = "linear", name = "l", out = 11 }"#,
        r#"{ kind = "residual", name = "r", layers = [] }"#,
        r#"{ kind = "residual", name = "r", layers = [{ kind = "maxpool", size = 2 }] }"#,
        r#"{ kind = "residual", name = "r", layers = [{ kind = "relu" }, { kind = "maxpool", size = 0 }] }"#,
        r#"{ kind = "flatten" }, { kind = "linear", name = "l", out = 8 },
           { kind = "linear", name = "l", out = "classes" }"#,
        "",
    ];
    let report: Vec<_> =
        bad.iter().map(|layers| format!("{layers}\n{}\n", refusal(layers))).collect();
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn bad_files_are_refused() {
    let good = Recipe::builtin("fc").unwrap().text().to_owned();
    let refusals: Vec<_> = [
        ("7850", "7851"),
        ("layout = \"b", "layout = \"a"),
        ("lr = 0.01", "lr = 0"),
        ("momentum = 0.9", "momentum = 1.0"),
        ("batch = 64", "batch = 0"),
        ("batch = 64", "batch = 64\nepochs = 3"),
        ("name = \"fc\"", "name = \"../fc\""),
        ("name = \"fc\"", "name = \"fc\"\nauthor = \"me\""),
        ("1x28x28", "28x28"),
        ("[defaults]", "[defaults"),
    ]
    .into_iter()
    .map(|(from, to)| {
        assert!(good.contains(from));
        Recipe::parse(&good.replacen(from, to, 1), "mine.toml").unwrap_err().to_string()
    })
    .chain(["vgg", "/nowhere/vgg.toml"].map(|name| Recipe::load(name).unwrap_err().to_string()))
    .collect();
    insta::assert_snapshot!(refusals.join("\n\n"));
}
