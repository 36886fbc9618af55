#!/usr/bin/python3
"""The little that tests, demo and bench ask of MongoDB beside the extension.

mongo.py serve      does what MongoServer.pm asks of it, which asks often, until standard input ends; see serve()
mongo.py churn URI DATABASE COLLECTION LIMIT   inserts, changes and deletes documents until standard input ends; see churn()
"""
import glob
import gzip
import json
import os
import random
import select
import sys
import time

import pymongo
from bson import decode_file_iter, json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.son import SON


def initiate(client, name):
    """Initiates the set unless it is, and returns when its member is primary."""
    if not client.admin.command("hello").get("setName"):
        try:
            client.admin.command("replSetInitiate", {
                "_id": name, "members": [{"_id": 0, "host": "%s:%d" % client.address}]})
        except pymongo.errors.OperationFailure as error:
            # One that was started anew does not say at once that it is.
            if error.code != 23:    # AlreadyInitialized
                raise
    deadline = time.time() + 180
    while not client.admin.command("hello").get("isWritablePrimary"):
        if time.time() > deadline:
            raise TimeoutError("the replica set has no primary after 180 seconds")
        time.sleep(0.05)
    # From 5.0 on the default. What a test writes is read at once, by majority.
    if client.server_info()["versionArray"][0] < 5:
        try:
            client.admin.command("setDefaultRWConcern", 1, defaultWriteConcern={"w": "majority"})
        except pymongo.errors.OperationFailure:
            pass    # there is no user yet


def restore(database, folder):
    """Inserts the documents of a dump byte by byte as they are there."""
    options = CodecOptions(document_class=RawBSONDocument)
    for path in sorted(glob.glob(os.path.join(folder, "*.bson.gz"))):
        collection = database[os.path.basename(path)[:-len(".bson.gz")]].with_options(options)
        collection.drop()
        with gzip.open(path) as dump:
            collection.insert_many(decode_file_iter(dump, options))


def churn(collection, limit):
    """Writes at random places below limit, until standard input ends.

    A document has its _id in n, a version, and as many items as version % 3. Odd numbers are inserted, those that
    10 divides are deleted, even ones that 10 does not divide have their next version. Prints a line after the first
    of each and how many there were at the end.
    """
    counts = {"inserted": 0, "changed": 0, "deleted": 0}
    begun = False
    while True:
        n = random.randrange(limit)
        document = {"n": n, "version": 1, "items": [{"sku": "a"}]}
        if n % 2 == 1:
            counts["inserted"] += collection.update_one({"_id": n}, {"$setOnInsert": document}, upsert=True).matched_count == 0
        elif n % 10 == 0:
            counts["deleted"] += collection.delete_one({"_id": n}).deleted_count
        else:
            counts["changed"] += collection.update_one({"_id": n}, [
                {"$set": {"version": {"$add": ["$version", 1]}}},
                {"$set": {"items": {"$map": {"input": {"$range": [0, {"$mod": ["$version", 3]}]}, "in": {"sku": "a"}}},
                          "text": {"$concat": [{"$ifNull": ["$text", ""]}, "a longer text"]}}}]).modified_count
        if not begun and all(counts.values()):
            begun = True
            print("begun", flush=True)
        if select.select([sys.stdin], [], [], 0)[0]:
            print(json_util.dumps(counts))
            return


def run_command(database, text):
    """Runs a command in Extended JSON, and returns its reply."""
    options = json_util.JSONOptions(document_class=SON, tz_aware=False)
    reply = database.command(json_util.loads(text, json_options=options))
    return json_util.dumps(reply, json_options=json_util.RELAXED_JSON_OPTIONS)


def connect(uri):
    return pymongo.MongoClient(uri, directConnection=True, serverSelectionTimeoutMS=180000)


def answer(uri, verb, *arguments):
    """Each with a connection of its own: the server may have been another before.

    initiate SET                makes a replica set of one member, and waits until it can be written
    command DATABASE COMMAND    runs it
    restore DATABASE FOLDER     makes a collection of each NAME.bson.gz of a mongodump, in place of what is there
    """
    with connect(uri) as client:
        if verb == "initiate":
            return initiate(client, *arguments)
        database = client[arguments[0]]
        return {"command": run_command, "restore": restore}[verb](database, *arguments[1:])


def serve():
    """Answers requests, JSON arrays of answer()'s arguments: a line with "ok" or "error", and the length of what follows."""
    while True:
        length = sys.stdin.buffer.readline()
        if not length:
            return
        try:
            status, text = "ok", answer(*json.loads(sys.stdin.buffer.read(int(length)))) or ""
        except Exception as error:    # the caller dies of it
            status, text = "error", "%s: %s" % (type(error).__name__, error)
        sys.stdout.buffer.write(b"%s %d\n%s" % (status.encode(), len(text.encode()), text.encode()))
        sys.stdout.buffer.flush()


def main():
    if sys.argv[1:] == ["serve"]:
        serve()
    elif sys.argv[1:2] == ["churn"]:
        churn(connect(sys.argv[2])[sys.argv[3]][sys.argv[4]], int(sys.argv[5]))
    else:
        sys.exit(__doc__)


main()
