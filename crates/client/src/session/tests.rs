use super::*;

fn open(directory: &Path) -> Session {
    Session::in_directory(directory, LedgerId([1; 32]), PublicKey([2; 32])).unwrap()
}

#[test]
fn numbers_go_on_in_the_next_process_and_never_repeat() {
    let directory = tempfile::tempdir().unwrap();
    let (id, first) = open(directory.path()).take().unwrap();
    let (again, second) = open(directory.path()).take().unwrap();
    assert_eq!((id, first, second), (again, Number::new(0), Number::new(1)));
}

#[test]
fn handles_that_share_a_file_share_its_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let session = open(directory.path());
                    (0..25).map(|_| session.take().unwrap().1.get()).collect::<Vec<_>>()
                })
            })
            .collect();
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<u64>>());
}

#[test]
fn a_renewed_session_is_another_and_starts_at_zero() {
    let directory = tempfile::tempdir().unwrap();
    let session = open(directory.path());
    let (old, _) = session.take().unwrap();
    session.renew().unwrap();
    let (new, number) = open(directory.path()).take().unwrap();
    assert_ne!(old, new);
    assert_eq!(number, Number::ZERO);
}

#[test]
fn files_of_others_and_damaged_ones_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let Session(Kind::File { path, .. }) = open(directory.path()) else { panic!("kept in a file") };
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("0101", "0303")).unwrap();
    let other = Session::in_directory(directory.path(), LedgerId([1; 32]), PublicKey([2; 32]));
    assert!(matches!(other, Err(SessionError::OfAnother(_))));
    std::fs::write(&path, "{").unwrap();
    let damaged = Session::in_directory(directory.path(), LedgerId([1; 32]), PublicKey([2; 32]));
    assert!(matches!(damaged, Err(SessionError::Malformed(..))));
}
