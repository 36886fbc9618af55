#!/usr/bin/python3
"""Fills a MongoDB database with a small company's data, as messy as real ones.

generate.py URI DATABASE [SCALE]      SCALE 1 (the default): 15,000 users

The same seed gives the same documents, ids included. Collections:

tags          a few labels
users         emails missing or null, phone a string or a number, loginCount int, long or double,
              referredBy another user; two names with U+0000
transactions  userId is the hex text of a user's ObjectId, now and then of none that exists; amount is a double,
              an int and now and then a string, of which three are no number; one date is beyond any calendar
orders        items an array of documents, tagIds an array of ObjectIds; shippedAt null or missing;
              some users and tags do not exist; one sku has U+0000
"""
import datetime
import random
import struct
import sys

import bson
import pymongo
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument

EPOCH = datetime.datetime(2021, 3, 1)
FIRST = "Ada Bo Cleo Dov Eva Finn Gita Hugo Ines Jan Kira Leo Mia Noor Otto Pia Quin Rosa Sven Tara".split()
LAST = "Adler Berg Costa Dahl Egede Fox Grau Holm Iyer Jung Klee Lund Moss Nagy Okoye Peck Rossi Sato".split()
CITIES = ["Lisbon", "Kraków", "Zürich", "Århus", "Bruges", "Graz", "Málaga", "Tartu"]
COLOURS = ["red", "green", "blue", "grey"]


class Company:
    """Makes the documents, in an order that a seed fixes."""

    def __init__(self, scale):
        self.random = random.Random(20240229)
        self.counts = {"tags": 60, "users": int(15000 * scale), "transactions": int(150000 * scale),
                       "orders": int(30000 * scale)}
        self.counter = 0
        self.users = [self.object_id() for _ in range(self.counts["users"])]
        self.tags = [self.object_id() for _ in range(self.counts["tags"])]

    def object_id(self):
        """A new ObjectId: seconds, and a counter where a driver has random bytes too."""
        self.counter += 1
        return ObjectId(struct.pack(">IQ", 1614556800 + self.counter // 3, self.counter))

    def date(self):
        return EPOCH + datetime.timedelta(milliseconds=self.random.randrange(3 * 365 * 86400 * 1000))

    def chance(self, probability):
        return self.random.random() < probability

    def make_tags(self):
        for number, tag in enumerate(self.tags):
            yield {"_id": tag, "label": "tag-%02d" % number, "colour": self.random.choice(COLOURS)}

    def make_users(self):
        for number, user in enumerate(self.users):
            name = "%s %s" % (self.random.choice(FIRST), self.random.choice(LAST))
            document = {"_id": user, "name": name}
            if not self.chance(0.03):
                document["email"] = None if self.chance(0.02) else "%s.%d@example.com" % (
                    name.lower().replace(" ", "."), number)
            phone = self.random.randrange(10 ** 8, 10 ** 9)
            document["phone"] = Int64(phone) if self.chance(0.1) else "+%d" % phone
            document["address"] = {"city": self.random.choice(CITIES),
                                   "zip": "%05d" % self.random.randrange(100000)}
            document["loginCount"] = self.random.choice([int, Int64, float])(self.random.randrange(500))
            document["balance"] = Decimal128("%d.%02d" % (self.random.randrange(5000), self.random.randrange(100)))
            document["isActive"] = self.chance(0.8)
            document["createdAt"] = self.date()
            if self.chance(0.2):
                document["referredBy"] = self.random.choice(self.users)
            if number in (1000, 7000):
                document["name"] += "\0"
            yield document

    def make_transactions(self):
        for number in range(self.counts["transactions"]):
            user = self.object_id() if self.chance(0.0003) else self.random.choice(self.users)
            cents = self.random.randrange(1, 500000)
            amount = cents / 100
            if self.chance(0.05):
                amount = cents // 100
            elif self.chance(0.1):
                amount = cents / 100 * 1.1          # a fee was added in floating point
            elif self.chance(0.002):
                amount = "%.2f" % (cents / 100)
            if number in (20000, 70000, 120000):
                amount = "n/a"
            document = {"_id": self.object_id(), "userId": str(user), "amount": amount,
                        "currency": self.random.choice(["EUR", "EUR", "EUR", "CHF"]),
                        "status": self.random.choice(["settled", "settled", "pending", "failed"]),
                        "createdAt": self.date()}
            if self.chance(0.1):
                document["note"] = None if self.chance(0.3) else "ref %d" % number
            if number == 50000:
                yield far_date(document, "createdAt")
            else:
                yield document

    def make_orders(self):
        for number in range(self.counts["orders"]):
            items = [{"sku": "SKU-%04d" % self.random.randrange(3000), "qty": self.random.randrange(1, 6),
                      "price": self.random.randrange(50, 20000) / 100}
                     for _ in range(self.random.randrange(1, 5))]
            if self.chance(0.1):
                items[0]["giftWrap"] = True
            tags = self.random.sample(self.tags, self.random.randrange(4))
            if self.chance(0.0005):
                tags.append(self.object_id())
            document = {"_id": self.object_id(), "orderNo": 100000 + number,
                        "userId": self.object_id() if self.chance(0.0005) else self.random.choice(self.users),
                        "items": items, "tagIds": tags,
                        "total": sum(item["qty"] * item["price"] for item in items),
                        "createdAt": self.date()}
            if self.chance(0.7):
                document["shippedAt"] = None if self.chance(0.1) else self.date()
            if number == 25000:
                items[0]["sku"] += "\0"
            yield document


def far_date(document, field):
    """The document as BSON with a date some 290 million years ahead, which no Python date can be."""
    name = field.encode() + b"\0"
    data = bson.encode({**document, field: Int64(2 ** 63 - 1)})
    return RawBSONDocument(data.replace(b"\x12" + name, b"\x09" + name))


def main():
    uri, database = sys.argv[1:3]
    company = Company(float(sys.argv[3]) if len(sys.argv) > 3 else 1)
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=30000)
    client.drop_database(database)
    for name, make in (("tags", company.make_tags), ("users", company.make_users),
                       ("transactions", company.make_transactions), ("orders", company.make_orders)):
        batch = []
        for document in make():
            batch.append(document)
            if len(batch) == 5000:
                client[database][name].insert_many(batch)
                batch = []
        if batch:
            client[database][name].insert_many(batch)
        print("%-12s %7d documents" % (name, client[database][name].estimated_document_count()))


main()
