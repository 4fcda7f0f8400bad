//! One table as aligned text, CSV and Markdown.

/// A table of columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns, from left to right.
    pub columns: Vec<Column>,
}

/// A named column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// Its cells, from top to bottom.
    pub cells: Vec<Cell>,
}

/// What stands in one place.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number, or the mean of several.
    Number {
        /// The number.
        mean: f64,
        /// Standard deviation of the sample, if there are several.
        sd: Option<f64>,
        /// Decimals that are shown.
        decimals: usize,
    },
    /// Nothing is known.
    Empty,
}

impl Column {
    /// A column of words.
    #[must_use]
    pub fn words(name: &str, words: impl IntoIterator<Item = String>) -> Self {
        Self { name: name.to_owned(), cells: words.into_iter().map(Cell::Text).collect() }
    }
}

impl Cell {
    /// Mean and standard deviation of `samples`, shown with so many decimals; empty without samples.
    #[must_use]
    pub fn of(samples: &[f64], decimals: usize) -> Self {
        let n = samples.len() as f64;
        if samples.is_empty() {
            return Self::Empty;
        }
        let mean = samples.iter().sum::<f64>() / n;
        let squares: f64 = samples.iter().map(|x| (x - mean).powi(2)).sum();
        let sd = (samples.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Self::Number { mean, sd, decimals }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) if text.is_empty() => "-".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Number { mean, sd: None, decimals } => format!("{mean:.decimals$}"),
            Self::Number { mean, sd: Some(sd), decimals } => {
                format!("{mean:.decimals$} ± {sd:.decimals$}")
            }
            Self::Empty => "-".to_owned(),
        }
    }
}

impl Table {
    fn rows(&self) -> usize {
        self.columns.iter().map(|column| column.cells.len()).max().unwrap_or(0)
    }

    /// Heading and cells of each column as text, padded to equal width: numbers to the right, words to the left.
    fn padded(&self) -> Vec<Vec<String>> {
        let pad = |column: &Column| {
            let cells = column.cells.iter().map(Cell::text);
            let texts: Vec<String> = std::iter::once(column.name.clone()).chain(cells).collect();
            let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
            let words = column.is_text();
            let fit = |text: String| {
                if words { format!("{text:<width$}") } else { format!("{text:>width$}") }
            };
            texts.into_iter().map(fit).collect()
        };
        self.columns.iter().map(pad).collect()
    }

    /// Aligned text, one line for each row and one for the headings.
    #[must_use]
    pub fn to_text(&self) -> String {
        let columns = self.padded();
        let line = |row: usize| {
            let cells: Vec<&str> = columns.iter().map(|cells| cells[row].as_str()).collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        (0..=self.rows()).map(line).collect()
    }

    /// Markdown, aligned in its source as well.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let escaped = self.columns.iter().map(Column::escaped).collect();
        let columns = Self { columns: escaped }.padded();
        let line = |row: usize| {
            let cells: Vec<&str> = columns.iter().map(|cells| cells[row].as_str()).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let dashes = |(column, cells): (&Column, &Vec<String>)| {
            let width = cells[0].chars().count();
            if column.is_text() {
                "-".repeat(width + 2)
            } else {
                format!("{}:", "-".repeat(width + 1))
            }
        };
        let rule: Vec<String> = self.columns.iter().zip(&columns).map(dashes).collect();
        let rows: String = (1..=self.rows()).map(line).collect();
        format!("{}|{}|\n{rows}", line(0), rule.join("|"))
    }

    /// CSV with full precision; a column of means is followed by one of standard deviations.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut columns: Vec<Vec<String>> = Vec::new();
        for Column { name, cells } in &self.columns {
            let values = cells.iter().map(Cell::value);
            columns.push(std::iter::once(name.clone()).chain(values).collect());
            if cells.iter().any(|cell| matches!(cell, Cell::Number { sd: Some(_), .. })) {
                let sds = cells.iter().map(Cell::sd);
                columns.push(std::iter::once(format!("{name} sd")).chain(sds).collect());
            }
        }
        let line = |row: usize| {
            let cells: Vec<String> = columns.iter().map(|cells| field(&cells[row])).collect();
            format!("{}\n", cells.join(","))
        };
        (0..=self.rows()).map(line).collect()
    }
}

impl Column {
    fn is_text(&self) -> bool {
        self.cells.iter().any(|cell| matches!(cell, Cell::Text(_)))
    }

    /// With the bars that Markdown would take for its own made harmless.
    fn escaped(&self) -> Self {
        let escape = |cell: &Cell| match cell {
            Cell::Text(text) => Cell::Text(text.replace('|', "\\|")),
            other => other.clone(),
        };
        Self { name: self.name.clone(), cells: self.cells.iter().map(escape).collect() }
    }
}

impl Cell {
    fn value(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number { mean, .. } => mean.to_string(),
            Self::Empty => String::new(),
        }
    }

    fn sd(&self) -> String {
        match self {
            Self::Number { sd: Some(sd), .. } => sd.to_string(),
            _ => String::new(),
        }
    }
}

/// A CSV field, quoted where it must be (RFC 4180).
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |name: &str, cells| Column { name: name.to_owned(), cells };
        let text = |text: &str| Cell::Text(text.to_owned());
        Table {
            columns: vec![
                column("net", vec![text(""), text("loss=5%, say \"so\""), text("a|b")]),
                column(
                    "accuracy %",
                    vec![Cell::of(&[95.0], 2), Cell::of(&[90.0, 92.0], 2), Cell::Empty],
                ),
                column("rounds", vec![Cell::of(&[75.0], 0), Cell::of(&[75.0], 0), Cell::Empty]),
            ],
        }
    }

    #[test]
    fn one_table_three_ways() {
        insta::assert_snapshot!("table-text", table().to_text());
        insta::assert_snapshot!("table-csv", table().to_csv());
        insta::assert_snapshot!("table-markdown", table().to_markdown());
    }
}
