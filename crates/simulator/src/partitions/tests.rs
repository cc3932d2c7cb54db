use super::Partition;
use std::collections::BTreeSet;

#[test]
fn there_are_as_many_as_there_should_be() {
    for (processes, most, count) in [(5, 3, 41), (5, 5, 52), (9, 3, 3_281), (4, 2, 8)] {
        let all = Partition::all(processes, most);
        assert_eq!(all.len(), count);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), count);
        assert!(all.iter().all(|partition| Partition::labelled(&partition.0) == *partition));
    }
}

#[test]
fn parts_have_no_order_and_processes_have() {
    let partition = Partition::labelled(&[7, 7, 2, 7, 2]);
    assert_eq!(partition.to_string(), "{0,1,3}{2,4}");
    assert_eq!(partition, Partition::labelled(&[0, 0, 9, 0, 9]));
    assert_eq!(partition.swapped(0, 2).to_string(), "{0,4}{1,2,3}");
    assert_eq!(partition.swapped(0, 3), partition);
}
