/*
 * options.c
 *	  Options of servers, user mappings, foreign tables and columns.
 *
 * One table says which options there are, where they may stand, what their
 * values look like, and what the driver calls them.  The validator reads it when
 * an object is created or altered, so that whoever reads stored options can
 * take their values as good.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "common/string.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "mongo/client.h"
#include "mongo/options.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(mm_validator);

/* Name of the foreign data wrapper. */
#define WRAPPER_NAME "mongo_migrate"

/* Documents read at a time where fetch_size does not say. */
#define DEFAULT_FETCH_SIZE 5000

/* Documents written at a time where batch_size does not say. */
#define DEFAULT_BATCH_SIZE 1000

/* Where an option may stand. */
#define ON_SERVER	0x01
#define ON_USER		0x02
#define ON_TABLE	0x04
#define ON_COLUMN	0x08

/* What a value must look like. */
typedef enum OptionKind
{
	OPTION_TEXT,				/* anything but the empty string */
	OPTION_SECRET,				/* anything; never shown in a message */
	OPTION_BOOLEAN,
	OPTION_POSITIVE,			/* an integer from 1 */
	OPTION_COST,				/* a number from 0 */
	OPTION_WORD,				/* one of words */
	OPTION_WORDS,				/* some of words, separated by commas */
	OPTION_URI,
	OPTION_WRITE_CONCERN,
	OPTION_DATABASE,
	OPTION_PATH,
	OPTION_FILE,				/* a file of the database server's machine */
	OPTION_SUPERUSER			/* a boolean; false takes a superuser */
} OptionKind;

typedef struct MongoOption
{
	const char *name;
	int			places;
	OptionKind	kind;
	const char *words;			/* separated by comma and space */
	const char *uri_option;		/* what the driver calls it, or NULL */
} MongoOption;

static const MongoOption mongo_options[] = {
	/* what to connect to */
	{"uri", ON_SERVER, OPTION_URI},
	{"database", ON_SERVER, OPTION_DATABASE},
	{"replica_set", ON_SERVER, OPTION_TEXT, NULL, MONGOC_URI_REPLICASET},
	{"app_name", ON_SERVER, OPTION_TEXT, NULL, MONGOC_URI_APPNAME},
	{"read_preference", ON_SERVER, OPTION_WORD,
	"primary, primaryPreferred, secondary, secondaryPreferred, nearest"},
	{"read_concern", ON_SERVER, OPTION_WORD, "local, available, majority, linearizable, snapshot"},
	{"compressors", ON_SERVER, OPTION_WORDS, "zstd, snappy, zlib"},
	{"connect_timeout_ms", ON_SERVER, OPTION_POSITIVE, NULL, MONGOC_URI_CONNECTTIMEOUTMS},
	{"server_selection_timeout_ms", ON_SERVER, OPTION_POSITIVE},
	{"socket_timeout_ms", ON_SERVER, OPTION_POSITIVE, NULL, MONGOC_URI_SOCKETTIMEOUTMS},
	{"keep_connections", ON_SERVER, OPTION_BOOLEAN},

	/* TLS */
	{"tls", ON_SERVER, OPTION_BOOLEAN, NULL, MONGOC_URI_TLS},
	{"tls_ca_file", ON_SERVER, OPTION_FILE, NULL, MONGOC_URI_TLSCAFILE},
	{"tls_certificate_key_file", ON_SERVER | ON_USER, OPTION_FILE, NULL,
	MONGOC_URI_TLSCERTIFICATEKEYFILE},
	{"tls_certificate_key_file_password", ON_USER, OPTION_SECRET, NULL,
	MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD},
	{"tls_allow_invalid_certificates", ON_SERVER, OPTION_BOOLEAN, NULL,
	MONGOC_URI_TLSALLOWINVALIDCERTIFICATES},
	{"tls_allow_invalid_hostnames", ON_SERVER, OPTION_BOOLEAN, NULL,
	MONGOC_URI_TLSALLOWINVALIDHOSTNAMES},

	/* who connects */
	{"username", ON_USER, OPTION_TEXT},
	{"password", ON_USER, OPTION_SECRET},
	{"auth_source", ON_SERVER | ON_USER, OPTION_TEXT},
	{"auth_mechanism", ON_SERVER | ON_USER, OPTION_WORD,
	"SCRAM-SHA-1, SCRAM-SHA-256, MONGODB-X509, PLAIN"},
	{"password_required", ON_USER, OPTION_SUPERUSER},

	/* what to read, and how */
	{"collection", ON_TABLE, OPTION_TEXT},
	{"path", ON_COLUMN, OPTION_PATH},
	{"extended_json", ON_SERVER | ON_TABLE | ON_COLUMN, OPTION_WORD, "relaxed, canonical, plain"},
	{"fetch_size", ON_SERVER | ON_TABLE, OPTION_POSITIVE},

	/* writing */
	{"bson_type", ON_COLUMN, OPTION_WORD,
	"int, long, double, decimal, string, date, objectId, binData, uuid, bool, object, array"},
	{"null_as", ON_SERVER | ON_TABLE | ON_COLUMN, OPTION_WORD, "null, unset"},
	{"batch_size", ON_SERVER | ON_TABLE, OPTION_POSITIVE},
	{"updatable", ON_SERVER | ON_TABLE, OPTION_BOOLEAN},
	{"truncatable", ON_SERVER | ON_TABLE, OPTION_BOOLEAN},
	{"transactions", ON_SERVER, OPTION_BOOLEAN},
	{"write_concern", ON_SERVER, OPTION_WRITE_CONCERN},

	/* planning */
	{"use_remote_estimate", ON_SERVER | ON_TABLE, OPTION_BOOLEAN},
	{"enable_aggregate_pushdown", ON_SERVER | ON_TABLE, OPTION_BOOLEAN},
	{"enable_join_pushdown", ON_SERVER | ON_TABLE, OPTION_BOOLEAN},
	{"fdw_startup_cost", ON_SERVER, OPTION_COST},
	{"fdw_tuple_cost", ON_SERVER, OPTION_COST},
	{NULL}
};

/* The candidate nearest to a word, if one is near enough to be meant. */
typedef struct NearName
{
	const char *source;
	int			distance;		/* of match */
	const char *match;			/* NULL: none so far */
} NearName;

/* Offers a candidate. */
static void
near_name_offer(NearName *near, const char *candidate)
{
	int			length = strlen(near->source);
	int			limit = near->match != NULL ? near->distance - 1 : Min(4, length / 2);
	int			distance;

	if (limit < 0)
		return;
	distance = varstr_levenshtein_less_equal(near->source, length,
											 candidate, strlen(candidate),
											 1, 1, 1, limit, true);
	if (distance <= limit)
	{
		near->match = candidate;
		near->distance = distance;
	}
}

/* Throws for an option that does not exist here, with the one that was meant or all that do. */
static void
throw_unknown_option(const char *name, int place)
{
	NearName	near = {.source = name};
	bool		elsewhere = false;
	const MongoOption *option;
	StringInfoData valid;

	initStringInfo(&valid);
	for (option = mongo_options; option->name != NULL; option++)
	{
		if (option->places & place)
		{
			near_name_offer(&near, option->name);
			appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", option->name);
		}
		else if (strcmp(option->name, name) == 0)
			elsewhere = true;
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 elsewhere && (place & ON_SERVER) ?
			 errhint("Put the option into a user mapping or a foreign table of the server.") :
			 elsewhere ?
			 errhint("This is an option of other objects, such as the server.") :
			 near.match != NULL ?
			 errhint("Perhaps you meant the option \"%s\".", near.match) :
			 valid.len > 0 ?
			 errhint("Valid options are: %s.", valid.data) : 0));
}

/* Throws for a value; hint is what a good one looks like. */
static void
throw_invalid_value(const char *name, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("%s", hint)));
}

/* Whether a word of the given length is in a list separated by comma and space. */
static bool
in_words(const char *words, const char *word, size_t length)
{
	while (*words != '\0')
	{
		size_t		next = strcspn(words, ",");

		if (next == length && strncmp(words, word, length) == 0)
			return true;
		words += next;
		words += strspn(words, ", ");
	}
	return false;
}

/* Checks a word, or several words separated by commas. */
static void
check_words(const MongoOption *option, const char *value)
{
	const char *word = value;

	for (;;)
	{
		size_t		length = option->kind == OPTION_WORDS ? strcspn(word, ",") : strlen(word);

		if (!in_words(option->words, word, length))
			throw_invalid_value(option->name, value,
								psprintf(option->kind == OPTION_WORDS ?
										 "Valid values are these, separated by commas: %s." :
										 "Valid values are: %s.", option->words));
		if (word[length] == '\0')
			return;
		word += length + 1;
	}
}

/*
 * Checks a path such as address.city, items.0.sku, or $.  A field may have the
 * empty name, so that only a backslash with nothing after it is wrong.
 */
static void
check_path(const MongoOption *option, const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
		if (*c == '\\' && *++c == '\0')
			throw_invalid_value(option->name, value,
								"A path is field names and array positions separated by dots, "
								"such as address.city or items.0.sku, or $ for the whole document. "
								"A backslash takes the next character as it is.");
}

/* Whether the current user may name files of the database server's machine. */
static bool
may_name_files(void)
{
	return superuser() || has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES);
}

/* Checks one option of the table against what its kind asks for. */
static void
check_value(const MongoOption *option, const char *value)
{
	bool		flag = true;
	char	   *end;
	double		number;

	switch (option->kind)
	{
		case OPTION_SECRET:
			break;
		case OPTION_TEXT:
			if (value[0] == '\0')
				throw_invalid_value(option->name, value, "The value must not be empty.");
			break;
		case OPTION_SUPERUSER:
		case OPTION_BOOLEAN:
			if (!parse_bool(value, &flag))
				throw_invalid_value(option->name, value, "Valid values are: true, false.");
			if (option->kind == OPTION_SUPERUSER && !flag && !superuser())
				ereport(ERROR,
						(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						 errmsg("only a superuser may set option \"%s\" to false",
								option->name)));
			break;
		case OPTION_POSITIVE:
			errno = 0;
			if (strtoint(value, &end, 10) < 1 || *end != '\0' || errno != 0)
				throw_invalid_value(option->name, value, "The value must be a positive integer.");
			break;
		case OPTION_COST:
			if (!parse_real(value, &number, 0, NULL) || isnan(number) || number < 0)
				throw_invalid_value(option->name, value, "The value must be a number from 0.");
			break;
		case OPTION_WORD:
		case OPTION_WORDS:
			check_words(option, value);
			break;
		case OPTION_WRITE_CONCERN:
			errno = 0;
			if (strspn(value, "0123456789") == strlen(value) &&
				(strtoint(value, &end, 10) < 1 || errno != 0))
				throw_invalid_value(option->name, value,
									"The value is majority, a number of members from 1, or the name of a write concern of the set.");
			break;
		case OPTION_URI:
			mongo_uri_check(value);
			break;
		case OPTION_DATABASE:
			if (value[0] == '\0' || strlen(value) > 63 || strpbrk(value, "/\\. \"$") != NULL)
				throw_invalid_value(option->name, value,
									"The name of a MongoDB database has 1 to 63 bytes and none of / \\ . \" $ or space.");
			break;
		case OPTION_PATH:
			check_path(option, value);
			break;
		case OPTION_FILE:
			if (!may_name_files())
				ereport(ERROR,
						(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						 errmsg("permission denied to set option \"%s\"", option->name),
						 errdetail("Only roles with privileges of \"pg_read_server_files\" may name files of the database server.")));
			break;
	}
}

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
	bool		password = false;
	bool		username = false;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);
		const MongoOption *option = mongo_options;

		while (option->name != NULL &&
			   !((option->places & place) && strcmp(option->name, def->defname) == 0))
			option++;
		if (option->name == NULL)
			throw_unknown_option(def->defname, place);
		check_value(option, defGetString(def));
		password |= strcmp(def->defname, "password") == 0;
		username |= strcmp(def->defname, "username") == 0;
	}
	/* The driver would not send it, and nobody would know why. */
	if (password && !username)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"password\" needs option \"username\"")));
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

/* The same as an integer that the validator has passed. */
int
option_integer(List *options, const char *name, int otherwise)
{
	const char *value = option_value(options, name);
	int			result = otherwise;

	if (value != NULL && !parse_int(value, &result, 0, NULL))
		elog(ERROR, "option \"%s\" is not an integer: \"%s\"", name, value);
	return result;
}

/* The same as a boolean that the validator has passed. */
bool
option_boolean(List *options, const char *name, bool otherwise)
{
	const char *value = option_value(options, name);
	bool		result = otherwise;

	if (value != NULL && !parse_bool(value, &result))
		elog(ERROR, "option \"%s\" is not a boolean: \"%s\"", name, value);
	return result;
}

/* Gives the driver those options of a list that it has a name for. */
void
options_to_uri(List *options, mongoc_uri_t *uri)
{
	const MongoOption *option;

	for (option = mongo_options; option->name != NULL; option++)
	{
		const char *value = option_value(options, option->name);
		bool		done;

		if (value == NULL || option->uri_option == NULL)
			continue;
		if (option->kind == OPTION_BOOLEAN)
			done = mongoc_uri_set_option_as_bool(uri, option->uri_option,
												 option_boolean(options, option->name, false));
		else if (option->kind == OPTION_POSITIVE)
			done = mongoc_uri_set_option_as_int32(uri, option->uri_option,
												  option_integer(options, option->name, 0));
		else if (strcmp(option->uri_option, MONGOC_URI_APPNAME) == 0)
			done = mongoc_uri_set_appname(uri, mongo_utf8(value));
		else
			done = mongoc_uri_set_option_as_utf8(uri, option->uri_option, mongo_utf8(value));
		if (!done)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("the driver does not take the value of option \"%s\"",
							option->name)));
	}
}

/* Text of the database in the driver's encoding. */
const char *
mongo_utf8(const char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
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
			 errmsg("invalid mode of Extended JSON: \"%s\"", text),
			 errhint("Valid values are: relaxed, canonical, plain.")));
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

/* Throws for a server that is not there, with the one that was meant. */
static void
throw_unknown_server(const char *name, Oid wrapper)
{
	NearName	near = {.source = name};
	Relation	relation = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);

		if (form->srvfdw == wrapper)
			near_name_offer(&near, pstrdup(NameStr(form->srvname)));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("server \"%s\" does not exist", name),
			 near.match != NULL ?
			 errhint("Perhaps you meant the server \"%s\".", near.match) :
			 errhint("Create it: CREATE SERVER %s FOREIGN DATA WRAPPER %s OPTIONS (uri 'mongodb://...', database '...').",
					 quote_identifier(name), WRAPPER_NAME)));
}

/*
 * Looks a server up by name, for the current user.  Throws when there is none,
 * when it is not a server of this wrapper, or without USAGE on it.
 */
Oid
mongo_server_oid(const char *name)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(WRAPPER_NAME, false);
	Oid			serverid = get_foreign_server_oid(name, true);
	AclResult	aclresult;

	if (!OidIsValid(serverid))
		throw_unknown_server(name, wrapper);
	if (GetForeignServer(serverid)->fdwid != wrapper)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a server of foreign data wrapper \"%s\"",
						name, WRAPPER_NAME)));
	aclresult = foreign_server_aclcheck(serverid, GetUserId(), ACL_USAGE);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FOREIGN_SERVER, name);
	return serverid;
}

/* Is NULL to be written as null, rather than left out? */
static bool
null_as_null(List *options, bool otherwise)
{
	const char *value = option_value(options, "null_as");

	return value == NULL ? otherwise : strcmp(value, "null") == 0;
}

/* The options of a foreign table, with its server's as defaults. */
MongoTableOptions *
mongo_table_options(Oid foreigntableid)
{
	ForeignTable *table = GetForeignTable(foreigntableid);
	ForeignServer *server = GetForeignServer(table->serverid);
	MongoTableOptions *result = palloc0(sizeof(MongoTableOptions));
	const char *collection = option_value(table->options, "collection");

	result->collection = collection != NULL ? pstrdup(collection) : get_rel_name(foreigntableid);
	result->json_mode = json_mode_option(table->options,
										 json_mode_option(server->options, JSON_RELAXED));
	result->fetch_size = option_integer(table->options, "fetch_size",
										option_integer(server->options, "fetch_size",
													   DEFAULT_FETCH_SIZE));
	result->batch_size = option_integer(table->options, "batch_size",
										option_integer(server->options, "batch_size",
													   DEFAULT_BATCH_SIZE));
	result->updatable = option_boolean(table->options, "updatable",
									   option_boolean(server->options, "updatable", true));
	result->truncatable = option_boolean(table->options, "truncatable",
										 option_boolean(server->options, "truncatable", true));
	result->null_as_null = null_as_null(table->options, null_as_null(server->options, false));
	result->aggregate_pushdown =
		option_boolean(table->options, "enable_aggregate_pushdown",
					   option_boolean(server->options, "enable_aggregate_pushdown", true));
	result->join_pushdown =
		option_boolean(table->options, "enable_join_pushdown",
					   option_boolean(server->options, "enable_join_pushdown", true));
	return result;
}

/* The options of a column, with its table's as defaults. */
MongoColumnOptions *
mongo_column_options(Oid foreigntableid, AttrNumber attnum, const MongoTableOptions *table)
{
	List	   *options = GetForeignColumnOptions(foreigntableid, attnum);
	MongoColumnOptions *result = palloc0(sizeof(MongoColumnOptions));
	const char *path = option_value(options, "path");

	result->path = path != NULL ? pstrdup(path) : get_attname(foreigntableid, attnum, false);
	result->json_mode = json_mode_option(options, table->json_mode);
	result->bson_type = option_value(options, "bson_type") == NULL ? NULL :
		pstrdup(option_value(options, "bson_type"));
	result->null_as_null = null_as_null(options, table->null_as_null);
	return result;
}
