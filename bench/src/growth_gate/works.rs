//! The works of the gate on growth: what a public operation does with so many items.
//!
//! Each work is prepared first; only what it does then is counted. It returns how many items it was
//! done with, so that a work that ends early fails.

mod bodies;
mod server;
mod sessions;
mod texts;
mod tls;
mod transport;

use crate::Failure;

/// A work.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// The number of items that is compared with twice as many.
    pub(crate) size: usize,
    prepare: fn(usize) -> Result<Prepared, Failure>,
}

/// What is counted. Returns the number of items.
type Prepared = Box<dyn FnOnce() -> Result<usize, Failure>>;

/// The function whose calls are counted, as callgrind names it.
pub(crate) const COUNTED: &str = "postwire_bench::growth_gate::works::only_this_is_counted";

/// All works, by what they use.
const ALL: [&[Work]; 6] = [
    sessions::WORKS,
    bodies::WORKS,
    texts::WORKS,
    server::WORKS,
    tls::WORKS,
    transport::WORKS,
];

/// All works.
pub(crate) fn all() -> Vec<&'static Work> {
    ALL.into_iter().flatten().collect()
}

const fn work(
    name: &'static str,
    size: usize,
    prepare: fn(usize) -> Result<Prepared, Failure>,
) -> Work {
    Work {
        name,
        size,
        prepare,
    }
}

/// Boxes what is counted.
fn prepared(work: impl FnOnce() -> Result<usize, Failure> + 'static) -> Result<Prepared, Failure> {
    Ok(Box::new(work))
}

/// Does works by their names: each with one item, with N and with 2N.
pub(crate) fn run_named(names: &[String]) -> Result<(), Failure> {
    for name in names {
        let work = all().into_iter().find(|work| work.name == name);
        let work = work.ok_or("there is no such work")?;
        // What lives as long as the process is made now.
        (work.prepare)(1)?()?;
        run(work, &[1, work.size, 2 * work.size])?;
    }
    Ok(())
}

/// Does a work with each of these numbers of items.
pub(crate) fn run(work: &Work, sizes: &[usize]) -> Result<(), Failure> {
    for &items in sizes {
        let done = only_this_is_counted((work.prepare)(items)?)?;
        if done != items {
            let name = work.name;
            return Err(format!("{name}: done with {done} of {items} items").into());
        }
    }
    Ok(())
}

#[inline(never)]
fn only_this_is_counted(work: Prepared) -> Result<usize, Failure> {
    work()
}
