//! Every error a user can meet, in one table: code, what happened, why, how to fix it, exit code, and whether the
//! request may be retried. `docs/errors.md` is generated from it.

use std::fmt;
use std::str::FromStr;

/// The text of one error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorText {
    /// `Q` and four digits; stable once shipped.
    pub code: &'static str,
    pub what: &'static str,
    pub why: &'static str,
    pub fix: &'static str,
    /// The exit code of the command line.
    pub exit: u8,
}

macro_rules! error_codes {
    ($($variant:ident = $code:literal, exit $exit:literal, $what:literal, $why:literal, $fix:literal;)*) => {
        /// An error with a stable code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode { $($variant),* }

        impl ErrorCode {
            /// Every code, in order.
            pub const ALL: &'static [ErrorCode] = &[$(Self::$variant),*];

            /// Code, texts and exit code.
            pub const fn text(self) -> ErrorText {
                match self {
                    $(Self::$variant => ErrorText { code: $code, what: $what, why: $why, fix: $fix, exit: $exit }),*
                }
            }
        }
    };
}

error_codes! {
    // Q01: usage and configuration
    Usage = "Q0101", exit 2, "the command line is not understood", "an option or argument is missing, unknown or malformed", "see quorate help COMMAND";
    BadConfig = "Q0102", exit 1, "the configuration file cannot be used", "a key is unknown, or a value is malformed", "correct the file and line named in the message";
    BadGenesis = "Q0103", exit 1, "the genesis cannot be used", "a rule of the genesis is violated; the message names it", "quorate genesis check FILE";
    NoEndpoint = "Q0104", exit 1, "no ledger to talk to", "no endpoint was given, there is no testnet.toml in this directory or above it, and no dev network runs", "pass --endpoint and --genesis, change into a testnet's directory, or start one: quorate dev";
    NoTrustRoot = "Q0105", exit 8, "no genesis to check answers against", "answers are verified against the genesis, and neither a file nor a hash was given", "pass --genesis FILE, or --genesis HASH to fetch it and check the hash";
    BadInput = "Q0106", exit 1, "the input cannot be read", "a file or argument is not in the format that the command expects", "see the message; quorate schema prints the formats";
    // Q02: the system below
    PortInUse = "Q0201", exit 2, "a port is taken", "another process listens on it", "stop that process, or choose another port (0 for any)";
    DiskFailed = "Q0202", exit 74, "the disk failed", "a write or sync of the log did not succeed, so nothing more may be promised", "mend or free the disk, then start the node again";
    Permissions = "Q0203", exit 1, "a file may not be used", "permissions or ownership are wrong; key files must be readable by their owner alone", "chmod 0600 FILE";
    Io = "Q0204", exit 1, "a file or socket operation failed", "the operating system refused it", "see the message";
    Internal = "Q0205", exit 70, "internal error", "an assertion of the program failed; a report was written", "send the report to the developers";
    Clock = "Q0206", exit 1, "the clock is wrong", "this machine's clock and those of the replicas are more than ten minutes apart", "set the clock of this machine, or find out whose is wrong: quorate status -o json";
    // Q03: network and identity
    BadKey = "Q0301", exit 8, "a key cannot be used", "the file is no Ed25519 private key, or the public key is weak or malformed", "quorate key show FILE";
    NotAMember = "Q0302", exit 8, "this key belongs to no member of the ledger", "vote.pem or transport.pem are not those of a member of the genesis, or of the epoch that the ledger is in", "use the key files of a member, or the right genesis; quorate member list";
    WrongLedger = "Q0303", exit 8, "this is another ledger", "the ledger id differs from that of the genesis in use", "use the genesis of the ledger that you want";
    // Q04: what the ledger refuses
    BadSignature = "Q0401", exit 5, "the signature is not valid", "the signature does not match the transaction and its sender's key", "sign the transaction's bytes with the sender's key";
    Unregistered = "Q0402", exit 8, "the sender is not registered", "this ledger accepts transactions of registered clients only", "ask an operator to register the key";
    ForAnotherLedger = "Q0403", exit 5, "the transaction is for another ledger", "the ledger id among its signed bytes differs", "build the transaction with this ledger's genesis";
    TooLarge = "Q0404", exit 5, "the transaction is too large", "it exceeds the ledger's limit on one transaction", "split it";
    Expired = "Q0405", exit 5, "the transaction has expired", "its valid_until is before the ledger's time", "build it anew with a later valid_until";
    ValidTooLong = "Q0406", exit 5, "the transaction is valid for too long", "valid_until is further ahead of the ledger's time than max-validity allows", "choose an earlier valid_until";
    MalformedTransaction = "Q0407", exit 5, "the transaction is malformed", "its bytes are not exactly one transaction", "see docs/formats.md";
    NumberUsed = "Q0408", exit 5, "the session number is used", "another transaction with this sender, session and number was executed", "quorate tx status shows which; use the next number";
    NumberOutsideWindow = "Q0409", exit 5, "the session number is outside the window", "numbers must lie within the session's window", "use the next unused number, or a new session";
    TooManySessions = "Q0410", exit 5, "the sender has too many sessions", "each sender may hold a limited number of sessions at a time", "reuse a session; idle ones are evicted";
    NotApplied = "Q0411", exit 5, "the transaction was not applied", "its inclusion in a block was void", "see the reason; the same bytes may be sent again while they are valid";
    CasMismatch = "Q0412", exit 4, "compare-and-set did not match", "the ledger holds another value", "read the new value and decide again";
    KeyExists = "Q0413", exit 4, "the key is present", "put-if-absent found a value", "read the value, or use put";
    MalformedOperations = "Q0414", exit 5, "the operations are malformed", "the payload is no list of operations that this application knows; the number is consumed", "see docs/formats.md";
    LimitExceeded = "Q0415", exit 5, "an operation exceeds a limit", "a key, value or name is too long", "see the limits in docs/formats.md";
    Superseded = "Q0416", exit 5, "another transaction took its number", "a different transaction with the same sender, session and number was executed", "see the receipt of the other transaction";
    ApplicationFailed = "Q0417", exit 5, "the application refused the transaction", "its own rules; the output says which", "see the application's documentation";
    // Q05: availability
    NoQuorum = "Q0501", exit 7, "no quorum answers", "too few replicas are reachable to commit anything", "quorate status; start the missing replicas";
    Busy = "Q0502", exit 75, "the replica is busy", "its queues for this sender or altogether are full", "send the same transaction again after the time given";
    NotReady = "Q0503", exit 7, "the replica is not ready", "it is starting, catching up, or a learner", "use another replica, or wait";
    Unknown = "Q0504", exit 75, "the outcome is not known yet", "no certificate came within the time that the caller gave", "quorate tx status TXID --wait decides it; sending the same bytes again is safe";
    Unreachable = "Q0505", exit 7, "no replica can be reached", "no endpoint accepted a connection", "check the endpoints and that the nodes run";
    NotFound = "Q0506", exit 3, "not found", "the ledger has no such thing", "check the name or id";
    NotRunning = "Q0507", exit 9, "the testnet is not running", "no supervisor answers in this directory", "quorate testnet up";
    Indexing = "Q0508", exit 75, "the index is behind", "the replica has just started and indexes its blocks", "ask again shortly";
    Pruned = "Q0509", exit 3, "the block is not kept any more", "every replica asked has removed it (retain-blocks), or joined after it; what it did to the state stands", "ask a replica that keeps all blocks; keep receipts when they come";
    // Q06: verification
    ReceiptInvalid = "Q0601", exit 6, "the receipt does not verify", "a signature, hash or path in it does not fit the genesis", "do not trust it; ask another replica";
    AnswerInvalid = "Q0602", exit 6, "a replica's answer does not verify", "its certificate or proof does not fit the genesis", "use another replica, and report this one";
    LedgerInvalid = "Q0603", exit 6, "the stored ledger is not what the members signed", "a stored block or certificate does not fit the genesis", "restore the data from another replica";
    ReplayDiffers = "Q0604", exit 6, "the recording does not replay", "the core did something else with the same inputs, so it was another version, a changed file, or a bug", "replay with the version that recorded; if it is this one, send the recording to the developers";
    // Q07: members
    ChangeRefused = "Q0701", exit 4, "the change of the members is refused", "the members as they are, or the operators' rules, do not allow it; the message says what", "see the message; quorate member list";
    // Q08: data directories
    NotInitialised = "Q0801", exit 9, "the data directory is not initialised", "run never creates a store: an empty directory may be a lost disk, and voting from it could contradict earlier votes", "a new member: quorate node init; a lost disk: quorate node recover";
    AlreadyInitialised = "Q0802", exit 9, "the data directory exists already", "init and new never overwrite", "choose another directory, or remove this one by hand";
    StoreOfAnother = "Q0803", exit 9, "the data directory belongs to another node", "its ledger id or member keys differ from those given", "use the directory of this node";
    StoreLocked = "Q0804", exit 9, "the data directory is in use", "another process holds its lock", "stop that process first";
    StoreTooNew = "Q0805", exit 9, "the data directory has a newer format", "it was written by a newer version", "use that version";
    StoreCorrupt = "Q0806", exit 74, "the store is damaged", "something that was durable once cannot be read any more: what was promised may be lost", "treat the disk as lost: move the data directory away, then quorate backup restore, if there is a backup, and quorate node recover";
    Amnesia = "Q0807", exit 9, "this node has forgotten votes", "other members hold votes of this node that its log lacks: the store is older than the node's promises", "it keeps running as a learner; restore the right disk, or move the data directory away: quorate node recover";
}

impl ErrorCode {
    /// The code, `Q` and four digits.
    pub const fn code(self) -> &'static str {
        self.text().code
    }

    /// The exit code of the command line.
    pub const fn exit(self) -> u8 {
        self.text().exit
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for ErrorCode {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.code().eq_ignore_ascii_case(text)).ok_or(())
    }
}

#[cfg(test)]
mod tests;
