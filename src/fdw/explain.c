/*
 * explain.c
 *	  EXPLAIN of a foreign scan: the command that goes to MongoDB.
 *
 * Comparands that are known only in execution appear as "$1", "$2", ..., in
 * EXPLAIN ANALYZE too, so that a plan always looks the same.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/json.h"
#include "commands/explain.h"
#include "fdw/direct.h"
#include "fdw/fdw.h"
#include "fdw/groupscan.h"
#include "fdw/guard.h"
#include "fdw/joinscan.h"
#include "fdw/scanstate.h"
#include "nodes/makefuncs.h"
#include "owned.h"
#include "utils/ruleutils.h"

/* Adds the line of a command, or that there is none. */
static void
explain_command(const char *title, const bson_t *command, ExplainState *es)
{
	StringInfoData json;

	initStringInfo(&json);
	if (command == NULL)
		appendStringInfoString(&json, "none, as no document can match");
	else
		json_append_document(&json, command, JSON_RELAXED);
	ExplainPropertyText(title, json.data, es);
}

/* Adds the line of one find command. */
static void
explain_find(const Find *find, bson_t *filter, int part, ExplainState *es)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);

	bson_append_utf8(command, "find", -1, mongo_utf8(find->table->collection), -1);
	bson_append_document(command, "filter", -1, sorting_match(find->sorting, part, filter));
	bson_concat(command, find_options(find, part));
	explain_command(part == 0 ? "MongoDB find" : "MongoDB find, then", command, es);
}

/* Adds the lines of a join: its tables, the conditions of a match, and the command. */
static void
explain_join(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	List	   *matching = list_nth(plan->fdw_exprs, JOIN_MATCHING);
	List	   *context;

	ExplainPropertyText("Join", join_scan_tables(node, es->rtable_names), es);
	if (matching != NIL)
	{
		context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, NIL);
		ExplainPropertyText("Join Filter",
							deparse_expression((Node *) make_ands_explicit(matching), context, true,
											   false), es);
	}
	explain_command("MongoDB aggregate",
					join_scan_command(node, filter_values_known(list_nth(plan->fdw_exprs,
																		 JOIN_COMPARANDS))), es);
}

/* Adds the line "MongoDB find", and "MongoDB find, then" for a second command. */
void
fdw_explain_scan(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	FdwScanState *state = node->fdw_state;
	FilterValue *values;
	bson_t	   *filter;

	if (scan_kind(node) == SCAN_OF_JOIN)
	{
		explain_join(node, es);
		return;
	}
	values = filter_values_known(plan->fdw_exprs);
	if (scan_kind(node) == SCAN_OF_GROUPS)
	{
		explain_command("MongoDB aggregate", group_scan_command(node, values), es);
		return;
	}
	filter = filter_to_bson(state->find.filter, values);
	if (filter == NULL)
		explain_command("MongoDB find", NULL, es);
	for (int part = 0; filter != NULL && part < sorting_parts(state->find.sorting); part++)
		explain_find(&state->find, filter, part, es);
}

/* Adds a line such as "MongoDB delete", for a command that MongoDB carries out by itself. */
void
fdw_explain_direct_modify(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	FdwDirectState *state = node->fdw_state;
	const Find *find = &state->scan->find;
	bool		is_update = state->operation == CMD_UPDATE;
	const char *title = is_update ? "MongoDB update" : "MongoDB delete";
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_t	   *match = filter_to_bson(find->filter, filter_values_known(plan->fdw_exprs));
	bson_t	   *safe;
	bson_t	   *odd;

	if (match == NULL)
	{
		explain_command(title, NULL, es);
		return;
	}
	guards_to_bson(state->guards, match, &safe, &odd);
	bson_append_utf8(command, is_update ? "update" : "delete", -1,
					 mongo_utf8(find->table->collection), -1);
	if (is_update)
		BCON_APPEND(command, "updates", "[", "{", "q", BCON_DOCUMENT(safe), "multi", BCON_BOOL(true), "}", "]");
	else
		BCON_APPEND(command, "deletes", "[", "{", "q", BCON_DOCUMENT(safe), "limit", BCON_INT32(0), "}", "]");
	explain_command(title, command, es);
}
