//! The page, in Markdown that can be used in a README.
//!
//! Knows how figures are formatted.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::claims::Claim;
use crate::clients::RAW;
use crate::report::{Row, Section};
use crate::suite::Results;

/// The versions in the lock file.
fn versions() -> String {
    let lock = include_str!("../Cargo.lock");
    let version = |name: &str| {
        let entry = format!("name = \"{name}\"\nversion = \"");
        let begin = lock.find(&entry).map(|at| at + entry.len())?;
        lock[begin..].split('"').next()
    };
    let names = [
        "lettre",
        "mail-send",
        "smtp-proto",
        "async-smtp",
        "tokio",
        "smol",
        "rustls",
    ];
    let named = names.map(|name| format!("{name} {}", version(name).unwrap_or("?")));
    named.join(", ")
}

pub(crate) fn markdown(results: &Results, claims: &[Claim]) -> String {
    let mut page = String::new();
    write_page(&mut page, results, claims).unwrap_or_default();
    page
}

fn write_page(page: &mut String, results: &Results, claims: &[Claim]) -> std::fmt::Result {
    writeln!(page, "# Measured\n")?;
    if results.quick {
        writeln!(
            page,
            "**A quick run: it shows that all works; its figures mean little.**\n"
        )?;
    }
    writeln!(
        page,
        "{} cores, Linux {}, loopback, release build; {:.0} s in all. {}.\n",
        results.cores,
        results.kernel,
        results.seconds,
        versions()
    )?;
    writeln!(
        page,
        "Medians of interleaved rounds, with least and most. Compare ratios within a group, not \
         times between machines: ×postwire is how many times better postwire's best row is, \
         of floor what part of the floor is reached. The server is a process of its own that \
         swallows everything and is the same for all; its ceiling is at least what the raw loop \
         reaches, which writes prepared octets, 256 KiB at a time. Client CPU is the least of all \
         rounds.\n"
    )?;
    writeln!(
        page,
        "lettre and mail-send write a message in pieces without TCP_NODELAY and wait for the \
         peer's delayed ACK, some 40 ms. \"No stall\" takes that away: mail-send has TCP_NODELAY \
         set on its stream; lettre's stream cannot be reached (but on tokio in plaintext), so its \
         server acknowledges at once (TCP_QUICKACK).\n"
    )?;
    write_claims(page, claims)?;
    for section in &results.sections {
        write_section(page, section)?;
    }
    Ok(())
}

fn write_claims(page: &mut String, claims: &[Claim]) -> std::fmt::Result {
    if claims.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "| must show | bound | measured | holds |\n|---|---|---|---|"
    )?;
    for claim in claims {
        let sign = if claim.at_most { '≤' } else { '≥' };
        let word = if claim.holds() { "yes" } else { "**no**" };
        let (bound, measured) = (figure(claim.bound), figure(claim.measured));
        writeln!(
            page,
            "| {} | {sign} {bound} | {measured} | {word} |",
            claim.says
        )?;
    }
    writeln!(page)
}

fn write_section(page: &mut String, section: &Section) -> std::fmt::Result {
    writeln!(page, "## {}\n", section.title)?;
    if let Some(failure) = &section.failure {
        return writeln!(page, "**Failed: {failure}**\n");
    }
    writeln!(page, "{}\n", section.about)?;
    if !section.curves.is_empty() {
        return write_curves(page, section);
    }
    for group in section.groups() {
        let rows: Vec<&Row> = section
            .rows
            .iter()
            .filter(|row| row.group == group)
            .collect();
        let counts: BTreeSet<&String> = rows.iter().flat_map(|row| row.counts.keys()).collect();
        let best = best(section, &rows);
        // A lower bound of time is no bound of memory or allocations.
        let timed = section.unit != "MiB" && !section.unit.starts_with("allocations");
        let floor = rows.iter().find(|row| row.who == RAW && timed);
        write!(page, "| {group} | {} | least–most |", section.unit)?;
        let mut rule = "|---|--:|--:|".to_owned();
        let headings = [best.map(|_| "×postwire"), floor.map(|_| "of floor")];
        for heading in headings.into_iter().flatten() {
            write!(page, " {heading} |")?;
            rule.push_str("--:|");
        }
        for count in &counts {
            write!(page, " {count} |")?;
            rule.push_str("--:|");
        }
        writeln!(page, "\n{rule}")?;
        for row in &rows {
            if let Some(failure) = &row.failure {
                writeln!(page, "| {} | **failed: {failure}** |", row.who)?;
                continue;
            }
            let spread = if row.samples.len() < 2 {
                String::new()
            } else {
                format!("{}–{}", figure(row.min()), figure(row.max()))
            };
            write!(
                page,
                "| {} | {} | {spread} |",
                row.who,
                figure(row.median())
            )?;
            if let Some(best) = best {
                write!(page, " {} |", figure(section.ratio(best, row)))?;
            }
            if let Some(floor) = floor {
                write!(page, " {} |", figure(section.ratio(row, floor)))?;
            }
            for count in &counts {
                let count = row.counts.get(*count).map(|count| figure(*count));
                write!(page, " {} |", count.unwrap_or_default())?;
            }
            writeln!(page)?;
        }
        writeln!(page)?;
    }
    Ok(())
}

/// The best row of postwire in a group.
fn best<'a>(section: &Section, rows: &[&'a Row]) -> Option<&'a Row> {
    let ours = rows.iter().filter(|row| {
        row.who.starts_with("postwire") && row.failure.is_none() && row.median() > 0.0
    });
    ours.copied().reduce(|best, row| {
        if section.ratio(row, best) > 1.0 {
            row
        } else {
            best
        }
    })
}

/// One line for each curve, one column for each N.
fn write_curves(page: &mut String, section: &Section) -> std::fmt::Result {
    let sizes = section.curves.iter().flat_map(|curve| &curve.points);
    let sizes: BTreeSet<u64> = sizes.map(|point| point.0 as u64).collect();
    write!(page, "| {}, N = |", section.unit)?;
    for size in &sizes {
        write!(page, " {size} |")?;
    }
    writeln!(page, "\n|---|{}", "--:|".repeat(sizes.len()))?;
    for curve in &section.curves {
        write!(page, "| {} |", curve.name)?;
        for (_, cost) in &curve.points {
            write!(page, " {} |", figure(*cost))?;
        }
        writeln!(page)?;
    }
    writeln!(page)?;
    let curves: Vec<&str> = section.curves.iter().map(|curve| &*curve.name).collect();
    for row in section
        .rows
        .iter()
        .filter(|row| !curves.contains(&&*row.group))
    {
        let (group, who, cost) = (&row.group, &row.who, figure(row.median()));
        write!(page, "{group}: {who}, {cost} {}", section.unit)?;
        for (name, count) in &row.counts {
            write!(page, ", {name}: {}", figure(*count))?;
        }
        writeln!(page, ".\n")?;
    }
    Ok(())
}

/// Formats a number with three significant digits.
pub(crate) fn figure(number: f64) -> String {
    match number.abs() {
        _ if number.is_nan() => "not measured".to_owned(),
        exact if exact >= 100.0 || exact.fract() == 0.0 => format!("{number:.0}"),
        tens if tens >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
