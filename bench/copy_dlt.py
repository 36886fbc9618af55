"""Copies a collection by dlt, as its users do: copy_dlt.py MONGO_URI DATABASE COLLECTION POSTGRES_URI; prints seconds."""
import os
import sys
import time

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")

import dlt
import pymongo


def main():
    mongo_uri, database, collection, postgres_uri, folder = sys.argv[1:6]

    @dlt.resource(name=collection, primary_key="_id", write_disposition="append")
    def documents():
        for document in pymongo.MongoClient(mongo_uri)[database][collection].find():
            yield {key: str(value) if key in ("_id", "userId") else value for key, value in document.items()}

    pipeline = dlt.pipeline("bench", pipelines_dir=folder, dataset_name="by_dlt",
                            destination=dlt.destinations.postgres(postgres_uri))
    started = time.time()
    pipeline.run(documents())
    print(time.time() - started)


main()
