//! The same figures as a picture: a bar for each median, a line from the least to the most.

use crate::net::Sample;
use crate::standard::Case;
use crate::table::spread;
use std::fmt::Write as _;

const LEFT: f64 = 250.0;
const WIDTH: f64 = 420.0;
const ROW: f64 = 24.0;

/// One panel: a title, and for each case a value.
fn panel(svg: &mut String, top: f64, title: &str, rows: &[(String, (f64, f64, f64))]) -> f64 {
    let most = rows.iter().map(|(_, (_, _, most))| *most).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + WIDTH * value / most;
    let _ = writeln!(svg, r#"<text x="8" y="{:.0}" font-weight="bold">{title}</text>"#, top + 16.0);
    let mut y = top + ROW;
    for (name, (median, low, high)) in rows {
        let middle = y + ROW / 2.0;
        let digits = if most >= 100.0 { 0 } else { 2 };
        let _ = writeln!(
            svg,
            r##"<text x="8" y="{:.0}">{name}</text><rect x="{LEFT}" y="{:.0}" width="{:.1}" height="14" fill="#7a9cc6"/><line x1="{:.1}" x2="{:.1}" y1="{middle:.0}" y2="{middle:.0}" stroke="#1f2f46" stroke-width="2"/><text x="{:.0}" y="{:.0}">{median:.digits$}</text>"##,
            middle + 4.0,
            middle - 7.0,
            x(*median) - LEFT,
            x(*low),
            x(*high),
            x(*high) + 6.0,
            middle + 4.0,
        );
        y += ROW;
    }
    y + ROW / 2.0
}

/// A drawing of throughput, latency and cost.
pub(crate) fn svg(cases: &[Case], samples: &[Vec<Sample>]) -> String {
    let rows = |of: fn(&Sample) -> f64| -> Vec<_> {
        cases.iter().zip(samples).map(|(case, samples)| (case.name.clone(), spread(samples, of))).collect()
    };
    let mut body = String::new();
    let mut y = 8.0;
    y = panel(&mut body, y, "transactions a second", &rows(|sample| sample.throughput));
    y = panel(&mut body, y, "p50, ms, signing to verified receipt", &rows(|sample| sample.p50));
    y = panel(
        &mut body,
        y,
        "CPU of all replicas, times the floor",
        &rows(|sample| sample.cpu / sample.floor),
    );
    let width = LEFT + WIDTH + 80.0;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {y:.0}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>{body}</svg>
"##
    )
}
