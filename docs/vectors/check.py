#!/usr/bin/env python3
"""Makes the bytes of the vectors beside it from docs/formats.md alone: a second reading of that page.

Signatures are not checked here: Python has no Ed25519 of its own.
"""

import json
import struct
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent


def load(name):
    return json.loads((HERE / name).read_text())


def h(data):
    return sha256(data).digest()


def tag(text):
    return text.encode() + b"\0"


def u16(number):
    return struct.pack(">H", number)


def u32(number):
    return struct.pack(">I", number)


def u64(number):
    return struct.pack(">Q", number)


def short(data):
    return u16(len(data)) + data


def long(data):
    return u32(len(data)) + data


def d(byte):
    return bytes([byte]) * 32


def equal(what, ours, theirs):
    ours = ours.hex() if isinstance(ours, bytes) else ours
    if ours != theirs:
        raise SystemExit(f"{what} differs:\n  from the page {ours}\n  the vector    {theirs}")


KEY, VALUE = b"k", b"value"


def statements():
    file = load("statements.json")
    head = bytes.fromhex(file["ledger"]) + u64(file["epoch"])
    slot = u64(3) + u64(258)
    expected = [
        ("pre-prepare", slot + d(0xA1)),
        ("prepare", slot + d(0xA1)),
        ("commit", slot + d(0xA1)),
        ("attest", u64(258) + d(0xA2)),
        ("checkpoint", u64(256) + d(0xA3)),
        ("view-change", u64(3) + u64(256) + d(0xA4) + d(0xA5)),
        (
            "new-view",
            u64(3) + u32(2) + u16(0) + d(0xA6) + u16(2) + d(0xA7) + u64(256) + u32(1) + d(0xA8),
        ),
    ]
    for (kind, fields), vector in zip(expected, file["statements"], strict=True):
        equal(kind, tag(f"quorate/{kind}/v1") + head + fields, vector["signed_bytes"])


def transactions():
    file = load("transactions.json")
    ops = [
        b"\1" + short(KEY) + long(VALUE),
        b"\2" + short(KEY),
        b"\3" + short(KEY),
        b"\4" + short(KEY) + b"\1" + long(b"old") + long(VALUE),
        b"\4" + short(KEY) + b"\0" + long(VALUE),
        b"\5" + short(KEY) + long(VALUE),
        b"\6" + short(b"t") + long(b"entry"),
    ]
    payloads = [u32(1) + op for op in ops] + [u32(0), u32(len(ops)) + b"".join(ops)]
    head = tag("quorate/tx/v1") + bytes.fromhex(file["ledger"]) + bytes.fromhex(file["sender"])
    head += u64(file["session"]) + u64(file["number"]) + u64(file["valid_until_ms"]) + short(b"kv")
    for payload, vector in zip(payloads, file["transactions"], strict=True):
        equal(vector["what"], head + long(payload), vector["signed_bytes"])
        equal(vector["what"] + ": id", h(head + long(payload)), vector["id"])


def results():
    file = load("results.json")
    head = bytes.fromhex(file["id"])
    stored = u64(12) + u32(3) + long(VALUE)
    outputs = u32(5) + b"\0\0" + b"\0\1" + b"\1" + b"\2" + stored + b"\3" + u64(4)
    equal("outputs", outputs, file["outputs"])
    found = u32(1) + b"\2" + stored
    expected = [head + b"\0" + long(outputs), head + b"\0" + long(b"")]
    expected += [head + b"\1" + bytes([reason]) + u32(1) + long(found) for reason in range(1, 6)]
    expected += [head + b"\2" + bytes([reason]) for reason in range(1, 8)]
    for leaf, vector in zip(expected, file["leaves"], strict=True):
        equal(vector["what"], leaf, vector["bytes"])


def split_tree(leaves):
    if not leaves:
        return h(b"")
    if len(leaves) == 1:
        return h(b"\0" + leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return h(b"\1" + split_tree(leaves[:half]) + split_tree(leaves[half:]))


def merkle_root(leaves):
    return h(tag("quorate/merkle/v1") + u32(len(leaves)) + split_tree(leaves))


def blocks():
    file = load("blocks.json")
    equal("null batch", h(tag("quorate/null-batch/v1")), file["null_batch_digest"])
    first = load("transactions.json")["transactions"][:2]
    leaves = [bytes.fromhex(one["id"]) + bytes.fromhex(one["signature"]) for one in first]
    time = u64(file["batch"]["time_ms"])
    batch = tag("quorate/batch/v1") + time + u32(2) + b"".join(leaves)
    equal("batch", h(batch), file["batch"]["digest"])
    equal("transactions root", merkle_root(leaves), file["batch"]["transactions_root"])
    header = tag("quorate/header/v1") + d(0x11) + u64(0) + u64(2) + d(0xC1) + u64(1_700_000_000_000)
    header += b"".join(d(byte) for byte in range(0xC2, 0xC7)) + u32(2)
    equal("header", h(header), file["header"]["hash"])
    for vector in load("merkle.json"):
        leaves = [bytes.fromhex(leaf) for leaf in vector["leaves"]]
        equal(f"tree of {len(leaves)}", merkle_root(leaves), vector["root"])


def signatures(count):
    return u32(count) + b"".join(u16(one) + bytes([0xD0 + one]) * 64 for one in range(count))


def view_changes():
    file = load("view-changes.json")
    equal("genesis as base", tag("quorate/base-proof/v1") + b"\0", file["genesis_base_proof"]["bytes"])
    base = tag("quorate/base-proof/v1") + b"\1" + u64(0) + u64(256) + d(0xD8) + b"\1" + signatures(3)
    equal("base proof", base, file["base_proof"]["bytes"])
    entry = u64(0) + u64(1) + u64(257) + d(0xD9) + bytes([0xDA]) * 64 + signatures(2)
    prepared = tag("quorate/prepared-set/v1") + u32(1) + entry
    equal("prepared set", prepared, file["prepared"]["bytes"])
    signed = tag("quorate/view-change/v1") + d(0x11) + u64(0) + u64(2) + u64(256) + h(base) + h(prepared)
    name = tag("quorate/view-change-digest/v1") + u16(1) + long(signed)
    equal("name of a view change", name, file["name"]["bytes"])


def state():
    file = load("state.json")
    key = d(0xE1)
    keys = [
        b"\0\1" + key,
        b"\0\2" + key,
        b"\0\3" + key + u64(7),
        b"\0\4" + key,
        b"\0\5" + u64(99) + key + u64(7),
        b"\2kv\1k",
        b"\2kv\2t",
    ]
    for ours, vector in zip(keys, file["keys"], strict=True):
        equal(vector["what"], ours, vector["bytes"])
        equal(vector["what"] + ": place", h(tag("quorate/state-key/v1") + ours), vector["place"])
    equal("session", u64(3) + u64(44) + short(bytes([2, 1])), file["session"])
    entry = tag("quorate/topic/v1") + bytes(32) + u64(0) + h(b"entry")
    equal("topic", u64(1) + h(entry), file["topic"])
    equal("stored value", u64(12) + u32(3) + long(VALUE), file["stored_value"])
    left = h(tag("quorate/state-leaf/v1") + d(0xE2) + d(0xE3))
    right = h(tag("quorate/state-leaf/v1") + d(0xE4) + d(0xE5))
    equal("leaf", left, file["leaves"][0]["hash"])
    equal("node", h(tag("quorate/state-node/v1") + left + right), file["node_of_both"])


for part in (statements, transactions, results, blocks, view_changes, state):
    part()
print("the vectors are what docs/formats.md says")
