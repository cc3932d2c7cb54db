use super::*;

fn one(asked: u64, answered: u64, height: u64, index: u32) -> Acknowledged {
    Acknowledged {
        asked: Duration::from_millis(asked),
        answered: Duration::from_millis(answered),
        height: Seq::new(height),
        index,
        header: Digest([u8::try_from(height).unwrap(); 32]),
    }
}

fn history(acknowledged: Vec<Acknowledged>) -> History {
    History { acknowledged, unknown: 0 }
}

#[test]
fn two_receipts_of_one_place_are_wrong() {
    assert_eq!(history(vec![one(0, 1, 5, 0), one(0, 1, 5, 1)]).positions_are_unique(), Ok(()));
    assert!(history(vec![one(0, 1, 5, 0), one(2, 3, 5, 0)]).positions_are_unique().is_err());
}

#[test]
fn a_later_question_may_not_have_an_earlier_place() {
    // They overlap: either order will do.
    assert_eq!(history(vec![one(0, 10, 6, 0), one(5, 15, 5, 0)]).real_time_is_kept(), Ok(()));
    assert_eq!(history(vec![one(0, 10, 5, 0), one(11, 15, 5, 1)]).real_time_is_kept(), Ok(()));
    assert!(history(vec![one(0, 10, 6, 0), one(11, 15, 5, 0)]).real_time_is_kept().is_err());
    // Not the one answered last, but the latest place of those answered.
    let three = vec![one(0, 10, 9, 0), one(1, 20, 3, 0), one(21, 30, 7, 0)];
    assert!(history(three).real_time_is_kept().is_err());
}

#[test]
fn a_receipt_of_a_block_that_is_not_there_is_wrong() {
    let blocks = |range: std::ops::RangeInclusive<u64>| -> BTreeMap<Seq, Digest> {
        range.map(|height| (Seq::new(height), Digest([u8::try_from(height).unwrap(); 32]))).collect()
    };
    let told = history(vec![one(0, 1, 2, 0), one(2, 3, 5, 0)]);
    assert_eq!(told.nothing_is_lost(&blocks(1..=5)), Ok(()));
    assert_eq!(told.nothing_is_lost(&blocks(3..=5)), Ok(()), "block 2 was pruned");
    assert!(told.nothing_is_lost(&blocks(1..=4)).is_err());
    let mut other = blocks(1..=5);
    other.insert(Seq::new(5), Digest([77; 32]));
    assert!(told.nothing_is_lost(&other).is_err());
}
