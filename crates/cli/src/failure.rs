//! Errors as people meet them: what, why, fix, a code, an exit code (interface: three lines, or JSON on stderr).

use quorate_client::ClientError;
use quorate_crypto::KeyError;
use quorate_node::NodeError;
use quorate_types::ErrorCode;
use serde_json::json;

/// A command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    what: Option<String>,
    why: Option<String>,
    fix: Vec<String>,
    txid: Option<String>,
}

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// With the texts of the table.
    pub(crate) fn new(code: ErrorCode) -> Self {
        Self { code, what: None, why: None, fix: Vec::new(), txid: None }
    }

    #[must_use]
    pub(crate) fn what(mut self, what: impl Into<String>) -> Self {
        self.what = Some(what.into());
        self
    }

    #[must_use]
    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    #[must_use]
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix.push(fix.into());
        self
    }

    #[must_use]
    pub(crate) fn txid(mut self, txid: impl ToString) -> Self {
        self.txid = Some(txid.to_string());
        self
    }

    /// A file that cannot be read or written.
    pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Self::new(ErrorCode::Permissions)
                .what(format!("{} may not be used", path.display()))
                .why(error.to_string())
                .fix("check who owns the file and its directory"),
            _ => Self::new(ErrorCode::Io).what(format!("{}: {error}", path.display())),
        }
    }

    /// Something on the command line or in an input file.
    pub(crate) fn input(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadInput).what(what).why(why)
    }

    pub(crate) fn exit(&self) -> u8 {
        self.code.exit()
    }

    /// Writes it to stderr.
    pub(crate) fn report(&self, as_json: bool) {
        let text = self.code.text();
        let what = self.what.as_deref().unwrap_or(text.what);
        let why = self.why.as_deref().unwrap_or(text.why);
        let fix = if self.fix.is_empty() { vec![text.fix.to_owned()] } else { self.fix.clone() };
        if as_json {
            let mut document = json!({
                "schema": "quorate.error.v1", "code": text.code, "what": what, "why": why, "fix": fix,
                "exit": text.exit,
            });
            if let Some(txid) = &self.txid {
                document["txid"] = json!(txid);
            }
            eprintln!("{document}");
            return;
        }
        eprintln!("error[{}]: {what}", text.code);
        eprintln!("  why: {why}");
        for fix in fix {
            eprintln!("  fix: {fix}");
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let failure = Self::new(error.code());
        match error {
            ClientError::NoTrustRoot | ClientError::NoEndpoint => failure,
            ClientError::Unreachable(why) => failure.why(why),
            other => failure.what(other.to_string()),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let code = match error {
            KeyError::Exists(_) => ErrorCode::AlreadyInitialised,
            KeyError::Permissions(..) => ErrorCode::Permissions,
            KeyError::Io(..) => ErrorCode::Io,
            _ => ErrorCode::BadKey,
        };
        let failure = Self::new(code).what(error.to_string());
        match error {
            KeyError::Exists(_) => failure.why("keys are never overwritten").fix("choose another path"),
            KeyError::Permissions(path, _) => failure.fix(format!("chmod 0600 {path}")),
            KeyError::Encrypted(_) => {
                failure.why("it needs a passphrase").fix("--passphrase-file FILE, or QUORATE_PASSPHRASE_FILE")
            }
            KeyError::WrongPassphrase(_) => {
                failure.why("the file was encrypted with another one").fix("check the passphrase file")
            }
            _ => failure,
        }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let failure = Self::new(error.code()).what(error.to_string());
        match &error {
            NodeError::Listen(address, cause) if cause.kind() == std::io::ErrorKind::AddrInUse => {
                failure.why(holder("tcp", address.port()))
            }
            NodeError::Network(quorate_network_error)
                if quorate_network_error.to_string().contains("in use") =>
            {
                failure.why("another process is bound to the UDP port")
            }
            _ => failure,
        }
    }
}

/// Who listens on a port, as far as /proc tells.
fn holder(protocol: &str, port: u16) -> String {
    let found = crate::process::holder_of_port(protocol, port);
    found.unwrap_or_else(|| "another process listens on it".to_owned())
}
