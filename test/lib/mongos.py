#!/usr/bin/python3
"""A proxy before a mongod of a replica set, which answers as mongos does where the two differ.

mongos.py PORT MONGOD_PORT   prints a line when it listens, and ends with its standard input. Each line of that is answered:
asked   how many commands it has had that only it could answer: getMores, and statements of transactions
die     known; it ends when mongod has answered the next commitTransaction, which nobody is told

It is one router of a cluster of two shards, all of whose data the one mongod has:
- hello says msg: isdbgrid, and nothing of a replica set;
- cursors and transactions are known to the router that began them alone. Another one answers getMore with CursorNotFound, and a
  statement of a transaction with NoSuchTransaction; by the recoveryToken it learns what became of one that was being committed, and
  ends one that was not;
- documents come in the order of no index unless find asks for a sort;
- count and $collStats answer for each shard; serverStatus knows no oplog;
- an aggregate over a database that is not there yields nothing, unless it opens a change stream;
- commands of replica sets and of single members are refused.
What it does not do: route by shard keys, refuse writes that lack them, join in pieces.
"""
import os
import socket
import socketserver
import struct
import sys
import threading

import bson
from bson.binary import STANDARD

OPTIONS = bson.CodecOptions(uuid_representation=STANDARD)    # else ids of sessions are not sent as they came
TRANSACTION_ERRORS = {"errorLabels": ["TransientTransactionError"]}
OF_A_MEMBER = ("hosts", "setName", "setVersion", "primary", "me", "electionId", "lastWrite", "secondary", "isreplicaset")
NOT_HERE = {"replSetGetStatus", "replSetGetConfig", "replSetStepDown", "replSetInitiate", "applyOps", "dbHash", "top"}

asked = [0]
last_commit = threading.Event()
cursors = set()
transactions = {}    # lsid -> txnNumber


def elements(document, start=0):
    """The elements of a document: type, name, the places where the element, its value and the next one begin."""
    end = start + struct.unpack_from("<i", document, start)[0] - 1
    place = start + 4
    while place < end:
        kind = document[place]
        zero = document.index(b"\0", place + 1)
        value = zero + 1
        if kind in (0x03, 0x04, 0x0F):
            after = value + struct.unpack_from("<i", document, value)[0]
        elif kind in (0x02, 0x0D, 0x0E):
            after = value + 4 + struct.unpack_from("<i", document, value)[0]
        elif kind == 0x05:
            after = value + 5 + struct.unpack_from("<i", document, value)[0]
        elif kind in (0x01, 0x09, 0x11, 0x12):
            after = value + 8
        elif kind == 0x13:
            after = value + 16
        elif kind == 0x07:
            after = value + 12
        elif kind == 0x08:
            after = value + 1
        elif kind == 0x10:
            after = value + 4
        elif kind == 0x0B:
            after = document.index(b"\0", document.index(b"\0", value) + 1) + 1
        else:
            after = value
        yield kind, document[place + 1:zero], place, value, after
        place = after


def field(document, name, start=0):
    """Where the value of a field begins and ends, or None."""
    for _, key, _, value, after in elements(document, start):
        if key == name:
            return value, after
    return None


def with_fields(reply, more):
    """A reply with more fields."""
    body = reply[4:-1] + bson.encode(more)[4:]
    return struct.pack("<i", len(body) + 4) + body


def without_field(message, name):
    """A message whose command lacks a field."""
    size = struct.unpack_from("<i", message, 5)[0]
    for _, key, place, _, after in elements(message, 5):
        if key == name:
            return message[:5] + struct.pack("<i", size - after + place) + message[9:place] + message[after:]
    return message


def cursor_of(reply):
    """Where the cursor of a reply is, and its id; None where it has none."""
    found = field(reply, b"cursor")
    place = found and field(reply, b"id", found[0])
    return (found[0], struct.unpack_from("<q", reply, place[0])[0]) if place else (None, 0)


def reversed_batch(reply):
    """A reply whose documents come in the other order."""
    cursor, _ = cursor_of(reply)
    batch = cursor and (field(reply, b"firstBatch", cursor) or field(reply, b"nextBatch", cursor))
    if not batch:
        return reply
    found = list(elements(reply, batch[0]))
    turned = b"".join(reply[place:value] + reply[of[3]:of[4]] for (_, _, place, value, _), of in zip(found, reversed(found)))
    return reply[:batch[0] + 4] + turned + reply[batch[1] - 1:]


def failure(code, name, text, **more):
    return bson.encode({"ok": 0.0, "errmsg": text, "code": code, "codeName": name, **more})


class Connection(socketserver.BaseRequestHandler):
    def setup(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.mongod = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
        self.mongod.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.orders = {}    # of the cursors: whether they are sorted

    def finish(self):
        self.mongod.close()

    @staticmethod
    def receive(source):
        """A message: its header and its body; None at the end."""
        parts = b""
        while len(parts) < 16:
            part = source.recv(16 - len(parts))
            if not part:
                return None, None
            parts += part
        length = struct.unpack_from("<i", parts)[0]
        body = bytearray()
        while len(body) < length - 16:
            part = source.recv(min(1 << 20, length - 16 - len(body)))
            if not part:
                return None, None
            body += part
        return parts, bytes(body)

    def ask(self, header, body):
        """What mongod answers to a message: the body of its own."""
        self.mongod.sendall(header + body)
        answer, reply = self.receive(self.mongod)
        if answer is None:
            raise ConnectionError
        return answer, reply

    def run(self, command):
        """What mongod answers to a command of this proxy's."""
        body = struct.pack("<iB", 0, 0) + bson.encode(command, codec_options=OPTIONS)
        return bson.decode(self.ask(struct.pack("<iiii", 16 + len(body), 1, 0, 2013), body)[1][5:])

    def handle(self):
        try:
            while True:
                header, body = self.receive(self.request)
                if header is None:
                    return
                operation = struct.unpack_from("<i", header, 12)[0]
                if operation == 2004:     # OP_QUERY, of the first hello; its reply has 20 bytes before the document
                    answer, reply = self.ask(header, body)
                    self.send(answer, reply[:20], self.hello(reply[20:]))
                    continue
                size = struct.unpack_from("<i", body, 5)[0]
                command = bson.decode(body[5:5 + size], OPTIONS)
                asked[0] += "getMore" in command or "autocommit" in command
                refused = self.refuse(command)
                if refused:
                    self.send(struct.pack("<iiii", 0, 1, struct.unpack_from("<i", header, 4)[0], 2013), b"\0" * 5, refused)
                    continue
                body = without_field(body, b"recoveryToken")
                header = struct.pack("<i", 16 + len(body)) + header[4:]
                answer, reply = self.ask(header, body)
                if last_commit.is_set() and "commitTransaction" in command:
                    os._exit(0)
                self.send(answer, reply[:5], self.change(command, reply[5:]))
        except OSError:
            return

    def send(self, header, head, document):
        self.request.sendall(struct.pack("<i", 16 + len(head) + len(document)) + header[4:] + head + document)

    @staticmethod
    def hello(reply):
        said = bson.decode(reply)
        if not said.get("ok"):
            return reply
        said = {key: value for key, value in said.items() if key not in OF_A_MEMBER} | {"msg": "isdbgrid"}
        return bson.encode(said | {"ismaster" if "ismaster" in said else "isWritablePrimary": True})

    def refuse(self, command):
        """mongos's own answer to a command that does not reach a shard; else None."""
        name = next(iter(command))
        if name in NOT_HERE:
            return failure(59, "CommandNotFound", "no such command: '%s'" % name)
        if command.get("autocommit") is False:
            refused = self.refuse_transaction(name, command)
            if refused:
                return refused
        if name == "getMore" and command[name] not in cursors:
            return failure(43, "CursorNotFound", "Cursor not found (id: %d)." % command[name])
        if name == "killCursors":
            unknown = [cursor for cursor in command["cursors"] if cursor not in cursors]
            if unknown:
                return bson.encode({"cursorsKilled": [], "cursorsNotFound": unknown, "cursorsAlive": [], "cursorsUnknown": [], "ok": 1.0})
        if name == "aggregate" and not any("$changeStream" in stage for stage in command["pipeline"][:1]) and not self.run(
                {"listDatabases": 1, "nameOnly": True, "filter": {"name": command["$db"]}, "$db": "admin"})["databases"]:
            return bson.encode({"cursor": {"id": bson.Int64(0), "ns": "%s.%s" % (command["$db"], command[name]), "firstBatch": []}, "ok": 1.0})
        return None

    def refuse_transaction(self, name, command):
        """mongos's own answer to a statement of a transaction that it has not begun; else None."""
        lsid, number = str(command["lsid"]["id"]), command["txnNumber"]
        if command.get("startTransaction"):
            transactions[lsid] = number
        elif transactions.get(lsid) != number:
            told = "cannot continue txnId %s for session %s with txnRetryCounter 0" % (transactions.get(lsid, -1), lsid)
            if name in ("commitTransaction", "abortTransaction") and command.get("recoveryToken"):
                ended = self.run({"abortTransaction": 1, "lsid": command["lsid"], "txnNumber": number, "autocommit": False, "$db": "admin"})
                if name == "commitTransaction" and ended.get("codeName") == "TransactionCommitted":
                    return bson.encode({"ok": 1.0, "recoveryToken": command["recoveryToken"]})
            return failure(251, "NoSuchTransaction", told, **TRANSACTION_ERRORS)
        return None

    def change(self, command, reply):
        """mongos's answer, of that of mongod."""
        name = next(iter(command))
        if name.lower() in ("hello", "ismaster"):
            return self.hello(reply)
        if name in ("find", "getMore", "aggregate", "listCollections", "listIndexes"):
            _, cursor = cursor_of(reply)
            asked = command.get(name)
            if name == "find" and "sort" not in command:
                reply = reversed_batch(reply)
                self.orders[cursor] = False
            elif name == "getMore" and self.orders.get(asked) is False:
                reply = reversed_batch(reply)
            if cursor:
                cursors.add(cursor)
            elif name == "getMore":
                cursors.discard(asked)
        if name == "killCursors":
            cursors.difference_update(command["cursors"])
        if name == "count" and field(reply, b"n"):
            said = bson.decode(reply)
            reply = bson.encode({"shards": {"one": said["n"] - said["n"] // 3, "two": said["n"] // 3}} | said)
        if name == "serverStatus":
            reply = bson.encode({key: value for key, value in bson.decode(reply).items() if key not in ("oplog", "repl", "wiredTiger")} | {"process": "mongos"})
        if name == "aggregate" and [list(stage) for stage in command.get("pipeline", [])] == [["$collStats"]]:
            reply = self.of_shards(reply)
        if command.get("autocommit") is False and bson.decode(reply).get("ok"):
            reply = with_fields(reply, {"recoveryToken": {"recoveryShardId": "one"}})
        return reply

    @staticmethod
    def of_shards(reply):
        """$collStats has a document for each shard."""
        said = bson.decode(reply)
        if said.get("ok") and said["cursor"]["firstBatch"]:
            whole = said["cursor"]["firstBatch"][0]
            stats = whole.get("storageStats", {})
            parts = []
            for shard, part in (("one", lambda n: n - n // 3), ("two", lambda n: n // 3)):
                parts.append(whole | {"shard": shard})
                if stats:
                    parts[-1]["storageStats"] = stats | {key: part(stats[key]) for key in ("count", "size") if key in stats}
            said["cursor"]["firstBatch"] = parts
        return bson.encode(said)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server(("127.0.0.1", int(sys.argv[1])), Connection) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("listening", flush=True)
    for line in sys.stdin:
        if line == "die\n":
            last_commit.set()
        print(asked[0], flush=True)
