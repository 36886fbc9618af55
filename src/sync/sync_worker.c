/*
 * sync_worker.c
 *	  The background worker that follows the changes of a server.
 *
 * Unlike the workers of a pool it belongs to no session: it runs
 * follow_changes() until stop_sync() is called, with the rights of who has
 * called start_sync().  When it fails, and after a crash, the postmaster starts
 * it again, unless its database or its role was dropped; after a restart of the
 * server that is for start_sync() to do.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "worker.h"

/* How long the postmaster waits before it starts a worker again, in seconds. */
#define RESTART_SECONDS 10

extern PGDLLEXPORT void mm_sync_worker_main(Datum arg);

PG_FUNCTION_INFO_V1(mm_this_database);
PG_FUNCTION_INFO_V1(mm_start_sync_worker);

static emit_log_hook_type next_log_hook;
static bool nothing_to_start = false;

/* What the worker is told, in bgw_extra. */
typedef struct SyncWorker
{
	WorkerIdentity identity;
	TransactionId starter;		/* what it is to find, this has written */
	NameData	server;
} SyncWorker;

StaticAssertDecl(sizeof(SyncWorker) <= BGW_EXTRALEN, "SyncWorker fits bgw_extra");

/* this_database() */
Datum
mm_this_database(PG_FUNCTION_ARGS)
{
	/* A standby has no timeline of its own yet. */
	TimeLineID	timeline = RecoveryInProgress() ? 0 : GetWALInsertionTimeLine();

	PG_RETURN_TEXT_P(cstring_to_text(psprintf(UINT64_FORMAT " %u %u", GetSystemIdentifier(),
											  MyDatabaseId, timeline)));
}

/* start_sync_worker(server name) */
Datum
mm_start_sync_worker(PG_FUNCTION_ARGS)
{
	BackgroundWorker entry = {0};
	SyncWorker	worker = {0};
	Datum		roles[2];

	PreventCommandDuringRecovery("mongo_migrate.start_sync()");
	PreventCommandIfReadOnly("mongo_migrate.start_sync()");
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot start a background worker within a security-restricted operation")));

	worker_describe_caller(&worker.identity);
	worker.identity.take_settings = false;
	worker.starter = GetTopTransactionId();
	worker.server = *PG_GETARG_NAME(0);

	snprintf(entry.bgw_name, BGW_MAXLEN, "mongo_migrate sync of server %s", NameStr(worker.server));
	worker_entry(&entry, "mongo_migrate sync", "mm_sync_worker_main");
	entry.bgw_restart_time = RESTART_SECONDS;
	memcpy(entry.bgw_extra, &worker, sizeof(worker));
	if (!RegisterDynamicBackgroundWorker(&entry, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a background worker"),
				 errdetail("All %d background worker slots of the server are taken.",
						   max_worker_processes),
				 errhint("Raise max_worker_processes and restart the server.")));
	roles[0] = CStringGetTextDatum(GetUserNameFromId(worker.identity.session_user, false));
	roles[1] = CStringGetTextDatum(GetUserNameFromId(worker.identity.user, false));
	PG_RETURN_ARRAYTYPE_P(construct_array(roles, lengthof(roles), TEXTOID, -1, false, TYPALIGN_INT));
}

/* Waits for the transaction that has started the worker, and says whether the extension is there. */
static bool
await_start(const SyncWorker *worker)
{
	Oid			types[2] = {NAMEOID, BOOLOID};
	List	   *name = list_make2(makeString("mongo_migrate"), makeString("start_sync"));
	bool		there;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	XactLockTableWait(worker->starter, NULL, NULL, XLTW_None);
	there = OidIsValid(get_namespace_oid("mongo_migrate", true)) &&
		OidIsValid(LookupFuncName(name, lengthof(types), types, true));
	PopActiveSnapshot();
	CommitTransactionCommand();
	return there;
}

/* The answer to a question about the worker's server, $1. */
static bool
ask(const SyncWorker *worker, const char *query)
{
	Oid			types[1] = {NAMEOID};
	Datum		values[1] = {NameGetDatum(&worker->server)};
	bool		isnull;
	bool		result;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute_with_args(query, 1, types, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", query);
	result = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return result;
}

/*
 * Notes the errors that say that the worker's database or role was dropped: those
 * of InitPostgres(), InitializeSessionUserId() and worker_become().  A role that
 * may not log in has the code of one that is not there.
 */
static void
watch_log(ErrorData *edata)
{
	const char *message = edata->elevel >= ERROR && edata->message_id != NULL ? edata->message_id : "";

	if ((edata->elevel == FATAL && edata->sqlerrcode == ERRCODE_UNDEFINED_DATABASE) ||
		strcmp(message, "role with OID %u does not exist") == 0 ||
		strcmp(message, "invalid role OID: %u") == 0)
		nothing_to_start = true;
	if (next_log_hook != NULL)
		next_log_hook(edata);
}

/*
 * Has a worker whose database or role was dropped end well, after all its cleanup,
 * for the postmaster starts one that has failed again for ever.
 */
static void
end_for_good(int code, Datum arg)
{
	if (nothing_to_start)
		exit(0);
}

/*
 * Entry point of the worker.  Its statement ends from time to time, so that
 * what it has done to the tables is known to autovacuum.  The lock by which
 * others know that changes are followed is kept meanwhile.
 */
void
mm_sync_worker_main(Datum arg)
{
	SyncWorker	worker;
	bool		locked = false;

	memcpy(&worker, MyBgworkerEntry->bgw_extra, sizeof(worker));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	next_log_hook = emit_log_hook;
	emit_log_hook = watch_log;
	on_proc_exit(end_for_good, 0);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(worker.identity.database, worker.identity.session_user,
											  MM_WORKER_CONNECTION_FLAGS);
	worker_become(&worker.identity, NULL);
	if (await_start(&worker))
	{
		char	   *call = psprintf("CALL mongo_migrate.follow_changes(%s, max_duration => '10 seconds')",
									quote_literal_cstr(NameStr(worker.server)));

		do
		{
			if (ConfigReloadPending)
			{
				ConfigReloadPending = false;
				ProcessConfigFile(PGC_SIGHUP);
			}
			locked = locked || ask(&worker, "SELECT mongo_migrate.try_session_lock(mongo_migrate.sync_lock($1))");
			worker_execute(call);
		} while (ask(&worker, "SELECT mongo_migrate.sync_goes_on($1)"));
	}
	proc_exit(0);				/* and is not started again */
}
