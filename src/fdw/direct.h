/*
 * direct.h
 *	  An UPDATE or DELETE as one command, for direct.c and explain.c.
 */
#ifndef MM_DIRECT_H
#define MM_DIRECT_H

#include "fdw/modify.h"
#include "fdw/scanstate.h"

/*
 * What the last member of the ForeignScan's fdw_private holds.  The new values
 * of the columns follow the comparands in fdw_exprs.
 */
enum DirectPrivate
{
	DIRECT_GUARDS,				/* from guards_save() */
	DIRECT_SET_COLUMNS,			/* attribute numbers of an UPDATE's columns */
	DIRECT_COUNTS				/* boolean: are its rows those of the
								 * statement? */
};

/* In ForeignScanState.fdw_state. */
typedef struct FdwDirectState
{
	FdwScanState *scan;			/* of the documents that match */
	CmdType		operation;
	bool		counts;
	List	   *guards;
	List	   *set;			/* attribute numbers */
	int			nfilter;		/* comparands of the filter; then the new
								 * values */
	bson_t	   *update;
	bool		done;
} FdwDirectState;

#endif							/* MM_DIRECT_H */
