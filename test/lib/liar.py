#!/usr/bin/python3
"""A server that speaks MongoDB's protocol, and answers commands with what it is told to.

liar.py PORT   each line of standard input is {command: reply, ...} in Extended JSON, the answers from then on; prints a
line when it listens, and when it knows them. What is not among them is answered as by an empty standalone; the answer
to hello is laid over that one's, and null takes a field out. seen: answers with the command before.
"""
import socketserver
import struct
import sys
import threading

import bson
from bson import json_util

answers = {}
seen = []
STANDALONE = {"ok": 1.0, "helloOk": True, "ismaster": True, "isWritablePrimary": True, "maxWireVersion": 17,
              "minWireVersion": 0, "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000,
              "maxWriteBatchSize": 100000, "logicalSessionTimeoutMinutes": 30, "readOnly": False}


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
        answers = json_util.loads(line)
        print("known", flush=True)
