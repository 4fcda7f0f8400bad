//! The table of an experiment.

use super::matrix::Cell as Plot;
use crate::report::{Cell, Column, Summary, Table};

/// A measure: its heading, its decimals, and where a summary has it.
type Measure = (&'static str, usize, fn(&Summary) -> Option<f64>);

const MEGA: f64 = 1e6;

const MEASURES: [Measure; 10] = [
    ("accuracy %", 2, |run| run.accuracy.map(|accuracy| 100.0 * accuracy)),
    ("rounds", 0, |run| Some(f64::from(run.rounds))),
    ("up MB", 2, |run| Some(run.bytes_up as f64 / MEGA)),
    ("down MB", 2, |run| Some(run.bytes_down as f64 / MEGA)),
    ("forgiven", 0, |run| Some(run.forgiven as f64)),
    ("repaired", 0, |run| Some(run.repaired as f64)),
    ("late", 0, |run| Some(run.late as f64)),
    ("p50 ms", 2, |run| Some(run.round_ms.p50)),
    ("p99 ms", 2, |run| Some(run.round_ms.p99)),
    ("seconds", 2, |run| Some(run.seconds)),
];

/// The cells of one row: they differ in the seed only.
struct Row<'a> {
    labels: Vec<&'a (&'static str, String)>,
    results: Vec<Option<&'a Summary>>,
}

/// One row for each cell, seeds taken together; the keys that differ, then the measures.
pub(super) fn tabulate(cells: &[(Plot, Option<Summary>)]) -> Table {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (cell, result) in cells {
        let labels: Vec<_> = cell.labels.iter().filter(|(key, _)| *key != "seed").collect();
        match rows.iter_mut().find(|row| row.labels == labels) {
            Some(row) => row.results.push(result.as_ref()),
            None => rows.push(Row { labels, results: vec![result.as_ref()] }),
        }
    }
    let keys = rows.first().map_or(0, |row| row.labels.len());
    let mut columns: Vec<Column> = (0..keys).map(|at| key_column(&rows, at)).collect();
    if rows.iter().any(|row| row.results.len() > 1 || row.results.contains(&None)) {
        columns.push(runs_column(&rows));
    }
    columns.extend(MEASURES.iter().filter_map(|measure| measure_column(&rows, measure)));
    Table { columns }
}

fn key_column(rows: &[Row<'_>], at: usize) -> Column {
    Column::words(rows[0].labels[at].0, rows.iter().map(|row| row.labels[at].1.clone()))
}

/// Finished runs of all, where that says anything.
fn runs_column(rows: &[Row<'_>]) -> Column {
    let cell = |row: &Row<'_>| {
        let finished = row.results.iter().flatten().count();
        format!("{finished}/{}", row.results.len())
    };
    Column::words("runs", rows.iter().map(cell))
}

/// None if nobody has measured it.
fn measure_column(rows: &[Row<'_>], (name, decimals, measure): &Measure) -> Option<Column> {
    let cell = |row: &Row<'_>| {
        let samples: Vec<f64> =
            row.results.iter().flatten().filter_map(|summary| measure(summary)).collect();
        Cell::of(&samples, *decimals)
    };
    let cells: Vec<Cell> = rows.iter().map(cell).collect();
    let known = cells.iter().any(|cell| *cell != Cell::Empty);
    known.then(|| Column { name: (*name).to_owned(), cells })
}
