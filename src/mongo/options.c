/*
 * options.c
 *	  Options of servers, user mappings, foreign tables and columns.
 *
 * One table says which options there are, where they stand, and what their
 * values look like.  The validator reads it when an object is created or
 * altered, so that the readers below can take stored values as good.
 */
#include "postgres.h"
#include "compat.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "mongo/options.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(mm_validator);

/* Where an option may stand. */
#define ON_SERVER	0x01
#define ON_USER		0x02
#define ON_TABLE	0x04
#define ON_COLUMN	0x08

typedef struct MongoOption
{
	const char *name;
	int			places;
} MongoOption;

static const MongoOption mongo_options[] = {
	{"uri", ON_SERVER},
	{"database", ON_SERVER},
	{"extended_json", ON_SERVER | ON_TABLE | ON_COLUMN},
	{"fetch_size", ON_SERVER | ON_TABLE},
	{"use_remote_estimate", ON_SERVER | ON_TABLE},
	{"username", ON_USER},
	{"password", ON_USER},
	{"collection", ON_TABLE},
	{"path", ON_COLUMN},
	{NULL, 0}
};

/* Checks the options given to CREATE or ALTER of an object of the wrapper. */
Datum
mm_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	int			place = catalog == ForeignServerRelationId ? ON_SERVER :
		catalog == UserMappingRelationId ? ON_USER :
		catalog == ForeignTableRelationId ? ON_TABLE :
		catalog == AttributeRelationId ? ON_COLUMN : 0;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);
		const MongoOption *option;

		for (option = mongo_options; option->name != NULL; option++)
			if ((option->places & place) && strcmp(option->name, def->defname) == 0)
				break;
		if (option->name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", def->defname)));
	}
	PG_RETURN_VOID();
}

/* The value of one option in a list of DefElems, or NULL. */
const char *
option_value(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

/* Throws for another word. */
JsonMode
json_mode_parse(const char *text)
{
	if (strcmp(text, "relaxed") == 0)
		return JSON_RELAXED;
	if (strcmp(text, "canonical") == 0)
		return JSON_CANONICAL;
	if (strcmp(text, "plain") == 0)
		return JSON_PLAIN;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid Extended JSON mode \"%s\"", text),
			 errhint("Modes are relaxed, canonical and plain.")));
}

static JsonMode
json_mode_option(List *options, JsonMode otherwise)
{
	const char *value = option_value(options, "extended_json");

	return value == NULL ? otherwise : json_mode_parse(value);
}

/* The server's option extended_json. */
JsonMode
mongo_server_json_mode(Oid serverid)
{
	return json_mode_option(GetForeignServer(serverid)->options, JSON_RELAXED);
}

/* Looks a server up by name; throws when it is none of this wrapper's. */
Oid
mongo_server_oid(const char *name)
{
	return GetForeignServerByName(name, false)->serverid;
}

/* The options of a foreign table, with its server's as defaults. */
MongoTableOptions *
mongo_table_options(Oid foreigntableid)
{
	ForeignTable *table = GetForeignTable(foreigntableid);
	ForeignServer *server = GetForeignServer(table->serverid);
	MongoTableOptions *result = palloc0(sizeof(MongoTableOptions));
	const char *value;

	value = option_value(table->options, "collection");
	result->collection = value != NULL ? pstrdup(value) : get_rel_name(foreigntableid);
	result->json_mode = json_mode_option(table->options,
										 json_mode_option(server->options, JSON_RELAXED));
	value = option_value(table->options, "fetch_size");
	if (value == NULL)
		value = option_value(server->options, "fetch_size");
	result->fetch_size = value != NULL ? pg_strtoint32(value) : 0;
	return result;
}

/* The options of a column, with its table's as defaults. */
MongoColumnOptions *
mongo_column_options(Oid foreigntableid, AttrNumber attnum, const MongoTableOptions *table)
{
	List	   *options = GetForeignColumnOptions(foreigntableid, attnum);
	MongoColumnOptions *result = palloc0(sizeof(MongoColumnOptions));
	const char *value = option_value(options, "path");

	result->path = value != NULL ? pstrdup(value) : get_attname(foreigntableid, attnum, false);
	result->json_mode = json_mode_option(options, table->json_mode);
	return result;
}
