#!/usr/bin/python3
"""Fills a database for the benchmark: generate.py URI DATABASE [DOCUMENTS]

users         a twentieth of that many small documents
transactions  documents of seven fields and some 155 bytes; userId is the ObjectId of a user
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


def main():
    uri, database = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000000
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=30000)
    client.drop_database(database)
    for name, documents in (("users", users(count // 20)), ("transactions", transactions(count, count // 20))):
        batch = []
        for document in documents:
            batch.append(document)
            if len(batch) == 20000:
                client[database][name].insert_many(batch, ordered=False)
                batch = []
        if batch:
            client[database][name].insert_many(batch, ordered=False)


main()
