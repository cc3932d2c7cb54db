//! JSON Schemas of everything that `-o json` writes, and of the transaction file. Fields are only added within v1.

use serde_json::{Map, Value, json};

/// `(name of the schema, fields)`; a field that ends in `?` may be missing. Types are JSON Schema fragments by name.
type Fields = &'static [(&'static str, &'static str)];

const WRITTEN: Fields = &[
    ("txid", "hash"),
    ("outcome", "string"),
    ("height", "integer"),
    ("index", "integer"),
    ("block_time", "time"),
    ("signers", "integers"),
    ("outputs", "objects"),
    ("reason?", "string"),
    ("operation?", "integer"),
];
const BLOCK: Fields = &[
    ("height", "integer"),
    ("hash", "hash"),
    ("parent", "hash"),
    ("time", "time"),
    ("transactions_root", "hash"),
    ("results_root", "hash"),
    ("state_root", "hash"),
    ("batch_digest", "hash"),
    ("epoch", "integer"),
    ("signers", "strings"),
    ("certified", "boolean"),
    ("transactions", "objects"),
];
const GENESIS: Fields = &[
    ("name", "string"),
    ("ledger", "hash"),
    ("created", "time"),
    ("n", "integer"),
    ("f", "integer"),
    ("quorum", "integer"),
    ("crash_only", "boolean"),
    ("arithmetic", "string"),
    ("members", "objects"),
    ("clients", "integer"),
    ("registry", "string"),
];
const CHANGE: Fields = &[
    ("proposal", "hash"),
    ("height", "integer"),
    ("change", "string"),
    ("arithmetic", "string"),
    ("approvals", "any"),
    ("approvals_needed", "integer"),
    ("effective_from", "any"),
];
const LOCAL: Fields = &[("height", "integer"), ("consistency", "string")];

/// Every document: its name, a shared part, and its own fields.
const DOCUMENTS: &[(&str, Fields, Fields)] = &[
    ("block.list", &[("blocks", "objects")], &[]),
    (
        "backup.create",
        &[
            ("backup", "string"),
            ("ledger", "hash"),
            ("height", "integer"),
            ("had", "integer"),
            ("epoch", "integer"),
            ("header", "hash"),
            ("seconds", "number"),
        ],
        &[],
    ),
    ("backup.restore", &[("dir", "string"), ("store", "string"), ("height", "integer")], &[]),
    ("block.show", BLOCK, &[]),
    (
        "error",
        &[("code", "string"), ("what", "string"), ("why", "string"), ("fix", "strings"), ("exit", "integer")],
        &[("txid?", "hash")],
    ),
    (
        "explain",
        &[("code", "string"), ("what", "string"), ("why", "string"), ("fix", "string"), ("exit", "integer")],
        &[],
    ),
    ("explain.list", &[("codes", "objects")], &[]),
    ("genesis.check", GENESIS, &[("valid", "boolean")]),
    ("genesis.hash", &[("ledger", "hash")], &[]),
    ("genesis.new", GENESIS, &[("file", "string")]),
    ("genesis.show", GENESIS, &[]),
    (
        "health",
        &[("healthy", "boolean"), ("nodes", "objects")],
        &[("commit?", "object"), ("agreement?", "object")],
    ),
    ("key.new", &[("role", "string"), ("public", "string"), ("files", "strings")], &[]),
    ("key.show", &[("public", "string"), ("hex", "hash")], &[]),
    ("kv.cas", WRITTEN, &[]),
    ("kv.delete", WRITTEN, &[]),
    (
        "kv.get",
        LOCAL,
        &[
            ("key", "string"),
            ("value", "bytes"),
            ("revision", "string"),
            ("block_time", "time"),
            ("proof", "proof"),
        ],
    ),
    ("kv.list", LOCAL, &[("entries", "objects")]),
    ("kv.put", WRITTEN, &[]),
    ("member.approve", CHANGE, &[]),
    (
        "member.list",
        &[
            ("epoch", "integer"),
            ("height", "integer"),
            ("faults", "integer"),
            ("arithmetic", "string"),
            ("approvals_needed", "integer"),
            ("members", "objects"),
            ("epoch_ends_after", "any"),
            ("proposals", "objects"),
        ],
        &[],
    ),
    ("member.propose", CHANGE, &[]),
    ("member.ready", &[("ready", "string"), ("height", "integer")], &[]),
    ("member.withdraw", &[("proposal", "hash"), ("height", "integer")], &[]),
    ("node.init", &[("dir", "string"), ("store", "string")], &[]),
    (
        "node.recover",
        &[("step", "string"), ("store", "string")],
        &[("dir?", "string"), ("height?", "integer"), ("effective_from?", "integer"), ("epoch?", "integer")],
    ),
    (
        "receipt.show",
        WRITTEN,
        &[
            ("verified", "boolean"),
            ("ledger", "hash"),
            ("links", "integer"),
            ("certificate_height", "integer"),
            ("operations", "any"),
        ],
    ),
    (
        "debug.replay",
        &[
            ("inputs", "integer"),
            ("signatures", "integer"),
            ("member", "integer"),
            ("view", "integer"),
            ("executed", "integer"),
            ("cut_bytes", "integer"),
        ],
        &[],
    ),
    ("debug.show", &[("member", "integer"), ("started_ms", "integer"), ("inputs", "objects")], &[]),
    ("receipt.verify", WRITTEN, &[("valid", "boolean"), ("ledger", "hash")]),
    (
        "verify",
        &[
            ("valid", "boolean"),
            ("ledger", "hash"),
            ("blocks", "integer"),
            ("pruned", "integer"),
            ("certified", "integer"),
            ("head", "hash"),
            ("transactions", "integer"),
            ("certificates", "integer"),
            ("signatures", "integer"),
            ("fewest_signatures", "integer"),
            ("signers", "strings"),
            ("state", "string"),
            ("replayed", "boolean"),
            ("torn_bytes", "integer"),
            ("seconds", "number"),
            ("cpu_seconds", "number"),
        ],
        &[],
    ),
    ("verify.compare", &[("equal", "boolean"), ("blocks", "integer"), ("state", "string")], &[]),
    ("schema.list", &[("names", "strings")], &[]),
    (
        "status",
        &[
            ("ledger", "hash"),
            ("name", "string"),
            ("arithmetic", "string"),
            ("crash_only", "boolean"),
            ("present", "integer"),
            ("verdict", "string"),
            ("nodes", "objects"),
        ],
        &[],
    ),
    (
        "why",
        &[
            ("ledger", "hash"),
            ("commits", "string"),
            ("verdict", "string"),
            ("present", "integer"),
            ("arithmetic", "string"),
            ("findings", "objects"),
        ],
        &[],
    ),
    (
        "testnet.chaos",
        &[
            ("seed", "integer"),
            ("events", "objects"),
            ("acknowledged", "integer"),
            ("unknown", "integer"),
            ("longest_wait_ms", "integer"),
            ("checks", "strings"),
        ],
        &[],
    ),
    (
        "testnet.new",
        &[
            ("dir", "string"),
            ("name", "string"),
            ("ledger", "hash"),
            ("arithmetic", "string"),
            ("endpoints", "strings"),
        ],
        &[],
    ),
    ("testnet.status", &[("dir", "string"), ("nodes", "objects"), ("links", "objects")], &[]),
    ("topic.append", WRITTEN, &[]),
    ("topic.list", LOCAL, &[("topics", "objects")]),
    ("topic.read", LOCAL, &[("topic", "string"), ("entries", "objects")]),
    (
        "tx.bench",
        &[
            ("n", "integer"),
            ("f", "integer"),
            ("quorum", "integer"),
            ("clients", "integer"),
            ("keys", "integer"),
            ("size", "integer"),
            ("loop", "string"),
            ("seconds", "number"),
            ("committed", "integer"),
            ("others", "integer"),
            ("throughput", "number"),
            ("blocks", "integer"),
            ("latency_ms", "object"),
            ("replica_cpu_seconds_per_1000_txs", "number"),
        ],
        &[("floor?", "object")],
    ),
    ("tx.cancel", WRITTEN, &[]),
    (
        "tx.dry-run",
        &[
            ("txid", "hash"),
            ("session", "string"),
            ("number", "integer"),
            ("valid_until", "time"),
            ("hex", "string"),
        ],
        &[],
    ),
    (
        "tx.show",
        WRITTEN,
        &[
            ("sender", "string"),
            ("session", "string"),
            ("number", "integer"),
            ("valid_until", "time"),
            ("app", "string"),
            ("operations", "any"),
        ],
    ),
    ("tx.status", WRITTEN, &[]),
    ("tx.submit", WRITTEN, &[]),
    (
        "version",
        &[
            ("version", "string"),
            ("format", "integer"),
            ("os", "string"),
            ("arch", "string"),
            ("mutants", "boolean"),
        ],
        &[],
    ),
];

fn fragment(kind: &str) -> Value {
    match kind {
        "hash" => json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
        "time" => json!({ "type": "string", "format": "date-time" }),
        "bytes" => json!({
            "description": "text if it is UTF-8, else {\"hex\": ...}",
            "oneOf": [{ "type": "string" }, { "type": "object", "required": ["hex"] }],
        }),
        "integers" => json!({ "type": "array", "items": { "type": "integer" } }),
        "strings" => json!({ "type": "array", "items": { "type": "string" } }),
        "objects" => json!({ "type": "array", "items": { "type": "object" } }),
        "proof" => json!({ "type": ["object", "null"] }),
        "any" => json!(true),
        plain => json!({ "type": plain }),
    }
}

fn document_schema(name: &str, fields: impl Iterator<Item = &'static (&'static str, &'static str)>) -> Value {
    let mut properties = Map::new();
    let mut required = vec!["schema".to_owned()];
    properties.insert("schema".to_owned(), json!({ "const": format!("quorate.{name}.v1") }));
    for (field, kind) in fields {
        let optional = field.ends_with('?');
        let field = field.trim_end_matches('?').to_owned();
        if !optional {
            required.push(field.clone());
        }
        properties.insert(field, fragment(kind));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("quorate.{name}.v1"),
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

/// The input of `tx submit`.
fn transaction_schema() -> Value {
    let bytes = fragment("bytes");
    let operation = |name: &str, fields: &[&str]| {
        let properties: Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), bytes.clone())).collect();
        json!({
            "type": "object", "additionalProperties": false, "required": [name],
            "properties": { name: { "type": "object", "additionalProperties": false, "properties": properties,
                "required": fields.iter().filter(|field| **field != "expect").collect::<Vec<_>>() } },
        })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "transaction file",
        "description": "operations of one transaction: all take effect, or none; cas without expect needs the key to be absent",
        "type": "object",
        "additionalProperties": false,
        "required": ["operations"],
        "properties": { "operations": { "type": "array", "items": { "oneOf": [
            operation("put", &["key", "value"]),
            operation("put-if-absent", &["key", "value"]),
            operation("get", &["key"]),
            operation("delete", &["key"]),
            operation("cas", &["key", "expect", "value"]),
            operation("append", &["topic", "entry"]),
        ] } } },
    })
}

/// The names of all schemas.
pub(crate) fn names() -> Vec<String> {
    let documents = DOCUMENTS.iter().map(|(name, ..)| (*name).to_owned());
    documents.chain(["transaction".to_owned()]).collect()
}

/// A schema by its name, with or without `quorate.` and `.v1`.
pub(crate) fn find(name: &str) -> Option<Value> {
    let name = name.trim_start_matches("quorate.").trim_end_matches(".v1");
    if name == "transaction" {
        return Some(transaction_schema());
    }
    let (name, shared, own) = DOCUMENTS.iter().find(|(known, ..)| *known == name)?;
    Some(document_schema(name, shared.iter().chain(own.iter())))
}
