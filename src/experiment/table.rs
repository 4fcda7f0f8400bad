//! The table of an experiment.

use super::Run;
use super::matrix::Cell as Plot;
use super::measure::{MEASURES, Measure, Row};
use crate::report::{Cell, Column, Table};
use crate::transport::Transport;

/// One row for each cell, seeds taken together.
pub(super) fn rows(cells: &[(Plot, Option<Run>)]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (cell, run) in cells {
        let labels: Vec<_> = cell.labels.iter().filter(|(key, _)| key != "seed").collect();
        match rows.iter_mut().find(|row| row.labels == labels) {
            Some(row) => row.runs.push(run.as_ref()),
            None => rows.push(Row { cell, labels, runs: vec![run.as_ref()], reliable: Vec::new() }),
        }
    }
    let peers: Vec<_> = rows.iter().map(|row| reliable(row, &rows)).collect();
    for (row, reliable) in rows.iter_mut().zip(peers) {
        row.reliable = reliable;
    }
    rows
}

/// The runs of the `reliable` one among the rows that share all other labels with `row`.
fn reliable<'a>(row: &Row<'a>, rows: &[Row<'a>]) -> Vec<&'a Run> {
    let rest = |row: &Row<'a>| {
        let labels = row.labels.iter().copied();
        labels.filter(|(key, _)| key != "transport" && key != "tolerance").collect::<Vec<_>>()
    };
    let is_peer = |peer: &&Row<'a>| {
        peer.cell.plan.transport == Transport::Reliable && rest(peer) == rest(row)
    };
    rows.iter().find(is_peer).map_or_else(Vec::new, |peer| peer.finished().collect())
}

/// The keys that differ, then the measures: those that every table has, and those that are `wanted`.
pub(super) fn tabulate(rows: &[Row<'_>], wanted: &[Measure]) -> Table {
    let keys = rows.first().map_or(0, |row| row.labels.len());
    let mut columns: Vec<Column> = (0..keys).map(|at| key_column(rows, at)).collect();
    if rows.iter().any(|row| row.runs.len() > 1 || row.runs.contains(&None)) {
        columns.push(runs_column(rows));
    }
    let shown = MEASURES.iter().filter(|measure| measure.always || wanted.contains(measure));
    columns.extend(shown.filter_map(|measure| measure_column(rows, measure)));
    Table { columns }
}

fn key_column(rows: &[Row<'_>], at: usize) -> Column {
    Column::words(&rows[0].labels[at].0, rows.iter().map(|row| row.labels[at].1.clone()))
}

/// Finished runs of all, where that says anything.
fn runs_column(rows: &[Row<'_>]) -> Column {
    let cell = |row: &Row<'_>| format!("{}/{}", row.finished().count(), row.runs.len());
    Column::words("runs", rows.iter().map(cell))
}

/// None if nobody has measured it.
fn measure_column(rows: &[Row<'_>], measure: &Measure) -> Option<Column> {
    let cells: Vec<Cell> = rows.iter().map(|row| measure.cell(row)).collect();
    let known = cells.iter().any(|cell| *cell != Cell::Empty);
    known.then(|| Column { name: measure.name.to_owned(), cells })
}
