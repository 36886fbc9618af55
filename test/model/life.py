#!/usr/bin/python3
"""Lives a migration at random: life.py URI DATABASE SEED STEPS

The source is of users, each with a list of scores, and of orders, which refer to a user and have items, which have
parts.  Documents have mixed types, and some that no column can take.  A step writes to the source, migrates, is killed
at it, mends quarantine, follows the source, changes over, writes rows or goes back.  After those that settle something
the tables are held against what this file makes of the documents; with the extension it has no code in common.  The
same holds in both directions: after a cutover it is the documents that have become what the rows are.

A document is known by its number n, a field of its own, and is never told by its _id.  It is bad when rows_of() says
so: then it has no rows, and is in quarantine.  Fields that the plan leaves out stay as they are, whatever is written
back: hidden is a function of n.

psql is called with the environment's PGHOST and the like, in a database that has the extension and the server s.
CRASH is a command that PostgreSQL crashes by and begins anew; without, it does not.
Prints each step, so that one can follow what led to a difference, which ends it with an error.
"""
import datetime
import decimal
import json
import os
import random
import subprocess
import sys
import time

import bson
from bson import Decimal128, Int64, ObjectId
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

EPOCH = datetime.datetime(1970, 1, 1)
INTEGER = range(-2 ** 31, 2 ** 31)


class Bad(Exception):
    """No rows can be made of the document."""


# --- what becomes of a value


def as_text(value):
    """What a column of type text has of a value."""
    if value is None or isinstance(value, str):
        if value is not None and "\0" in value:
            raise Bad
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, (int, Decimal128, ObjectId)):
        return str(value)
    raise Bad


def as_number(value):
    """What a column of type numeric has, without zeros at the end."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal128)):
        raise Bad
    if isinstance(value, Decimal128):
        number = value.to_decimal()
    else:
        number = decimal.Decimal(repr(value) if isinstance(value, float) else value)
    return format(number.normalize() + 0, "f")


def as_integer(value):
    if value is None:
        return None
    number = decimal.Decimal(as_number(value))
    if number != int(number) or int(number) not in INTEGER:
        raise Bad
    return int(number)


def as_time(value):
    """Milliseconds."""
    if value is None:
        return None
    if not isinstance(value, datetime.datetime):
        raise Bad
    return round((value - EPOCH) / datetime.timedelta(milliseconds=1))


def elements(value):
    if value is None:
        return []
    if not isinstance(value, list):
        raise Bad
    return value


def sub_document(value):
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Bad
    return value


# --- what becomes of a document: table and row


def user_rows(user, _):
    get = user.get
    scores = get("scores")
    yield "users", [get("n"), as_text(get("name")), as_number(get("balance")), as_time(get("born")),
                    None if scores is None else [as_integer(score) for score in elements(scores)]]


def order_rows(order, users):
    """users: the n of each _id that has rows"""
    get = order.get
    yield "orders", [get("n"), users.get(get("user")), as_time(get("at")), as_text(sub_document(get("to")).get("city"))]
    for i, item in enumerate(map(sub_document, elements(get("items")))):
        yield "orders_items", [get("n"), i, as_text(item.get("sku")), as_integer(item.get("qty"))]
        for j, part in enumerate(map(sub_document, elements(item.get("parts")))):
            yield "orders_items_parts", [get("n"), i, j, as_text(part.get("code"))]


def rows_of(rows, document, users):
    """The rows of a document; None of a bad one."""
    try:
        return list(rows(document, users))
    except Bad:
        return None


# The rows that there are.


QUERIES = {
    "users": "SELECT json_build_array(n, name, trim_scale(balance)::text, round(extract(epoch FROM born) * 1000), scores)"
             " FROM users",
    "orders": "SELECT json_build_array(o.n, u.n, round(extract(epoch FROM o.at) * 1000), o.to_city)"
              " FROM orders o LEFT JOIN users u ON u.id = o.user_id",
    "orders_items": "SELECT json_build_array(o.n, i.position, i.sku, i.qty)"
                    " FROM orders_items i JOIN orders o ON o.id = i.order_id",
    "orders_items_parts": "SELECT json_build_array(o.n, p.item_position, p.position, p.code)"
                          " FROM orders_items_parts p JOIN orders o ON o.id = p.order_id",
}


def sql(statement):
    """The lines that a statement prints."""
    psql = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement], capture_output=True, text=True,
                          check=False)
    if psql.returncode:
        raise SystemExit("%s\n%s" % (statement, psql.stderr))
    return psql.stdout[:-1].split("\n") if psql.stdout else []


class Life:
    def __init__(self, uri, database, seed):
        self.random = random.Random(seed)
        self.database = MongoClient(uri)[database]
        self.database.client.drop_database(database)
        self.users = self.database.users.with_options(write_concern=WriteConcern("majority"))
        self.orders = self.database.orders.with_options(write_concern=WriteConcern("majority"))
        self.kinds = ((self.users, self.user, user_rows), (self.orders, self.order, order_rows))
        self.number = 0         # of the last document
        self.odd = True         # documents may be bad
        self.user_ids = [ObjectId() for _ in range(20)]     # that orders refer to
        self.from_rows = set()  # the n of those that were rows first
        self.had_rows = set()   # those users that had rows when the application changed over
        self.filtered = self.random.random() < 0.3          # orders that are void are left out
        self.begun = self.copied = self.follows = self.cut_over = False

    # --- documents

    def some(self, *usual, odd=()):
        """One of the usual values, now and then null, and where that may be an odd one."""
        chance = self.random.random()
        if self.odd and odd and chance < 0.02:
            return self.random.choice(odd)
        return None if chance < 0.07 else self.random.choice(usual)

    def text(self):
        return self.some("a", "b'\"\\", "\u00e9\u2028", "", 7, 2.5, True, Int64(2 ** 60), Decimal128("1.50"), ObjectId(),
                         odd=("nul\0", {"a": 1}, [1]))

    def whole(self):
        return self.some(0, -1, 2 ** 31 - 1, Int64(5), 3.0, Decimal128("4"), odd=(2 ** 31, 0.5, "1", True))

    def date(self):
        return self.some(EPOCH, datetime.datetime(1, 1, 1), datetime.datetime(2024, 2, 29, 1, 2, 3, 4000),
                         EPOCH + datetime.timedelta(milliseconds=self.random.randrange(-10 ** 12, 10 ** 13)),
                         odd=("2024-01-01", 5))

    def user(self, n):
        return {"n": n, "hidden": n % 7, "name": self.text(), "born": self.date(),
                "balance": self.some(1, 0.1, -2.5, Decimal128("12.3400"), Int64(2 ** 53 + 1), 1e21, odd=("1", {})),
                "scores": self.some([], [1], [3, None, 5.0], [self.whole()], odd=("x", 5))}

    def order(self, n):
        return {"n": n, "hidden": n % 7, "user": self.random.choice(self.user_ids), "at": self.date(),
                "void": self.random.random() < 0.1,
                "to": self.some({}, {"city": self.text(), "hidden": n % 7}, odd=("x",)),
                "items": self.some(*([self.item() for _ in range(count)] for count in range(4)), odd=(5, [5]))}

    def item(self):
        return {"sku": self.text(), "qty": self.whole(),
                "parts": self.some(*([{"code": self.text()} for _ in range(count)] for count in range(3)), odd=({},))}

    def without(self, document):
        """The document, maybe without some of the fields that are null."""
        return {name: value for name, value in document.items() if value is not None or self.random.random() < 0.5}

    def order_id(self):
        n = self.number
        return self.random.choice([ObjectId(), n, float(n), "k%d" % n, Int64(2 ** 40 + n), {"a": n, "b": "x"},
                                   bson.Binary(b"%d" % n), EPOCH + datetime.timedelta(n)])

    def user_id(self):
        """
        One that orders have referred to before it is there, maybe; but not one that rows were deleted of: to it
        documents may go on referring, and their rows do not (doc/cutover.md).
        """
        key = self.random.choice(self.user_ids)
        if key in self.had_rows or self.users.find_one({"_id": key}):
            key = ObjectId()
            self.user_ids.append(key)
        return key

    def add(self, count):
        for _ in range(count):
            self.number += 1
            if self.random.random() < 0.3:
                self.users.insert_one({"_id": self.user_id(), **self.without(self.user(self.number))})
            else:
                self.orders.insert_one({"_id": self.order_id(), **self.without(self.order(self.number))})

    def change(self, count):
        """Replaces, updates or deletes documents."""
        for _ in range(count):
            collection, make, _ = self.random.choice(self.kinds)
            documents = list(collection.find({}, {"n": 1}).sort("n"))
            if not documents:
                continue
            document = self.random.choice(documents)
            key = {"_id": document["_id"]}
            chance = self.random.random()
            if chance < 0.15:
                collection.delete_one(key)
            elif chance < 0.6:
                collection.replace_one(key, self.without(make(document["n"])))
            elif collection is self.users:
                collection.update_one(key, {"$set": {"balance": self.random.randrange(100)}})
            else:
                collection.update_one({**key, "items": {"$type": "array"}}, self.random.choice([
                    {"$push": {"items": self.item()}}, {"$pop": {"items": -1}}, {"$unset": {"items": 1}}]))

    # --- what must be

    def check(self):
        """The tables have the rows of the documents, and quarantine the bad ones."""
        expected = {name: [] for name in QUERIES}
        users = {}
        for collection, _, rows in self.kinds:
            bad = []
            for document in collection.find():
                if document.get("hidden") != document["n"] % 7 and document["n"] not in self.from_rows:
                    raise SystemExit("%s has lost what the plan does not know" % document)
                if self.filtered and document.get("void"):
                    continue
                made = rows_of(rows, document, users)
                if made is None:
                    bad.append(document["n"])
                    continue
                if collection is self.users:
                    users[document["_id"]] = document["n"]
                for table, row in made:
                    expected[table].append(row)
            found = [int(json.loads(line)["n"]["$numberInt"]) for line in sql(
                "SELECT mongo_migrate.bson_to_json(document) FROM mongo_migrate.quarantine WHERE collection = '%s'"
                % collection.name)]
            if sorted(found) != sorted(bad):
                raise SystemExit("quarantine of %s: %s, %s expected" % (collection.name, sorted(found), sorted(bad)))
        for name, query in QUERIES.items():
            wanted = sorted(map(json.dumps, expected[name]))
            found = sorted(json.dumps(json.loads(line)) for line in sql(query))
            if found != wanted:
                raise SystemExit("%s: %d rows, %d expected\nnot there: %s\ntoo many: %s" % (
                    name, len(found), len(wanted), [row for row in wanted if row not in found][:5],
                    [row for row in found if row not in wanted][:5]))
        differences = sql("SELECT v FROM mongo_migrate.plan p, mongo_migrate.verify_full('s', p.collection) v"
                          " WHERE v.kind NOT IN ('orphan', 'quarantined')")
        if differences:
            raise SystemExit("verify_full() finds %s" % differences[:5])

    # --- what a step is made of

    def plan(self):
        """Plans the collections by documents that have every field, and no odd one."""
        self.users.insert_one({"_id": self.user_ids[0], "n": 0, "hidden": 0, "name": "x", "balance": 1, "born": EPOCH,
                               "scores": [1]})
        self.orders.insert_one({"_id": "first", "n": 0, "hidden": 0, "user": self.user_ids[0], "at": EPOCH, "void": False,
                                "to": {"city": "x", "hidden": 0},
                                "items": [{"sku": "x", "qty": 1, "parts": [{"code": "x"}]}]})
        for collection, types in (("users", ["bigint", "uuid", "source"]), ("orders", ["bigint", "uuid"])):
            sql("SELECT mongo_migrate.plan_collection('s', '%s', id_type => '%s')" % (collection, self.random.choice(types)))
        sql("UPDATE mongo_migrate.plan_column SET included = false WHERE path IN ('hidden', 'to.hidden', 'void');"
            " UPDATE mongo_migrate.plan_column SET nullable = true WHERE role = 'value' AND path <> 'n';"
            " UPDATE mongo_migrate.plan_column SET type = 'numeric' WHERE path = 'balance';"
            " UPDATE mongo_migrate.plan_column SET on_dangling = '%s' WHERE path = 'user'"
            % self.random.choice(["null", "keep"]))
        if self.filtered:
            sql("""UPDATE mongo_migrate.plan_target SET filter = '{"void": {"$ne": true}}' WHERE target = 'public.orders'""")

    def migration(self):
        self.begun = True
        return "SELECT complete FROM mongo_migrate.migrate_all('s', workers => %d, batch_size => %d)" % (
            self.random.randrange(3), self.random.choice([3, 20, 5000]))

    def settle(self):
        """All that was written comes, in whichever direction it goes."""
        if not self.begun:
            return
        if not self.follows:
            self.repair()
            return
        if not self.copied:
            self.step_migrate()
        sql("SELECT mongo_migrate.stop_sync('s')")
        # What a foreign key refuses is due again after 1 and 2 seconds.
        end = time.time() + 20
        left = None
        while left != ["0|0"]:
            if time.time() > end:
                raise SystemExit("the sync has left: %s" % left)
            sql("CALL mongo_migrate.follow_changes('s', once => true)")
            left = sql("SELECT pending, refused FROM mongo_migrate.sync_status")
            time.sleep(0.05)
        sql("SELECT mongo_migrate.start_sync('s')")

    def repair(self):
        """Where nothing follows the source: what has changed since it was copied is found and mended."""
        self.step_migrate()
        sql("SELECT mongo_migrate.retry_quarantine('s')")
        for collection in ("users", "orders", "users", "orders"):
            sql("SELECT count(*) FROM mongo_migrate.verify_full('s', '%s')" % collection)
            sql("SELECT mongo_migrate.repair('s', '%s', delete_extra => true)" % collection)

    # --- steps

    def step_write(self):
        self.add(self.random.randrange(20))
        # What cannot become rows any more keeps those that it has.
        self.odd = not self.begun
        self.change(self.random.randrange(20))
        self.odd = True

    def step_migrate(self):
        if sql(self.migration()) != ["t", "t"]:
            raise SystemExit("migrate_all() is not complete")
        self.copied = True

    def step_killed(self):
        # Where it ends early, the sync waits for the next one.
        self.copied = False
        with subprocess.Popen(["psql", "-XqAt", "-c", self.migration()], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL):
            time.sleep(self.random.random() * 0.3)
            sql("SELECT pg_%s_backend(pid) FROM pg_stat_activity WHERE %s AND pid <> pg_backend_pid()" % (
                self.random.choice(["terminate", "cancel"]),
                self.random.choice(["backend_type = 'mongo_migrate worker'", "query LIKE '%migrate_all%'"])))

    def step_reset(self):
        for collection in self.random.choice([["orders"], ["orders", "users"]]):
            sql("SELECT mongo_migrate.reset_collection('s', '%s', truncate => true)" % collection)
        self.copied = False

    def step_crash(self):
        if "CRASH" in os.environ:
            subprocess.run(os.environ["CRASH"], shell=True, check=True, stdout=subprocess.DEVNULL)
            if self.follows:
                sql("SELECT mongo_migrate.start_sync('s')")

    def step_mend(self):
        """Bad documents become good ones."""
        self.odd = False
        for collection, make, rows in self.kinds:
            for document in list(collection.find()):
                if rows_of(rows, document, {}) is None:
                    collection.replace_one({"_id": document["_id"]}, self.without(make(document["n"])))
        self.odd = True
        if self.begun:
            self.settle()
            sql("SELECT mongo_migrate.retry_quarantine('s')")

    def step_settle(self):
        self.settle()
        if self.copied:
            self.check()

    def step_follow(self):
        sql("SELECT mongo_migrate.start_sync('s')")
        self.follows = True
        if self.begun:
            self.repair()

    def step_cutover(self):
        self.step_mend()
        self.check()
        sql("SELECT mongo_migrate.cutover('s')")
        self.cut_over = True
        self.had_rows |= {user["_id"] for user in self.users.find()}

    def step_rows(self):
        """What an application writes after a cutover."""
        for _ in range(self.random.randrange(1, 6)):
            self.number += 1
            self.from_rows.add(self.number)
            values = {
                "new": self.number,
                "user": "(SELECT id FROM users ORDER BY md5(n::text || '%d') LIMIT 1)" % self.number,
                "order": "(SELECT id FROM orders ORDER BY md5(n::text || '%d') LIMIT 1)" % self.number}
            sql(self.random.choice([
                "INSERT INTO users (n, name, scores) VALUES (%(new)d, 'new', '{1,NULL}')",
                "INSERT INTO orders (n, user_id, at) VALUES (%(new)d, %(user)s, 'epoch');"
                " INSERT INTO orders_items (order_id, position, qty) SELECT id, 0, 1 FROM orders WHERE n = %(new)d;"
                " INSERT INTO orders_items_parts (order_id, item_position, position, code)"
                " SELECT id, 0, 0, '' FROM orders WHERE n = %(new)d",
                "UPDATE users SET balance = %(new)d, name = 'row' WHERE id = %(user)s",
                "UPDATE users SET scores = scores || %(new)d, born = NULL WHERE id = %(user)s",
                "UPDATE orders SET user_id = NULL WHERE user_id = %(user)s; DELETE FROM users WHERE id = %(user)s",
                "UPDATE orders SET user_id = %(user)s, to_city = 'there' WHERE id = %(order)s",
                "UPDATE orders SET at = to_timestamp(%(new)d), to_city = NULL WHERE id = %(order)s",
                "DELETE FROM orders WHERE id = %(order)s",
                "UPDATE orders_items SET qty = %(new)d WHERE order_id = %(order)s",
                "DELETE FROM orders_items i WHERE order_id = %(order)s"
                " AND position = (SELECT max(position) FROM orders_items m WHERE m.order_id = i.order_id)",
                "INSERT INTO orders_items (order_id, position, sku) SELECT o.id, coalesce(max(position) + 1, 0), 'new'"
                " FROM orders o LEFT JOIN orders_items i ON i.order_id = o.id WHERE o.id = %(order)s GROUP BY o.id",
            ]) % values)

    def step_back(self):
        sql("SELECT mongo_migrate.rollback_cutover('s')")
        self.cut_over = False
        self.settle()
        self.check()

    def next_step(self):
        if self.cut_over:
            return self.random.choice(["rows", "rows", "rows", "settle", "back", "crash"])
        possible = ["write", "write", "write", "migrate", "killed", "mend", "settle", "crash"]
        possible += ["cutover"] * (self.follows and self.copied) + ["follow"] * (not self.follows)
        return self.random.choice(possible + ["reset"] * self.begun)

    def live(self, steps):
        self.plan()
        self.add(150)
        for number in range(1, steps + 1):
            step = self.next_step()
            print("%d %s" % (number, step), flush=True)
            getattr(self, "step_" + step)()
        if not self.begun:
            self.step_migrate()
        self.settle()
        self.check()
        if self.follows:
            sql("SELECT mongo_migrate.%s('s')" % ("finalize" if self.cut_over else "stop_sync"))


def main():
    uri, database, seed, steps = sys.argv[1:5]
    life = Life(uri, database, int(seed))
    life.live(int(steps))
    life.database.client.drop_database(database)


main()
