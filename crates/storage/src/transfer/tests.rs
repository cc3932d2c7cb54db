use super::*;
use crate::simulated::SimulatedDisk;
use quorate_types::{Epoch, LedgerId, Member, Parameters, PublicKey, Seq, StateLeaves};

fn caps() -> Caps {
    let member = |id: u16| Member {
        name: format!("node{id}"),
        vote: PublicKey([1; 32]),
        transport: PublicKey([2; 32]),
        store: None,
    };
    let members = Members::new(LedgerId([0; 32]), Epoch::ZERO, 1, (0..4).map(member).collect()).unwrap();
    Caps::new(&members, &Parameters::default())
}

fn part(index: u32) -> Message {
    let leaves = vec![(index.to_be_bytes().to_vec(), vec![7; 100])];
    Message::StateLeaves(Box::new(StateLeaves { height: Seq::new(9), index, leaves }))
}

fn parts(range: std::ops::Range<u32>) -> Vec<Message> {
    range.map(part).collect()
}

fn open(disk: &SimulatedDisk) -> (TransferFile<SimulatedDisk>, Vec<Message>) {
    TransferFile::open(disk.clone(), &caps()).unwrap()
}

#[test]
fn t2_what_was_kept_is_found_again() {
    let disk = SimulatedDisk::new();
    let (mut file, found) = open(&disk);
    assert_eq!(found, []);
    file.add(&part(9)).unwrap();
    assert_eq!(open(&disk).1, [], "nothing was begun");
    file.begin(&parts(0..2)).unwrap();
    file.add(&part(2)).unwrap();
    drop(file);
    let (mut file, found) = open(&disk);
    assert_eq!(found, parts(0..3));
    file.add(&part(3)).unwrap();
    assert_eq!(open(&disk).1, parts(0..4));
    file.begin(&parts(5..6)).unwrap();
    assert_eq!(open(&disk).1, parts(5..6));
    file.end().unwrap();
    assert_eq!((open(&disk).1, Disk::list(&disk).unwrap()), (Vec::new(), Vec::new()));
}

fn indices(messages: &[Message]) -> Vec<u32> {
    let index = |message: &Message| match message {
        Message::StateLeaves(leaves) => leaves.index,
        other => panic!("{other:?}"),
    };
    messages.iter().map(index).collect()
}

/// Whatever a crash leaves and at whatever operation it comes: what is found was kept, in order, and more can be added behind it. The last
/// may be torn: that its leaves are no part of the state, whoever takes it finds out.
#[test]
fn t2_what_a_crash_leaves_of_it_is_a_beginning() {
    let keep = |disk: &SimulatedDisk| -> std::io::Result<()> {
        let (mut file, _) = TransferFile::open(disk.clone(), &caps())?;
        file.begin(&parts(0..2))?;
        file.add(&part(2))?;
        file.begin(&parts(0..3))?;
        file.add(&part(3))
    };
    let counting = SimulatedDisk::new();
    keep(&counting).unwrap();
    for at in 0..=counting.operations() {
        for kept in 0..=20 {
            let disk = SimulatedDisk::new();
            disk.fail_at(at);
            let _ = keep(&disk);
            disk.crash(|len| len * kept / 20);
            let (mut file, found) = open(&disk);
            assert_eq!(indices(&found), (0..).take(found.len()).collect::<Vec<u32>>(), "killed at {at}");
            let whole = found.iter().zip(parts(0..4)).take_while(|(found, kept)| *found == kept).count();
            assert!(whole + 1 >= found.len(), "killed at {at}");
            file.add(&part(7)).unwrap();
            let again = open(&disk).1;
            assert!(again.starts_with(&found), "killed at {at}");
            let begun = Disk::list(&disk).unwrap().iter().any(|name| name == FILE);
            assert_eq!(again.len() > found.len(), begun, "killed at {at}");
        }
    }
}
