/*
 * client.c
 *	  The driver's client for a server and a user, built from their options.
 *
 * The options of the server and then those of the mapping are laid over the
 * connection string.  Credentials come from the mapping alone, and only by
 * mechanisms that use nothing of the database server's own: no Kerberos ticket,
 * no cloud identity.
 *
 * A role that is no superuser needs a password, or a certificate of its own, in
 * its mapping, for otherwise it would act with the identity that the database
 * server's machine has in its network.  It needs neither where the server
 * belongs to a superuser and asks for no authentication: that superuser has
 * chosen where to connect and, by GRANT USAGE, who may.
 */
#include "postgres.h"
#include "compat.h"

#include <limits.h>
#include <unistd.h>

#include "error.h"
#include "miscadmin.h"
#include "mongo/client.h"
#include "mongo/options.h"
#include "owned.h"
#include "storage/ipc.h"
#include "utils/builtins.h"

#define DEFAULT_APP_NAME "mongo_migrate"

#define URI_HINT \
	"A connection string looks like mongodb://host:27017/?replicaSet=rs0 or mongodb+srv://name.domain/."

/* Where X.509 and PLAIN users live. */
#define EXTERNAL_SOURCE "$external"

/*
 * Longest wait for a reply where no option says: none, as in the other drivers
 * of MongoDB.  Interrupts end a wait, and keepalives find a vanished peer.
 */
#define DEFAULT_SOCKET_TIMEOUT_MS INT_MAX

/* A client with the control block that its destruction needs. */
typedef struct Client
{
	mongoc_client_t *client;
	StreamControl *control;
} Client;

static char log_message[512];

/* The driver's log handler: it may not throw, and it holds a lock. */
static void
log_handler(mongoc_log_level_t level, const char *domain, const char *message, void *arg)
{
	if (level <= MONGOC_LOG_LEVEL_WARNING)
		strlcpy(log_message, message, sizeof(log_message));
}

/* Has the driver's log messages kept, not printed; see client.h. */
void
client_log_init(void)
{
	mongoc_log_set_handler(log_handler, NULL);
}

/* The driver's last warning since the last call; "" for none. */
const char *
client_log(void)
{
	static char taken[sizeof(log_message)];

	strlcpy(taken, log_message, sizeof(taken));
	log_message[0] = '\0';
	return taken;
}

/* For owned_register(). */
static void
destroy_uri(void *object)
{
	mongoc_uri_destroy((mongoc_uri_t *) object);
}

/* Ends a client; its sessions on the server end with it, if that answers soon. */
static void
destroy_client(void *object)
{
	Client	   *self = object;

	/* At the process's end the driver may be in the midst of a call. */
	if (proc_exit_inprogress)
		return;
	stream_cleanup_begin(self->control);
	mongoc_client_destroy(self->client);
	stream_cleanup_end(self->control);
}

/* Whether the mechanism takes all that it needs from a user mapping. */
static bool
mechanism_allowed(const char *mechanism)
{
	static const char *const allowed[] = {
		"SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509", "PLAIN"
	};

	for (int i = 0; i < lengthof(allowed); i++)
		if (pg_strcasecmp(mechanism, allowed[i]) == 0)
			return true;
	return false;
}

/* Throws for what a connection string must leave to options. */
static void
check_uri_options(const mongoc_uri_t *uri)
{
	static const char *const refused[][2] = {
		{"tlsCAFile", "tls_ca_file of the server"},
		{"tlsCertificateKeyFile", "tls_certificate_key_file of the server or user mapping"},
		{"tlsCertificateKeyFilePassword", "tls_certificate_key_file_password of the user mapping"},
	};
	const char *mechanism = mongoc_uri_get_auth_mechanism(uri);
	bson_t		properties;

	for (int i = 0; i < lengthof(refused); i++)
		if (mongoc_uri_has_option(uri, refused[i][0]))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("option \"uri\" must not contain \"%s\"", refused[i][0]),
					 errhint("Use option %s.", refused[i][1])));
	if (mongoc_uri_get_mechanism_properties(uri, &properties))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"uri\" must not contain \"authMechanismProperties\""),
				 errdetail("No mechanism that is supported has any.")));
	if (!mongoc_write_concern_is_acknowledged(mongoc_uri_get_write_concern(uri)))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"uri\" must not contain \"w\" of 0"),
				 errdetail("MongoDB would not say when it refuses a write."),
				 errhint("Leave it out, or use option write_concern of the server.")));
	if (mechanism != NULL && !mechanism_allowed(mechanism))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("authentication mechanism \"%s\" is not supported", mechanism),
				 errhint("Supported are SCRAM-SHA-1, SCRAM-SHA-256, MONGODB-X509 and PLAIN.")));
}

/* Reads a connection string.  The result is owned by the current context. */
static mongoc_uri_t *
uri_parse(const char *text)
{
	bson_error_t error;
	mongoc_uri_t *uri;

	/* First of all, so that no message of the driver has the password. */
	if (strchr(text, '@') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"uri\" must not contain credentials"),
				 errdetail("Everyone can read the options of a server."),
				 errhint("Put them into a user mapping: CREATE USER MAPPING FOR CURRENT_USER SERVER ... OPTIONS (username '...', password '...').")));
	if (strncmp(text, "mongodb://", 10) != 0 && strncmp(text, "mongodb+srv://", 14) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"uri\" must begin with mongodb:// or mongodb+srv://"),
				 errhint(URI_HINT)));
	(void) client_log();
	uri = mongoc_uri_new_with_error(mongo_utf8(text), &error);
	if (uri == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"uri\" is not a MongoDB connection string"),
				 errdetail("%s", mongo_error_text(error.message)),
				 errhint(URI_HINT)));
	owned_register(CurrentMemoryContext, uri, destroy_uri);
	check_uri_options(uri);
	return uri;
}

/* Throws for a connection string that cannot be the value of option uri. */
void
mongo_uri_check(const char *text)
{
	const char *warning;

	client_log_init();
	uri_parse(text);
	warning = client_log();
	if (warning[0] != '\0')
		ereport(WARNING,
				(errmsg("the driver has an objection to option \"uri\""),
				 errdetail("%s", mongo_error_text(warning))));
}

/* Read preference and concern, and compressors: what is no plain option to the driver. */
static void
apply_server_options(mongoc_uri_t *uri, List *options)
{
	static const struct
	{
		const char *word;
		mongoc_read_mode_t mode;
	}			modes[] = {
		{"primary", MONGOC_READ_PRIMARY},
		{"primaryPreferred", MONGOC_READ_PRIMARY_PREFERRED},
		{"secondary", MONGOC_READ_SECONDARY},
		{"secondaryPreferred", MONGOC_READ_SECONDARY_PREFERRED},
		{"nearest", MONGOC_READ_NEAREST},
	};
	const char *value = option_value(options, "read_preference");

	for (int i = 0; value != NULL && i < lengthof(modes); i++)
	{
		mongoc_read_prefs_t *preference;

		if (strcmp(value, modes[i].word) != 0)
			continue;
		preference = mongoc_read_prefs_new(modes[i].mode);
		mongoc_uri_set_read_prefs_t(uri, preference);
		mongoc_read_prefs_destroy(preference);
	}
	value = option_value(options, "read_concern");
	if (value != NULL)
	{
		mongoc_read_concern_t *concern = mongoc_read_concern_new();

		mongoc_read_concern_set_level(concern, value);
		mongoc_uri_set_read_concern(uri, concern);
		mongoc_read_concern_destroy(concern);
	}
	value = option_value(options, "write_concern");
	if (value != NULL)
	{
		mongoc_write_concern_t *concern = mongoc_write_concern_new();

		if (strspn(value, "0123456789") == strlen(value))
			mongoc_write_concern_set_w(concern, atoi(value));
		else if (strcmp(value, "majority") == 0)
			mongoc_write_concern_set_w(concern, MONGOC_WRITE_CONCERN_W_MAJORITY);
		else
			mongoc_write_concern_set_wtag(concern, value);
		mongoc_uri_set_write_concern(uri, concern);
		mongoc_write_concern_destroy(concern);
	}
	value = option_value(options, "compressors");
	if (value != NULL)
		mongoc_uri_set_compressors(uri, value);
}

/* Who connects, and how that is proved. */
static void
apply_credentials(mongoc_uri_t *uri, List *server_options, List *user_options)
{
	const char *username = option_value(user_options, "username");
	const char *password = option_value(user_options, "password");
	const char *source = option_value(user_options, "auth_source");
	const char *mechanism = option_value(user_options, "auth_mechanism");

	if (username != NULL)
		mongoc_uri_set_username(uri, mongo_utf8(username));
	if (password != NULL)
		mongoc_uri_set_password(uri, mongo_utf8(password));
	if (mechanism == NULL)
		mechanism = option_value(server_options, "auth_mechanism");
	if (mechanism != NULL)
		mongoc_uri_set_auth_mechanism(uri, mechanism);
	mechanism = mongoc_uri_get_auth_mechanism(uri);
	if (source == NULL)
		source = option_value(server_options, "auth_source");
	if (mechanism != NULL &&
		(pg_strcasecmp(mechanism, "MONGODB-X509") == 0 || pg_strcasecmp(mechanism, "PLAIN") == 0))
		source = EXTERNAL_SOURCE;
	if (source != NULL)
		mongoc_uri_set_auth_source(uri, mongo_utf8(source));
}

/* Whether the client would prove who it is. */
static bool
uri_authenticates(const mongoc_uri_t *uri)
{
	const char *mechanism = mongoc_uri_get_auth_mechanism(uri);

	return mongoc_uri_get_username(uri) != NULL ||
		(mechanism != NULL && pg_strcasecmp(mechanism, "MONGODB-X509") == 0);
}

/* Throws where userid would connect by other credentials than its own. */
static void
check_credentials(ForeignServer *server, UserMapping *mapping, Oid userid, const mongoc_uri_t *uri)
{
	List	   *options = mapping != NULL ? mapping->options : NIL;
	const char *mechanism = mongoc_uri_get_auth_mechanism(uri);
	const char *password = option_value(options, "password");

	if (superuser_arg(userid) || !option_boolean(options, "password_required", true))
		return;
	if (!uri_authenticates(uri) && superuser_arg(server->owner))
		return;
	if (mechanism != NULL && pg_strcasecmp(mechanism, "MONGODB-X509") == 0)
	{
		if (option_value(options, "tls_certificate_key_file") != NULL)
			return;
	}
	else if (mongoc_uri_get_username(uri) != NULL && password != NULL && password[0] != '\0')
		return;
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("password is required"),
			 errdetail("A role that is not superuser connects to server \"%s\" with a password, or a certificate, of its own user mapping.",
					   server->servername),
			 errhint("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (username '...', password '...').",
					 quote_identifier(GetUserNameFromId(userid, false)),
					 quote_identifier(server->servername))));
}

/* Throws for a file that the driver could not read; it would not say which, and of which option. */
static void
check_file(ForeignServer *server, const mongoc_uri_t *uri, const char *key, const char *option)
{
	const char *path = mongoc_uri_get_option_as_utf8(uri, key, NULL);

	if (path != NULL && access(path, R_OK) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path),
				 errdetail("Option %s of server \"%s\", or of its user mapping, names it.", option, server->servername),
				 errhint("It has to be on the machine of PostgreSQL, and readable to the user that PostgreSQL runs as.")));
}

/* The connection string with all options laid over it; owned by the current context. */
static mongoc_uri_t *
uri_create(ForeignServer *server, UserMapping *mapping)
{
	const char *text = option_value(server->options, "uri");
	List	   *user_options = mapping != NULL ? mapping->options : NIL;
	const char *mechanism;
	mongoc_uri_t *uri;

	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("server \"%s\" has no option \"uri\"", server->servername),
				 errhint("ALTER SERVER %s OPTIONS (ADD uri 'mongodb://host:27017/').",
						 quote_identifier(server->servername))));
	uri = uri_parse(text);
	if (mongoc_uri_get_appname(uri) == NULL)
		mongoc_uri_set_appname(uri, DEFAULT_APP_NAME);
	if (!mongoc_uri_has_option(uri, MONGOC_URI_SOCKETTIMEOUTMS))
		mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, DEFAULT_SOCKET_TIMEOUT_MS);
	options_to_uri(server->options, uri);
	options_to_uri(user_options, uri);
	apply_server_options(uri, server->options);
	apply_credentials(uri, server->options, user_options);

	/* Otherwise the driver waits and retries where no interrupt reaches. */
	mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, true);

	mechanism = mongoc_uri_get_auth_mechanism(uri);
	if (mechanism != NULL && pg_strcasecmp(mechanism, "PLAIN") == 0 && !mongoc_uri_get_tls(uri))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("authentication mechanism PLAIN needs TLS"),
				 errdetail("It sends the password as it is."),
				 errhint("ALTER SERVER %s OPTIONS (ADD tls 'true').",
						 quote_identifier(server->servername))));
	check_file(server, uri, MONGOC_URI_TLSCAFILE, "tls_ca_file");
	check_file(server, uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, "tls_certificate_key_file");
	return uri;
}

/* Makes a client, owned by owner; see client.h. */
mongoc_client_t *
client_create(ForeignServer *server, UserMapping *mapping, Oid userid,
			  StreamControl *control, MemoryContext owner)
{
	mongoc_uri_t *uri = uri_create(server, mapping);
	Client	   *self = MemoryContextAlloc(owner, sizeof(Client));
	bson_error_t error;

	check_credentials(server, mapping, userid, uri);
	self->control = control;
	self->client = mongoc_client_new_from_uri_with_error(uri, &error);
	if (self->client == NULL)
		mongo_throw(&error, NULL, psprintf("connecting to server \"%s\"", server->servername));
	owned_register(owner, self, destroy_client);
	mongoc_client_set_error_api(self->client, MONGOC_ERROR_API_VERSION_2);
	mongoc_client_set_stream_initiator(self->client, stream_initiate, control);
	return self->client;
}

/* The database to use: option database, else the uri's. */
char *
client_database(ForeignServer *server, const mongoc_uri_t *uri)
{
	const char *database = option_value(server->options, "database");

	if (database != NULL)
		return pstrdup(mongo_utf8(database));
	if (mongoc_uri_get_database(uri) != NULL)
		return pstrdup(mongoc_uri_get_database(uri));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
			 errmsg("server \"%s\" has no option \"database\"", server->servername),
			 errhint("ALTER SERVER %s OPTIONS (ADD database '...').",
					 quote_identifier(server->servername))));
}
