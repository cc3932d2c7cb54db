use super::*;

fn room(taken: u64, free: u64, disk: u64) -> Room {
    Room {
        taken: [("wal", taken / 2), ("blocks", taken - taken / 2), ("state", 0), ("other", 0)],
        free,
        disk,
    }
}

const GIB: u64 = 1 << 30;

#[test]
fn little_room_is_told_by_what_is_left_and_by_what_is_taken() {
    let place = Path::new("alice/data");
    let alarm = |room: Room, most| room.alarm(most, place);
    assert_eq!(alarm(room(5 * GIB, 2 * GIB, 100 * GIB), None), None);
    assert_eq!(alarm(room(5 * GIB, 2 * GIB, 100 * GIB), Some(5 * GIB)), None);
    let more = alarm(room(5 * GIB + 1, 2 * GIB, 100 * GIB), Some(5 * GIB)).unwrap();
    assert!(more.contains("alice/data takes 5120.0 MiB") && more.contains("max-disk-mib"), "{more}");
    let little = alarm(room(1, GIB - 1, 100 * GIB), None).unwrap();
    assert!(little.contains("1023.9 MiB are left"), "{little}");
    // Of a small disk a twentieth.
    assert_eq!(alarm(room(1, GIB / 2, 10 * GIB), None), None);
    assert!(alarm(room(1, GIB / 2 - 1, 10 * GIB), None).is_some());
}

#[test]
fn what_is_there_is_measured_by_kind() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: usize| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![0; bytes]).unwrap();
    };
    for (name, bytes) in [
        ("wal/1.log", 10),
        ("wal/2.log", 20),
        ("blocks/1.blk", 100),
        ("blocks/1.blk.disputed", 200),
        ("state.redb", 1_000),
        ("state.redb.damaged", 2_000),
        ("META.toml", 7),
        ("handovers/0.handover", 3),
    ] {
        write(name, bytes);
    }
    let room = Room::measure(dir.path()).unwrap();
    assert_eq!(room.taken, [("wal", 30), ("blocks", 300), ("state", 3_000), ("other", 10)]);
    assert!(room.disk > 0 && room.free <= room.disk);
    assert!(Room::measure(&dir.path().join("missing")).is_err());
}
