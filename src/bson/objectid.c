/*
 * objectid.c
 *	  The type mongo_migrate.objectid: MongoDB's ObjectId.
 *
 * A value is a bson_oid_t: 12 bytes, by reference, without alignment.  It
 * sorts byte by byte, as MongoDB has it.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/objectid.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/sortsupport.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define OBJECTID_SIZE ((int) sizeof(bson_oid_t))
#define OBJECTID_DIGITS (2 * OBJECTID_SIZE)

PG_FUNCTION_INFO_V1(mm_objectid_in);
PG_FUNCTION_INFO_V1(mm_objectid_out);
PG_FUNCTION_INFO_V1(mm_objectid_recv);
PG_FUNCTION_INFO_V1(mm_objectid_send);
PG_FUNCTION_INFO_V1(mm_objectid_eq);
PG_FUNCTION_INFO_V1(mm_objectid_ne);
PG_FUNCTION_INFO_V1(mm_objectid_lt);
PG_FUNCTION_INFO_V1(mm_objectid_le);
PG_FUNCTION_INFO_V1(mm_objectid_gt);
PG_FUNCTION_INFO_V1(mm_objectid_ge);
PG_FUNCTION_INFO_V1(mm_objectid_cmp);
PG_FUNCTION_INFO_V1(mm_objectid_sortsupport);
PG_FUNCTION_INFO_V1(mm_objectid_hash);
PG_FUNCTION_INFO_V1(mm_objectid_hash_extended);
PG_FUNCTION_INFO_V1(mm_objectid_smaller);
PG_FUNCTION_INFO_V1(mm_objectid_larger);
PG_FUNCTION_INFO_V1(mm_objectid_from_bytea);
PG_FUNCTION_INFO_V1(mm_objectid_timestamp);
PG_FUNCTION_INFO_V1(mm_objectid_from_timestamp);
PG_FUNCTION_INFO_V1(mm_objectid_generate);

/* The type's oid, or InvalidOid while the extension is not created. */
Oid
objectid_type(void)
{
	Oid			schema = get_namespace_oid("mongo_migrate", true);

	return OidIsValid(schema) ?
		GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("objectid"),
						ObjectIdGetDatum(schema)) : InvalidOid;
}

/* Text input: 24 hexadecimal digits, and nothing else. */
Datum
mm_objectid_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);
	bson_oid_t *oid;

	if (strlen(text) != OBJECTID_DIGITS || !bson_oid_is_valid(text, OBJECTID_DIGITS))
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"", "mongo_migrate.objectid", text),
				 errdetail("An ObjectId is written as 24 hexadecimal digits.")));
	oid = palloc(sizeof(bson_oid_t));
	bson_oid_init_from_string(oid, text);
	PG_RETURN_OBJECTID_P(oid);
}

/* Text output: 24 lower-case hexadecimal digits. */
Datum
mm_objectid_out(PG_FUNCTION_ARGS)
{
	char	   *text = palloc(OBJECTID_DIGITS + 1);

	bson_oid_to_string(PG_GETARG_OBJECTID_P(0), text);
	PG_RETURN_CSTRING(text);
}

/* Binary input: the 12 bytes. */
Datum
mm_objectid_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	bson_oid_t *oid = palloc(sizeof(bson_oid_t));

	pq_copymsgbytes(message, (char *) oid->bytes, OBJECTID_SIZE);
	PG_RETURN_OBJECTID_P(oid);
}

/* Binary output, and the cast to bytea: the 12 bytes. */
Datum
mm_objectid_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P((bytea *) cstring_to_text_with_len((char *) PG_GETARG_OBJECTID_P(0)->bytes,
														 OBJECTID_SIZE));
}

/* The cast from bytea. */
Datum
mm_objectid_from_bytea(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	bson_oid_t *oid;

	if (VARSIZE_ANY_EXHDR(bytes) != OBJECTID_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("an ObjectId has 12 bytes, not %d", (int) VARSIZE_ANY_EXHDR(bytes))));
	oid = palloc(sizeof(bson_oid_t));
	memcpy(oid->bytes, VARDATA_ANY(bytes), OBJECTID_SIZE);
	PG_RETURN_OBJECTID_P(oid);
}

static inline int
compare(const bson_oid_t *a, const bson_oid_t *b)
{
	return memcmp(a->bytes, b->bytes, OBJECTID_SIZE);
}

Datum
mm_objectid_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_OBJECTID_P(0), PG_GETARG_OBJECTID_P(1)) == 0);
}

Datum
mm_objectid_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_OBJECTID_P(0), PG_GETARG_OBJECTID_P(1)) != 0);
}

Datum
mm_objectid_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_OBJECTID_P(0), PG_GETARG_OBJECTID_P(1)) < 0);
}

Datum
mm_objectid_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_OBJECTID_P(0), PG_GETARG_OBJECTID_P(1)) <= 0);
}

Datum
mm_objectid_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_OBJECTID_P(0), PG_GETARG_OBJECTID_P(1)) > 0);
}

Datum
mm_objectid_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_OBJECTID_P(0), PG_GETARG_OBJECTID_P(1)) >= 0);
}

Datum
mm_objectid_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare(PG_GETARG_OBJECTID_P(0), PG_GETARG_OBJECTID_P(1)));
}

/* The smaller of two, for min(). */
Datum
mm_objectid_smaller(PG_FUNCTION_ARGS)
{
	bson_oid_t *a = PG_GETARG_OBJECTID_P(0);
	bson_oid_t *b = PG_GETARG_OBJECTID_P(1);

	PG_RETURN_OBJECTID_P(compare(a, b) <= 0 ? a : b);
}

/* The larger of two, for max(). */
Datum
mm_objectid_larger(PG_FUNCTION_ARGS)
{
	bson_oid_t *a = PG_GETARG_OBJECTID_P(0);
	bson_oid_t *b = PG_GETARG_OBJECTID_P(1);

	PG_RETURN_OBJECTID_P(compare(a, b) >= 0 ? a : b);
}

static int
sort_compare(Datum a, Datum b, SortSupport sort)
{
	return compare(DatumGetObjectidP(a), DatumGetObjectidP(b));
}

/*
 * The first eight bytes as a number.  They are the time and most of what is
 * random of a process, so ids of one process meet here; the full comparison
 * tells them apart.
 */
static Datum
sort_abbreviate(Datum original, SortSupport sort)
{
	uint64		bytes;

	memcpy(&bytes, DatumGetObjectidP(original)->bytes, sizeof(bytes));
	return UInt64GetDatum(pg_ntoh64(bytes));
}

static bool
sort_abort(int memtupcount, SortSupport sort)
{
	return false;
}

/* Sort support: comparison without fmgr, and abbreviated keys where a Datum has 64 bits. */
Datum
mm_objectid_sortsupport(PG_FUNCTION_ARGS)
{
	SortSupport sort = (SortSupport) PG_GETARG_POINTER(0);

	sort->comparator = sort_compare;
	if (sort->abbreviate && SIZEOF_DATUM == 8)
	{
		sort->abbrev_full_comparator = sort_compare;
		sort->comparator = ssup_datum_unsigned_cmp;
		sort->abbrev_converter = sort_abbreviate;
		sort->abbrev_abort = sort_abort;
	}
	PG_RETURN_VOID();
}

Datum
mm_objectid_hash(PG_FUNCTION_ARGS)
{
	return hash_any(PG_GETARG_OBJECTID_P(0)->bytes, OBJECTID_SIZE);
}

Datum
mm_objectid_hash_extended(PG_FUNCTION_ARGS)
{
	return hash_any_extended(PG_GETARG_OBJECTID_P(0)->bytes, OBJECTID_SIZE, PG_GETARG_INT64(1));
}

/* The time in an ObjectId: its first four bytes are seconds since 1970, unsigned. */
Datum
mm_objectid_timestamp(PG_FUNCTION_ARGS)
{
	uint32		seconds;

	memcpy(&seconds, PG_GETARG_OBJECTID_P(0)->bytes, sizeof(seconds));
	PG_RETURN_TIMESTAMPTZ(((int64) pg_ntoh32(seconds) -
						   (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) *
						  USECS_PER_SEC);
}

/* The smallest ObjectId of a second. */
Datum
mm_objectid_from_timestamp(PG_FUNCTION_ARGS)
{
	TimestampTz timestamp = PG_GETARG_TIMESTAMPTZ(0);
	int64		seconds = timestamp / USECS_PER_SEC - (timestamp % USECS_PER_SEC < 0 ? 1 : 0) +
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	uint32		big_endian;
	bson_oid_t *oid;

	if (seconds < 0 || seconds > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range for an ObjectId"),
				 errdetail("ObjectIds have times of 1970 to 2106.")));
	big_endian = pg_hton32((uint32) seconds);
	oid = palloc0(sizeof(bson_oid_t));
	memcpy(oid->bytes, &big_endian, sizeof(big_endian));
	PG_RETURN_OBJECTID_P(oid);
}

/*
 * A new ObjectId.  A session has a bson_context_t of its own, made after the
 * fork, so that no two backends share the random part.
 */
Datum
mm_objectid_generate(PG_FUNCTION_ARGS)
{
	static bson_context_t *context = NULL;
	bson_oid_t *oid = palloc(sizeof(bson_oid_t));

	if (context == NULL)
		context = bson_context_new(BSON_CONTEXT_NONE);
	bson_oid_init(oid, context);
	PG_RETURN_OBJECTID_P(oid);
}
