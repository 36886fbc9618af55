/*
 * init.c
 *	  What happens when the module is loaded: GUCs, and libmongoc's start.
 */
#include "postgres.h"
#include "compat.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	mongoc_init();
}
