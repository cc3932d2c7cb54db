//! A limit on everything, with its reason. Limits that the replicas must agree on are
//! [`crate::genesis::Parameters`]; these are the bounds within which a genesis may choose, and local ones.

/// Members of one epoch: bitmaps of members fit `u128`, and view changes were sized for 100 (M4).
pub const MAX_MEMBERS: u16 = 100;
/// Slots of the window `L`: a VIEW-CHANGE carries up to this many prepared certificates.
pub const MAX_WINDOW: u64 = 256;
/// Parts that a state is cut into at most (T2).
pub const MAX_STATE_PARTS: usize = 4_096;
/// Bytes of keys and values that a part of a state has on average, about, unless it would be too many parts (T2).
pub const STATE_PART_BYTES: usize = 64 * 1024;
/// A block without a certificate is served if a later one within so many windows has one (M8). Certificates are further
/// apart only where a replica learned several windows of blocks from others that lacked the same ones.
pub const LINK_WINDOWS: u32 = 4;
/// Headers between a certificate and a block that it proves, with the largest window.
pub const MAX_LINKS: u64 = LINK_WINDOWS as u64 * MAX_WINDOW;
/// Bytes of one transaction, signature included: a batch holds at least four.
pub const MAX_TRANSACTION_BYTES: u32 = 256 * 1024;
/// Transactions of one batch: bounds the work that one proposal may ask for.
pub const MAX_BATCH_TRANSACTIONS: u32 = 2_000;
/// Bytes of one batch: bounds the time that one proposal occupies a link.
pub const MAX_BATCH_BYTES: u32 = 1024 * 1024;
/// Bytes of a key: keys are hashed into the tree and repeated in proofs.
pub const MAX_KEY_BYTES: usize = 1024;
/// Bytes of a topic's name.
pub const MAX_TOPIC_BYTES: usize = 255;
/// Bytes of an application's name.
pub const MAX_APP_BYTES: usize = 32;
/// Operations of one transaction: bounds the execution time of one transaction.
pub const MAX_OPERATIONS: usize = 1_024;
/// Bytes of output of one transaction: any stored value can be read by one operation, and nothing much larger made.
pub const MAX_OUTPUT_BYTES: usize = MAX_TRANSACTION_BYTES as usize + 1_024;
/// Bytes of output of one block: outputs are stored with the block, and a short `get` can ask for a long value.
pub const MAX_BLOCK_OUTPUT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of output that every transaction may have whatever stands before it in the block: more than
/// [`MAX_OPERATIONS`] outputs without values need.
pub const MIN_OUTPUT_BYTES: usize = 10 * 1024;
/// Sessions looked at for eviction in one block: twice what one block can open, so that eviction keeps up.
pub const MAX_SESSION_REVIEWS: usize = 2 * MAX_BATCH_TRANSACTIONS as usize;
/// Entries that one `list` or range read may return.
pub const MAX_LIST_ENTRIES: usize = 1_000;
/// Keys registered in one genesis, clients and operators each.
pub const MAX_GENESIS_KEYS: usize = 10_000;
/// Changes of the members that are proposed and not decided (G0): each is a leaf of the state.
pub const MAX_PROPOSALS: usize = 64;
/// How long a proposed change of the members may wait for approvals, in ledger time (G0).
pub const PROPOSAL_LASTS_MS: u64 = 86_400_000;
/// Bytes of an address of a member.
pub const MAX_ADDRESS_BYTES: usize = 256;
/// Bytes of a name in a genesis (ledger, member, client).
pub const MAX_NAME_BYTES: usize = 64;
/// The session window `W` a genesis may choose: its bitmap is part of the state.
pub const MAX_SESSION_WINDOW: u32 = 1_024;
/// Requests of one sender in custody (C2): one client cannot fill the custody of all.
pub const CUSTODY_REQUESTS_PER_SENDER: usize = 1_024;
/// Bytes of one sender in custody (C2).
pub const CUSTODY_BYTES_PER_SENDER: usize = 4 * 1024 * 1024;
/// Bytes in custody altogether (C2).
pub const CUSTODY_BYTES: usize = 64 * 1024 * 1024;
/// Requests in custody on the word of one forwarding peer (C2): a liar cannot crowd out direct clients.
pub const CUSTODY_REQUESTS_PER_PEER: usize = 16_384;
/// Slots described in one STATUS (R1): more repair follows in the next one.
pub const STATUS_SLOTS: usize = 16;
/// Messages buffered per peer for views not yet reached (R2).
pub const FUTURE_MESSAGES_PER_PEER: usize = 64;
/// Blocks in one answer to a FETCH (T).
pub const FETCH_BLOCKS: usize = 32;
/// Bytes of blocks in one answer to a FETCH: the first block is always sent.
pub const FETCH_BYTES: usize = 2 * 1024 * 1024;
/// Streams a client may have in flight per SubmitStream.
pub const SUBMITS_IN_FLIGHT: usize = 1_024;
/// Blocks kept in memory with their certificates for receipts and repair.
pub const RECENT_BLOCKS: usize = 512;
/// The version of every file, frame and preface.
pub const FORMAT: u32 = 1;
