"""Recomputes a seal from RFC 6962 and the descriptions of C2SP, without the code of the library.

Usage: second_implementation.py FOLDER EVENTS.json PROOF ... prints the size, the root and how many proofs hold.
"""

import base64
import hashlib
import json
import os
import sys


def sha(data):
    return hashlib.sha256(data).digest()


def merkle_tree_hash(leaves):
    """Section 2.1 of RFC 6962, as it is written there."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\0" + leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha(b"\1" + merkle_tree_hash(leaves[:k]) + merkle_tree_hash(leaves[k:]))


def index_path(index):
    groups = ["%03d" % (index % 1000)]
    while index >= 1000:
        index //= 1000
        groups.insert(0, "x%03d" % (index % 1000))
    return "/".join(groups)


def read_entries(folder, size):
    entries = []
    for bundle in range((size + 255) // 256):
        width = min(256, size - bundle * 256)
        path = os.path.join(folder, "tile/entries", index_path(bundle))
        with open(path if width == 256 else "%s.p/%d" % (path, width), "rb") as file:
            data = file.read()
        at = 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 2], "big")
            entries.append(data[at + 2 : at + 2 + length])
            at += 2 + length
    return entries


def verify_inclusion(leaf, index, size, path):
    """Section 2.1.3.2 of RFC 9162."""
    fn, sn, r = index, size - 1, sha(b"\0" + leaf)
    for p in path:
        assert sn != 0
        if fn & 1 or fn == sn:
            r = sha(b"\1" + p + r)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            r = sha(b"\1" + r + p)
        fn >>= 1
        sn >>= 1
    assert sn == 0
    return r


def main(folder, events, *proofs):
    with open(os.path.join(folder, "checkpoint"), encoding="utf-8") as file:
        checkpoint = file.read()
    _, size, root = checkpoint.split("\n")[:3]
    size = int(size)
    entries = read_entries(folder, size)
    assert len(entries) == size
    computed = base64.b64encode(merkle_tree_hash(entries)).decode()
    assert computed == root

    with open(os.path.join(folder, "private/seal.json"), encoding="utf-8") as file:
        salt_key = base64.b64decode(json.load(file)["saltKey"])
    with open(events, encoding="utf-8") as file:
        events = json.load(file)
    for index, (entry, event) in enumerate(zip(entries, events)):
        position = event.pop("position")
        event["schemaVersion"] = 1
        text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        salts = hashlib.shake_256(salt_key + b"salts %d" % (index // 256)).digest(4096)
        salt = salts[index % 256 * 16 :][:16].hex()
        digest = hashlib.sha256((salt + "\n" + text).encode()).hexdigest()
        open_part = {name: event[name] for name in ("actorId", "eventType", "timestamp", "version")}
        assert json.loads(entry) == {**open_part, "position": position, "digest": digest}, index

    for proof in proofs:
        with open(proof, encoding="utf-8") as file:
            head, _, note = file.read().partition("\n\n")
        assert note == checkpoint
        lines = head.split("\n")
        assert lines[0] == "c2sp.org/tlog-proof@v1"
        extra = json.loads(base64.b64decode(lines[1].split(" ")[1]))
        index = int(lines[2].split(" ")[1])
        leaf = extra["leaf"].encode()
        assert leaf == entries[index]
        path = [base64.b64decode(line) for line in lines[3:]]
        assert base64.b64encode(verify_inclusion(leaf, index, size, path)).decode() == root
        digest = hashlib.sha256((extra["salt"] + "\n" + extra["event"]).encode()).hexdigest()
        assert json.loads(leaf)["digest"] == digest
    print(size, computed, len(proofs), "proofs")


main(*sys.argv[1:])
