//! `quorate testnet net`, `partition` and `heal`.

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::testnet::Testnet;
use crate::testnet::control::{Request, ask};
use crate::testnet::links::{LinkState, Rule};
use quorate_types::ErrorCode;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Directions of links, sender first.
pub(crate) type Directions = Vec<(usize, usize)>;

pub(super) fn worsen(
    context: &Context,
    dir: &Path,
    node: usize,
    to: Option<usize>,
    rule: Rule,
) -> Outcome<u8> {
    let count = Testnet::load(dir)?.node.len();
    let others = (0..count).filter(|other| *other != node);
    let directions: Directions = match to {
        Some(to) => vec![(node, to)],
        None => others.map(|to| (node, to)).collect(),
    };
    let reply = ask(dir, &Request::Link { directions: directions.clone(), rule })?;
    for link in reply.links.iter().filter(|link| directions.contains(&(link.from, link.to))) {
        context.output.note(describe(link));
    }
    Ok(0)
}

pub(super) fn partition(context: &Context, dir: &Path, groups: &str, time: Option<Duration>) -> Outcome<u8> {
    let count = Testnet::load(dir)?.node.len();
    let directions = between(groups, count).map_err(|why| {
        Failure::new(ErrorCode::Usage)
            .what(format!("{groups:?} are no groups"))
            .why(why)
            .fix("for example '0,1|2,3', or '0>1,2' for one direction")
    })?;
    ask(dir, &Request::Link { directions, rule: Rule { cut: true, ..Rule::default() } })?;
    context.output.note(format!("cut: {groups}"));
    let Some(time) = time else { return Ok(0) };
    std::thread::sleep(time);
    heal(context, dir)
}

pub(super) fn heal(context: &Context, dir: &Path) -> Outcome<u8> {
    ask(dir, &Request::Heal)?;
    context.output.note("healed");
    Ok(0)
}

/// The directions that lie between groups: both ways for `|`, from left to right for `>`.
pub(super) fn between(text: &str, count: usize) -> Result<Directions, String> {
    let group = |text: &str| -> Result<Vec<usize>, String> {
        let numbers = text.split(',').map(|number| match number.trim().parse::<usize>() {
            Ok(number) if number < count => Ok(number),
            Ok(number) => Err(format!("there is no replica {number}; there are 0 to {}", count - 1)),
            Err(_) => Err(format!("{number:?} is no number of a replica")),
        });
        numbers.collect()
    };
    let pairs = |from: &[usize], to: &[usize]| -> Directions {
        from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))).collect()
    };
    let mut directions = Directions::new();
    if let Some((left, right)) = text.split_once('>') {
        directions = pairs(&group(left)?, &group(right)?);
    } else {
        let groups: Vec<Vec<usize>> = text.split('|').map(group).collect::<Result<_, _>>()?;
        if groups.len() < 2 {
            return Err("there is one group only".to_owned());
        }
        for (at, one) in groups.iter().enumerate() {
            for other in &groups[at + 1..] {
                directions.extend(pairs(one, other));
                directions.extend(pairs(other, one));
            }
        }
    }
    match directions.iter().find(|(from, to)| from == to) {
        Some((twice, _)) => Err(format!("{twice} is in two groups")),
        None => Ok(directions),
    }
}

/// What a link does and did, in a line.
pub(super) fn describe(link: &LinkState) -> String {
    let Rule { delay_ms, jitter_ms, loss_percent, duplicate_percent, rate, cut } = link.rule;
    let mut does = Vec::new();
    if cut {
        does.push("cut".to_owned());
    }
    if delay_ms > 0 || jitter_ms > 0 {
        does.push(format!("{delay_ms} to {} ms late", delay_ms + jitter_ms));
    }
    if loss_percent > 0.0 {
        does.push(format!("{loss_percent} % lost"));
    }
    if duplicate_percent > 0.0 {
        does.push(format!("{duplicate_percent} % doubled"));
    }
    if rate > 0 {
        does.push(format!("{rate} bytes a second"));
    }
    let does = if does.is_empty() { "passes everything".to_owned() } else { does.join(", ") };
    let counts = link.counts;
    format!("{} to {}: {does}; {} packets passed, {} lost", link.from, link.to, counts.passed, counts.lost)
}

pub(super) fn document(link: &LinkState) -> Value {
    let LinkState { from, to, rule, counts } = link;
    json!({
        "from": from, "to": to, "delay_ms": rule.delay_ms, "jitter_ms": rule.jitter_ms,
        "loss_percent": rule.loss_percent, "duplicate_percent": rule.duplicate_percent, "rate": rule.rate,
        "cut": rule.cut, "passed": counts.passed, "lost": counts.lost, "held": counts.held, "doubled": counts.doubled,
    })
}

#[cfg(test)]
mod tests;
