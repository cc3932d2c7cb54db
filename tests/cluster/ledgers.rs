//! All members of a stopped testnet before the judge, and the judge before its own.

use crate::harness::{Place, all_equal, until};
pub(crate) use crate::judge::trust;
use crate::judge::{Verdict, execute_again, judge_of, nothing_lost, nothing_twice, read};
use crate::load::Load;
use quorate_client::{Receipt, TransactionResult};
use std::path::Path;

/// All of the first so many members.
pub(crate) fn judge(net: &Path, members: usize, receipts: &[Receipt]) -> Verdict<usize> {
    let all: Vec<usize> = (0..members).collect();
    judge_of(net, &all, receipts)
}

/// The judge itself: it must see each of these.
#[test]
fn the_judge_sees_lost_doubled_and_different_blocks() {
    let place = Place::new(28);
    let net = place.testnet(&[]);
    let load = Load::start(&net, 2);
    load.progress(20);
    let receipts = load.stop();
    until("all stand at the same block", || all_equal(&net));
    assert!(place.run(&["testnet", "down", "net"]).status.success());
    let (dir, trust) = (net.dir(), trust(&net.dir()));
    judge(&dir, 4, &receipts).unwrap();
    let blocks = read(&dir, 0, &trust).unwrap();
    assert!(nothing_lost(&trust, &blocks[..blocks.len() - 1], &receipts).unwrap_err().contains("is lost"));
    let mut forged = receipts.clone();
    forged[3].result = TransactionResult::Committed { output: vec![9] };
    assert!(nothing_lost(&trust, &blocks, &forged).unwrap_err().contains("a receipt"));
    let mut other = blocks.clone();
    other[2].results = vec![TransactionResult::Committed { output: vec![9] }; other[2].results.len()];
    assert!(nothing_lost(&trust, &other, &receipts).unwrap_err().contains("result"));
    assert!(execute_again(&trust, &other).unwrap_err().contains("block 3"));
    let doubled = [&blocks[..], &blocks[4..5]].concat();
    assert!(nothing_twice(&doubled).unwrap_err().contains("twice"));
    let file = dir.join("node2/data/blocks/0000000000000001.blk");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(judge(&dir, 4, &receipts).unwrap_err().contains("member 2"));
}
