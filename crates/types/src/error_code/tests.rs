use super::*;
use std::collections::BTreeSet;

#[test]
fn every_code_is_distinct_in_its_range_and_has_texts() {
    let mut seen = BTreeSet::new();
    for code in ErrorCode::ALL {
        let text = code.text();
        assert!(seen.insert(text.code), "{} stands twice", text.code);
        assert_eq!(text.code.len(), 5, "{}", text.code);
        assert!(text.code.starts_with("Q0") && text.code[1..].bytes().all(|byte| byte.is_ascii_digit()));
        for (name, part) in [("what", text.what), ("why", text.why), ("fix", text.fix)] {
            assert!(part.len() > 5, "{} has no {name}", text.code);
            assert!(!part.ends_with('.'), "{}: {name} ends in a full stop", text.code);
        }
        assert_eq!(text.code.parse(), Ok(*code));
    }
}
