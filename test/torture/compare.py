#!/usr/bin/python3
"""Works out the rows that documents must become, and holds tables against them.

compare.py URI DATABASE PLAN FOLDER

FOLDER has a file NAME.json for each query of ../t/063_torture.pl: a row a line, as a JSON array.  Rows are known by
the field n of their documents.  Nothing is shared with the extension: the documents are read by the driver, and what
becomes of them under PLAN (proposed or edited) is written down here once more.  Prints a line for each file.
"""
import datetime
import decimal
import json
import os
import sys

from bson import Decimal128, ObjectId
from pymongo import MongoClient

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
FIRST_ORDER = datetime.datetime(2024, 1, 1, 2, tzinfo=datetime.timezone.utc)


def milliseconds(value):
    return None if value is None else round((value - EPOCH) / datetime.timedelta(milliseconds=1))


def iso(value):
    """A date as text."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (value.microsecond // 1000)


def exact(value):
    """A number as decimal; a double by its shortest form."""
    if isinstance(value, Decimal128):
        return value.to_decimal()
    return decimal.Decimal(repr(value) if isinstance(value, float) else int(value))


def comparable(value):
    """Numbers by their value, whatever their spelling; the rest as it is."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: comparable(inner) for key, inner in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [comparable(inner) for inner in value]
    return ["number", str(exact(value).normalize() if not isinstance(value, decimal.Decimal) else value.normalize())]


def text(row):
    return json.dumps(comparable(row), sort_keys=True)


class Documents:
    """What is in the source, and which documents refer to which."""

    def __init__(self, database, edited):
        self.people = list(database.people.find())
        self.orders = list(database.orders.find())
        self.tags = list(database.tags.find())
        self.mixed = list(database.mixed.find())
        people = {document["_id"]: document for document in self.people}
        gone = set()
        if edited:
            # Quarantined: who has no boss, or one who is quarantined.
            before = -1
            while len(gone) != before:
                before = len(gone)
                for document in self.people:
                    boss = people.get(ObjectId(document["bossHex"]))
                    if boss is None or boss["_id"] in gone:
                        gone.add(document["_id"])
            self.people = [document for document in self.people if document["_id"] not in gone]
            self.orders = [document for document in self.orders if document["placed"] >= FIRST_ORDER]
        self.by_id = {document["_id"]: document["n"] for document in self.people}
        self.by_email = {document["email"]: document["n"] for document in self.people}
        self.tag_by_id = {document["_id"]: document["n"] for document in self.tags}

    def person(self, key):
        """The n of the person that a reference means; NULL where there is none."""
        return self.by_id.get(ObjectId(key) if isinstance(key, str) else key)


def people(d, edited):
    for p in d.people:
        address = p.get("address") or {}
        geo = address.get("geo") or {}
        seen = p["seen"]
        balance = exact(p["balance"])
        row = [p["n"], p["email"], p["number"], p["kind"], p["name"], p["status"], p["first name"], p["\ufeffbom"],
               milliseconds(p["expires"]), d.person(p["friend"]), d.person(p["rival"]), d.person(p["bossHex"]),
               p["methods"], p["odd"]["a.b"], exact(p["odd"]["$price"]), p["odd"]["c d"], p.get("rare"),
               address.get("city"), address.get("zip"), geo.get("lat"), geo.get("lng"), milliseconds(p.get("born"))]
        if edited:
            row += [round(seen) if isinstance(seen, float) else milliseconds(seen),
                    balance.quantize(decimal.Decimal("0.01"), decimal.ROUND_HALF_UP), p["devices"]]
        else:
            row += [str(round(seen)) if isinstance(seen, float) else iso(seen), balance,
                    p["note"], p["scores"], p["visits"], p["matrix"]]
        yield row


def people_tags(d, edited):
    for p in d.people:
        for position, key in enumerate(p["tagIds"]):
            yield [p["n"], position, d.tag_by_id.get(key)]


def people_devices(d, edited):
    for p in d.people:
        for position, device in enumerate(p["devices"]):
            yield [p["n"], position, device["os"], device["flags"]["on"], device["flags"]["n"]]


def people_folders(d, edited):
    for p in d.people:
        if not edited:
            for position, folder in enumerate(p["folders"]):
                yield [p["n"], position, folder["name"], folder["size"], folder.get("folders")]
            continue
        number = 0
        # Each before those within it, with the number of the one around.
        waiting = [(folder, None) for folder in reversed(p["folders"])]
        while waiting:
            folder, above = waiting.pop()
            yield [p["n"], number, above, folder["name"], folder["size"], folder.get("deep"), None]
            waiting += [(inner, number) for inner in reversed(folder.get("folders", []))]
            number += 1


def people_scores(d, edited):
    for p in d.people:
        for position, score in enumerate(p["scores"]):
            number = score if isinstance(score, (int, float)) and not isinstance(score, bool) else None
            yield [p["n"], position, score, number, score if isinstance(score, str) else None]


def people_visits(d, edited):
    for p in d.people:
        for day, visits in p["visits"].items():
            yield [p["n"], day, day, visits]


def people_matrix(d, edited):
    for p in d.people:
        for i, row in enumerate(p["matrix"]):
            for j, value in enumerate(row):
                yield [p["n"], i, j, value]


def firms(d, edited):
    for p in d.people:
        if p["kind"] == "firm":
            yield [p["n"], p["name"]]


def profiles(d, edited):
    for p in d.people:
        yield [p["n"], p["note"][:100]]


def orders(d, edited):
    for o in d.orders:
        row = [o["n"], o["_id"]["country"], o["_id"]["n"], d.person(o["person"]), o["email"], exact(o["total"]),
               milliseconds(o["placed"])]
        yield row + ([d.by_email.get(o["email"])] if edited else [o["history"], o["paid"]])


def orders_items(d, edited):
    for o in d.orders:
        for position, item in enumerate(o["items"]):
            yield [o["n"], position, item["sku"], item["qty"]]


def orders_items_parcels(d, edited):
    for o in d.orders:
        for i, item in enumerate(o["items"]):
            for j, parcel in enumerate(item["parcels"]):
                yield [o["n"], i, j, parcel["code"], parcel["days"]]


def orders_history(d, edited):
    for o in d.orders:
        for i, steps in enumerate(o["history"]):
            for j, step in enumerate(steps):
                yield [o["n"], i, j, step["state"], step["step"]]


def orders_paid(d, edited):
    for o in d.orders:
        for key, amount in o["paid"].items():
            yield [o["n"], key, d.person(key), amount]


def tags(d, edited):
    for t in d.tags:
        yield [t["n"], t["name"]]


def mixed(d, edited):
    for m in d.mixed:
        yield [m["n"]]


def main():
    edited = sys.argv[3] == "edited"
    documents = Documents(MongoClient(sys.argv[1], tz_aware=True)[sys.argv[2]], edited)
    for file in sorted(os.listdir(sys.argv[4])):
        name = file[:-len(".json")]
        expected = sorted(map(text, globals()[name](documents, edited)))
        with open(os.path.join(sys.argv[4], file), encoding="utf-8") as rows:
            found = sorted(text(json.loads(line, parse_float=decimal.Decimal)) for line in rows)
        if expected == found and expected:
            print("%s: equal" % name)
        else:
            missing = sorted(set(expected) - set(found))
            extra = sorted(set(found) - set(expected))
            print("%s: %d rows expected, %d found; expected such as %s; found such as %s"
                  % (name, len(expected), len(found), missing[:2], extra[:2]))


main()
