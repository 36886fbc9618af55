#!/usr/bin/python3
"""A server that speaks MongoDB's protocol, and answers commands with what it is told to.

liar.py PORT   each line of standard input is {command: reply, ...} in Extended JSON, the answers from then on; prints a
line when it listens, and when it knows them. What is not among them is answered as by an empty standalone; the answer
to hello is laid over that one's, and null takes a field out. seen: answers with the command before. A document {$deep: n} is
the tree {c: [{c: [...]}]} of so many levels, of _id 1.
"""
import json
import socketserver
import struct
import sys
import threading

import bson
from bson import json_util
from bson.raw_bson import RawBSONDocument

answers = {}
seen = []
STANDALONE = {"ok": 1.0, "helloOk": True, "ismaster": True, "isWritablePrimary": True, "maxWireVersion": 17,
              "minWireVersion": 0, "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000,
              "maxWriteBatchSize": 100000, "logicalSessionTimeoutMinutes": 30, "readOnly": False}


def deep(levels):
    """A tree that is deeper than what encoders make."""
    parts = [b"\x10_id\0\1\0\0\0"]
    for level in range(levels, 0, -1):    # each has 16 bytes, and the innermost document 5
        parts.append(struct.pack("<3si3si", b"\x04c\0", 16 * level - 3, b"\x030\0", 16 * level - 11))
    parts.append(b"\0\0" * levels)
    body = b"".join(parts)
    return RawBSONDocument(struct.pack("<i", len(body) + 5) + body + b"\0")


def said(pairs):
    """An object of an answer."""
    return deep(pairs[0][1]) if pairs and pairs[0][0] == "$deep" else json_util.object_pairs_hook(pairs, json_util.DEFAULT_JSON_OPTIONS)


def answer(command):
    """The reply to a command, without the fields that every one may have."""
    name = next(iter(command))
    if name.lower() in ("hello", "ismaster"):
        return {key: value for key, value in (STANDALONE | answers.get("hello", {})).items() if value is not None}
    if name == "seen":
        return {"ok": 1.0, "seen": seen[-1]}
    seen.append(command)
    return answers.get(name, {"ok": 1.0, "cursor": {"id": bson.Int64(0), "ns": "d.c", "firstBatch": []}})


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while header := self.rfile.read(16):
            length, request, _, operation = struct.unpack("<iiii", header)
            body = self.rfile.read(length - 16)
            if operation == 2004:      # OP_QUERY, of the first hello: flags, collection, skip, limit, command
                command = bson.decode(body[body.index(b"\0", 4) + 9:])
                reply, operation = struct.pack("<iqii", 8, 0, 0, 1), 1
            else:                      # OP_MSG: flags, a section of kind 0, and maybe one of the documents to write
                command = bson.decode(body[5:5 + struct.unpack("<i", body[5:9])[0]])
                reply = struct.pack("<iB", 0, 0)
            reply += bson.encode(answer(command))
            self.wfile.write(struct.pack("<iiii", 16 + len(reply), 1, request, operation) + reply)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server(("127.0.0.1", int(sys.argv[1])), Connection) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("listening", flush=True)
    for line in sys.stdin:
        answers = json.loads(line, object_pairs_hook=said)
        print("known", flush=True)
