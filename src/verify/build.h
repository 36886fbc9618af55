/*
 * build.h
 *	  jsonb from its values, in little memory.
 */
#ifndef MM_VERIFY_BUILD_H
#define MM_VERIFY_BUILD_H

#include "utils/jsonb.h"

/* A jsonb in the making; zeros are an empty one. */
typedef struct JsonbBuild
{
	JsonbValue *values;			/* of all that is open, in order */
	int			nvalues;
	int			size;
	int		   *open;			/* where the values of each of these begin */
	int			nopen;
	int			open_size;
	char	   *room;			/* for what those that are closed consist of */
	Size		room_left;
} JsonbBuild;

extern void jsonb_build_add(JsonbBuild *build, JsonbIteratorToken token, const JsonbValue *value);
extern void jsonb_build_text(JsonbBuild *build, JsonbIteratorToken token, char *text);
extern Jsonb *jsonb_build_finish(JsonbBuild *build);

#endif							/* MM_VERIFY_BUILD_H */
