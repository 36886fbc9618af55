/*
 * document_path.c
 *	  Paths as text.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document_path.h"
#include "bson/text.h"
#include "bson/walk.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/* The segments of a path; see document_path.h. */
List *
document_path_split(const char *path)
{
	char	   *utf8 = pg_server_to_any(path, strlen(path), PG_UTF8);
	List	   *segments = NIL;
	StringInfoData segment;

	if (strcmp(path, "$") == 0)
		return NIL;

	initStringInfo(&segment);
	for (const char *c = utf8;; c++)
	{
		if (*c == '.' || *c == '\0')
		{
			segments = lappend(segments, pstrdup(segment.data));
			resetStringInfo(&segment);
			if (*c == '\0')
				break;
			continue;
		}
		if (*c == '\\' && *++c == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("path \"%s\" ends in a backslash", path),
					 errhint("A backslash takes the next character as it is; write two for one.")));
		appendStringInfoChar(&segment, *c);
	}
	pfree(segment.data);
	if (list_length(segments) > WALK_MAX_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("path has more than %d segments", WALK_MAX_DEPTH)));
	return segments;
}

/* A field name as a segment of a path. */
char *
document_path_escape(const char *name)
{
	StringInfoData segment;
	const char *text;
	size_t		length;

	initStringInfo(&segment);
	if (text_to_server(name, strlen(name), &text, &length) != CONVERT_OK)
	{
		/* Not in a path that anyone can type, but in messages. */
		for (const char *c = name; *c != '\0'; c++)
			appendStringInfoChar(&segment, IS_HIGHBIT_SET(*c) ? '?' : *c);
		return segment.data;
	}
	if (strcmp(name, "$") == 0)
		appendStringInfoChar(&segment, '\\');
	for (size_t i = 0; i < length; i++)
	{
		if (text[i] == '.' || text[i] == '\\')
			appendStringInfoChar(&segment, '\\');
		appendStringInfoChar(&segment, text[i]);
	}
	return segment.data;
}

/* Can a path name this field? */
bool
document_path_can_name(const char *name)
{
	return text_is_representable(name, strlen(name));
}

/* The position that a segment names, or -1. */
int
document_path_position(const char *segment)
{
	size_t		length = strlen(segment);

	if (length == 0 || length > 9 || strspn(segment, "0123456789") != length ||
		(segment[0] == '0' && length > 1))
		return -1;
	return atoi(segment);
}
