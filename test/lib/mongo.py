#!/usr/bin/python3
"""The little that tests, demo and bench ask of MongoDB beside the extension.

mongo.py URI initiate SET          makes a replica set of one member, and waits until it can be written
mongo.py URI command DATABASE      runs the command on standard input (Extended JSON), prints its reply
mongo.py URI restore DATABASE FOLDER   makes a collection of each NAME.bson.gz of a mongodump, in place of what is there
mongo.py URI churn DATABASE COLLECTION LIMIT   inserts, changes and deletes documents until standard input ends; see churn()
"""
import glob
import gzip
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
        client.admin.command("replSetInitiate", {
            "_id": name, "members": [{"_id": 0, "host": "%s:%d" % client.address}]})
    deadline = time.time() + 180
    while not client.admin.command("hello").get("isWritablePrimary"):
        if time.time() > deadline:
            sys.exit("the replica set has no primary after 180 seconds")
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


def main():
    uri, verb = sys.argv[1:3]
    client = pymongo.MongoClient(uri, directConnection=True, serverSelectionTimeoutMS=180000)
    if verb == "initiate":
        initiate(client, sys.argv[3])
    elif verb == "command":
        options = json_util.JSONOptions(document_class=SON, tz_aware=False)
        command = json_util.loads(sys.stdin.read(), json_options=options)
        try:
            reply = client[sys.argv[3]].command(command)
        except pymongo.errors.PyMongoError as error:
            sys.exit("mongo.py: %s" % error)
        print(json_util.dumps(reply, json_options=json_util.RELAXED_JSON_OPTIONS))
    elif verb == "restore":
        restore(client[sys.argv[3]], sys.argv[4])
    elif verb == "churn":
        churn(client[sys.argv[3]][sys.argv[4]], int(sys.argv[5]))
    else:
        sys.exit(__doc__)


main()
