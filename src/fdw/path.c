/*
 * path.c
 *	  Paths of columns as MongoDB's find takes them.
 *
 * A match document takes field names and positions in arrays, with dots
 * between.  A projection, besides, does not know positions: in one,
 * "items.0.sku" means the field "0" of each item, so that the path must be cut
 * before its first number.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document_path.h"
#include "fdw/path.h"
#include "lib/stringinfo.h"
#include "mongo/options.h"

/* MongoDB takes paths of fewer than 190 segments.  What is compared with a jsonb may add some. */
#define MAX_SEGMENTS	100

/* Can dotted notation name the segment? */
static bool
segment_is_plain(const char *segment)
{
	return *segment != '\0' && *segment != '$' && strchr(segment, '.') == NULL;
}

static bool
segment_is_number(const char *segment, size_t length)
{
	return length > 0 && strspn(segment, "0123456789") >= length;
}

/* A path of a match document with one more segment, or NULL. */
char *
path_below(const char *path, const char *key)
{
	if (!segment_is_plain(key))
		return NULL;
	return psprintf("%s%s%s", path, *path != '\0' ? "." : "", key);
}

/* The path of what lies below a column by the keys; "" for the whole document, NULL for none. */
char *
path_for_match_below(const char *path, List *keys)
{
	char	   *result = "";
	List	   *segments = document_path_split(path);
	ListCell   *lc;

	if (list_length(segments) + list_length(keys) > MAX_SEGMENTS)
		return NULL;
	foreach(lc, segments)
	{
		result = path_below(result, lfirst(lc));
		if (result == NULL)
			return NULL;
	}
	foreach(lc, keys)
	{
		result = path_below(result, mongo_utf8(lfirst(lc)));
		if (result == NULL)
			return NULL;
	}
	return result;
}

/* A column's path for a match document, or NULL. */
char *
path_for_match(const char *path)
{
	char	   *result = path_for_match_below(path, NIL);

	return result == NULL || *result == '\0' ? NULL : result;
}

/* The longest beginning of a column's path that a projection can name, or NULL. */
char *
path_for_projection(const char *path)
{
	StringInfoData result;
	ListCell   *lc;

	initStringInfo(&result);
	foreach(lc, document_path_split(path))
	{
		const char *segment = lfirst(lc);

		/* A document is no array, so that a number at its top is a field. */
		if (!segment_is_plain(segment) ||
			(result.len > 0 && segment_is_number(segment, strlen(segment))))
			break;
		appendStringInfo(&result, "%s%s", result.len > 0 ? "." : "", segment);
	}
	return result.len == 0 ? NULL : result.data;
}

/* Is a segment of a match document's path a number? */
bool
path_has_position(const char *path)
{
	for (;;)
	{
		size_t		length = strcspn(path, ".");

		if (segment_is_number(path, length))
			return true;
		if (path[length] == '\0')
			return false;
		path += length + 1;
	}
}

/* Is the last one? */
bool
path_ends_in_position(const char *path)
{
	const char *dot = strrchr(path, '.');

	return path_has_position(dot == NULL ? path : dot + 1);
}

/* Is the first path the beginning of the second, or the same? */
bool
path_covers(const char *path, const char *other)
{
	size_t		length = strlen(path);

	return strncmp(path, other, length) == 0 && (other[length] == '\0' || other[length] == '.');
}
