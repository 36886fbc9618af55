/*
 * verify.c
 *	  Canonical Extended JSON in its other modes, for verification.
 *
 * A column of documents is compared with what libbson prints, which is
 * canonical, while the column may be relaxed or plain.  The way from one to the other
 * goes over PostgreSQL's jsonb, and nothing of bson/ has a part in it, because
 * that is what is being verified.
 *
 * https://github.com/mongodb/specifications/blob/master/source/extended-json.md
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "common/base64.h"
#include "common/shortest_dec.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "mongo/options.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"
#include "verify/build.h"

PG_FUNCTION_INFO_V1(mm_verify_json);
PG_FUNCTION_INFO_V1(mm_verify_iso_date);

#define MS_PER_DAY INT64CONST(86400000)
#define DAYS_PER_ERA 146097		/* 400 years, after which the calendar repeats */
#define LAST_ISO_DATE INT64CONST(253402300799999)	/* of the year 9999 */

typedef struct Rewrite
{
	JsonMode	mode;
	JsonbBuild	build;
} Rewrite;

static void put_value(Rewrite *rewrite, JsonbIteratorToken token, JsonbValue *value);

/* Whether a jsonb string is a text. */
static bool
string_is(const JsonbValue *string, const char *text)
{
	return string->type == jbvString && string->val.string.len == strlen(text) &&
		memcmp(string->val.string.val, text, string->val.string.len) == 0;
}

/* The field of an object that holds a string, as a C string; NULL for another. */
static char *
string_field(JsonbContainer *object, const char *name)
{
	JsonbValue	value;

	if (!JsonContainerIsObject(object) ||
		getKeyJsonValueFromContainer(object, name, strlen(name), &value) == NULL ||
		value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/* Puts text as a string, in {name: text} unless name is NULL. */
static void
put_string(Rewrite *rewrite, JsonbIteratorToken token, const char *name, char *text)
{
	JsonbValue	string;

	string.type = jbvString;
	if (name != NULL)
	{
		jsonb_build_add(&rewrite->build, WJB_BEGIN_OBJECT, NULL);
		string.val.string.val = unconstify(char *, name);
		string.val.string.len = strlen(name);
		jsonb_build_add(&rewrite->build, WJB_KEY, &string);
		token = WJB_VALUE;
	}
	string.val.string.val = text;
	string.val.string.len = strlen(text);
	jsonb_build_add(&rewrite->build, token, &string);
	if (name != NULL)
		jsonb_build_add(&rewrite->build, WJB_END_OBJECT, NULL);
}

/* Puts text as a number. */
static void
put_number(Rewrite *rewrite, JsonbIteratorToken token, char *text)
{
	JsonbValue	number;

	number.type = jbvNumeric;
	number.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
															 ObjectIdGetDatum(InvalidOid),
															 Int32GetDatum(-1)));
	jsonb_build_add(&rewrite->build, token, &number);
}

/* A date as 2024-02-29T12:00:00.123Z; years beyond 0 to 9999 with a sign and
 * at least six digits.  palloc'd. */
static char *
iso_date(int64 milliseconds)
{
	int64		day = milliseconds / MS_PER_DAY;
	int			rest = milliseconds % MS_PER_DAY;
	int64		era;
	int			day_of_era;
	int64		year;
	int			year_of_era;
	int			month;
	int			mday;

	if (rest < 0)
	{
		rest += MS_PER_DAY;
		day--;
	}
	era = day / DAYS_PER_ERA;
	day_of_era = day % DAYS_PER_ERA;
	if (day_of_era < 0)
	{
		day_of_era += DAYS_PER_ERA;
		era--;
	}
	j2date(day_of_era + UNIX_EPOCH_JDATE, &year_of_era, &month, &mday);
	year = year_of_era + era * 400;
	return psprintf(rest % 1000 == 0 ? "%s-%02d-%02dT%02d:%02d:%02dZ" : "%s-%02d-%02dT%02d:%02d:%02d.%03dZ",
					psprintf(year >= 0 && year <= 9999 ? "%04lld" : "%+07lld", (long long) year),
					month, mday, rest / 3600000, rest / 60000 % 60, rest / 1000 % 60, rest % 1000);
}

/* Puts a double, given as libbson prints it, by its shortest form; 5 is 5.0. */
static void
put_double(Rewrite *rewrite, JsonbIteratorToken token, char *text)
{
	double		real = DatumGetFloat8(DirectFunctionCall1(float8in, CStringGetDatum(text)));
	char		shortest[DOUBLE_SHORTEST_DECIMAL_LEN];
	bool		finite = !isnan(real) && !isinf(real);

	if (finite)
	{
		double_to_shortest_decimal_buf(real, shortest);
		text = psprintf(strpbrk(shortest, ".e") == NULL ? "%s.0" : "%s", shortest);
	}
	if (finite && rewrite->mode != JSON_CANONICAL)
		put_number(rewrite, token, text);
	else
		put_string(rewrite, token, rewrite->mode == JSON_PLAIN ? NULL : "$numberDouble", text);
}

/* Puts a binary: a UUID in its usual form, else base64; false when it is none. */
static bool
put_binary(Rewrite *rewrite, JsonbIteratorToken token, JsonbContainer *content)
{
	char	   *base64 = string_field(content, "base64");
	const char *subtype = string_field(content, "subType");
	pg_uuid_t	uuid;

	if (base64 == NULL || subtype == NULL)
		return false;
	if (strlen(base64) == 24 && (strcmp(subtype, "03") == 0 || strcmp(subtype, "04") == 0) &&
		pg_b64_decode(base64, strlen(base64), (void *) uuid.data, UUID_LEN) == UUID_LEN)
		base64 = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&uuid)));
	put_string(rewrite, token, NULL, base64);
	return true;
}

/* Puts a regular expression as /pattern/options; false when it is none. */
static bool
put_regex(Rewrite *rewrite, JsonbIteratorToken token, JsonbContainer *content)
{
	const char *pattern = string_field(content, "pattern");
	const char *options = string_field(content, "options");

	if (pattern == NULL || options == NULL)
		return false;
	put_string(rewrite, token, NULL, psprintf("/%s/%s", pattern, options));
	return true;
}

/* Puts what stands in a wrapper that only plain JSON drops; false when there
 * is no such wrapper. */
static bool
put_plain(Rewrite *rewrite, JsonbIteratorToken token, const JsonbValue *name,
		  JsonbValue *content, char *text)
{
	JsonbContainer *inner = content->type == jbvBinary ? content->val.binary.data : NULL;
	JsonbValue	null = {.type = jbvNull};

	if (text != NULL && string_is(name, "$numberDecimal") && strpbrk(text, "0123456789") != NULL)
		put_number(rewrite, token, text);
	else if (text != NULL && (string_is(name, "$numberDecimal") || string_is(name, "$oid") ||
							  string_is(name, "$symbol") || string_is(name, "$code")))
		put_string(rewrite, token, NULL, text);
	else if (string_is(name, "$undefined"))
		jsonb_build_add(&rewrite->build, token, &null);
	else if (inner != NULL && string_is(name, "$binary"))
		return put_binary(rewrite, token, inner);
	else if (inner != NULL && string_is(name, "$regularExpression"))
		return put_regex(rewrite, token, inner);
	else if (inner != NULL && string_is(name, "$dbPointer"))
		put_value(rewrite, token, content);
	else
		return false;
	return true;
}

/* Puts what an object of one field stands for; false when it is no wrapper. */
static bool
put_wrapped(Rewrite *rewrite, JsonbIteratorToken token, JsonbValue *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object->val.binary.data);
	JsonbValue	name;
	JsonbValue	content;
	char	   *text = NULL;
	int64		date;

	JsonbIteratorNext(&iterator, &content, true);
	JsonbIteratorNext(&iterator, &name, true);
	if (name.val.string.len == 0 || name.val.string.val[0] != '$')
		return false;
	JsonbIteratorNext(&iterator, &content, true);
	if (content.type == jbvString)
		text = pnstrdup(content.val.string.val, content.val.string.len);

	if (text != NULL && string_is(&name, "$numberDouble"))
		put_double(rewrite, token, text);
	else if (rewrite->mode == JSON_CANONICAL)
		return false;
	else if (text != NULL && (string_is(&name, "$numberInt") || string_is(&name, "$numberLong")))
		put_number(rewrite, token, text);
	else if (content.type == jbvBinary && string_is(&name, "$date") &&
			 (text = string_field(content.val.binary.data, "$numberLong")) != NULL)
	{
		date = pg_strtoint64(text);
		if (rewrite->mode == JSON_PLAIN)
			put_string(rewrite, token, NULL, iso_date(date));
		else if (date >= 0 && date <= LAST_ISO_DATE)
			put_string(rewrite, token, "$date", iso_date(date));
		else
			jsonb_build_add(&rewrite->build, token, object);
	}
	else
		return rewrite->mode == JSON_PLAIN && put_plain(rewrite, token, &name, &content, text);
	return true;
}

/* Puts a value of an object or array, rewritten. */
static void
put_value(Rewrite *rewrite, JsonbIteratorToken token, JsonbValue *value)
{
	JsonbContainer *container;
	JsonbIterator *iterator;
	JsonbValue	part;

	check_stack_depth();
	if (value->type != jbvBinary)
	{
		jsonb_build_add(&rewrite->build, token, value);
		return;
	}
	container = value->val.binary.data;
	if (JsonContainerIsObject(container) && JsonContainerSize(container) == 1 &&
		put_wrapped(rewrite, token, value))
		return;

	iterator = JsonbIteratorInit(container);
	while ((token = JsonbIteratorNext(&iterator, &part, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM || token == WJB_VALUE)
			put_value(rewrite, token, &part);
		else
			jsonb_build_add(&rewrite->build, token, token == WJB_KEY ? &part : NULL);
	}
}

/* verify_json(value jsonb, mode text) returns jsonb */
Datum
mm_verify_json(PG_FUNCTION_ARGS)
{
	Jsonb	   *jsonb = PG_GETARG_JSONB_P(0);
	Rewrite		rewrite = {json_mode_parse(text_to_cstring(PG_GETARG_TEXT_PP(1)))};
	JsonbValue	root;

	if (JB_ROOT_IS_SCALAR(jsonb))
		PG_RETURN_POINTER(jsonb);
	root.type = jbvBinary;
	root.val.binary.data = &jsonb->root;
	root.val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	put_value(&rewrite, WJB_ELEM, &root);
	PG_RETURN_JSONB_P(jsonb_build_finish(&rewrite.build));
}

/* verify_iso_date(milliseconds bigint) returns text */
Datum
mm_verify_iso_date(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(iso_date(PG_GETARG_INT64(0))));
}
