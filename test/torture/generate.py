#!/usr/bin/python3
"""Makes the torture database: documents of the shapes that real databases have.

generate.py URI DATABASE

The documents depend on nothing but this script.  compare.py works out the rows
that they must become.
"""
import datetime
import random
import sys

from bson import Binary, Decimal128, Int64, ObjectId
from pymongo import MongoClient

PEOPLE = 400
ORDERS = 600
TAGS = 12
EPOCH = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
NAMES = ["Ada", "Zoë", "O'Hara", "d\"Arc", "a\\b", "two\nlines", "tab\there", "日本", "😀", " space ", "NULL", "\\N", "{}", "%s", "é́"]


def oid(kind, n):
    """The same ObjectIds each time; nothing in them tells of the order of documents."""
    return ObjectId("%02x%06x%016x" % (kind, (n * 7919) % 2 ** 24, n))


def tag(n):
    return {"_id": oid(1, n), "n": n, "name": "tag %d" % n}


def tree(draw, depth):
    """Folders in folders; deeper ones have a field of their own."""
    folders = []
    for i in range(draw.choice([0, 1, 2, 3] if depth else [1, 2])):
        folder = {"name": "f%d" % draw.randrange(1000), "size": draw.randrange(100)}
        if depth > 1 and draw.random() < 0.3:
            folder["deep"] = depth
        if depth < 6 and draw.random() < 0.6:
            folder["folders"] = tree(draw, depth + 1)
        folders.append(folder)
    return folders


def person(n):
    draw = random.Random(n)
    document = {
        "_id": oid(2, n), "n": n, "email": "p%d@example.org" % n, "number": Int64(n * 1009 + 7),
        "kind": "firm" if n % 5 == 0 else "person", "name": draw.choice(NAMES) + " %d" % n,
        "status": draw.choice(["new", "active", "blocked"]),
        "first name": "F%d" % n, "\ufeffbom": n,
        "note": "x" * draw.randrange(0, 300),
        "expires": EPOCH + datetime.timedelta(days=draw.randrange(-300, 300)),
        # One number in three BSON types, one date as a double now and then.
        "balance": [n, n / 4, Int64(2 ** 40 + n), Decimal128("%d.12345678901234567890" % n)][n % 4],
        "seen": float(1700000000000 + n * 1000) if n % 10 == 0 else EPOCH + datetime.timedelta(milliseconds=n * 12345678),
        # Two references to one collection, one by text; some lead nowhere.
        "friend": oid(2, draw.randrange(PEOPLE)), "rival": oid(2, draw.randrange(PEOPLE)) if n % 3 else None,
        "bossHex": str(oid(2, draw.randrange(PEOPLE))) if n % 20 else str(oid(9, n)),
        "tagIds": [oid(1, draw.randrange(TAGS)) for _ in range(draw.randrange(4))],
        "methods": draw.sample(["email", "sms", "push", "post, by hand"], draw.randrange(4)),
        "devices": [{"os": draw.choice(["a", "i"]), "flags": {"on": draw.random() < 0.5, "n": i}}
                    for i in range(draw.randrange(3))],
        "scores": draw.sample([1, "one", {"x": 1}, True, None, 2.5], draw.randrange(6)),
        "visits": {"2024-%02d-%02d" % (draw.randrange(1, 13), draw.randrange(1, 29)): draw.randrange(100)
                   for _ in range(draw.randrange(5))},
        "folders": tree(draw, 0),
        "matrix": [[draw.randrange(9) for _ in range(draw.randrange(3))] for _ in range(draw.randrange(3))],
        "odd": {"a.b": n, "$price": n / 100, "c d": None if n % 2 else "x"},
    }
    if n % 4:
        document["address"] = {"city": "City %d" % (n % 7), "zip": "%05d" % n,
                               "geo": {"lat": n / 8, "lng": -n / 16}}
    elif n % 8 == 0:
        document["address"] = None
    if n % 50 == 0:
        document["rare"] = "seldom"
    if n % 7 == 0:
        document["born"] = None
    elif n % 7 > 1:
        document["born"] = datetime.datetime(1950, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(days=40 * n)
    if n % 100 == 3:
        document["tagIds"].append(oid(9, n))
    return document


def order(n):
    draw = random.Random(-n - 1)
    return {
        "_id": {"country": draw.choice(["DE", "FR", "JP"]), "n": n}, "n": n,
        "person": str(oid(2, draw.randrange(PEOPLE))),
        "email": "p%d@example.org" % draw.randrange(PEOPLE) if n % 30 else "gone%d@example.org" % n,
        "total": draw.randrange(100000) / 100, "placed": EPOCH + datetime.timedelta(minutes=n),
        "items": [{"sku": "s%d" % draw.randrange(50), "qty": draw.randrange(1, 9),
                   "parcels": [{"code": "c%d" % draw.randrange(100), "days": [draw.randrange(7) for _ in range(draw.randrange(3))]}
                               for _ in range(draw.randrange(3))]} for _ in range(draw.randrange(4))],
        "history": [[{"state": draw.choice(["in", "out"]), "step": i} for i in range(draw.randrange(3))]
                    for _ in range(draw.randrange(3))],
        "paid": {str(oid(2, draw.randrange(PEOPLE))): draw.randrange(500) for _ in range(draw.randrange(3))},
    }


def mixed():
    """_id of every type that documents have it in."""
    ids = [1, 2.5, Int64(2 ** 60), Decimal128("3.14"), "text", "", "1", "é", True, False, ObjectId("0" * 24),
           EPOCH, Binary(b"\x01\x02", 0), Binary(bytes(range(16)), 4), {"a": 1, "b": 2}, {"b": 2, "a": 1}, {}, None]
    return [{"_id": key, "n": n} for n, key in enumerate(ids)]


def insert(database, name, documents):
    """As a command: older drivers refuse keys with dots."""
    for i in range(0, len(documents), 100):
        database.command("insert", name, documents=documents[i:i + 100])


def main():
    client = MongoClient(sys.argv[1], tz_aware=True)
    client.drop_database(sys.argv[2])
    database = client[sys.argv[2]]
    insert(database, "tags", [tag(n) for n in range(TAGS)])
    people = [person(n) for n in range(PEOPLE)]
    random.Random(1).shuffle(people)
    insert(database, "people", people)
    insert(database, "orders", [order(n) for n in range(ORDERS)])
    insert(database, "mixed", mixed())
    database.people.create_index("email", unique=True)
    database.people.create_index("number", unique=True)
    database.people.create_index([("kind", 1), ("status", -1)])
    database.orders.create_index([("placed", -1), ("person", 1)])
    database.orders.create_index("items.sku")


main()
