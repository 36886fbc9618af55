/*
 * error.c
 *	  Errors of the driver as errors of PostgreSQL.
 *
 * An error of the driver has a domain, a code and a text.  Where the domain is
 * "server", the code is one of MongoDB's own:
 * https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
 *
 * Two tables turn them into an SQLSTATE and advice: one by the server's code, one
 * by what the driver's text has in it, since it does not tell causes of a failed
 * connection apart otherwise.
 */
#include "postgres.h"
#include "compat.h"

#include "error.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

typedef struct ServerError
{
	int			code;
	int			sqlstate;
	const char *hint;			/* may be NULL */
} ServerError;

#define HINT_PRIVILEGES \
	"Grant the MongoDB user of the user mapping a role for this on the database: read, or readWrite where it is to write."
#define HINT_PASSWORD \
	"Check username, password, auth_source and auth_mechanism of the user mapping."
#define HINT_OTHER_HOST "The certificate is of another host: connect by the name that it is made out to."
#define HINT_WRITE_CONCERN "Set write_concern of the server to one that the replica set can meet."
#define HINT_AGAIN "Run the statement again once the server is back."
#define HINT_MOVED "The sharded cluster is moving data: run the statement again."
#define HINT_IMMUTABLE \
	"A document keeps its _id, and in a sharded collection the fields of the shard key: delete it, and insert another one."
#define HINT_ENDED "Somebody has ended it in MongoDB."

static const ServerError server_errors[] = {
	{13, ERRCODE_INSUFFICIENT_PRIVILEGE, HINT_PRIVILEGES},	/* Unauthorized */
	{8000, ERRCODE_INVALID_PASSWORD, HINT_PASSWORD},	/* AtlasError */
	{18, ERRCODE_INVALID_PASSWORD, HINT_PASSWORD},	/* AuthenticationFailed */
	{11, ERRCODE_INVALID_PASSWORD, HINT_PASSWORD},	/* UserNotFound */
	{334, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,	/* MechanismUnavailable */
	"Set auth_mechanism to one that the server has enabled."},

	{11000, ERRCODE_UNIQUE_VIOLATION},	/* DuplicateKey */
	{121, ERRCODE_CHECK_VIOLATION}, /* DocumentValidationFailure */
	{26, ERRCODE_FDW_TABLE_NOT_FOUND},	/* NamespaceNotFound */
	{59, ERRCODE_FEATURE_NOT_SUPPORTED},	/* CommandNotFound */
	{115, ERRCODE_FEATURE_NOT_SUPPORTED},	/* CommandNotSupported */
	{112, ERRCODE_T_R_SERIALIZATION_FAILURE,	/* WriteConflict */
	"Another transaction has written the same document. Run this one again."},
	{251, ERRCODE_TRANSACTION_ROLLBACK, /* NoSuchTransaction */
		"MongoDB ends a transaction after an error in it, and when transactionLifetimeLimitSeconds are over, 60 by default. Run it again; "
	"where it takes too long, write less at a time, raise that limit, or set option transactions of the server to off."},
	{388, ERRCODE_PROGRAM_LIMIT_EXCEEDED,	/* TransactionTooLargeForCache */
	"Write less in a transaction, give mongod a larger cache, or set option transactions of the server to off."},
	{28, ERRCODE_DATA_EXCEPTION,	/* PathNotViable */
	"The path goes through a value that is no document. Update that field as a whole, through another column."},
	{10334, ERRCODE_PROGRAM_LIMIT_EXCEEDED, /* BSONObjectTooLarge */
		"A document has 16 MB at most, and so have two that MongoDB joins: for these, set option enable_join_pushdown of a foreign table to false. "
	"And so have the conditions of a query, which PostgreSQL checks after SET mongo_migrate.enable_pushdown = off."},
	{17280, ERRCODE_PROGRAM_LIMIT_EXCEEDED},	/* KeyTooLong */
	{292, ERRCODE_OUT_OF_MEMORY,	/* QueryExceededMemoryLimitNoDiskUseAllowed */
	"Pass {\"allowDiskUse\": true} among the options."},
	{16819, ERRCODE_OUT_OF_MEMORY,
	"Pass {\"allowDiskUse\": true} among the options."},
	{40573, ERRCODE_FDW_ERROR,	/* $changeStream on a standalone */
	"Change streams need a replica set: start mongod with --replSet and run rs.initiate()."},
	{286, ERRCODE_FDW_ERROR,	/* ChangeStreamHistoryLost */
	"The oplog no longer reaches back to where the stream was left; mongo_migrate.start_sync(server, from_now => true) goes on from now."},
	{79, ERRCODE_FDW_ERROR, HINT_WRITE_CONCERN},	/* UnknownReplWriteConcern */
	{100, ERRCODE_FDW_ERROR, HINT_WRITE_CONCERN},	/* UnsatisfiableWriteConcern */
	{64, ERRCODE_FDW_ERROR,		/* WriteConcernTimeout */
	"The primary has written it. As many members as write_concern of the server asks for have not confirmed it in time."},
	{166, ERRCODE_FDW_ERROR,	/* CommandNotSupportedOnView */
	"MongoDB does not write to a view: write to the collection below it."},
	{61, ERRCODE_FDW_ERROR,		/* ShardKeyNotFound */
	"The collection is sharded, and a statement names a document by its _id: before MongoDB 7, leave out RETURNING; and a new document needs the fields of the shard key."},
	{66, ERRCODE_FDW_ERROR, HINT_IMMUTABLE},	/* ImmutableField */
	{31025, ERRCODE_FDW_ERROR, HINT_IMMUTABLE}, /* of a shard key */
	{263, ERRCODE_FDW_ERROR,	/* OperationNotSupportedInTransaction */
	"Without a transaction of MongoDB it may be possible: set option transactions of the server to off, and each write stays for good."},
	{43, ERRCODE_CONNECTION_FAILURE,	/* CursorNotFound */
	"The server ended the cursor: it restarted, or nothing was read for ten minutes. Run the statement again."},

	{175, ERRCODE_FDW_ERROR,	/* QueryPlanKilled */
	"The collection or an index of it was dropped, renamed or moved while it was read. Run the statement again if it is there."},
	{136, ERRCODE_FDW_ERROR,	/* CappedPositionLost */
	"The capped collection has dropped the documents that were to be read next. Run the statement again."},

	{50, ERRCODE_QUERY_CANCELED,	/* MaxTimeMSExpired */
	"It took longer than MongoDB's parameter defaultMaxTimeMS, or maxTimeMS among the options, allows."},
	{11601, ERRCODE_QUERY_CANCELED, HINT_ENDED},	/* Interrupted */
	{237, ERRCODE_QUERY_CANCELED, HINT_ENDED},	/* CursorKilled */

	/* ERRCODE_ADMIN_SHUTDOWN is of PostgreSQL that shuts down. */
	{91, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* ShutdownInProgress */
	{11600, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* InterruptedAtShutdown */
	{11602, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* InterruptedDueToReplStateChange */
	{189, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* PrimarySteppedDown */
	{134, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* ReadConcernMajorityNotAvailableYet */
	{262, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* ExceededTimeLimit */
	{10107, ERRCODE_CONNECTION_FAILURE, /* NotWritablePrimary */
	"Connect to the replica set as a whole: put replicaSet=... into the uri, or set replica_set."},
	{13435, ERRCODE_CONNECTION_FAILURE, /* NotPrimaryNoSecondaryOk */
	"Set read_preference of the server, or connect to the replica set as a whole."},
	{13436, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* NotPrimaryOrSecondary */

	/* What mongos says of the shards. */
	{6, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* HostUnreachable */
	{7, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* HostNotFound */
	{89, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* NetworkTimeout */
	{202, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN},	/* NetworkInterfaceExceededTimeLimit */
	{9001, ERRCODE_CONNECTION_FAILURE, HINT_AGAIN}, /* SocketException */
	{133, ERRCODE_CONNECTION_FAILURE,	/* FailedToSatisfyReadPreference */
	"Check whether each shard has a primary, or a member that read_preference takes."},
	{150, ERRCODE_CONNECTION_FAILURE, HINT_MOVED},	/* StaleEpoch */
	{249, ERRCODE_CONNECTION_FAILURE, HINT_MOVED},	/* StaleDbVersion */
	{13388, ERRCODE_CONNECTION_FAILURE, HINT_MOVED},	/* StaleConfig */
	{234, ERRCODE_CONNECTION_FAILURE, HINT_MOVED},	/* RetryChangeStream */
	{0}
};

typedef struct TextHint
{
	const char *part;			/* of the driver's text */
	const char *hint;
} TextHint;

static const TextHint text_hints[] = {
	{"hostname mismatch", HINT_OTHER_HOST},
	{"IP address mismatch", HINT_OTHER_HOST},
	{"Failed certificate verification", HINT_OTHER_HOST},
	{"certificate verify failed", "Name the authority that signed the server's certificate in option tls_ca_file."},
	{"TLS handshake failed", "Check that the server speaks TLS; otherwise set option tls to false."},
	{"could not set up TLS", "Check the files in tls_ca_file and tls_certificate_key_file: PEM, the second with certificate and key."},
	{"SRV record", "Check the host name in the server's option uri; mongodb:// takes names of hosts, mongodb+srv:// that of a cluster."},
	{"could not resolve", "Check the host name in the server's option uri."},
	{"Connection refused", "Check that MongoDB runs there, and host and port in the server's option uri."},
	{"Connection timed out", "Check host and port in the server's option uri, and the firewalls on the way."},
	{"Server closed connection", "The server may ask for TLS: set option tls to true."},
	{"connection closed calling", "The server may ask for TLS: set option tls to true."},
	{"socket error or timeout", "The network or the server failed. Run the statement again."},
	{"requires authentication", "CREATE USER MAPPING ... OPTIONS (username '...', password '...')."},
	{"No suitable servers found", "Check hosts and replicaSet in the server's option uri, and whether the set has a primary, or a member that read_preference takes."},
	{NULL}
};

/* The table's entry for a server's error, or NULL. */
static const ServerError *
find_server_error(const bson_error_t *error)
{
	if (error->domain == MONGOC_ERROR_SERVER || error->domain == MONGOC_ERROR_WRITE_CONCERN ||
		error->domain == MONGOC_ERROR_COLLECTION)
	{
		for (const ServerError *entry = server_errors; entry->code != 0; entry++)
			if (entry->code == error->code)
				return entry;
	}
	return NULL;
}

/* Whether a failure to connect is one to authenticate. */
static bool
is_authentication(const bson_error_t *error)
{
	return error->domain == MONGOC_ERROR_SCRAM || error->domain == MONGOC_ERROR_SASL ||
		(error->domain == MONGOC_ERROR_CLIENT && error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE);
}

/* The SQLSTATE for a driver or server error. */
int
mongo_sqlstate(const bson_error_t *error)
{
	const ServerError *known = find_server_error(error);

	if (error->domain == MONGOC_ERROR_COLLECTION)	/* one write, see
													 * mongo_command() */
		return ERRCODE_DATA_EXCEPTION;
	if (known != NULL)
		return known->sqlstate;
	if (is_authentication(error))
		return ERRCODE_INVALID_PASSWORD;
	switch (error->domain)
	{
		case MONGOC_ERROR_SERVER_SELECTION:
			return ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
		case MONGOC_ERROR_STREAM:
			return error->code == MONGOC_ERROR_STREAM_NAME_RESOLUTION ||
				error->code == MONGOC_ERROR_STREAM_CONNECT ?
				ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION :
				ERRCODE_CONNECTION_FAILURE;
		case MONGOC_ERROR_PROTOCOL:
			return ERRCODE_PROTOCOL_VIOLATION;
		default:
			return ERRCODE_FDW_ERROR;
	}
}

/* What the driver says of a stream without a socket, in brackets. */
#define UNKNOWN_CAUSE " [unknown connection error"

/* Why hosts could not be connected to, each in brackets, as the driver has them. */
static char causes[512];

/* Notes one; see error.h. */
void
mongo_error_note_cause(const char *cause)
{
	size_t		length = strlen(causes);

	if (strstr(causes, cause) == NULL)
		snprintf(causes + length, sizeof(causes) - length, " [%s]", cause);
}

/* Has them forgotten; see error.h. */
void
mongo_error_forget_causes(void)
{
	causes[0] = '\0';
}

/* Advice for a driver or server error, or NULL; text is what is told of it. */
static const char *
find_hint(const bson_error_t *error, const char *text)
{
	const ServerError *known = find_server_error(error);

	for (const TextHint *entry = text_hints; entry->part != NULL; entry++)
		if (strstr(text, entry->part) != NULL)
			return entry->hint;
	if (known != NULL)
		return known->hint;
	return is_authentication(error) ? HINT_PASSWORD : NULL;
}

/* The name of a server's error, such as "BadValue", from its reply; or NULL. */
static const char *
find_code_name(const bson_t *reply)
{
	bson_iter_t iter;

	return reply != NULL && bson_iter_init_find(&iter, reply, "codeName") &&
		BSON_ITER_HOLDS_UTF8(&iter) ? bson_iter_utf8(&iter, NULL) : NULL;
}

/*
 * The driver's text in the database's encoding.  It is UTF-8, but may have been
 * cut within a character, and may quote bytes that are no UTF-8; and a character
 * that the database lacks must not hide the error.
 */
char *
mongo_error_text(const char *message)
{
	int			length = pg_encoding_mbcliplen(PG_UTF8, message, strlen(message), strlen(message));
	char	   *text = pnstrdup(message, length);

	if (GetDatabaseEncoding() != PG_UTF8 || !pg_verify_mbstr(PG_UTF8, text, length, true))
	{
		for (char *p = text; *p != '\0'; p++)
			if (IS_HIGHBIT_SET(*p))
				*p = '?';
	}
	return text;
}

/* The text of an error of the driver, with the causes in the place of those that it does not know. */
static char *
find_text(const bson_error_t *error)
{
	StringInfoData text;
	const char *rest = error->message;
	const char *unknown;

	initStringInfo(&text);
	while (causes[0] != '\0' && (unknown = strstr(rest, UNKNOWN_CAUSE)) != NULL)
	{
		appendBinaryStringInfo(&text, rest, unknown - rest);
		rest = unknown + strcspn(unknown, "]");
		rest += *rest != '\0';
	}
	if (rest != error->message)
		appendStringInfoString(&text, causes);
	appendStringInfoString(&text, rest);
	return mongo_error_text(text.data);
}

/* Finds a failure in a reply with ok: 1; see error.h. */
bool
mongo_find_failure(const bson_t *reply, const char *name, bson_error_t *error, bson_iter_t *fields)
{
	bson_iter_t iter;
	bson_iter_t first;

	if (!bson_iter_init_find(&iter, reply, name))
		return false;
	if (BSON_ITER_HOLDS_ARRAY(&iter) && bson_iter_recurse(&iter, &first) && bson_iter_next(&first))
		iter = first;
	if (!BSON_ITER_HOLDS_DOCUMENT(&iter) || !bson_iter_recurse(&iter, fields))
		return false;
	bson_set_error(error, MONGOC_ERROR_SERVER, 0, "write failed");
	for (bson_iter_t field = *fields; bson_iter_next(&field);)
	{
		if (strcmp(bson_iter_key(&field), "code") == 0)
			error->code = bson_iter_as_int64(&field);
		else if (strcmp(bson_iter_key(&field), "errmsg") == 0 && BSON_ITER_HOLDS_UTF8(&field))
			bson_set_error(error, error->domain, error->code, "%s", bson_iter_utf8(&field, NULL));
	}
	return true;
}

/* Throws for a driver or server error; see error.h. */
void
mongo_throw(const bson_error_t *error, const bson_t *reply, const char *doing)
{
	int			sqlstate = mongo_sqlstate(error);
	const char *name = find_code_name(reply);
	const char *text = find_text(error);
	const char *hint = find_hint(error, text);

	if (sqlstate == ERRCODE_FDW_ERROR && reply != NULL &&
		mongoc_error_has_label(reply, "TransientTransactionError"))
	{
		sqlstate = ERRCODE_T_R_SERIALIZATION_FAILURE;
		hint = "Run the transaction again.";
	}
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("error while %s", doing),
			 name != NULL ?
			 errdetail("%s (%s)", text, mongo_error_text(name)) :
			 errdetail("%s", text),
			 hint != NULL ? errhint("%s", hint) : 0));
}
