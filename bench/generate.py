#!/usr/bin/python3
"""Fills a database for the benchmark: generate.py URI DATABASE [DOCUMENTS [SMALL]]

users         a twentieth of that many small documents
transactions  documents of seven fields and some 155 bytes; userId is the ObjectId of a user
orders        a fifth of that many documents of a user, each with an array of 3 or 4 items and one of one key
small         so many documents of three fields, and some 45 bytes; none by default
"""
import datetime
import struct
import sys

import bson
import pymongo
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument


def object_id(collection, number):
    return ObjectId(struct.pack(">IQ", 1700000000 + number // 1000, collection << 40 | number))


def users(count):
    for number in range(count):
        yield {"_id": object_id(1, number), "name": "user %d" % number}


def transactions(count, user_count):
    """Documents from one template, patched in place: pymongo's encoder would take longer than the benchmark."""
    template = {"_id": object_id(2, 0), "userId": object_id(1, 0), "amount": 0.0, "currency": "EUR",
                "status": "settled", "createdAt": datetime.datetime(2024, 1, 1), "note": "0" * 24}
    data = bytearray(bson.encode(template))
    at = {name: data.index(name.encode() + b"\0") + len(name) + 1 for name in template}
    for number in range(count):
        mixed = number * 2654435761 % 2 ** 32
        data[at["_id"]:at["_id"] + 12] = object_id(2, number).binary
        data[at["userId"]:at["userId"] + 12] = object_id(1, mixed % user_count).binary
        data[at["amount"]:at["amount"] + 8] = struct.pack("<d", mixed % 1000000 / 100)
        data[at["createdAt"]:at["createdAt"] + 8] = struct.pack("<q", 1700000000000 + number * 37)
        data[at["note"] + 4:at["note"] + 28] = b"%024d" % mixed
        yield RawBSONDocument(bytes(data))


def orders(count, user_count):
    for number in range(count):
        mixed = number * 2654435761 % 2 ** 32
        yield {"_id": object_id(3, number), "userId": object_id(1, mixed % user_count), "total": mixed % 100000 / 100,
               "placedAt": datetime.datetime(2024, 1, 1) + datetime.timedelta(seconds=number),
               "items": [{"sku": "sku %d" % (mixed % 1000 + i), "quantity": i + 1, "price": mixed % 10000 / 100}
                         for i in range(3 + number % 2)],
               "keys": ["key %d" % number]}


def small(count):
    """As transactions(): one template, patched in place."""
    data = bytearray(bson.encode({"_id": object_id(4, 0), "n": 0, "at": datetime.datetime(2024, 1, 1)}))
    at = {name: data.index(name.encode() + b"\0") + len(name) + 1 for name in ("_id", "n", "at")}
    for number in range(count):
        data[at["_id"]:at["_id"] + 12] = object_id(4, number).binary
        data[at["n"]:at["n"] + 4] = struct.pack("<i", number)
        data[at["at"]:at["at"] + 8] = struct.pack("<q", 1700000000000 + number * 37)
        yield RawBSONDocument(bytes(data))


def main():
    uri, database = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000000
    small_count = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=30000)
    client.drop_database(database)
    for name, documents in (("users", users(count // 20)), ("transactions", transactions(count, count // 20)),
                            ("orders", orders(count // 5, count // 20)), ("small", small(small_count)),
                            ("small_tenth", small(small_count // 10))):
        batch = []
        for document in documents:
            batch.append(document)
            if len(batch) == 20000:
                client[database][name].insert_many(batch, ordered=False)
                batch = []
        if batch:
            client[database][name].insert_many(batch, ordered=False)


main()
