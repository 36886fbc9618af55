/*
 * writer.c
 *	  Rows of a foreign table to documents, and to updates of documents.
 *
 * For inserts, the columns' paths make a tree, which is walked for each row:
 * address.city and address.zip go into one sub-document.  For updates each
 * column is a path of its own in $set or $unset.  A position in an array is
 * never created: there is no saying what would stand before it.
 *
 * All documents are owned by the current memory context.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/convert.h"
#include "bson/document_path.h"
#include "bson/json.h"
#include "fdw/modify.h"
#include "fdw/path.h"
#include "fdw/scan.h"
#include "owned.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* A field of the documents that are made. */
struct WriterNode
{
	const char *name;			/* UTF-8; NULL at the root */
	bool		position;		/* a number below the top: in an array */
	List	   *columns;		/* WriterColumns that are the field itself */
	List	   *children;		/* WriterNodes */
};

/* The child of a name, made when it is new. */
static WriterNode *
node_child(WriterNode *parent, const char *name)
{
	WriterNode *child;
	ListCell   *lc;

	foreach(lc, parent->children)
	{
		child = lfirst(lc);
		if (strcmp(child->name, name) == 0)
			return child;
	}
	child = palloc0(sizeof(WriterNode));
	child->name = name;
	child->position = parent->name != NULL && document_path_position(name) >= 0;

	/* MongoDB puts _id first; so do we. */
	if (parent->name == NULL && strcmp(name, "_id") == 0)
		parent->children = lcons(child, parent->children);
	else
		parent->children = lappend(parent->children, child);
	return child;
}

/* The beginning of a dotted path up to its last position in an array, or NULL. */
static char *
path_guard(WriterColumn *column)
{
	const char *end = NULL;
	const char *segment = column->dotted;

	if (segment == NULL)
		return NULL;
	for (int depth = 0;; depth++)
	{
		size_t		length = strcspn(segment, ".");
		char	   *name = pnstrdup(segment, length);

		if (depth > 0 && document_path_position(name) >= 0)
			end = segment + length;
		pfree(name);
		if (segment[length] == '\0')
			break;
		segment += length + 1;
	}
	return end == NULL ? NULL : pnstrdup(column->dotted, end - column->dotted);
}

/* Fills a column in. */
static void
column_init(WriterColumn *column, Relation relation, AttrNumber attnum,
			const MongoTableOptions *table, WriterNode *root)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), attnum - 1);
	MongoColumnOptions *options = mongo_column_options(RelationGetRelid(relation), attnum, table);
	WriterNode *node = root;
	DescribedColumn described = {relation, NameStr(attribute->attname)};
	ErrorContextCallback callback = {error_context_stack, describe_column, &described};
	ListCell   *lc;

	column->attnum = attnum;
	column->path = options->path;
	error_context_stack = &callback;
	column->encoder = encoder_create(attribute->atttypid, options->bson_type);
	error_context_stack = callback.previous;
	column->null_as_null = options->null_as_null;
	column->segments = document_path_split(options->path);
	column->dotted = path_for_match(options->path);
	column->guard = path_guard(column);
	column->is_id = column->segments != NIL && strcmp(linitial(column->segments), "_id") == 0;
	foreach(lc, column->segments)
		node = node_child(node, lfirst(lc));
	node->columns = lappend(node->columns, column);
}

/* For the columns of a list of attribute numbers. */
Writer *
writer_create(Relation relation, List *attnums, const MongoTableOptions *table)
{
	Writer	   *writer = palloc0(sizeof(Writer));
	ListCell   *lc;

	writer->relation = relation;
	writer->collection = table->collection;
	writer->columns = palloc0(Max(list_length(attnums), 1) * sizeof(WriterColumn));
	writer->root = palloc0(sizeof(WriterNode));
	foreach(lc, attnums)
		column_init(&writer->columns[writer->ncolumns++], relation, lfirst_int(lc), table,
					writer->root);
	return writer;
}

/* The name of a column, for messages. */
static const char *
column_name(Writer *writer, const WriterColumn *column)
{
	return NameStr(TupleDescAttr(RelationGetDescr(writer->relation), column->attnum - 1)->attname);
}

/* Throws for a value that has no exact form in BSON. */
static void
throw_status(Writer *writer, WriterColumn *column, ConvertStatus status, Datum value)
{
	const char *hint = encode_hint(status, column->encoder);

	ereport(ERROR,
			(errcode(convert_sqlstate(status)),
			 errmsg("%s", encode_message(status, column->encoder, value)),
			 errdetail("Column \"%s\" of foreign table \"%s\", field \"%s\" of collection \"%s\".",
					   column_name(writer, column), RelationGetRelationName(writer->relation),
					   column->path, writer->collection),
			 hint == NULL ? 0 : errhint("%s", hint)));
}

/* Appends a column's value, which may be NULL, as a field. */
static void
append_column(Writer *writer, WriterColumn *column, TupleTableSlot *slot, bson_t *document,
			  const char *key)
{
	Datum		value = slot->tts_values[column->attnum - 1];
	ConvertStatus status = CONVERT_OK;

	if (slot->tts_isnull[column->attnum - 1])
		bson_append_null(document, key, -1);
	else
		status = column->encoder->encode(column->encoder, value, document, key, strlen(key));
	if (status != CONVERT_OK)
		throw_status(writer, column, status, value);
}

/* The document that a column of path $ holds. */
static bson_t *
whole_document(Writer *writer, WriterColumn *column, TupleTableSlot *slot)
{
	bson_t	   *scratch = owned_bson_new(CurrentMemoryContext);
	bson_t	   *document = owned_bson_new(CurrentMemoryContext);
	bson_iter_t iter;
	bson_t		inner;
	uint32_t	length;
	const uint8_t *data;

	append_column(writer, column, slot, scratch, "v");
	if (!bson_iter_init_find(&iter, scratch, "v") || !BSON_ITER_HOLDS_DOCUMENT(&iter))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("value of column \"%s\" of foreign table \"%s\" is no document",
						column_name(writer, column), RelationGetRelationName(writer->relation)),
				 errdetail("The column is the whole document of collection \"%s\".", writer->collection)));
	bson_iter_document(&iter, &length, &data);
	if (!bson_init_static(&inner, data, length))
		elog(ERROR, "could not take a document out of another");
	bson_concat(document, &inner);
	return document;
}

/* The column of a node that has something to write, or NULL; throws for two. */
static WriterColumn *
node_column(Writer *writer, WriterNode *node, TupleTableSlot *slot)
{
	WriterColumn *found = NULL;
	ListCell   *lc;

	foreach(lc, node->columns)
	{
		WriterColumn *column = lfirst(lc);

		if (slot->tts_isnull[column->attnum - 1])
			continue;
		if (found != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("columns \"%s\" and \"%s\" of foreign table \"%s\" are one field",
							column_name(writer, found), column_name(writer, column),
							RelationGetRelationName(writer->relation)),
					 errhint("Write one of them.")));
		found = column;
	}
	return found;
}

/* A column below a node that has a value, or NULL. */
static WriterColumn *
value_below(Writer *writer, WriterNode *node, TupleTableSlot *slot)
{
	ListCell   *lc;

	foreach(lc, node->children)
	{
		WriterNode *child = lfirst(lc);
		WriterColumn *column = node_column(writer, child, slot);

		if (column == NULL)
			column = value_below(writer, child, slot);
		if (column != NULL)
			return column;
	}
	return NULL;
}

/* Throws where a field and a part of it, or the document and a field, have values. */
static void
check_overlap(Writer *writer, WriterNode *node, WriterColumn *column, TupleTableSlot *slot)
{
	WriterColumn *below = value_below(writer, node, slot);

	if (below == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" of foreign table \"%s\" cannot be written together with column \"%s\"",
					column_name(writer, column), RelationGetRelationName(writer->relation),
					column_name(writer, below)),
			 errdetail("Field \"%s\" of collection \"%s\" contains field \"%s\".",
					   column->path, writer->collection, below->path)));
}

/* Is NULL of one of the node's columns written as null? */
static WriterColumn *
null_column(WriterNode *node)
{
	ListCell   *lc;

	foreach(lc, node->columns)
	{
		WriterColumn *column = lfirst(lc);

		if (column->null_as_null && !column->is_id)
			return column;
	}
	return NULL;
}

/* Is there a null to be written below a node? */
static bool
null_below(WriterNode *node)
{
	ListCell   *lc;

	foreach(lc, node->children)
	{
		WriterNode *child = lfirst(lc);

		if (!child->position && (null_column(child) != NULL || null_below(child)))
			return true;
	}
	return false;
}

/* Appends the fields below a node. */
static void
append_children(Writer *writer, WriterNode *node, TupleTableSlot *slot, bson_t *document)
{
	ListCell   *lc;

	foreach(lc, node->children)
	{
		WriterNode *child = lfirst(lc);
		WriterColumn *column = node_column(writer, child, slot);
		WriterColumn *below = value_below(writer, child, slot);

		if (child->position && (column != NULL || below != NULL))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" of foreign table \"%s\" cannot be inserted",
							column_name(writer, column != NULL ? column : below),
							RelationGetRelationName(writer->relation)),
					 errdetail("Its path \"%s\" is a position in an array, which is not there yet.",
							   column != NULL ? column->path : below->path),
					 errhint("Insert the array as a whole, through another column.")));
		if (column != NULL)
		{
			check_overlap(writer, child, column, slot);
			append_column(writer, column, slot, document, child->name);
		}
		else if (below != NULL || (!child->position && child->columns == NIL && null_below(child)))
		{
			bson_t		inner;

			bson_append_document_begin(document, child->name, -1, &inner);
			append_children(writer, child, slot, &inner);
			bson_append_document_end(document, &inner);
		}
		else if (!child->position && (column = null_column(child)) != NULL)
			bson_append_null(document, child->name, -1);
	}
}

/* A document like the given one, with a new ObjectId before its fields. */
static bson_t *
with_new_id(const bson_t *document)
{
	bson_t	   *result = owned_bson_new(CurrentMemoryContext);
	bson_oid_t	oid;

	bson_oid_init(&oid, NULL);
	bson_append_oid(result, "_id", -1, &oid);
	if (!bson_concat(result, document))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("document is too large for BSON")));
	return result;
}

/* Throws where a column is the _id and could not be read with a new one.  That is the same for all rows. */
static void
check_new_id(Writer *writer, const bson_t *document)
{
	bson_iter_t id;
	Datum		value;

	if (writer->takes_new_id || !bson_iter_init_find(&id, document, "_id"))
		return;
	for (int i = 0; i < writer->ncolumns; i++)
	{
		WriterColumn *column = &writer->columns[i];
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(writer->relation),
													column->attnum - 1);
		Converter  *converter;

		if (!column->is_id || list_length(column->segments) > 1)
			continue;
		converter = converter_create(attribute->atttypid, attribute->atttypmod, JSON_RELAXED, false);
		if (converter->convert(converter, &id, &value) != CONVERT_OK)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("column \"%s\" of foreign table \"%s\" needs a value",
							column_name(writer, column), RelationGetRelationName(writer->relation)),
					 errdetail("Without one MongoDB gives the document an ObjectId, which the column's type %s cannot hold.",
							   format_type_be(attribute->atttypid))));
	}
	writer->takes_new_id = true;
}

/* The document of a row, with an _id. */
bson_t *
writer_document(Writer *writer, TupleTableSlot *slot)
{
	WriterColumn *whole;
	bson_t	   *document;

	slot_getallattrs(slot);
	whole = node_column(writer, writer->root, slot);
	if (whole != NULL)
	{
		check_overlap(writer, writer->root, whole, slot);
		document = whole_document(writer, whole, slot);
	}
	else
	{
		document = owned_bson_new(CurrentMemoryContext);
		append_children(writer, writer->root, slot, document);
	}
	if (!bson_has_field(document, "_id"))
	{
		document = with_new_id(document);
		check_new_id(writer, document);
	}
	return document;
}

/* Throws for columns of an update that overlap, such as address and address.city. */
static void
check_update(Writer *writer, WriterColumn *column, List *before)
{
	ListCell   *lc;

	foreach(lc, before)
	{
		WriterColumn *other = lfirst(lc);

		if (other->dotted != NULL && column->dotted != NULL &&
			!path_covers(other->dotted, column->dotted) && !path_covers(column->dotted, other->dotted))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("columns \"%s\" and \"%s\" of foreign table \"%s\" cannot be updated together",
						column_name(writer, other), column_name(writer, column),
						RelationGetRelationName(writer->relation)),
				 errdetail("Fields \"%s\" and \"%s\" of collection \"%s\" overlap.",
						   other->path, column->path, writer->collection)));
	}
}

/* Throws for a column that no update can change. */
static void
check_updatable(Writer *writer, WriterColumn *column)
{
	if (column->is_id)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of foreign table \"%s\" cannot be updated",
						column_name(writer, column), RelationGetRelationName(writer->relation)),
				 errdetail("The _id of a document in MongoDB never changes."),
				 errhint("Delete the row and insert another.")));
	if (column->segments != NIL && column->dotted == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of foreign table \"%s\" cannot be updated",
						column_name(writer, column), RelationGetRelationName(writer->relation)),
				 errdetail("MongoDB's $set cannot name field \"%s\".", column->path),
				 errhint("Update the document that holds it, through another column.")));
}

/* A whole document as an update, which must not look like operators. */
static void
replace_document(Writer *writer, WriterColumn *column, TupleTableSlot *slot, WriterUpdate *result)
{
	bson_iter_t iter;

	if (slot->tts_isnull[column->attnum - 1])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" of foreign table \"%s\" is the whole document and cannot be NULL",
						column_name(writer, column), RelationGetRelationName(writer->relation))));
	result->update = whole_document(writer, column, slot);
	result->replaces = true;
	if (bson_iter_init(&iter, result->update))
	{
		while (bson_iter_next(&iter))
			if (bson_iter_key(&iter)[0] == '$')
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("a document with the field \"%s\" cannot replace another",
								bson_iter_key(&iter)),
						 errdetail("MongoDB takes field names that begin with a dollar for operators here.")));
	}
}

/* The update that sets the writer's columns; see modify.h. */
void
writer_update(Writer *writer, TupleTableSlot *slot, const bool *changed, WriterUpdate *result)
{
	bson_t	   *set = owned_bson_new(CurrentMemoryContext);
	bson_t	   *unset = owned_bson_new(CurrentMemoryContext);
	List	   *columns = NIL;

	memset(result, 0, sizeof(*result));
	slot_getallattrs(slot);
	for (int i = 0; i < writer->ncolumns; i++)
	{
		WriterColumn *column = &writer->columns[i];
		bool		null = slot->tts_isnull[column->attnum - 1];

		if (changed != NULL && !changed[column->attnum - 1])
			continue;
		check_updatable(writer, column);
		check_update(writer, column, columns);
		columns = lappend(columns, column);
		if (column->segments == NIL)
			replace_document(writer, column, slot, result);
		else if (null && (!column->null_as_null || column->guard != NULL))
			bson_append_utf8(unset, column->dotted, -1, "", 0);
		else
		{
			append_column(writer, column, slot, set, column->dotted);
			if (column->guard != NULL)
				result->guards = list_append_unique(result->guards, makeString(column->guard));
		}
	}
	if (result->replaces || (bson_empty(set) && bson_empty(unset)))
		return;
	result->update = owned_bson_new(CurrentMemoryContext);
	if (!bson_empty(set))
		bson_append_document(result->update, "$set", -1, set);
	if (!bson_empty(unset))
		bson_append_document(result->update, "$unset", -1, unset);
}
