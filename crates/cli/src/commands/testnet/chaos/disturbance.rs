//! What is done to a replica.

use crate::testnet::control::{Reply, Request};
use crate::testnet::links::Rule;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Killed without warning, and started again.
    Killed,
    /// Stands still, and goes on as if no time had passed.
    Frozen,
    /// Neither hears nor is heard.
    Alone,
    /// Hears nobody.
    Deaf,
    /// Is heard by nobody.
    Mute,
    Late,
    Lossy,
    Doubled,
    Thin,
}

impl Kind {
    pub(super) const ALL: &'static [Self] = &[
        Self::Killed,
        Self::Frozen,
        Self::Alone,
        Self::Deaf,
        Self::Mute,
        Self::Late,
        Self::Lossy,
        Self::Doubled,
        Self::Thin,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Frozen => "frozen",
            Self::Alone => "alone",
            Self::Deaf => "deaf",
            Self::Mute => "mute",
            Self::Late => "late",
            Self::Lossy => "lossy",
            Self::Doubled => "doubled",
            Self::Thin => "thin",
        }
    }
}

/// One replica, what is done to it, and the directions of its links that it concerns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Disturbance {
    pub(super) node: usize,
    pub(super) kind: Kind,
    rule: Rule,
    directions: Vec<(usize, usize)>,
}

impl Disturbance {
    pub(super) fn draw(node: usize, count: usize, random: &mut fastrand::Rng) -> Self {
        let kind = Kind::ALL[random.usize(0..Kind::ALL.len())];
        let others = || (0..count).filter(move |other| *other != node);
        let inward = || others().map(move |other| (other, node));
        let outward = || others().map(move |other| (node, other));
        let cut = Rule { cut: true, ..Rule::default() };
        let (rule, directions) = match kind {
            Kind::Killed | Kind::Frozen => (Rule::default(), Vec::new()),
            Kind::Alone => (cut, inward().chain(outward()).collect()),
            Kind::Deaf => (cut, inward().collect()),
            Kind::Mute => (cut, outward().collect()),
            Kind::Late => {
                let (delay_ms, jitter_ms) = (random.u64(10..300), random.u64(0..100));
                (Rule { delay_ms, jitter_ms, ..Rule::default() }, inward().chain(outward()).collect())
            }
            Kind::Lossy => {
                let loss_percent = f64::from(random.u32(2..40));
                (Rule { loss_percent, ..Rule::default() }, inward().chain(outward()).collect())
            }
            Kind::Doubled => {
                let duplicate_percent = f64::from(random.u32(5..60));
                let rule = Rule { duplicate_percent, jitter_ms: random.u64(0..50), ..Rule::default() };
                (rule, inward().chain(outward()).collect())
            }
            Kind::Thin => {
                (Rule { rate: random.u64(20_000..200_000), ..Rule::default() }, outward().collect())
            }
        };
        Self { node, kind, rule, directions }
    }

    pub(super) fn begin(&self) -> Vec<Request> {
        let signal = |signal: &str| vec![Request::Signal { node: self.node, signal: signal.to_owned() }];
        match self.kind {
            Kind::Killed => signal("KILL"),
            Kind::Frozen => signal("STOP"),
            _ => vec![Request::Link { directions: self.directions.clone(), rule: self.rule }],
        }
    }

    pub(super) fn end(&self) -> Vec<Request> {
        match self.kind {
            Kind::Killed => vec![Request::Start { node: self.node }],
            Kind::Frozen => vec![Request::Signal { node: self.node, signal: "CONT".to_owned() }],
            _ => vec![Request::Link { directions: self.directions.clone(), rule: Rule::default() }],
        }
    }

    /// What shows that it was done, from what the supervisor said before and at its end.
    pub(super) fn effect(&self, before: &Reply, during: &Reply) -> (String, bool) {
        let state = during.nodes.get(self.node).map(|node| node.state.clone()).unwrap_or_default();
        match self.kind {
            Kind::Killed => (format!("its process was {state}"), state == "down"),
            Kind::Frozen => (format!("its process was {state}"), state == "paused"),
            Kind::Alone | Kind::Deaf | Kind::Mute | Kind::Lossy => {
                let lost = self.grown(before, during, |counts| counts.lost);
                (format!("{lost} packets were lost"), lost > 0)
            }
            Kind::Late | Kind::Thin => {
                let held = self.grown(before, during, |counts| counts.held + counts.lost);
                (format!("{held} packets were held up"), held > 0)
            }
            Kind::Doubled => {
                let doubled = self.grown(before, during, |counts| counts.doubled);
                (format!("{doubled} packets came twice"), doubled > 0)
            }
        }
    }

    fn grown(&self, before: &Reply, during: &Reply, of: fn(&crate::testnet::links::Counts) -> u64) -> u64 {
        let sum = |reply: &Reply| -> u64 {
            let concerned = reply.links.iter().filter(|link| self.directions.contains(&(link.from, link.to)));
            concerned.map(|link| of(&link.counts)).sum()
        };
        sum(during).saturating_sub(sum(before))
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { delay_ms, jitter_ms, loss_percent, duplicate_percent, rate, .. } = self.rule;
        write!(f, "node{} {}", self.node, self.kind.name())?;
        match self.kind {
            Kind::Late => write!(f, " by {delay_ms} to {} ms", delay_ms + jitter_ms),
            Kind::Lossy => write!(f, ", {loss_percent} %"),
            Kind::Doubled => write!(f, ", {duplicate_percent} %"),
            Kind::Thin => write!(f, ", {rate} bytes a second"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
