//! The picture: bars of ratios, and curves of growth, as SVG.
//!
//! Knows coordinates and colours. Draws only the numbers of the page.

use std::fmt::Write;

use crate::clients::RAW;
use crate::report::{Curve, Section};
use crate::suite::Results;
use crate::table::figure;

const WIDTH: f64 = 900.0;
const LABEL: f64 = 330.0;
const BAR: f64 = 16.0;
const PLOT: f64 = 260.0;
const COLOURS: [&str; 6] = [
    "#0b6e4f", "#c44536", "#3d5a80", "#b8860b", "#6a4c93", "#555555",
];

/// The cases whose bars are shown, with their groups.
const SHOWN: [(&str, &[&str]); 3] = [
    ("fresh", &["TLS, 20 ms"]),
    (
        "many",
        &["plaintext, 0 ms", "TLS, 0 ms", "plaintext, 20 ms"],
    ),
    ("large", &["256 MiB, plaintext", "256 MiB, TLS"]),
];

pub(crate) fn svg(results: &Results) -> String {
    let mut body = String::new();
    let height = draw(&mut body, results).unwrap_or(0.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn draw(body: &mut String, results: &Results) -> Result<f64, std::fmt::Error> {
    let mut y = 10.0;
    for section in &results.sections {
        let shown = SHOWN.iter().find(|(case, _)| *case == section.case);
        for group in shown.map_or(&[][..], |(_, groups)| groups) {
            y = bars(body, section, group, y)?;
        }
        if !section.curves.is_empty() {
            y = lines(body, &section.title, &section.curves, y)?;
        }
    }
    Ok(y + 10.0)
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, text: &str) -> std::fmt::Result {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    )
}

/// How many times slower than the best each client is, on a logarithmic scale.
fn bars(
    body: &mut String,
    section: &Section,
    group: &str,
    mut y: f64,
) -> Result<f64, std::fmt::Error> {
    let mut rows: Vec<_> = section
        .rows
        .iter()
        .filter(|row| row.group == group)
        .collect();
    rows.retain(|row| row.failure.is_none() && row.median() > 0.0);
    let best = rows.iter().copied().reduce(|best, row| {
        if section.ratio(row, best) > 1.0 {
            row
        } else {
            best
        }
    });
    let Some(best) = best else { return Ok(y) };
    let slower = |row| section.ratio(best, row);
    let most = rows.iter().map(|row| slower(row)).fold(2.0, f64::max);
    y += 18.0;
    let title = format!("{} ({group}): times slower than the best", section.title);
    text(body, 10.0, y, "start", &title)?;
    y += 8.0;
    for row in rows {
        let times = slower(row);
        // The best client has a short bar too.
        let part = (times.ln() + 0.05) / (most.ln() + 0.05);
        let width = part * (WIDTH - LABEL - 80.0);
        let colour = match row.who.as_str() {
            RAW => COLOURS[5],
            ours if ours.starts_with("postwire") => COLOURS[0],
            _ => COLOURS[1],
        };
        text(body, LABEL - 6.0, y + BAR - 4.0, "end", &row.who)?;
        writeln!(
            body,
            "<rect x=\"{LABEL}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            BAR - 3.0
        )?;
        let shown = format!(
            "×{}  ({} {})",
            figure(times),
            figure(row.median()),
            section.unit
        );
        let (x, anchor) = if part > 0.6 {
            (LABEL + width - 4.0, "end")
        } else {
            (LABEL + width + 4.0, "start")
        };
        let fill = if part > 0.6 { "white" } else { "black" };
        writeln!(body, "<g fill=\"{fill}\">")?;
        text(body, x, y + BAR - 4.0, anchor, &shown)?;
        writeln!(body, "</g>")?;
        y += BAR;
    }
    Ok(y + 8.0)
}

/// Draws curves with two logarithmic axes.
fn lines(body: &mut String, title: &str, curves: &[Curve], y: f64) -> Result<f64, std::fmt::Error> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let right = points().map(|point| point.0).fold(10.0, f64::max);
    let top = points().map(|point| point.1).fold(10.0, f64::max) * 1.2;
    let (left, base) = (70.0, y + 30.0 + PLOT);
    let x_of = |n: f64| left + n.log10() / right.log10() * (WIDTH - left - 200.0);
    let y_of = |cost: f64| base - cost.max(1.0).log10() / top.log10() * PLOT;
    text(body, 10.0, y + 18.0, "start", title)?;
    let mut decade = 1.0;
    while decade <= right.max(top) {
        if decade <= right {
            text(body, x_of(decade), base + 16.0, "middle", &figure(decade))?;
        }
        if decade <= top {
            let at = y_of(decade);
            text(body, left - 6.0, at + 4.0, "end", &figure(decade))?;
            writeln!(
                body,
                "<path d=\"M{left} {at:.1}H{:.1}\" stroke=\"#dddddd\"/>",
                WIDTH - 200.0
            )?;
        }
        decade *= 10.0;
    }
    for (curve, colour) in curves.iter().zip(COLOURS) {
        let line: Vec<String> = curve
            .points
            .iter()
            .map(|&(n, cost)| format!("{:.1},{:.1}", x_of(n), y_of(cost)))
            .collect();
        writeln!(
            body,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            line.join(" ")
        )?;
        if let Some(&(n, cost)) = curve.points.last() {
            text(body, x_of(n) + 8.0, y_of(cost) + 4.0, "start", &curve.name)?;
        }
    }
    Ok(base + 30.0)
}
