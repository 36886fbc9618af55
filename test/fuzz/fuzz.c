/*
 * fuzz.c
 *	  Random mutations of BSON documents through everything that reads BSON.
 *
 * Part of the extension only when it is built with FUZZ=1, as ./dev fuzz does,
 * together with sanitizers.  A mutation is a function of the corpus, a seed and
 * a number, so that one which failed can be made again.  Its bytes are in
 * memory of exactly their size, where AddressSanitizer sees a read beyond it.
 */
#include "postgres.h"
#include "compat.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/xact.h"
#include "bson/document.h"
#include "bson/document_path.h"
#include "bson/json.h"
#include "bson/json_read.h"
#include "bson/key.h"
#include "bson/lattice.h"
#include "bson/walk.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "owned.h"
#include "parser/parse_type.h"
#include "plan/profile.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(mm_fuzz);
PG_FUNCTION_INFO_V1(mm_fuzz_bytes);

#define MAX_DOCUMENT	65536
#define MAX_COLUMNS		64
#define MAX_TABLES		16
#define PLANS			3		/* for a document: see plan_for() */
#define PROFILE_SIZE	1000	/* documents of one profile */

typedef struct Corpus
{
	int			count;
	Datum	   *documents;		/* bytea, not toasted */
} Corpus;

/* A type to convert to. */
typedef struct Target
{
	Converter  *converter;
	FmgrInfo	output;
} Target;

typedef struct Fuzz
{
	Corpus		corpus;
	MemoryContext context;		/* of all but a mutation's own */
	Target	   *targets;
	int			ntargets;
	DocumentPlan **plans;		/* PLANS for each document; NULL: not made yet */
	bool	   *impossible;		/* plans that cannot be made */
	Profile    *profile;
	pg_prng_state random;
	int64		seed;
	int64		number;			/* of the mutation */
	int64		well_formed;	/* documents that all of their bytes could be read of */
	int64		decoded;		/* and those that a plan took */
} Fuzz;

/* A random number from 0 to count - 1. */
static int
pick(pg_prng_state *random, int count)
{
	return (int) pg_prng_uint64_range(random, 0, count - 1);
}

static Corpus
corpus_argument(ArrayType *documents)
{
	Corpus		corpus;

	deconstruct_array(documents, BYTEAOID, -1, false, TYPALIGN_INT, &corpus.documents, NULL,
					  &corpus.count);
	if (corpus.count == 0)
		elog(ERROR, "the corpus is empty");
	for (int i = 0; i < corpus.count; i++)
		corpus.documents[i] = PointerGetDatum(DatumGetByteaPP(corpus.documents[i]));
	return corpus;
}

/* An iterator over a document of the corpus. */
static bool
corpus_iter(const Corpus *corpus, int index, bson_iter_t *iter)
{
	bytea	   *document = DatumGetByteaPP(corpus->documents[index]);

	return bson_iter_init_from_data(iter, (const uint8_t *) VARDATA_ANY(document),
									VARSIZE_ANY_EXHDR(document));
}

/* Sets bytes to a document of the corpus. */
static void
take_document(const Corpus *corpus, int index, StringInfo bytes)
{
	bytea	   *document = DatumGetByteaPP(corpus->documents[index]);

	resetStringInfo(bytes);
	appendBinaryStringInfo(bytes, VARDATA_ANY(document), VARSIZE_ANY_EXHDR(document));
}

/*
 * Makes a well-formed document of fields of several: those of the first, some
 * of which have the value, and some the name, of a field of another.
 */
static void
mix_documents(const Corpus *corpus, int first, pg_prng_state *random, StringInfo bytes)
{
	bson_t	   *mixed = owned_bson_new(CurrentMemoryContext);
	bson_iter_t iter;

	if (!corpus_iter(corpus, first, &iter))
		return;
	while (bson_iter_next(&iter))
	{
		bson_iter_t other;
		const bson_iter_t *value = &iter;
		const char *key = bson_iter_key(&iter);

		if (pick(random, 3) == 0 && corpus_iter(corpus, pick(random, corpus->count), &other))
		{
			for (int skip = pick(random, 4); bson_iter_next(&other) && skip > 0; skip--)
				;
			if (other.next_off > 0 && other.err_off == 0 && other.key > 0 && other.off < other.len &&
				bson_iter_type(&other) != BSON_TYPE_EOD)
			{
				value = &other;
				if (pick(random, 4) == 0)
					key = bson_iter_key(&other);
			}
		}
		bson_append_iter(mixed, key, -1, value);
	}
	resetStringInfo(bytes);
	appendBinaryStringInfo(bytes, (const char *) bson_get_data(mixed), mixed->len);
}

/* Changes a few bytes at one place. */
static void
mutate_once(const Corpus *corpus, pg_prng_state *random, StringInfo bytes)
{
	static const uint8 types[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
	0x7f, 0xff};
	static const uint8 edges[] = {0, 1, 4, 5, 0x20, '$', '.', 0x7f, 0x80, 0xc0, 0xe0, 0xed, 0xf0, 0xff};
	int			at = pick(random, bytes->len);
	int			length = 1 + pick(random, 16);
	uint8	   *data = (uint8 *) bytes->data;
	uint32		number;

	length = Min(length, bytes->len - at);
	switch (pick(random, 9))
	{
		case 0:
			data[at] ^= 1 << pick(random, 8);
			break;
		case 1:
			data[at] = pick(random, 256);
			break;
		case 2:
			data[at] = edges[pick(random, lengthof(edges))];
			break;
		case 3:
			data[at] = types[pick(random, lengthof(types))];
			break;
		case 4:					/* a length, near what it was or far */
			if (bytes->len - at < sizeof(number))
				break;
			memcpy(&number, data + at, sizeof(number));
			number = pick(random, 3) > 0 ? number + pick(random, 17) - 8 :
				(uint32) pg_prng_uint64(random) >> pick(random, 32);
			memcpy(data + at, &number, sizeof(number));
			break;
		case 5:					/* bytes go */
			memmove(data + at, data + at + length, bytes->len - at - length);
			bytes->len -= length;
			break;
		case 6:					/* bytes stand twice */
			enlargeStringInfo(bytes, length);
			data = (uint8 *) bytes->data;
			memmove(data + at + length, data + at, bytes->len - at);
			bytes->len += length;
			break;
		case 7:					/* bytes move */
			memmove(data + pick(random, bytes->len - length + 1), data + at, length);
			break;
		case 8:					/* bytes of another document */
			{
				bytea	   *other = DatumGetByteaPP(corpus->documents[pick(random, corpus->count)]);
				int			from = pick(random, VARSIZE_ANY_EXHDR(other));

				length = Min(length, (int) VARSIZE_ANY_EXHDR(other) - from);
				memcpy(data + at, VARDATA_ANY(other) + from, length);
				break;
			}
	}
}

/*
 * Makes mutation number of a seed, in CurrentMemoryContext, and returns which
 * document it was made from.  Most have the right length in front and the
 * terminator at the end: what has not is refused at once.
 */
static int
mutate(const Corpus *corpus, int64 seed, int64 number, pg_prng_state *random, StringInfo bytes)
{
	int			index;

	pg_prng_seed(random, (uint64) seed * UINT64CONST(0x9e3779b97f4a7c15) + (uint64) number);
	index = pick(random, corpus->count);
	initStringInfo(bytes);
	take_document(corpus, index, bytes);
	if (pick(random, 3) == 0)
		mix_documents(corpus, index, random, bytes);
	for (int times = pick(random, 6); times > 0 && bytes->len > 0 && bytes->len < MAX_DOCUMENT; times--)
		mutate_once(corpus, random, bytes);
	if (bytes->len >= 5 && pick(random, 16) > 0)
	{
		uint32		length = BSON_UINT32_TO_LE((uint32) bytes->len);

		memcpy(bytes->data, &length, sizeof(length));
		bytes->data[bytes->len - 1] = '\0';
	}
	return index;
}

/* The same bytes in memory of exactly their size, which lives as long as CurrentMemoryContext. */
static uint8 *
exact_copy(const char *data, int length)
{
	uint8	   *copy = malloc(Max(length, 1));

	if (copy == NULL)
		elog(ERROR, "out of memory");
	memcpy(copy, data, length);
	owned_register(CurrentMemoryContext, copy, free);
	return copy;
}

/* A type by its name, or "key". */
static Target
target_create(const char *name)
{
	Target		target;
	Oid			type;
	int32		typmod;
	Oid			output;
	bool		varlena;

	if (strcmp(name, "key") == 0)
		target.converter = converter_create_key(KEY_OBJECTID_TEXT);
	else
	{
		parseTypeString(name, &type, &typmod, false);
		target.converter = converter_create(type, typmod, JSON_RELAXED, false);
	}
	getTypeOutputInfo(target.converter->type, &output, &varlena);
	fmgr_info(output, &target.output);
	return target;
}

/* Adds a table for the fields of a sub-document. */
static void
add_map(Fuzz *fuzz, DocumentPlan *plan, int table, const char *path, int *ntables)
{
	int			child = document_plan_add_table(plan, table, path);

	(*ntables)++;
	document_plan_set_map(plan, child);
	document_plan_add_column(plan, child, "$key", converter_create(TEXTOID, -1, JSON_RELAXED, false));
	document_plan_add_column(plan, child, "$",
							 fuzz->targets[pick(&fuzz->random, fuzz->ntargets)].converter);
}

/*
 * Adds columns for the fields of a document, and tables for its arrays.  Plan 0
 * has the type that planning gives a field, the others any type.
 */
static void
add_fields(Fuzz *fuzz, DocumentPlan *plan, int variant, int table, const char *prefix, Walk *walk,
		   int depth, int *ncolumns, int *ntables)
{
	while (*ncolumns < MAX_COLUMNS && bson_iter_next(&walk->iter))
	{
		char	   *name = document_path_escape(bson_iter_key(&walk->iter));
		char	   *path = psprintf("%s%s", prefix, name);
		LatticeSeen seen = {0};
		char	   *note;
		Walk		inner;

		lattice_add(&seen, &walk->iter);
		document_plan_add_column(plan, table, path,
								 variant == 0 ? target_create(lattice_type(&seen, false, &note)).converter :
								 fuzz->targets[pick(&fuzz->random, fuzz->ntargets)].converter);
		(*ncolumns)++;
		if (depth == 4)
			continue;
		if (BSON_ITER_HOLDS_DOCUMENT(&walk->iter) && variant == 2 && *ntables < MAX_TABLES &&
			pick(&fuzz->random, 2) == 0)
			add_map(fuzz, plan, table, path, ntables);
		else if (BSON_ITER_HOLDS_DOCUMENT(&walk->iter) && walk_enter(&inner, &walk->iter))
			add_fields(fuzz, plan, variant, table, psprintf("%s.", path), &inner, depth + 1,
					   ncolumns, ntables);
		else if (BSON_ITER_HOLDS_ARRAY(&walk->iter) && *ntables < MAX_TABLES &&
				 walk_enter(&inner, &walk->iter))
		{
			int			child = document_plan_add_table(plan, table, path);
			Walk		element;

			(*ntables)++;
			document_plan_add_position(plan, child, false);
			document_plan_add_column(plan, child, "$",
									 fuzz->targets[pick(&fuzz->random, fuzz->ntargets)].converter);
			if (bson_iter_next(&inner.iter) && BSON_ITER_HOLDS_DOCUMENT(&inner.iter) &&
				walk_enter(&element, &inner.iter))
				add_fields(fuzz, plan, variant, child, "", &element, depth + 1, ncolumns, ntables);
			if (variant == 2)
			{
				document_plan_add_position(plan, child, true);
				document_plan_set_tree(plan, child, pick(&fuzz->random, 2) == 0 ? name : "0");
			}
		}
	}
}

/* Makes a plan from a document of the corpus.  Throws where its field names are beyond a plan. */
static DocumentPlan *
make_plan(Fuzz *fuzz, int index, int variant)
{
	DocumentPlan *plan = document_plan_create(fuzz->context, variant == 1);
	bytea	   *document = DatumGetByteaPP(fuzz->corpus.documents[index]);
	Walk		walk;
	int			ncolumns = 0;
	int			ntables = 1;

	document_plan_add_table(plan, -1, NULL);
	if (walk_start(&walk, (const uint8 *) VARDATA_ANY(document), VARSIZE_ANY_EXHDR(document)))
		add_fields(fuzz, plan, variant, 0, "", &walk, 0, &ncolumns, &ntables);
	document_plan_add_extra(plan, 0, converter_create(JSONBOID, -1, JSON_RELAXED, false));
	if (variant == 2)
		document_plan_add_column(plan, 0, "$", converter_create(JSONOID, -1, JSON_PLAIN, false));
	document_plan_finish(plan);
	return plan;
}

/* The plan of a document, made when first asked for; NULL where it cannot be. */
static DocumentPlan *
plan_for(Fuzz *fuzz, int index, int variant)
{
	int			slot = index * PLANS + variant;
	MemoryContext before = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	if (fuzz->plans[slot] != NULL || fuzz->impossible[slot])
		return fuzz->plans[slot];
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(fuzz->context);
	PG_TRY();
	{
		/* The same plan whatever mutation asks first. */
		pg_prng_seed(&fuzz->random, slot);
		fuzz->plans[slot] = make_plan(fuzz, index, variant);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(before);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		fuzz->impossible[slot] = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	CurrentResourceOwner = owner;
	return fuzz->plans[slot];
}

/* A DocumentRow. */
static void
count_row(void *arg, int table, Datum *values, bool *nulls)
{
	(*(int *) arg)++;
}

/* A DocumentUnknown. */
static void
count_unknown(void *arg, int table, const char *path, int64 documents)
{
	*(int *) arg += strlen(path);
}

/* Throws a decode error, as its callers do, and catches it. */
static void
throw_error(const DocumentError *error, const bson_t *document)
{
	MemoryContext before = CurrentMemoryContext;

	PG_TRY();
	{
		document_error_throw(error, "fuzz", document);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(before);
		FlushErrorState();
	}
	PG_END_TRY();
}

/* By each plan of the document that the mutation was made from. */
static void
check_decode(Fuzz *fuzz, int index, const bson_t *document)
{
	for (int variant = 0; variant < PLANS; variant++)
	{
		DocumentPlan *plan = plan_for(fuzz, index, variant);
		DocumentError error = {0};
		int			count = 0;

		if (plan == NULL)
			continue;
		if (document_decode(plan, document, count_row, &count, &error))
			fuzz->decoded++;
		else if (error.message == NULL || error.status == CONVERT_OK)
			elog(ERROR, "decode failed and does not say why");
		else
			throw_error(&error, document);
		if (fuzz->number % 100 == 0)
			document_plan_report_unknown(plan, count_unknown, &count);
	}
}

/*
 * What was written as canonical Extended JSON is read back as a document that is
 * written alike, but for the options of a regular expression: libbson sorts them.
 */
static void
check_json_read(const StringInfoData *json)
{
	char	   *utf8 = pg_server_to_any(json->data, json->len, PG_UTF8);
	bson_t	   *document = owned_bson_new(CurrentMemoryContext);
	const char *detail = NULL;
	StringInfoData again;
	bson_iter_t iter;

	if (json_read_value(utf8, strlen(utf8), document, "v", 1, &detail) != CONVERT_OK)
		return;
	initStringInfo(&again);
	if (!bson_iter_init_find(&iter, document, "v") ||
		json_append_value(&again, &iter, JSON_CANONICAL) != CONVERT_OK ||
		(strcmp(again.data, json->data) != 0 && strstr(json->data, "$regularExpression") == NULL))
		elog(ERROR, "%s came back as %s", json->data, again.data);
}

/* As JSON text and its fields as jsonb, in each mode; true when all of the document could be read. */
static bool
check_json(const bson_t *document)
{
	bool		well_formed = false;

	for (JsonMode mode = JSON_RELAXED; mode <= JSON_PLAIN; mode++)
	{
		StringInfoData json;
		Jsonb	   *jsonb;
		bson_iter_t iter;

		initStringInfo(&json);
		if (json_append_document(&json, document, mode) == CONVERT_OK)
		{
			well_formed = true;
			DirectFunctionCall1(json_in, CStringGetDatum(json.data));
			if (mode == JSON_CANONICAL)
				check_json_read(&json);
		}
		if (!bson_iter_init(&iter, document))
			continue;
		while (bson_iter_next(&iter))
		{
			if (jsonb_from_value(&iter, mode, &jsonb) == CONVERT_OK)
				DirectFunctionCall1(jsonb_out, JsonbPGetDatum(jsonb));
		}
	}
	json_preview_id(document);
	return well_formed;
}

/*
 * The document {v: value} that a key stands for; NULL for bytes that are no
 * key, if they may be none, and for code with U+0000, which libbson cannot make.
 */
static bson_t *
read_key(const StringInfoData *key, bool damaged)
{
	MemoryContext before = CurrentMemoryContext;
	bson_t	   *document = owned_bson_new(CurrentMemoryContext);
	const char *bytes = (const char *) exact_copy(key->data, key->len);
	bool volatile read = false;

	PG_TRY();
	{
		key_append_to_bson(document, "v", bytes, key->len);
		read = true;
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		if (code != ERRCODE_FEATURE_NOT_SUPPORTED && !(damaged && code == ERRCODE_DATA_CORRUPTED))
			PG_RE_THROW();
		MemoryContextSwitchTo(before);
		FlushErrorState();
	}
	PG_END_TRY();
	return read ? document : NULL;
}

/* A value's key stands for a value that has the same key; a damaged one is read or refused. */
static void
check_key(Fuzz *fuzz, const bson_iter_t *value)
{
	StringInfoData key;
	StringInfoData again;
	bson_t	   *document;
	bson_iter_t iter;

	initStringInfo(&key);
	initStringInfo(&again);
	if (key_try_append(&key, value) != CONVERT_OK)
		return;
	document = read_key(&key, false);
	if (document != NULL &&
		(!bson_iter_init_find(&iter, document, "v") ||
		 key_try_append(&again, &iter) != CONVERT_OK ||
		 again.len != key.len || memcmp(again.data, key.data, key.len) != 0))
		elog(ERROR, "a key stands for a value with another key");
	mutate_once(&fuzz->corpus, &fuzz->random, &key);
	read_key(&key, true);
}

/* A value to every type. */
static void
check_value(Fuzz *fuzz, const bson_iter_t *value)
{
	LatticeSeen seen = {0};
	char	   *note;

	lattice_add(&seen, value);
	lattice_type(&seen, false, &note);
	json_preview(value);
	check_key(fuzz, value);
	if (BSON_ITER_HOLDS_NULL(value) || BSON_ITER_HOLDS_UNDEFINED(value))
		return;
	for (int i = 0; i < fuzz->ntargets; i++)
	{
		Target	   *target = &fuzz->targets[i];
		Datum		result;
		ConvertStatus status = target->converter->convert(target->converter, value, &result);

		if (status == CONVERT_OK)
			OutputFunctionCall(&target->output, result);
		else
			convert_message(status, target->converter, value);
	}
}

/* The fields of a document, and of those in it. */
static void
check_values(Fuzz *fuzz, Walk *walk, int depth)
{
	while (bson_iter_next(&walk->iter))
	{
		Walk		inner;

		check_value(fuzz, &walk->iter);
		if (depth < 3 && (BSON_ITER_HOLDS_DOCUMENT(&walk->iter) || BSON_ITER_HOLDS_ARRAY(&walk->iter)) &&
			walk_enter(&inner, &walk->iter))
			check_values(fuzz, &inner, depth + 1);
	}
}

/* One mutation; what it allocates is in CurrentMemoryContext. */
static void
check_mutation(Fuzz *fuzz)
{
	StringInfoData bytes;
	int			index = mutate(&fuzz->corpus, fuzz->seed, fuzz->number, &fuzz->random, &bytes);
	uint8	   *data = exact_copy(bytes.data, bytes.len);
	pg_prng_state random = fuzz->random;
	bson_t		document;
	Walk		walk;

	if (!bson_init_static(&document, data, bytes.len))
		return;
	check_decode(fuzz, index, &document);
	fuzz->random = random;
	if (check_json(&document))
		fuzz->well_formed++;
	if (walk_start(&walk, data, bytes.len))
		check_values(fuzz, &walk, 0);
	if (fuzz->number % PROFILE_SIZE == 0)
	{
		MemoryContextDelete(fuzz->profile->context);
		fuzz->profile = profile_create(fuzz->context);
	}
	profile_add(fuzz->profile, &document);
}

static void
fuzz_errcontext(void *arg)
{
	errcontext("mutation " INT64_FORMAT " of seed " INT64_FORMAT, ((Fuzz *) arg)->number, ((Fuzz *) arg)->seed);
}

static void
fuzz_create(Fuzz *fuzz, ArrayType *types)
{
	Datum	   *names;

	deconstruct_array(types, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &fuzz->ntargets);
	fuzz->context = CurrentMemoryContext;
	fuzz->targets = palloc(fuzz->ntargets * sizeof(Target));
	for (int i = 0; i < fuzz->ntargets; i++)
		fuzz->targets[i] = target_create(TextDatumGetCString(names[i]));
	fuzz->plans = palloc0(fuzz->corpus.count * PLANS * sizeof(DocumentPlan *));
	fuzz->impossible = palloc0(fuzz->corpus.count * PLANS * sizeof(bool));
	fuzz->profile = profile_create(fuzz->context);
}

/*
 * fuzz(corpus bytea[], types text[], seed bigint, first bigint, count bigint,
 * OUT well_formed bigint, OUT decoded bigint)
 *
 * The number of the mutation at work is in the file fuzz_number of the data
 * directory, for a crash.
 */
Datum
mm_fuzz(PG_FUNCTION_ARGS)
{
	Fuzz		fuzz = {0};
	int64		end = PG_GETARG_INT64(3) + PG_GETARG_INT64(4);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "mutation",
												  ALLOCSET_DEFAULT_SIZES);
	ErrorContextCallback callback = {error_context_stack, fuzz_errcontext, &fuzz};
	int			file = open("fuzz_number", O_WRONLY | O_CREAT, 0600);
	TupleDesc	description;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (file < 0)
		elog(ERROR, "could not open file \"fuzz_number\": %m");
	get_call_result_type(fcinfo, NULL, &description);
	fuzz.corpus = corpus_argument(PG_GETARG_ARRAYTYPE_P(0));
	fuzz.seed = PG_GETARG_INT64(2);
	fuzz_create(&fuzz, PG_GETARG_ARRAYTYPE_P(1));
	error_context_stack = &callback;
	for (fuzz.number = PG_GETARG_INT64(3); fuzz.number < end; fuzz.number++)
	{
		MemoryContext before = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		if (pwrite(file, &fuzz.number, sizeof(fuzz.number), 0) != sizeof(fuzz.number))
			elog(ERROR, "could not write to file \"fuzz_number\": %m");
		check_mutation(&fuzz);
		MemoryContextSwitchTo(before);
		MemoryContextReset(context);
	}
	error_context_stack = callback.previous;
	close(file);
	values[0] = Int64GetDatum(fuzz.well_formed);
	values[1] = Int64GetDatum(fuzz.decoded);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(description), values, nulls)));
}

/* fuzz_bytes(corpus bytea[], seed bigint, number bigint) returns bytea: one mutation */
Datum
mm_fuzz_bytes(PG_FUNCTION_ARGS)
{
	Corpus		corpus = corpus_argument(PG_GETARG_ARRAYTYPE_P(0));
	pg_prng_state random;
	StringInfoData bytes;

	mutate(&corpus, PG_GETARG_INT64(1), PG_GETARG_INT64(2), &random, &bytes);
	PG_RETURN_BYTEA_P((bytea *) cstring_to_text_with_len(bytes.data, bytes.len));
}
