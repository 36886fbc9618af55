/*
 * import.c
 *	  IMPORT FOREIGN SCHEMA: foreign tables for the collections of a database.
 *
 * Each collection or view becomes a foreign table with a column for each field
 * of a sample of its documents, of the narrowest type that holds every value
 * sampled, and a column with the whole document.  Views are not written to.
 * A document outside the sample may hold a value that its column does not take;
 * a query of that column then fails and says where.
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
	bool		arrays;			/* of PostgreSQL, else jsonb */
} ImportOptions;

/* What listCollections says. */
typedef struct ImportCollection
{
	char	   *name;			/* in the database's encoding */
	bool		is_view;
} ImportCollection;

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

/* Is the value of an option the other one, not its default?  Throws for a third. */
static bool
is_other(const DefElem *option, const char *other, const char *standard)
{
	const char *value = defGetString(unconstify(DefElem *, option));

	if (strcmp(value, other) != 0 && strcmp(value, standard) != 0)
		bad_option(option, psprintf("Values are %s and %s.", standard, other));
	return strcmp(value, other) == 0;
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

		if (strcmp(option->defname, "sample_size") == 0)
		{
			const char *value = defGetString(option);
			char	   *end;
			long		number = strtol(value, &end, 10);

			if (end == value || *end != '\0' || number < 0 || number > PG_INT32_MAX)
				bad_option(option, "Give a number of documents; 0 reads every document.");
			result.sample_size = number;
		}
		else if (strcmp(option->defname, "naming") == 0)
			result.snake_case = is_other(option, "snake_case", "source");
		else if (strcmp(option->defname, "nested") == 0)
			result.nested_columns = is_other(option, "columns", "jsonb");
		else if (strcmp(option->defname, "arrays") == 0)
			result.arrays = is_other(option, "array", "jsonb");
		else
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\" of IMPORT FOREIGN SCHEMA", option->defname),
					 errhint("Options are sample_size, naming, nested and arrays.")));
	}
	return result;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((ImportCollection *) lfirst(a))->name, ((ImportCollection *) lfirst(b))->name);
}

/* What an entry of listCollections is about; NULL when that is not for users, or has no name here. */
static ImportCollection *
read_collection(const bson_iter_t *entry, int *unnamed)
{
	ImportCollection *result = palloc(sizeof(ImportCollection));
	bson_iter_t field;
	const char *name;

	if (!bson_iter_recurse(entry, &field) || !bson_iter_find(&field, "name") ||
		!BSON_ITER_HOLDS_UTF8(&field))
		return NULL;
	name = bson_iter_utf8(&field, NULL);
	if (strncmp(name, "system.", 7) == 0)
		return NULL;
	if (!document_path_can_name(name))
	{
		*unnamed += 1;
		return NULL;
	}
	result->name = pstrdup(pg_any_to_server(name, strlen(name), PG_UTF8));
	result->is_view = bson_iter_recurse(entry, &field) && bson_iter_find(&field, "type") &&
		BSON_ITER_HOLDS_UTF8(&field) && strcmp(bson_iter_utf8(&field, NULL), "view") == 0;
	return result;
}

/* The database's collections and views, by name: ImportCollections. */
static List *
list_collections(MongoConnection *connection)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_t	   *reply;
	bson_iter_t iter;
	bson_iter_t field;
	List	   *collections = NIL;
	int			unnamed = 0;

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
		ImportCollection *collection = read_collection(&iter, &unnamed);

		if (collection != NULL)
			collections = lappend(collections, collection);
	}
	if (unnamed > 0)
		ereport(WARNING,
				(errmsg_plural("%d collection of server \"%s\" cannot be named here",
							   "%d collections of server \"%s\" cannot be named here", unnamed,
							   unnamed, mongo_connection_server(connection)),
				 errdetail("The encoding of this database, %s, lacks characters of the name.",
						   GetDatabaseEncodingName())));
	list_sort(collections, compare_names);
	return collections;
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

/*
 * A type of lattice_type() in words that mean the same under any search_path:
 * those that are not SQL's own, which the grammar knows, get their schema.
 */
static const char *
schema_qualified(const char *type)
{
	static const char *const others[] = {"text", "jsonb", "uuid", "bytea"};

	for (int i = 0; i < lengthof(others); i++)
	{
		if (strcmp(type, others[i]) == 0)
			return psprintf("pg_catalog.%s", type);
	}
	return type;
}

/* Is the first set of types some of the second's, null apart? */
static bool
are_only(uint32 types, uint32 those)
{
	types &= ~(LATTICE_BIT(BSON_TYPE_NULL) | LATTICE_BIT(BSON_TYPE_UNDEFINED));
	return types != 0 && (types & ~those) == 0;
}

/* The type of a field's column: of arrays with nothing but scalars in them, an array of theirs. */
static const char *
column_type(const ImportTable *table, const ImportField *field)
{
	char	   *note;
	const char *element = lattice_type(&field->elements, false, &note);

	if (table->options->arrays && are_only(field->seen.types, LATTICE_BIT(BSON_TYPE_ARRAY)) &&
		are_only(field->elements.types, ~(uint32) 0) && strcmp(element, "jsonb") != 0)
		return psprintf("%s[]", schema_qualified(element));
	return schema_qualified(lattice_type(&field->seen, false, &note));
}

/* Is a field to be taken apart: was each value of it a document, or null? */
static bool
is_nested(const ImportField *field)
{
	return field->nfields > 0 && !field->truncated &&
		are_only(field->seen.types, LATTICE_BIT(BSON_TYPE_DOCUMENT));
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
			append_column(table, name, column_type(table, field), path);
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
			   const ImportCollection *collection, const char *server)
{
	StringInfoData command;
	const char *separator = " OPTIONS (";
	ImportTable table = {options, &command};

	initStringInfo(&command);
	table.names = system_column_names();
	appendStringInfo(&command, "CREATE FOREIGN TABLE %s (", quote_identifier(table_name));
	append_fields(&table, root, NULL, NULL);
	if (root->truncated || table.ncolumns == MAX_COLUMNS)
		ereport(NOTICE,
				(errmsg("collection \"%s\" has more fields than a table can have columns",
						collection->name),
				 errdetail("The column with the whole document has them all.")));
	append_column(&table, "doc", schema_qualified("jsonb"), "$");
	appendStringInfo(&command, "\n) SERVER %s", quote_identifier(server));
	if (strcmp(table_name, collection->name) != 0)
	{
		appendStringInfo(&command, "%scollection %s", separator, quote_literal_cstr(collection->name));
		separator = ", ";
	}
	if (collection->is_view)
	{
		appendStringInfo(&command, "%supdatable 'false', truncatable 'false'", separator);
		separator = ", ";
	}
	if (separator[0] == ',')
		appendStringInfoChar(&command, ')');
	return command.data;
}

/* Tells in an error which table is to be left out for the others to be imported. */
static void
tell_table(void *arg)
{
	errcontext("import of foreign table \"%s\"; EXCEPT (%s) imports the others", (char *) arg,
			   quote_identifier(arg));
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
		const char *name = ((ImportCollection *) lfirst(lc))->name;

		import_unique_name(options.snake_case ? import_snake_case(name) : name, &table_names);
	}
	check_limit_to(stmt, table_names, database);

	forboth(lc, collections, lc2, table_names)
	{
		const ImportCollection *collection = lfirst(lc);
		MemoryContext context;
		MemoryContext old;
		ErrorContextCallback telling = {.callback = tell_table,.arg = lfirst(lc2)};
		char	   *command;

		if (!is_wanted(stmt, lfirst(lc2)))
			continue;
		telling.previous = error_context_stack;
		error_context_stack = &telling;
		context = AllocSetContextCreate(CurrentMemoryContext, "mongo import",
										ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(context);
		command = create_command(sample_collection(connection, collection->name, &options), &options,
								 lfirst(lc2), collection, stmt->server_name);
		MemoryContextSwitchTo(old);
		commands = lappend(commands, pstrdup(command));
		MemoryContextDelete(context);
		error_context_stack = telling.previous;
	}
	return commands;
}
