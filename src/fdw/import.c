/*
 * import.c
 *	  IMPORT FOREIGN SCHEMA: foreign tables for the collections of a database.
 *
 * Each collection or view becomes a foreign table with a column for each field
 * of a sample of its documents, of the narrowest type that holds every value
 * sampled, and a column with the whole document.  A document outside the
 * sample may hold a value that its column does not take; a query of that column
 * then fails and says where.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "bson/document_path.h"
#include "commands/defrem.h"
#include "common/string.h"
#include "fdw/fdw.h"
#include "fdw/import.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Columns that a table gets at most; what is left is in the whole document. */
#define MAX_COLUMNS 1500

/* The options of the statement. */
typedef struct ImportOptions
{
	int			sample_size;	/* 0: every document */
	bool		snake_case;
	bool		nested_columns;
} ImportOptions;

/* A foreign table in the making. */
typedef struct ImportTable
{
	const ImportOptions *options;
	StringInfo	command;
	List	   *names;			/* of columns, taken */
	int			ncolumns;
} ImportTable;

/* Throws for a value that an option does not take. */
static void
bad_option(const DefElem *option, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\" of IMPORT FOREIGN SCHEMA", option->defname),
			 errhint("%s", hint)));
}

/* Reads the options of the statement. */
static ImportOptions
read_options(List *options)
{
	ImportOptions result = {.sample_size = 1000};
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		const char *value = defGetString(option);

		if (strcmp(option->defname, "sample_size") == 0)
		{
			char	   *end;
			long		number = strtol(value, &end, 10);

			if (end == value || *end != '\0' || number < 0 || number > PG_INT32_MAX)
				bad_option(option, "Give a number of documents; 0 reads every document.");
			result.sample_size = number;
		}
		else if (strcmp(option->defname, "naming") == 0)
		{
			result.snake_case = strcmp(value, "snake_case") == 0;
			if (!result.snake_case && strcmp(value, "source") != 0)
				bad_option(option, "Values are source and snake_case.");
		}
		else if (strcmp(option->defname, "nested") == 0)
		{
			result.nested_columns = strcmp(value, "columns") == 0;
			if (!result.nested_columns && strcmp(value, "jsonb") != 0)
				bad_option(option, "Values are jsonb and columns.");
		}
		else
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\" of IMPORT FOREIGN SCHEMA", option->defname),
					 errhint("Options are sample_size, naming and nested.")));
	}
	return result;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* The names of the database's collections and views, sorted, in the database's encoding. */
static List *
list_collections(MongoConnection *connection)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_t	   *reply;
	bson_iter_t iter;
	bson_iter_t field;
	bson_iter_t entry;
	List	   *names = NIL;

	BCON_APPEND(command,
				"listCollections", BCON_INT32(1),
				"nameOnly", BCON_BOOL(true),
				"authorizedCollections", BCON_BOOL(true),
				"cursor", "{", "batchSize", BCON_INT32(PG_INT32_MAX), "}");
	reply = mongo_command(connection, command, CurrentMemoryContext);
	if (bson_iter_init(&iter, reply) && bson_iter_find_descendant(&iter, "cursor.id", &field) &&
		bson_iter_as_int64(&field) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("database \"%s\" has too many collections to list",
						mongo_connection_database(connection))));

	if (!bson_iter_init(&iter, reply) ||
		!bson_iter_find_descendant(&iter, "cursor.firstBatch", &field) ||
		!bson_iter_recurse(&field, &iter))
		return NIL;
	while (bson_iter_next(&iter))
	{
		if (bson_iter_recurse(&iter, &entry) && bson_iter_find(&entry, "name") &&
			BSON_ITER_HOLDS_UTF8(&entry))
		{
			const char *name = bson_iter_utf8(&entry, NULL);

			if (strncmp(name, "system.", 7) != 0)
				names = lappend(names, pstrdup(pg_any_to_server(name, strlen(name), PG_UTF8)));
		}
	}
	list_sort(names, compare_names);
	return names;
}

/* Is a table of the name wanted, by LIMIT TO or EXCEPT? */
static bool
is_wanted(ImportForeignSchemaStmt *stmt, const char *name)
{
	bool		listed = false;
	ListCell   *lc;

	foreach(lc, stmt->table_list)
		listed |= strcmp(lfirst_node(RangeVar, lc)->relname, name) == 0;
	switch (stmt->list_type)
	{
		case FDW_IMPORT_SCHEMA_LIMIT_TO:
			return listed;
		case FDW_IMPORT_SCHEMA_EXCEPT:
			return !listed;
		default:
			return true;
	}
}

/* Throws for a name in LIMIT TO that no table has. */
static void
check_limit_to(ImportForeignSchemaStmt *stmt, List *table_names, const char *database)
{
	ListCell   *lc;

	if (stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		return;
	foreach(lc, stmt->table_list)
	{
		const char *name = lfirst_node(RangeVar, lc)->relname;
		ListCell   *lc2;
		bool		found = false;

		foreach(lc2, table_names)
			found |= strcmp(lfirst(lc2), name) == 0;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
					 errmsg("database \"%s\" has no collection for a foreign table \"%s\"",
							database, name),
					 errhint("LIMIT TO takes the names that the foreign tables get.")));
	}
}

/*
 * Reads a sample of a collection, in the order of _id so that columns do not
 * come in another order each time.  The fields are allocated in the current
 * memory context.
 */
static ImportField *
sample_collection(MongoConnection *connection, const char *collection,
				  const ImportOptions *options)
{
	ImportField *root = palloc0(sizeof(ImportField));
	bson_t	   *pipeline = owned_bson_new(CurrentMemoryContext);
	bson_t	   *opts = owned_bson_new(CurrentMemoryContext);
	MongoCursor *cursor;
	const bson_t *document;

	if (options->sample_size > 0)
		BCON_APPEND(pipeline, "pipeline", "[",
					"{", "$sample", "{", "size", BCON_INT32(options->sample_size), "}", "}",
					"{", "$sort", "{", "_id", BCON_INT32(1), "}", "}", "]");
	else
		BCON_APPEND(pipeline, "pipeline", "[", "]");
	BCON_APPEND(opts, "allowDiskUse", BCON_BOOL(true));
	cursor = mongo_aggregate(connection, collection, pipeline, opts, CurrentMemoryContext);
	while ((document = mongo_cursor_next(cursor)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		import_field_add(root, document, options->nested_columns);
	}
	mongo_cursor_close(cursor);
	return root;
}

/* Adds a column; path is in the option's syntax. */
static void
append_column(ImportTable *table, const char *name, const char *type, const char *path)
{
	char	   *local = import_unique_name(table->options->snake_case ?
										   import_snake_case(name) : name, &table->names);

	appendStringInfo(table->command, "%s\n    %s %s", table->ncolumns > 0 ? "," : "",
					 quote_identifier(local), type);
	if (strcmp(local, path) != 0)
		appendStringInfo(table->command, " OPTIONS (path %s)", quote_literal_cstr(path));
	table->ncolumns++;
}

/* Is a field to be taken apart: was each value of it a document, or null? */
static bool
is_nested(const ImportField *field)
{
	return field->nfields > 0 && !field->truncated &&
		(field->seen.types & ~(LATTICE_BIT(BSON_TYPE_NULL) | LATTICE_BIT(BSON_TYPE_UNDEFINED))) ==
		LATTICE_BIT(BSON_TYPE_DOCUMENT);
}

/* Adds a column for each field of the document or sub-document. */
static void
append_fields(ImportTable *table, const ImportField *parent, const char *parent_name,
			  const char *parent_path)
{
	check_stack_depth();
	for (int i = 0; i < parent->nfields && table->ncolumns < MAX_COLUMNS; i++)
	{
		ImportField *field = parent->fields[i];
		char	   *segment;
		char	   *name;
		char	   *path;
		char	   *note;

		/* What the database's encoding cannot hold, nobody can type. */
		if (!pg_verify_mbstr(PG_UTF8, field->name, strlen(field->name), true) ||
			(GetDatabaseEncoding() != PG_UTF8 && !pg_is_ascii(field->name)))
			continue;

		segment = document_path_escape(field->name);
		path = parent_path == NULL ? segment : psprintf("%s.%s", parent_path, segment);
		name = parent_name == NULL ? field->name : psprintf("%s.%s", parent_name, field->name);
		if (table->options->nested_columns && is_nested(field))
			append_fields(table, field, name, path);
		else
			append_column(table, name, lattice_type(&field->seen, false, &note), path);
	}
}

/* The names that no column can have. */
static List *
system_column_names(void)
{
	static const char *const names[] = {"tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"};
	List	   *result = NIL;

	for (int i = 0; i < lengthof(names); i++)
		result = lappend(result, pstrdup(names[i]));
	return result;
}

/* The CREATE FOREIGN TABLE of a collection. */
static char *
create_command(const ImportField *root, const ImportOptions *options, const char *table_name,
			   const char *collection, const char *server)
{
	StringInfoData command;
	ImportTable table = {options, &command};

	initStringInfo(&command);
	table.names = system_column_names();
	appendStringInfo(&command, "CREATE FOREIGN TABLE %s (", quote_identifier(table_name));
	append_fields(&table, root, NULL, NULL);
	if (root->truncated || table.ncolumns == MAX_COLUMNS)
		ereport(NOTICE,
				(errmsg("collection \"%s\" has more fields than a table can have columns",
						collection),
				 errdetail("The column with the whole document has them all.")));
	append_column(&table, "doc", "jsonb", "$");
	appendStringInfo(&command, "\n) SERVER %s", quote_identifier(server));
	if (strcmp(table_name, collection) != 0)
		appendStringInfo(&command, " OPTIONS (collection %s)", quote_literal_cstr(collection));
	return command.data;
}

/* ImportForeignSchema: a List of commands. */
List *
fdw_import_schema(ImportForeignSchemaStmt *stmt, Oid serverid)
{
	ImportOptions options = read_options(stmt->options);
	MongoConnection *connection = mongo_connect(serverid, GetUserId());
	const char *database = mongo_connection_database(connection);
	List	   *collections;
	List	   *table_names = NIL;
	List	   *commands = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	if (strcmp(stmt->remote_schema, database) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("server \"%s\" has no schema \"%s\"", stmt->server_name, stmt->remote_schema),
				 errhint("The one schema of the server is its database, \"%s\".", database)));

	collections = list_collections(connection);
	foreach(lc, collections)
	{
		const char *collection = lfirst(lc);

		import_unique_name(options.snake_case ? import_snake_case(collection) : collection,
						   &table_names);
	}
	check_limit_to(stmt, table_names, database);

	forboth(lc, collections, lc2, table_names)
	{
		const char *collection = lfirst(lc);
		MemoryContext context;
		MemoryContext old;
		char	   *command;

		if (!is_wanted(stmt, lfirst(lc2)))
			continue;
		context = AllocSetContextCreate(CurrentMemoryContext, "mongo import",
										ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(context);
		command = create_command(sample_collection(connection, collection, &options), &options,
								 lfirst(lc2), collection, stmt->server_name);
		MemoryContextSwitchTo(old);
		commands = lappend(commands, pstrdup(command));
		MemoryContextDelete(context);
	}
	return commands;
}
