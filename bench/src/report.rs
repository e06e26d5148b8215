//! The results as data.
//!
//! Knows medians and spreads. Must never know how a case is measured or how the page looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) case: String,
    pub(crate) title: String,
    /// A description of the numbers.
    pub(crate) about: String,
    pub(crate) unit: String,
    pub(crate) larger_is_better: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) curves: Vec<Curve>,
    /// Why the case failed.
    pub(crate) failure: Option<String>,
}

/// One client under one condition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The condition: rows of the same group are compared.
    pub(crate) group: String,
    pub(crate) who: String,
    pub(crate) samples: Vec<f64>,
    /// Counts that hardly vary with the machine.
    pub(crate) counts: BTreeMap<String, f64>,
    pub(crate) failure: Option<String>,
}

/// A curve of a plot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) plot: String,
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Section {
    pub(crate) fn new(case: &str, title: &str, unit: &str, about: &str) -> Self {
        Self {
            case: case.to_owned(),
            title: title.to_owned(),
            about: about.to_owned(),
            unit: unit.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn failed(case: &str, failure: String) -> Self {
        let mut section = Self::new(case, case, "", "");
        section.failure = Some(failure);
        section
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.failure.is_none() && self.rows.iter().all(|row| row.failure.is_none())
    }

    /// The groups, in order.
    pub(crate) fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !groups.contains(&row.group.as_str()) {
                groups.push(&row.group);
            }
        }
        groups
    }

    pub(crate) fn row(&self, group: &str, who: &str) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.group == group && row.who == who)
    }

    /// How many times better `row` is than `other`, in one run.
    pub(crate) fn ratio(&self, row: &Row, other: &Row) -> f64 {
        if self.larger_is_better {
            row.median() / other.median()
        } else {
            other.median() / row.median()
        }
    }
}

impl Row {
    pub(crate) fn new(group: &str, who: &str) -> Self {
        Self {
            group: group.to_owned(),
            who: who.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn count(&mut self, name: &str, count: f64) {
        self.counts.insert(name.to_owned(), count);
    }

    /// Keeps the smallest value of a count that other processes can only increase.
    pub(crate) fn least(&mut self, name: &str, count: f64) {
        let before = self.counts.get(name).copied().unwrap_or(count);
        self.count(name, before.min(count));
    }

    /// The median; NaN if nothing was measured.
    pub(crate) fn median(&self) -> f64 {
        median(&self.samples)
    }

    pub(crate) fn min(&self) -> f64 {
        self.samples.iter().copied().fold(f64::NAN, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.samples.iter().copied().fold(f64::NAN, f64::max)
    }
}

/// The median; NaN for no samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}
