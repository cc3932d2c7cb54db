//! What one liar, or one client that floods, leaves of the throughput (L5): each attack beside a run without it.

use crate::Runs;
use crate::judge::trust;
use crate::net::{Load, Net, Sample};
use crate::processes::{Spinner, cpu_seconds};
use crate::table::spread;
use quorate_crypto::Ed25519Signer;
use std::fmt;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who attacks, and in which ways: numbers of docs/assurance.md.
#[derive(Clone, Copy, Debug)]
enum Who {
    Nobody,
    /// A process that keeps one core busy and does nothing else: what an attacker costs by sharing the machine.
    Spinner,
    /// The member that is primary first.
    Member(&'static [u16]),
    /// A client at the gateway of the first member.
    Client(&'static [u16]),
    /// A client at all gateways.
    ClientEverywhere(&'static [u16]),
}

/// An attack.
#[derive(Clone, Copy, Debug)]
struct Attack {
    name: &'static str,
    who: Who,
}

/// Every attack, the run without one first.
const ATTACKS: &[Attack] = &[
    Attack { name: "nobody", who: Who::Nobody },
    Attack { name: "nobody, but one core is busy", who: Who::Spinner },
    Attack { name: "primary delays all to 0.9 of the timeout", who: Who::Member(&[17]) },
    Attack { name: "primary equivocates", who: Who::Member(&[1, 3, 5]) },
    Attack { name: "member floods with junk", who: Who::Member(&[54]) },
    Attack { name: "member lies in STATUS for repairs", who: Who::Member(&[32]) },
    Attack { name: "client floods one gateway with junk", who: Who::Client(&[50]) },
    Attack { name: "client floods all gateways with junk", who: Who::ClientEverywhere(&[50]) },
    Attack { name: "client floods with good ones, 1,024 sessions", who: Who::ClientEverywhere(&[51]) },
    Attack { name: "client floods, half good", who: Who::ClientEverywhere(&[52]) },
    Attack { name: "client floods with huge ones", who: Who::Client(&[53]) },
    Attack { name: "client connects and leaves", who: Who::Client(&[46]) },
];

/// One run under an attack.
#[derive(Clone, Debug)]
struct Attacked {
    sample: Sample,
    /// What the attacker took of the same cores, in CPU-seconds a second.
    attacker: f64,
}

impl fmt::Display for Attacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, attacker {:.2} cores", self.sample, self.attacker)
    }
}

/// The process that attacks, which dies with this one.
struct Attacker {
    child: Child,
    since: Instant,
}

impl Attacker {
    fn spawn(program: &Path, net: &Net<'_>, who: Who) -> Result<Option<Self>, String> {
        let place = net.place.path();
        let arguments: Vec<String> = match who {
            Who::Nobody | Who::Spinner => return Ok(None),
            Who::Member(_) => vec!["node".into(), "--dir".into(), "node0".into()],
            Who::Client(_) | Who::ClientEverywhere(_) => {
                let key = place.join("attacker.pem");
                Ed25519Signer::generate().write_file(&key, None).map_err(|why| why.to_string())?;
                let most = if matches!(who, Who::Client(_)) { 1 } else { usize::MAX };
                let trust = trust(place);
                let members = &trust.genesis().members;
                let gateways: Vec<_> =
                    members.iter().take(most).map(|member| member.api.replace("http://", "")).collect();
                ["client", "--genesis", "genesis.toml", "--key", "attacker.pem", "--endpoint"]
                    .map(str::to_owned)
                    .into_iter()
                    .chain([gateways.join(",")])
                    .collect()
            }
        };
        let (Who::Member(ways) | Who::Client(ways) | Who::ClientEverywhere(ways)) = who else {
            return Ok(None);
        };
        let ways = ways.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let log = std::fs::File::create(place.join("attacker.log")).map_err(|why| why.to_string())?;
        let child = Command::new(program)
            .current_dir(place)
            .args(arguments)
            .args(["--behaviour", &ways, "--report", "lies.json"])
            .args(["--with-parent", &std::process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|why| format!("{}: {why}", program.display()))?;
        Ok(Some(Self { child, since: Instant::now() }))
    }

    /// Ends it, and returns what it took: it must have lived, and lied.
    fn end(mut self, place: &Path) -> Result<f64, String> {
        let gone = |why: &str| {
            let log = std::fs::read_to_string(place.join("attacker.log")).unwrap_or_default();
            format!("the attacker {why}: {}", log.trim())
        };
        if self.child.try_wait().map_err(|why| why.to_string())?.is_some() {
            return Err(gone("ended by itself"));
        }
        let taken = cpu_seconds(self.child.id())? / self.since.elapsed().as_secs_f64();
        let lies = std::fs::read_to_string(place.join("lies.json")).unwrap_or_default();
        self.child.kill().and_then(|()| self.child.wait()).map_err(|why| why.to_string())?;
        if !lies.contains(':') || lies.contains("{}") {
            return Err(gone("never lied"));
        }
        Ok(taken)
    }
}

/// Each attack in turn, after a run without one.
pub(crate) fn run(program: &Path, runs: &Runs) -> Result<String, String> {
    let wanted = |attack: &Attack| attack.name == ATTACKS[0].name || runs.wants(attack.name);
    let attacks: Vec<_> = ATTACKS.iter().copied().filter(wanted).collect();
    let load = Load { clients: 64, size: 128, keys: 16, appends: None };
    let mut rounds = Vec::new();
    for run in 1..=runs.runs {
        let mut round = Vec::new();
        for attack in &attacks {
            let attacked = measure(program, attack, &load, runs.duration());
            let attacked = attacked.map_err(|why| format!("{}: {why}", attack.name))?;
            eprintln!("{run}/{} {:<48} {attacked}", runs.runs, attack.name);
            round.push(attacked);
        }
        rounds.push(round);
    }
    Ok(text(&attacks, &rounds))
}

/// Measures one attack once.
///
/// # Errors
/// If a command fails, the attacker did nothing, a receipt does not verify, or the ledgers of honest members differ.
fn measure(program: &Path, attack: &Attack, load: &Load, duration: Duration) -> Result<Attacked, String> {
    let net = Net::new(program, 4)?;
    let byz = program.with_file_name("quorate-byz");
    let lying_member = matches!(attack.who, Who::Member(_));
    if lying_member {
        net.run(&["testnet", "up", ".", "--only", "1,2,3", "--detach"])?;
    } else {
        net.run(&["testnet", "up", ".", "--detach"])?;
    }
    let attacker = Attacker::spawn(&byz, &net, attack.who)?;
    // `up` of some members does not wait for them.
    let start = Instant::now();
    while let Err(why) = net.run(&["--timeout", "30s", "kv", "put", "first", "one"]) {
        if start.elapsed() > Duration::from_secs(30) {
            return Err(why);
        }
    }
    let spinner = matches!(attack.who, Who::Spinner).then(Spinner::start);
    let sample = net.measure(load, duration)?;
    drop(spinner);
    let taken = attacker.map(|attacker| attacker.end(net.place.path())).transpose()?;
    let honest: Vec<usize> = (usize::from(lying_member)..4).collect();
    net.wait_until("the honest members stand at one block", Duration::from_secs(60), |net| {
        net.stands_equal(&honest)
    })?;
    net.judge(&honest)?;
    Ok(Attacked { sample, attacker: taken.unwrap_or_default() })
}

/// One row for each attack; throughput beside the run of the same round in which nobody attacked.
fn text(attacks: &[Attack], rounds: &[Vec<Attacked>]) -> String {
    let mut text = String::from(
        "| who attacks | tx/s | of what is done without | p50, ms | p99, ms | CPU-s of all replicas per 1,000 | cores that the attacker takes |\n|---|---|---|---|---|---|---|\n",
    );
    for (place, attack) in attacks.iter().enumerate() {
        let runs: Vec<Sample> = rounds.iter().map(|round| round[place].sample.clone()).collect();
        let cell = |digits: usize, of: &dyn Fn(&Sample) -> f64| {
            let (median, least, most) = spread(&runs, of);
            format!("{median:.digits$} [{least:.digits$}, {most:.digits$}]")
        };
        let mut shares: Vec<f64> = rounds
            .iter()
            .map(|round| 100.0 * round[place].sample.throughput / round[0].sample.throughput)
            .collect();
        shares.sort_by(f64::total_cmp);
        let mut taken: Vec<f64> = rounds.iter().map(|round| round[place].attacker).collect();
        taken.sort_by(f64::total_cmp);
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} % [{:.0}, {:.0}] | {} | {} | {} | {:.2} |",
            attack.name,
            cell(0, &|sample| sample.throughput),
            shares[shares.len() / 2],
            shares[0],
            shares[shares.len() - 1],
            cell(1, &|sample| sample.p50),
            cell(1, &|sample| sample.p99),
            cell(3, &|sample| sample.cpu),
            taken[taken.len() / 2],
        );
    }
    text
}
