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

/// `docs/errors.md`, as this table makes it.
fn documentation() -> String {
    let mut text = "# Errors\n\nGenerated from `crates/types/src/error_code.rs`; `QUORATE_REWRITE=1 cargo test -p quorate-types` \
                    writes it anew. The exit code is that of the command line.\n"
        .to_owned();
    for code in ErrorCode::ALL {
        let t = code.text();
        text += &format!(
            "\n## {}: {}\n\nWhy: {}.\nFix: {}.\nExit code {}.\n",
            t.code, t.what, t.why, t.fix, t.exit
        );
    }
    text
}

#[test]
fn the_documentation_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    if std::env::var_os("QUORATE_REWRITE").is_some() {
        std::fs::write(path, documentation()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), documentation(), "run with QUORATE_REWRITE=1");
}
