//! Which data set is meant.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::nearest::nearest;

/// A data set by its name, or a folder of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DatasetSpec {
    /// 1,797 handwritten digits that are part of the binary.
    Optdigits,
    /// 70,000 handwritten digits.
    Mnist,
    /// 70,000 pieces of clothing.
    FashionMnist,
    /// 60,000 colour images of 10 classes.
    Cifar10,
    /// 60,000 colour images of 100 classes.
    Cifar100,
    /// Any four IDX files that are called like MNIST's.
    Idx(PathBuf),
}

/// A name that is no data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a data set{hint} (known: {known}, idx:DIR)",
    hint = hint(text),
    known = DatasetSpec::NAMES.join(", ")
)]
pub struct UnknownDataset {
    text: String,
}

fn hint(text: &str) -> String {
    if text == DatasetSpec::IDX {
        return "; a folder follows the `:`".to_owned();
    }
    nearest(text, DatasetSpec::NAMES)
        .map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

impl DatasetSpec {
    /// The data sets that have a name.
    pub const NAMED: [Self; 5] =
        [Self::Optdigits, Self::Mnist, Self::FashionMnist, Self::Cifar10, Self::Cifar100];
    /// Their names.
    const NAMES: [&'static str; 5] =
        ["optdigits", "mnist", "fashion-mnist", "cifar-10", "cifar-100"];
    /// What a folder of one's own begins with.
    const IDX: &'static str = "idx:";
}

impl FromStr for DatasetSpec {
    type Err = UnknownDataset;

    fn from_str(text: &str) -> Result<Self, UnknownDataset> {
        if let Some(folder) = text.strip_prefix(Self::IDX).filter(|folder| !folder.is_empty()) {
            return Ok(Self::Idx(folder.into()));
        }
        let position = Self::NAMES.iter().position(|name| *name == text);
        position
            .map(|i| Self::NAMED[i].clone())
            .ok_or_else(|| UnknownDataset { text: text.to_owned() })
    }
}

impl fmt::Display for DatasetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idx(folder) => write!(f, "{}{}", Self::IDX, folder.display()),
            Self::Optdigits => f.pad("optdigits"),
            Self::Mnist => f.pad("mnist"),
            Self::FashionMnist => f.pad("fashion-mnist"),
            Self::Cifar10 => f.pad("cifar-10"),
            Self::Cifar100 => f.pad("cifar-100"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for text in DatasetSpec::NAMES.into_iter().chain(["idx:my/digits"]) {
            assert_eq!(text.parse::<DatasetSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn unknown_names_are_refused_with_a_hint() {
        let refusal = |text: &str| format!("{}\n", text.parse::<DatasetSpec>().unwrap_err());
        insta::assert_snapshot!(["minst", "cifar10", "imagenet", "idx:", ""].map(refusal).concat());
    }
}
