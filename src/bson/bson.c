/*
 * bson.c
 *	  SQL functions over BSON in bytea.
 *
 * None of them needs a server.  decode_document() drives the whole of decode
 * from SQL, for tests and for fuzzing.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document.h"
#include "bson/document_path.h"
#include "bson/encode.h"
#include "bson/json.h"
#include "bson/key.h"
#include "bson/walk.h"
#include "catalog/pg_type.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "owned.h"
#include "parser/parse_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(mm_bson_to_json);
PG_FUNCTION_INFO_V1(mm_printable_document);
PG_FUNCTION_INFO_V1(mm_bson_from_json);
PG_FUNCTION_INFO_V1(mm_bson_key);
PG_FUNCTION_INFO_V1(mm_key_to_json);
PG_FUNCTION_INFO_V1(mm_document_key);
PG_FUNCTION_INFO_V1(mm_path_segments);
PG_FUNCTION_INFO_V1(mm_decode_document);
PG_FUNCTION_INFO_V1(mm_encode_value);

/* The document in a bytea argument, which must outlive it; throws for what cannot be one. */
static void
bson_argument(bson_t *document, bytea *bytes)
{
	if (!bson_init_static(document, (const uint8_t *) VARDATA_ANY(bytes),
						  VARSIZE_ANY_EXHDR(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the bytes are no BSON document"),
				 errdetail("Their length, or what they say of it, is wrong.")));
}

/* Throws for a document that has no Extended JSON. */
static void
throw_status(ConvertStatus status)
{
	const char *hint = convert_hint(status);

	ereport(ERROR,
			(errcode(convert_sqlstate(status)),
			 errmsg("%s",
					status == CONVERT_TOO_DEEP ? "the document is nested too deep" :
					status == CONVERT_BAD_ENCODING ? "the document has a string that is not valid UTF-8" :
					"the document is not well-formed BSON"),
			 hint == NULL ? 0 : errhint("%s", hint)));
}

/* bson_to_json(document bytea, mode text) returns json */
Datum
mm_bson_to_json(PG_FUNCTION_ARGS)
{
	JsonMode	mode = json_mode_parse(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	bson_t		document;
	StringInfoData json;
	ConvertStatus status;

	bson_argument(&document, PG_GETARG_BYTEA_PP(0));
	initStringInfo(&json);
	status = json_append_document(&json, &document, mode);
	if (status != CONVERT_OK)
		throw_status(status);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}

/* printable_document(document bytea) returns json: NULL where bson_to_json() throws */
Datum
mm_printable_document(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	bson_t		document;
	StringInfoData json;

	initStringInfo(&json);
	if (!bson_init_static(&document, (const uint8_t *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)) ||
		json_append_document(&json, &document, JSON_CANONICAL) != CONVERT_OK)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}

/* Reads Extended JSON (UTF-8) into a document owned by the current context. */
static bson_t *
bson_from_text(const char *utf8)
{
	bson_error_t error;
	bson_t	   *document;

	/* libbson cuts code and pointers off there without a word. */
	if (strstr(utf8, "\\u0000") != NULL &&
		(strstr(utf8, "\"$code\"") != NULL || strstr(utf8, "\"$dbPointer\"") != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("Extended JSON with $code or $dbPointer and \\u0000 cannot be read")));
	document = bson_new_from_json((const uint8_t *) utf8, -1, &error);
	if (document == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid Extended JSON"),
				 errdetail("%s", mongo_error_text(error.message))));
	return owned_bson(CurrentMemoryContext, document);
}

/* bson_from_json(document json) returns bytea */
Datum
mm_bson_from_json(PG_FUNCTION_ARGS)
{
	text	   *json = PG_GETARG_TEXT_PP(0);
	char	   *utf8 = pg_server_to_any(text_to_cstring(json), VARSIZE_ANY_EXHDR(json), PG_UTF8);
	bson_t	   *document;

	/* libbson makes a document of an array, too. */
	if (utf8[strspn(utf8, " \t\n\r")] == '[')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a document is a JSON object, not an array")));
	document = bson_from_text(utf8);
	PG_RETURN_BYTEA_P((bytea *) cstring_to_text_with_len((const char *) bson_get_data(document),
														 document->len));
}

/* Skips blanks, and then a text; NULL where another follows. */
static const char *
skip_text(const char *json, const char *text)
{
	json += strspn(json, " \t\r\n");
	return strncmp(json, text, strlen(text)) == 0 ? json + strlen(text) : NULL;
}

/* Whether JSON is just {"$oid": "..."}, which most keys are and needs no parser. */
static bool
oid_from_json(const char *json, bson_oid_t *oid)
{
	static const char *const parts[] = {"{", "\"$oid\"", ":", "\""};
	char		hex[25];

	for (int i = 0; i < lengthof(parts); i++)
	{
		json = skip_text(json, parts[i]);
		if (json == NULL)
			return false;
	}
	strlcpy(hex, json, sizeof(hex));
	if (!bson_oid_is_valid(hex, strlen(hex)) || json[24] != '"' ||
		(json = skip_text(json + 25, "}")) == NULL || skip_text(json, "")[0] != '\0')
		return false;
	bson_oid_init_from_string(oid, hex);
	return true;
}

/* bson_key(value json) returns bytea */
Datum
mm_bson_key(PG_FUNCTION_ARGS)
{
	text	   *json = PG_GETARG_TEXT_PP(0);
	char	   *utf8 = pg_server_to_any(text_to_cstring(json), VARSIZE_ANY_EXHDR(json), PG_UTF8);
	bson_t		document;
	bson_oid_t	oid;
	bson_iter_t iter;

	if (oid_from_json(utf8, &oid))
	{
		bytea	   *key;

		bson_init(&document);
		BSON_APPEND_OID(&document, "v", &oid);
		bson_iter_init_find(&iter, &document, "v");
		key = key_bytes(&iter);
		bson_destroy(&document);
		PG_RETURN_BYTEA_P(key);
	}

	/* libbson reads documents: the value becomes a field of one. */
	if (!bson_iter_init_find(&iter, bson_from_text(psprintf("{\"v\": %s}", utf8)), "v"))
		elog(ERROR, "no field in the document made for a value");
	PG_RETURN_BYTEA_P(key_bytes(&iter));
}

/* key_to_json(key bytea) returns json */
Datum
mm_key_to_json(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	bson_t	   *document = owned_bson_new(CurrentMemoryContext);
	bson_iter_t iter;
	StringInfoData json;
	ConvertStatus status;

	key_append_to_bson(document, "v", VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
	if (!bson_iter_init_find(&iter, document, "v"))
		elog(ERROR, "no field in the document made from a key");
	initStringInfo(&json);
	status = json_append_value(&json, &iter, JSON_CANONICAL);
	if (status != CONVERT_OK)
		throw_status(status);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}

/* path_segments(path text) returns text[] */
Datum
mm_path_segments(PG_FUNCTION_ARGS)
{
	ArrayBuildState *names = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	ListCell   *cell;

	foreach(cell, document_path_split(text_to_cstring(PG_GETARG_TEXT_PP(0))))
	{
		char	   *name = lfirst(cell);

		accumArrayResult(names, CStringGetTextDatum(pg_any_to_server(name, strlen(name), PG_UTF8)),
						 false, TEXTOID, CurrentMemoryContext);
	}
	PG_RETURN_DATUM(makeArrayResult(names, CurrentMemoryContext));
}

/* document_key(document bytea, path text) returns bytea: a null is a value of _id alone */
Datum
mm_document_key(PG_FUNCTION_ARGS)
{
	DocumentPlan *plan = document_plan_create(CurrentMemoryContext, false);
	bson_t		document;
	DocumentError error;
	const char *path = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bson_iter_t id;
	Datum		value;
	bool		null;

	bson_argument(&document, PG_GETARG_BYTEA_PP(0));
	if (strcmp(path, "_id") == 0 && bson_iter_init_find(&id, &document, path) && BSON_ITER_HOLDS_NULL(&id))
		PG_RETURN_BYTEA_P(key_bytes(&id));
	document_plan_add_table(plan, -1, NULL);
	document_plan_add_column(plan, 0, path, converter_create_key(KEY_EXACT));
	document_plan_finish(plan);
	if (!document_decode_row(plan, &document, &value, &null, &error))
		ereport(ERROR,
				(errcode(convert_sqlstate(error.status)),
				 errmsg("%s", error.message),
				 errdetail("Field \"%s\".", error.path)));
	if (null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

#define MAX_TEST_TABLES 32

/* A table of decode_document(): the columns whose paths begin with prefix, "" or "...[]". */
typedef struct TestTable
{
	char	   *prefix;
	int			ncolumns;
	FmgrInfo   *outputs;		/* output functions of the columns' types */
} TestTable;

typedef struct TestPlan
{
	DocumentPlan *plan;
	TestTable  *tables;
	int			ntables;
	int			npaths;
	ReturnSetInfo *result;
} TestPlan;

/* Adds a table and returns its number. */
static int
add_test_table(TestPlan *test, char *prefix)
{
	TestTable  *table = &test->tables[test->ntables];

	table->prefix = prefix;
	table->outputs = palloc(test->npaths * sizeof(FmgrInfo));
	return test->ntables++;
}

/* The number of the table whose prefix has length bytes of path; made, parents first, when new. */
static int
test_table(TestPlan *test, const char *path, int length)
{
	int			parent;
	int			start;

	for (int i = 0; i < test->ntables; i++)
	{
		if (strlen(test->tables[i].prefix) == length &&
			strncmp(test->tables[i].prefix, path, length) == 0)
			return i;
	}

	/*
	 * Up to the [] before: the parent; between: the array's path in the
	 * parent's row.
	 */
	for (start = length - 2; start > 0 && strncmp(path + start - 2, "[]", 2) != 0; start--)
		;
	parent = test_table(test, path, start);
	if (test->ntables == MAX_TEST_TABLES)
		elog(ERROR, "too many tables");
	document_plan_add_table(test->plan, parent,
							start == length - 2 ? "$" :
							pnstrdup(path + start + (start > 0 ? 1 : 0),
									 length - 2 - start - (start > 0 ? 1 : 0)));
	return add_test_table(test, pnstrdup(path, length));
}

/* The converter that a type's name asks for; "key exact" and so on for keys. */
static Converter *
test_converter(const char *type_name, JsonMode mode, bool round)
{
	Oid			type;
	int32		typmod;

	if (strcmp(type_name, "key exact") == 0)
		return converter_create_key(KEY_EXACT);
	if (strcmp(type_name, "key objectid_text") == 0)
		return converter_create_key(KEY_OBJECTID_TEXT);
	if (strcmp(type_name, "key number_text") == 0)
		return converter_create_key(KEY_NUMBER_TEXT);
	parseTypeString(type_name, &type, &typmod, false);
	return converter_create(type, typmod, mode, round);
}

/* Adds a column: to the table of the last [] in its path, and what follows is its path there. */
static void
test_column(TestPlan *test, const char *path, const char *type_name, JsonMode mode, bool round)
{
	const char *rest = path;
	int			number;
	TestTable  *table;
	Oid			type = INT4OID;
	Oid			output;
	bool		varlena;

	for (const char *c = strstr(path, "[]"); c != NULL; c = strstr(c + 2, "[]"))
		rest = c + 2;
	number = test_table(test, path, rest - path);
	table = &test->tables[number];
	if (rest > path)
		rest = *rest == '.' ? rest + 1 : "$";

	if (strcmp(rest, "#") == 0)
		document_plan_add_position(test->plan, number, false);
	else
	{
		Converter  *converter = test_converter(type_name, mode, round);

		document_plan_add_column(test->plan, number, rest, converter);
		type = converter->type;
	}
	getTypeOutputInfo(type, &output, &varlena);
	fmgr_info(output, &table->outputs[table->ncolumns++]);
}

/* Puts a row into the result, each value by its output function. */
static void
test_row(void *arg, int number, Datum *values, bool *nulls)
{
	TestPlan   *test = arg;
	TestTable  *table = &test->tables[number];
	Datum	   *texts = palloc(Max(table->ncolumns, 1) * sizeof(Datum));
	int			lower_bound = 1;
	Datum		row[2];
	bool		row_nulls[2] = {false, false};

	for (int i = 0; i < table->ncolumns; i++)
		texts[i] = nulls[i] ? (Datum) 0 :
			CStringGetTextDatum(OutputFunctionCall(&table->outputs[i], values[i]));
	row[0] = Int32GetDatum(number);
	row[1] = PointerGetDatum(construct_md_array(texts, nulls, 1, &table->ncolumns, &lower_bound,
												TEXTOID, -1, false, TYPALIGN_INT));
	tuplestore_putvalues(test->result->setResult, test->result->setDesc, row, row_nulls);
}

/* decode_document(document bytea, paths text[], types text[], mode, strict, round) */
Datum
mm_decode_document(PG_FUNCTION_ARGS)
{
	JsonMode	mode = json_mode_parse(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	bool		round = PG_GETARG_BOOL(5);
	TestPlan	test = {0};
	TestTable	tables[MAX_TEST_TABLES] = {0};
	bson_t		document;
	DocumentError error;
	Datum	   *paths;
	Datum	   *types;
	int			npaths;
	int			ntypes;

	bson_argument(&document, PG_GETARG_BYTEA_PP(0));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &paths, NULL, &npaths);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT,
					  &types, NULL, &ntypes);
	if (npaths != ntypes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there must be as many types as paths")));
	InitMaterializedSRF(fcinfo, 0);

	test.result = (ReturnSetInfo *) fcinfo->resultinfo;
	test.plan = document_plan_create(CurrentMemoryContext, PG_GETARG_BOOL(4));
	test.tables = tables;
	test.npaths = npaths;
	document_plan_add_table(test.plan, -1, NULL);
	add_test_table(&test, "");
	for (int i = 0; i < npaths; i++)
		test_column(&test, TextDatumGetCString(paths[i]), TextDatumGetCString(types[i]),
					mode, round);
	document_plan_finish(test.plan);

	if (!document_decode(test.plan, &document, test_row, &test, &error))
		document_error_throw(&error, "test", &document);
	return (Datum) 0;
}

/* encode_value(value anyelement, bson_type text) returns bytea */
Datum
mm_encode_value(PG_FUNCTION_ARGS)
{
	bson_t	   *document = owned_bson_new(CurrentMemoryContext);
	Encoder    *encoder = encoder_create(get_fn_expr_argtype(fcinfo->flinfo, 0),
										 PG_ARGISNULL(1) ? NULL :
										 text_to_cstring(PG_GETARG_TEXT_PP(1)));
	ConvertStatus status = CONVERT_OK;

	if (PG_ARGISNULL(0))
		bson_append_null(document, "v", -1);
	else
		status = encoder->encode(encoder, PG_GETARG_DATUM(0), document, "v", -1);
	if (status != CONVERT_OK)
	{
		const char *hint = encode_hint(status, encoder);

		ereport(ERROR,
				(errcode(convert_sqlstate(status)),
				 errmsg("%s", encode_message(status, encoder, PG_GETARG_DATUM(0))),
				 hint == NULL ? 0 : errhint("%s", hint)));
	}
	PG_RETURN_BYTEA_P((bytea *) cstring_to_text_with_len((const char *) bson_get_data(document),
														 document->len));
}
