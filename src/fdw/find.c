/*
 * find.c
 *	  The find command of a scan: projection and options; and a look for any document.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/match.h"
#include "fdw/path.h"
#include "fdw/scan.h"
#include "owned.h"

/*
 * Appends a projection by its name, unless whole documents are needed.  MongoDB refuses a
 * path together with the beginning of it, so that only beginnings are named.
 * _id comes along always, and whole, for messages.
 */
static void
append_projection(bson_t *options, const char *name, List *paths)
{
	List	   *fields = NIL;
	bson_t		projection;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, paths)
	{
		char	   *field = path_for_projection(lfirst(lc));
		bool		covered = false;

		if (field == NULL)
			return;
		if (path_covers("_id", field))
			continue;
		foreach(lc2, fields)
		{
			if (path_covers(lfirst(lc2), field))
				covered = true;
			else if (path_covers(field, lfirst(lc2)))
				fields = foreach_delete_current(fields, lc2);
		}
		if (!covered)
			fields = lappend(fields, field);
	}

	bson_append_document_begin(options, name, -1, &projection);
	if (fields == NIL)
		bson_append_int32(&projection, "_id", -1, 1);
	foreach(lc, fields)
		bson_append_int32(&projection, lfirst(lc), -1, 1);
	bson_append_document_end(options, &projection);
}

/* Stages with one more, unless whole documents are needed. */
List *
find_add_projection(List *stages, List *paths)
{
	bson_t	   *stage = match_new();

	append_projection(stage, "$project", paths);
	return bson_empty(stage) ? stages : lappend(stages, stage);
}

/* The options of a part's command. */
bson_t *
find_options(const Find *find, int part)
{
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);

	if (find->projects)
		append_projection(options, "projection", find->paths);
	sorting_append(options, find->sorting, part);
	if (find->limit > 0)
		bson_append_int64(options, "limit", -1, find->limit);
	bson_append_int32(options, "batchSize", -1, find->table->fetch_size);
	if (filter_needs_simple_collation(find->filter))
		match_append_simple_collation(options);
	return options;
}

/* Does a document match? */
bool
find_any(MongoConnection *connection, const char *collection, const bson_t *match,
		 bool simple_collation)
{
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);
	MongoCursor *cursor;
	bool		any;

	BCON_APPEND(options, "limit", BCON_INT64(1), "projection", "{", "_id", BCON_INT32(1), "}");
	if (simple_collation)
		match_append_simple_collation(options);
	cursor = mongo_find(connection, collection, match, options, CurrentMemoryContext);
	any = mongo_cursor_next(cursor) != NULL;
	mongo_cursor_close(cursor);
	return any;
}
