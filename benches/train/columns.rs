//! Rows as the columns of a table.

use mlt_lite::report::{Cell, Column};
use mlt_lite::simd::Level;

use crate::Task;

/// A column of words.
pub fn words<R>(rows: &[R], name: &str, word: impl Fn(&R) -> String) -> Column {
    Column::words(name, rows.iter().map(word))
}

/// A column of numbers, some of which may be unknown.
pub fn numbers<R>(
    rows: &[R],
    name: &str,
    decimals: usize,
    number: impl Fn(&R) -> Option<f64>,
) -> Column {
    let cells = rows.iter().map(|row| Cell::of(number(row).as_slice(), decimals));
    Column { name: name.to_owned(), cells: cells.collect() }
}

/// What rows are of.
pub fn tasks<R>(rows: &[R], task: impl Fn(&R) -> (&Task, Level)) -> Vec<Column> {
    vec![
        words(rows, "model", |row| task(row).0.model.clone()),
        words(rows, "simd", |row| task(row).1.to_string()),
        numbers(rows, "batch", 0, |row| Some(task(row).0.batch as f64)),
        numbers(rows, "threads", 0, |row| Some(task(row).0.threads as f64)),
    ]
}
