//! What a server sends its workers: the plan and, where they cannot have it, the recipe.

use crate::dataset::UnknownDataset;
use crate::model::{Recipe, RecipeError};
use crate::plan::{Document, Load, Plan, PlanError, Words, line};

use super::words::{check, facts};

/// A plan together with its recipe. As text it is one TOML document: the shared keys of the plan, the plan's digest,
/// and the text of a recipe that is not part of the program.
#[derive(Clone, Debug)]
pub struct Brief {
    /// The plan.
    pub plan: Plan,
    /// The recipe of its model; none for a synthetic load.
    pub recipe: Option<Recipe>,
}

/// A text that is no brief.
#[derive(Debug, thiserror::Error)]
pub enum BriefError {
    /// The plan is none.
    #[error("cannot follow the server's plan (is the server another release of mlt-lite?): {0}")]
    Plan(#[from] PlanError),
    /// A key that only the server can have left out.
    #[error("the server's plan has no `{0}`: use one release of mlt-lite at both ends")]
    Absent(&'static str),
    /// The recipe is none.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The data set is none.
    #[error(transparent)]
    Dataset(#[from] UnknownDataset),
    /// The same words mean something else here.
    #[error(
        "the server's plan is {server}, which this worker reads as {here}: use one release of mlt-lite at both ends"
    )]
    Digest {
        /// The digest at the server.
        server: String,
        /// The digest here.
        here: String,
    },
}

/// Key of the plan's digest.
const DIGEST: &str = "digest";
/// Key of the recipe's text.
const RECIPE: &str = "recipe";
/// What errors call a brief.
const NAME: &str = "plan";

impl Brief {
    /// The brief of a plan that was made on this machine.
    ///
    /// # Errors
    /// If the recipe cannot be read (any more).
    pub fn new(plan: Plan) -> Result<Self, RecipeError> {
        let recipe = match &plan.load {
            Load::Training(training) => Some(Recipe::load(&training.model)?),
            Load::Synthetic { .. } => None,
        };
        Ok(Self { plan, recipe })
    }

    /// As it travels.
    #[must_use]
    pub fn to_text(&self) -> String {
        let custom = |recipe: &&Recipe| Recipe::builtin(recipe.origin()).is_none();
        let recipe = self.recipe.as_ref().filter(custom);
        self.plan.shared_text()
            + &line(DIGEST, &self.plan.digest())
            + &recipe.map_or_else(String::new, |recipe| line(RECIPE, recipe.text()))
    }

    /// Reads what [`to_text`](Self::to_text) wrote, without looking at any file.
    ///
    /// # Errors
    /// If it is no brief, or not understood as it was meant.
    pub fn parse(text: &str) -> Result<Self, BriefError> {
        let entries = Document::parse(NAME, text)?.into_entries()?;
        let (own, entries): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| [DIGEST, RECIPE].contains(&entry.key.as_str()));
        let own = |key| own.iter().find(|entry| entry.key == key).map(|entry| entry.text.as_str());
        let recipe = |model: &str| match own(RECIPE) {
            Some(text) => Recipe::parse(text, model),
            None => Recipe::builtin(model)
                .ok_or_else(|| RecipeError::Unknown { name: model.to_owned() }),
        };
        let named = |model: &str| {
            recipe(model).map(|recipe| facts(&recipe)).map_err(|error| error.to_string())
        };
        // Whatever a file had to say is part of the text.
        let file = |_: &str| Err("a server names no files".to_owned());
        let words = Words { recipe: &named, file: &file, check: &check };
        let plan = Plan::from_entries(entries, &words)?;
        let (server, here) = (own(DIGEST).ok_or(BriefError::Absent(DIGEST))?, plan.digest());
        if server != here {
            return Err(BriefError::Digest { server: server.to_owned(), here });
        }
        let recipe = match &plan.load {
            Load::Training(training) => Some(recipe(&training.model)?),
            Load::Synthetic { .. } => None,
        };
        Ok(Self { plan, recipe })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::WORDS;
    use crate::scratch::Scratch;

    fn brief(text: &str) -> Brief {
        Brief::new(Plan::parse("plan.toml", text, &WORDS).unwrap()).unwrap()
    }

    #[test]
    fn a_built_in_recipe_does_not_travel() {
        for text in ["", "model = 'resnet8'\nlr = 0.3", "bytes = '827k'"] {
            let sent = brief(text);
            let text = sent.to_text();
            assert!(!text.contains("recipe"), "{text}");
            let got = Brief::parse(&text).unwrap();
            assert_eq!((got.plan.digest(), got.to_text()), (sent.plan.digest(), text));
        }
    }

    #[test]
    fn a_recipe_of_ones_own_travels_and_makes_another_plan() {
        let scratch = Scratch::new("brief");
        let path = scratch.join("mine.toml");
        let typed = format!("model = '{}'", path.display());
        let text = Recipe::builtin("fc").unwrap().text().to_owned();
        std::fs::write(&path, &text).unwrap();
        let sent = brief(&typed);
        std::fs::write(&path, text + "# edited '''\t\"\"\" \\\n").unwrap();
        let edited = brief(&typed);
        assert_ne!(sent.plan.digest(), edited.plan.digest());
        assert_ne!(sent.plan.digest(), brief("").plan.digest());
        for sent in [sent, edited] {
            let got = Brief::parse(&sent.to_text()).unwrap();
            assert_eq!(got.plan, Plan { data_dir: got.plan.data_dir.clone(), ..sent.plan.clone() });
            assert_eq!(got.recipe.unwrap().text(), sent.recipe.unwrap().text());
        }
    }

    #[test]
    fn other_plans_are_refused() {
        let text = brief("").to_text();
        let here = brief("seed = 2").plan.digest();
        let said = [
            "x = [".to_owned(),
            text.replace("\"raw\"", "\"zip\""),
            text.replace("\"fc\"", "\"mine.toml\""),
            text.replace("digest", "name"),
            text.replace("\ntolerance = \"0%\"", "").replace("\"static\"", "\"schedule:mine.txt\""),
            text.replace("seed = 1", "seed = 2"),
        ];
        let said = said.map(|text| Brief::parse(&text).unwrap_err().to_string() + "\n").concat();
        let digests = [(brief("").plan.digest(), "SERVER"), (here, "HERE")];
        let said = digests.iter().fold(said, |said, (digest, name)| said.replace(digest, name));
        insta::assert_snapshot!(said);
    }
}
