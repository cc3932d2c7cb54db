use super::*;

#[test]
fn groups_are_cut_both_ways_or_one() {
    assert_eq!(between("0|1", 2), Ok(vec![(0, 1), (1, 0)]));
    assert_eq!(between("0 > 1,2", 4), Ok(vec![(0, 1), (0, 2)]));
    let three = between("0|1,2|3", 4).unwrap();
    assert_eq!(three.len(), 10, "{three:?}");
    assert!(!three.contains(&(1, 2)));
    for wrong in ["0,1", "0|4", "0|x", "0|0", "0|", "", "0,1>1"] {
        assert!(between(wrong, 4).is_err(), "{wrong}");
    }
}
