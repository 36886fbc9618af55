/*
 * infer.c
 *	  infer_schema(): the profile of a collection as rows, with proposed types.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "bson/document_path.h"
#include "bson/key.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"
#include "plan/collections.h"
#include "plan/keymatch.h"
#include "plan/profile.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(mm_infer_schema);
PG_FUNCTION_INFO_V1(mm_propose_id);

#define ID_SAMPLE	1000		/* documents that propose_id looks at */
#define MONEY_DIGITS 4			/* a double with no more is a decimal */
#define FEW_VALUES	12			/* strings that may be an enumeration ... */
#define FEW_TIMES	10			/* ... where each occurs so often, on average */

#define COUNT(node, type) ((node)->counts[profile_type_index(type)])

/* Columns of infer_schema. */
enum
{
	COL_PATH,
	COL_TYPES,
	COL_PRESENT,
	COL_NULLS,
	COL_MISSING,
	COL_PROPOSED_TYPE,
	COL_PROPOSED_NULLABLE,
	COL_REFERS_TO,
	COL_NOTE,
	COL_MIN_VALUE,
	COL_MAX_VALUE,
	COL_MIN_LENGTH,
	COL_MAX_LENGTH,
	COL_DISTINCT_VALUES,
	COL_REFERS_KEY,
	COL_KEY_FORM,
	COL_PARENT,
	COL_KEY,
	COL_IS_MAP,
	COL_IS_UNIQUE,
	COL_ORDINAL,
	COL_FEW_VALUES,
	NUM_COLUMNS
};

/* Where the rows go. */
typedef struct Report
{
	Profile    *profile;
	const char *collection;
	ReturnSetInfo *rsinfo;
	int			ordinal;
} Report;

/* The path of a node below the path of its parent, in the database's encoding. */
static char *
node_path(const char *parent, const ProfileNode *node)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfoString(&path, parent);
	if (node->key == NULL)
		appendStringInfoString(&path, node == node->parent->value ? "{}" : "[]");
	else
	{
		char	   *segment = document_path_escape(node->key);
		size_t		length = strlen(segment);

		/* A field whose name ends in [] or {} is no array or map for that. */
		if (length >= 2 && (strcmp(segment + length - 2, "[]") == 0 || strcmp(segment + length - 2, "{}") == 0))
			segment = psprintf("%.*s\\%s", (int) length - 2, segment, segment + length - 2);
		appendStringInfo(&path, "%s%s", node->depth > 1 ? "." : "", segment);
	}
	return path.data;
}

static Datum
text_from_utf8(const char *utf8)
{
	return CStringGetTextDatum(pg_any_to_server(utf8, strlen(utf8), PG_UTF8));
}

/* {"double": 9801, "string": 12} */
static Datum
types_jsonb(const ProfileNode *node)
{
	StringInfoData json;

	initStringInfo(&json);
	for (int i = 0; i < PROFILE_TYPES; i++)
	{
		if (node->counts[i] > 0)
			appendStringInfo(&json, "%s\"%s\": " UINT64_FORMAT, json.len == 0 ? "{" : ", ",
							 lattice_type_name(profile_index_type(i)), node->counts[i]);
	}
	appendStringInfoString(&json, json.len == 0 ? "{}" : "}");
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

static void append_note(StringInfo note, const char *format,...) pg_attribute_printf(2, 3);

/* Adds a remark to a note. */
static void
append_note(StringInfo note, const char *format,...)
{
	va_list		args;
	int			needed;

	appendStringInfoString(note, note->len == 0 ? "" : "; ");
	do
	{
		va_start(args, format);
		needed = appendStringInfoVA(note, format, args);
		va_end(args);
		enlargeStringInfo(note, needed);
	} while (needed > 0);
}

/*
 * The type for a field without documents and arrays.  Doubles become numeric
 * where they look like decimal amounts, bigint where every document was read
 * and all are whole; both hold the shortest decimal form exactly.
 */
static const char *
scalar_type(const Profile *profile, const ProfileNode *node, StringInfo note)
{
	char	   *remark;
	bool		doubles = COUNT(node, BSON_TYPE_DOUBLE) > 0;
	const char *type = lattice_type(&node->seen, profile->complete, &remark);

	if (remark != NULL)
		append_note(note, "%s", remark);
	if (strcmp(type, "timestamp with time zone") == 0)
		return "timestamptz";
	if (!doubles || node->seen.not_finite)
		return type;
	if (strcmp(type, "integer") == 0)
		return "bigint";
	if (strcmp(type, "double precision") == 0 && !node->seen.huge &&
		node->double_digits <= MONEY_DIGITS)
		type = "numeric";
	if (strcmp(type, "numeric") == 0 && node->seen.fractions &&
		COUNT(node, BSON_TYPE_DECIMAL128) == 0 && node->double_digits <= MONEY_DIGITS)
		append_note(note, "up to %d digit%s after the point", node->double_digits,
					node->double_digits == 1 ? "" : "s");
	return type;
}

/*
 * The type that holds every value of a node.  What becomes columns or a table
 * in a plan is jsonb here, and the note says so.
 */
static const char *
proposed_type(const Profile *profile, const ProfileNode *node, StringInfo note)
{
	uint32		nulls = LATTICE_BIT(BSON_TYPE_NULL) | LATTICE_BIT(BSON_TYPE_UNDEFINED);
	uint32		types = node->seen.types & ~nulls;
	uint32		containers = LATTICE_BIT(BSON_TYPE_DOCUMENT) | LATTICE_BIT(BSON_TYPE_ARRAY);
	const ProfileNode *element = node->element;

	if (types == LATTICE_BIT(BSON_TYPE_DOCUMENT))
	{
		if (node->overflow && node->nchildren < PROFILE_MAX_CHILDREN)
			append_note(note, "nested too deep or one of too many paths: not followed");
		else if (profile_is_map(node))
			append_note(note, "keys are data: %d%s different ones", node->nchildren,
						node->overflow ? " or more" : "");
		else if (node->children == NULL)
			append_note(note, "empty in every document read");
		return "jsonb";
	}
	if (types == LATTICE_BIT(BSON_TYPE_ARRAY))
	{
		StringInfoData remark;
		uint32		elements = element == NULL ? 0 : element->seen.types & ~nulls;
		const char *type;

		if (element == NULL)
		{
			append_note(note, node->overflow ? "nested too deep or one of too many paths: not followed" :
						"empty in every document read");
			return "jsonb";
		}
		if (elements & containers)
		{
			append_note(note, elements == LATTICE_BIT(BSON_TYPE_DOCUMENT) ? "array of documents" :
						elements == LATTICE_BIT(BSON_TYPE_ARRAY) ? "array of arrays" :
						"elements of several types");
			return "jsonb";
		}
		initStringInfo(&remark);
		type = scalar_type(profile, element, &remark);
		if (strcmp(type, "jsonb") == 0 ||
			(strcmp(type, "text") == 0 && (elements & ~LATTICE_BIT(BSON_TYPE_UTF8)) != 0))
		{
			append_note(note, "elements of several types");
			return "jsonb";
		}
		return psprintf("%s[]", type);
	}
	return scalar_type(profile, node, note);
}

/* A number as text. */
static char *
number_text(const ProfileNumber *number)
{
	char		decimal[BSON_DECIMAL128_STRING];

	switch (number->type)
	{
		case BSON_TYPE_DOUBLE:
			return DatumGetCString(DirectFunctionCall1(float8out, Float8GetDatum(number->value.real)));
		case BSON_TYPE_DECIMAL128:
			bson_decimal128_to_string(&number->value.decimal, decimal);
			return pstrdup(decimal);
		default:
			return psprintf(INT64_FORMAT, number->value.whole);
	}
}

/* A date, milliseconds since 1970, as ISO 8601 in UTC. */
static char *
date_text(int64 milliseconds)
{
	char		iso[MAXDATELEN + 2];
	Timestamp	timestamp;

	timestamp = milliseconds * 1000 -
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	JsonEncodeDateTime(iso, TimestampGetDatum(timestamp), TIMESTAMPOID, NULL);
	return psprintf("%sZ", iso);
}

/*
 * How many distinct values there were: a count, or two digits of an estimate
 * from how densely the smallest hashes lie.
 */
static int64
distinct_values(const ProfileValues *values)
{
	double		estimate;
	double		unit;

	if (!values->full)
		return values->count;
	estimate = (values->count - 1) / ldexp((double) values->hashes[values->count - 1], -64);
	unit = pow(10, floor(log10(estimate)) - 1);
	return (int64) (rint(estimate / unit) * unit);
}

/* Fills min_value, max_value, and the lengths. */
static void
set_ranges(const ProfileNode *node, Datum *values, bool *nulls)
{
	if (node->numbers && !node->dates)
	{
		bool		whole = node->seen.whole_numbers && !node->seen.fractions && !node->seen.huge;

		nulls[COL_MIN_VALUE] = nulls[COL_MAX_VALUE] = false;
		values[COL_MIN_VALUE] = CStringGetTextDatum(whole ? psprintf(INT64_FORMAT, node->seen.whole_min) :
													number_text(&node->number_min));
		values[COL_MAX_VALUE] = CStringGetTextDatum(whole ? psprintf(INT64_FORMAT, node->seen.whole_max) :
													number_text(&node->number_max));
	}
	else if (node->dates && !node->numbers && !node->seen.dates_out_of_range)
	{
		nulls[COL_MIN_VALUE] = nulls[COL_MAX_VALUE] = false;
		values[COL_MIN_VALUE] = CStringGetTextDatum(date_text(node->date_min));
		values[COL_MAX_VALUE] = CStringGetTextDatum(date_text(node->date_max));
	}
	if (node->lengths)
	{
		nulls[COL_MIN_LENGTH] = nulls[COL_MAX_LENGTH] = false;
		values[COL_MIN_LENGTH] = Int64GetDatum(node->length_min);
		values[COL_MAX_LENGTH] = Int64GetDatum(node->length_max);
	}
	if (node->values != NULL)
	{
		nulls[COL_DISTINCT_VALUES] = false;
		values[COL_DISTINCT_VALUES] = Int64GetDatum(distinct_values(node->values));
	}
}

/* Adds that every string, or nine of ten of them, is of a form. */
static void
append_form(const ProfileNode *node, StringInfo note, uint64 count, const char *one, const char *many)
{
	if (count > 0 && count == node->strings)
		append_note(note, "every string is %s", one);
	else if (count > 0 && count * 10 >= node->strings * 9)
		append_note(note, UINT64_FORMAT " of " UINT64_FORMAT " strings are %s", count, node->strings, many);
}

/* Adds what a person should know beyond the proposed type. */
static void
append_remarks(const ProfileNode *node, StringInfo note)
{
	append_form(node, note, node->iso_date_strings, "an ISO date", "ISO dates");
	append_form(node, note, node->number_strings, "a number", "numbers");
	append_form(node, note, node->uuid_strings, "a UUID", "UUIDs");
	if (profile_is_own_id(node))
		append_note(note, "the _id of the same document");
	if (node->empty_strings > 0)
		append_note(note, UINT64_FORMAT " empty string%s", node->empty_strings,
					node->empty_strings == 1 ? "" : "s");
	if (node->duplicates > 0)
		append_note(note, "the key stands twice in " UINT64_FORMAT " document%s", node->duplicates,
					node->duplicates == 1 ? "" : "s");
}

/* Fills refers_to, refers_key and key_form, and adds what dangles to the note. */
static void
set_reference(const ProfileNode *node, Datum *values, bool *nulls, StringInfo note)
{
	ProfileReference *reference = node->reference;

	if (node->divided != NULL)
		append_note(note, "the values are keys in several collections: %s", node->divided);
	if (reference == NULL)
	{
		if (node->namesake != NULL)
			append_note(note, "the values are keys of %s, which small numbers do not prove", node->namesake);
		return;
	}
	if (strcmp(reference->key, "_id") == 0)
		values[COL_REFERS_TO] = CStringGetTextDatum(reference->collection);
	else
		values[COL_REFERS_TO] = CStringGetTextDatum(psprintf("%s.%s", reference->collection, reference->key));
	values[COL_REFERS_KEY] = CStringGetTextDatum(reference->key);
	values[COL_KEY_FORM] = CStringGetTextDatum(reference->key_form);
	nulls[COL_REFERS_TO] = nulls[COL_REFERS_KEY] = nulls[COL_KEY_FORM] = false;
	if (reference->found < reference->sampled)
		append_note(note, "%d of %d sampled values %s not exist in %s",
					reference->sampled - reference->found, reference->sampled,
					reference->sampled - reference->found == 1 ? "does" : "do", reference->collection);
	if (reference->others != NULL)
		append_note(note, "the values exist in %s too", reference->others);
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Fills few_values: the strings that all values are of, where these are few and come again and again. */
static void
set_few_values(const ProfileNode *node, Datum *values, bool *nulls)
{
	const uint32 others = ~(LATTICE_BIT(BSON_TYPE_UTF8) | LATTICE_BIT(BSON_TYPE_NULL) |
							LATTICE_BIT(BSON_TYPE_UNDEFINED));
	ProfileValues *sample = node->values;
	bson_t	   *holder = owned_bson_new(CurrentMemoryContext);
	char	   *strings[FEW_VALUES];
	Datum		texts[FEW_VALUES];

	if (sample == NULL || sample->full || node->values_left_out || (node->seen.types & others) != 0 ||
		node->seen.strings_with_nul || node->seen.strings_not_text ||
		sample->count < 2 || sample->count > FEW_VALUES ||
		profile_occurrences(node) - profile_nulls(node) < FEW_TIMES * sample->count)
		return;
	for (int i = 0; i < sample->count; i++)
	{
		bson_iter_t value;

		bson_reinit(holder);
		key_append_to_bson(holder, "v", sample->keys[i], sample->lengths[i]);
		bson_iter_init_find(&value, holder, "v");
		strings[i] = pstrdup(bson_iter_utf8(&value, NULL));
	}
	qsort(strings, sample->count, sizeof(char *), compare_strings);
	for (int i = 0; i < sample->count; i++)
		texts[i] = text_from_utf8(strings[i]);
	nulls[COL_FEW_VALUES] = false;
	values[COL_FEW_VALUES] = PointerGetDatum(construct_array(texts, sample->count, TEXTOID, -1, false,
															 TYPALIGN_INT));
}

/* Emits the row of a node, and the rows below it. */
static void
report_node(Report *report, const ProfileNode *node, const char *parent_path)
{
	Datum		values[NUM_COLUMNS] = {0};
	bool		nulls[NUM_COLUMNS];
	StringInfoData note;
	char	   *path = node_path(parent_path, node);
	int64		occurrences = profile_occurrences(node);
	int64		null_count = profile_nulls(node);
	int64		missing = node->key == NULL ? 0 :
		(int64) COUNT(node->parent, BSON_TYPE_DOCUMENT) - occurrences;

	if (node->key != NULL && !document_path_can_name(node->key))
	{
		ereport(WARNING,
				(errmsg("field \"%s\" of collection \"%s\" is not shown", path, report->collection),
				 errdetail("Its name is not valid UTF-8, or not in the database's encoding, so that no column can have it."),
				 errhint("Rename it in MongoDB, or do without it.")));
		return;
	}
	initStringInfo(&note);
	memset(nulls, true, sizeof(nulls));
	for (int i = COL_PATH; i <= COL_PROPOSED_NULLABLE; i++)
		nulls[i] = false;
	values[COL_PATH] = CStringGetTextDatum(path);
	values[COL_TYPES] = types_jsonb(node);
	values[COL_PRESENT] = Int64GetDatum(occurrences - null_count);
	values[COL_NULLS] = Int64GetDatum(null_count);
	values[COL_MISSING] = Int64GetDatum(missing);
	values[COL_PROPOSED_TYPE] = CStringGetTextDatum(proposed_type(report->profile, node, &note));
	values[COL_PROPOSED_NULLABLE] = BoolGetDatum(null_count > 0 || missing > 0);
	set_ranges(node, values, nulls);
	append_remarks(node, &note);
	set_reference(node, values, nulls, &note);
	nulls[COL_NOTE] = note.len == 0;
	if (note.len > 0)
		values[COL_NOTE] = CStringGetTextDatum(note.data);
	nulls[COL_PARENT] = node->depth == 1;
	nulls[COL_IS_MAP] = nulls[COL_IS_UNIQUE] = nulls[COL_ORDINAL] = false;
	values[COL_PARENT] = CStringGetTextDatum(parent_path);
	nulls[COL_KEY] = node->key == NULL;
	if (node->key != NULL)
		values[COL_KEY] = text_from_utf8(node->key);
	values[COL_IS_MAP] = BoolGetDatum(profile_is_map(node));
	values[COL_IS_UNIQUE] = BoolGetDatum(node->unique);
	values[COL_ORDINAL] = Int32GetDatum(++report->ordinal);
	set_few_values(node, values, nulls);
	tuplestore_putvalues(report->rsinfo->setResult, report->rsinfo->setDesc, values, nulls);

	if (!profile_is_map(node))
	{
		for (ProfileNode *child = node->children; child != NULL; child = child->next)
			report_node(report, child, path);
	}
	else if (node->value != NULL)
		report_node(report, node->value, path);
	if (node->element != NULL)
		report_node(report, node->element, path);
}

/* Marks the paths that have a unique index of their own; none of them is in an array. */
static void
mark_unique(Profile *profile, List *keys)
{
	ListCell   *cell;

	foreach(cell, keys)
	{
		char	   *field = pstrdup(((UniqueKey *) lfirst(cell))->field);
		ProfileNode *node = profile->root;
		char	   *rest;

		for (char *key = strtok_r(field, ".", &rest); key != NULL && node != NULL;
			 key = strtok_r(NULL, ".", &rest))
		{
			node = node->children;
			while (node != NULL && strcmp(node->key, key) != 0)
				node = node->next;
			if (node != NULL && COUNT(node, BSON_TYPE_ARRAY) > 0)
				node = NULL;
		}
		if (node != NULL)
			node->unique = true;
	}
}

/* An aggregate of a random sample; with ids alone if so asked. */
static MongoCursor *
open_sample(MongoConnection *connection, const char *collection, int64 size, bool ids)
{
	bson_t	   *pipeline = owned_bson_new(CurrentMemoryContext);
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);
	bson_t		stages;
	bson_t		stage;
	bson_t		body;

	BSON_APPEND_ARRAY_BEGIN(pipeline, "pipeline", &stages);
	BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
	BSON_APPEND_DOCUMENT_BEGIN(&stage, "$sample", &body);
	BSON_APPEND_INT64(&body, "size", size);
	bson_append_document_end(&stage, &body);
	bson_append_document_end(&stages, &stage);
	if (ids)
	{
		BSON_APPEND_DOCUMENT_BEGIN(&stages, "1", &stage);
		BSON_APPEND_DOCUMENT_BEGIN(&stage, "$project", &body);
		BSON_APPEND_INT32(&body, "_id", 1);
		bson_append_document_end(&stage, &body);
		bson_append_document_end(&stages, &stage);
	}
	bson_append_array_end(pipeline, &stages);
	BSON_APPEND_BOOL(options, "allowDiskUse", true);
	return mongo_aggregate(connection, collection, pipeline, options, CurrentMemoryContext);
}

/* Adds all that a cursor has. */
static void
read_all(Profile *profile, MongoCursor *cursor)
{
	const bson_t *document;

	while ((document = mongo_cursor_next(cursor)) != NULL)
	{
		profile_add(profile, document);
		CHECK_FOR_INTERRUPTS();
	}
	mongo_cursor_close(cursor);
}

/* infer_schema(server, collection, sample_size) */
Datum
mm_infer_schema(PG_FUNCTION_ARGS)
{
	MongoConnection *connection = mongo_connect(mongo_server_oid(NameStr(*PG_GETARG_NAME(0))),
												GetUserId());
	char	   *collection = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int64		sample_size = PG_GETARG_INT64(2);
	bson_t	   *everything = owned_bson_new(CurrentMemoryContext);
	Profile    *profile = profile_create(CurrentMemoryContext);
	const char *kind;
	Report		report = {.profile = profile,.collection = collection};

	if (sample_size < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sample_size must not be negative"),
				 errhint("0 reads every document.")));
	kind = collection_require(connection, collection);
	profile->complete = sample_size == 0 || collection_count(connection, collection) <= sample_size;
	read_all(profile, profile->complete ?
			 mongo_find(connection, collection, everything, NULL, CurrentMemoryContext) :
			 open_sample(connection, collection, sample_size, false));
	profile_merge_maps(profile);
	profile_find_references(profile, connection, collection);
	if (strcmp(kind, "collection") == 0)
		mark_unique(profile, collection_unique_keys(connection, collection));

	if (profile->root->overflow)
		ereport(WARNING,
				(errmsg("documents of collection \"%s\" have more fields than are shown", collection),
				 errdetail("The first %d paths are.", profile->npaths)));
	InitMaterializedSRF(fcinfo, 0);
	report.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	for (ProfileNode *node = profile->root->children; node != NULL; node = node->next)
		report_node(&report, node, "");
	return (Datum) 0;
}

/* Adds the document with the first or last _id. */
static void
read_end(Profile *profile, MongoConnection *connection, const char *collection, int direction)
{
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);
	bson_t		child;

	BSON_APPEND_DOCUMENT_BEGIN(options, "projection", &child);
	BSON_APPEND_INT32(&child, "_id", 1);
	bson_append_document_end(options, &child);
	BSON_APPEND_DOCUMENT_BEGIN(options, "sort", &child);
	BSON_APPEND_INT32(&child, "_id", direction);
	bson_append_document_end(options, &child);
	BSON_APPEND_INT64(options, "limit", 1);
	read_all(profile, mongo_find(connection, collection, owned_bson_new(CurrentMemoryContext),
								 options, CurrentMemoryContext));
}

/*
 * propose_id(server, collection): how documents get their ids.  The first and
 * the last _id tell of all types between them, since an index is in order of
 * types; a sample tells of fractions and of the subtypes of binaries.
 */
Datum
mm_propose_id(PG_FUNCTION_ARGS)
{
	MongoConnection *connection = mongo_connect(mongo_server_oid(NameStr(*PG_GETARG_NAME(0))),
												GetUserId());
	char	   *collection = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Profile    *profile = profile_create(CurrentMemoryContext);
	const char *kind = collection_require(connection, collection);
	const char *source_type = "mongo_migrate.objectid";
	ProfileNode *id;
	TupleDesc	descriptor;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	bool		kept = false;

	if (strcmp(kind, "collection") == 0)
	{
		read_end(profile, connection, collection, 1);
		read_end(profile, connection, collection, -1);
	}
	read_all(profile, open_sample(connection, collection, ID_SAMPLE, true));
	for (id = profile->root->children; id != NULL && strcmp(id->key, "_id") != 0; id = id->next)
		;
	if (id != NULL)
	{
		char	   *remark;

		source_type = lattice_type(&id->seen, true, &remark);
		if (strcmp(source_type, "integer") == 0)
			source_type = "bigint";
		kept = strcmp(source_type, "bigint") == 0 || strcmp(source_type, "uuid") == 0;
	}

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(kept ? "source" : "bigint");
	values[1] = CStringGetTextDatum(kept ? source_type : "bigint");
	values[2] = CStringGetTextDatum(source_type);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
}
