"""Copies a collection in pages of 1,000 by skip and limit, as hand-written migrations do, into a table with its key:
copy_pages.py MONGO_URI DATABASE COLLECTION POSTGRES_URI; prints seconds."""
import sys
import time

import psycopg2
import psycopg2.extras
import pymongo

COLUMNS = ("_id", "userId", "amount", "currency", "status", "createdAt", "note")


def main():
    mongo_uri, database, collection, postgres_uri = sys.argv[1:5]
    source = pymongo.MongoClient(mongo_uri)[database][collection]
    target = psycopg2.connect(postgres_uri)
    cursor = target.cursor()
    cursor.execute("""CREATE TABLE by_pages (id text PRIMARY KEY, user_id text, amount numeric, currency text, status text,
                      created_at timestamptz, note text)""")
    started = time.time()
    done = 0
    while True:
        page = list(source.find().sort("_id").skip(done).limit(1000))
        if not page:
            break
        rows = [tuple(str(document[name]) if name in ("_id", "userId") else document[name] for name in COLUMNS)
                for document in page]
        psycopg2.extras.execute_values(cursor, "INSERT INTO by_pages VALUES %s ON CONFLICT DO NOTHING", rows, page_size=1000)
        target.commit()
        done += len(page)
    print(time.time() - started)


main()
