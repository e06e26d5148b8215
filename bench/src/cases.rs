//! The cases, by name.

use crate::Failure;
use crate::lab::Lab;
use crate::report::Section;

mod concurrent;
mod counts;
mod fresh;
mod growth;
mod idle;
mod large;
mod many;
pub(crate) mod micro;
pub(crate) mod postfix;
pub(crate) mod resumption;
pub(crate) mod sessions;

/// A case and its time limit in seconds.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) limit: u64,
    pub(crate) measure: fn(&mut Lab) -> Result<Section, Failure>,
}

/// All cases, in the order of the table.
pub(crate) const ALL: &[Case] = &[
    case("fresh", 90, fresh::measure),
    case("many", 240, many::on_one_connection),
    case("pool", 120, many::over_a_pool),
    case("concurrent", 300, concurrent::measure),
    case("recipients", 60, many::to_many_recipients),
    case("large", 180, large::throughput),
    case("memory", 120, large::memory),
    case("counts", 120, counts::measure),
    case("micro", 60, micro::measure),
    case("idle", 60, idle::measure),
    case("sessions", 400, sessions::measure),
    case("resumption", 120, resumption::measure),
    case("postfix", 200, postfix::measure),
    case("growth", 60, growth::measure),
];

const fn case(
    name: &'static str,
    limit: u64,
    measure: fn(&mut Lab) -> Result<Section, Failure>,
) -> Case {
    Case {
        name,
        limit,
        measure,
    }
}
