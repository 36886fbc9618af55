/*
 * name.c
 *	  Names of indexes as PostgreSQL chooses them.
 */
#include "postgres.h"
#include "compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/index.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(mm_index_name);

/*
 * index_name(index, label): the name that CREATE INDEX or ALTER TABLE would
 * choose for it now: see ChooseIndexName() and ChooseIndexNameAddition() of
 * PostgreSQL's indexcmds.c.
 */
Datum
mm_index_name(PG_FUNCTION_ARGS)
{
	Relation	index = index_open(PG_GETARG_OID(0), AccessShareLock);
	char	   *label = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		primary = strcmp(label, "pkey") == 0;
	StringInfoData columns;
	char	   *chosen;
	Name		result = palloc0(NAMEDATALEN);

	initStringInfo(&columns);
	for (int i = 0; i < RelationGetDescr(index)->natts && columns.len < NAMEDATALEN; i++)
		appendStringInfo(&columns, "%s%s", i == 0 ? "" : "_",
						 NameStr(TupleDescAttr(RelationGetDescr(index), i)->attname));
	chosen = ChooseRelationName(get_rel_name(index->rd_index->indrelid),
								primary ? NULL : columns.data, label,
								RelationGetNamespace(index), strcmp(label, "idx") != 0);
	namestrcpy(result, chosen);
	index_close(index, AccessShareLock);
	PG_RETURN_NAME(result);
}
