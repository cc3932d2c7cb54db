use super::*;

fn load(text: &str, environment: &[(&str, &str)]) -> Result<FileConfig, ConfigError> {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("quorate.toml");
    std::fs::write(&path, text).expect("written");
    FileConfig::load(&path, environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn the_environment_overrides_single_keys_of_the_file() {
    let text = "[api]\nlisten = \"127.0.0.1:1\"\n[log]\nlevel = \"debug\"\n";
    let config = load(text, &[("QUORATE_API__LISTEN", "127.0.0.1:2"), ("HOME", "/")]).expect("good");
    assert_eq!(config.api.listen.port(), 2);
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.peer, PeerSection::default());
}

#[test]
fn unknown_keys_and_bad_values_are_errors_that_name_them() {
    let error = load("[api]\nlisten-on = 3\n", &[]).expect_err("unknown").to_string();
    assert!(error.contains("listen-on") && error.contains("line 2"), "{error}");
    let error = load("", &[("QUORATE_API__LISTEN", "nowhere")]).expect_err("bad").to_string();
    assert!(error.contains("QUORATE_API__LISTEN"), "{error}");
}

#[test]
fn faults_are_refused_unless_allowed() {
    assert!(matches!(load("[testnet]\nslow-log-sync-ms = 5\n", &[]), Err(ConfigError::FaultInjection)));
    assert!(load("[testnet]\nfault-injection = true\nslow-log-sync-ms = 5\n", &[]).is_ok());
}
