/*
 * worker.c
 *	  A background worker that runs SQL for a caller: the worker's process.
 *
 * It becomes the caller (worker.h says what it is told), and runs commands as
 * if they came from a client, one after the other, until the caller detaches.
 * What one throws goes to the caller and ends the process.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "fmgr.h"
#include "libpq/libpq.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "worker.h"

extern PGDLLEXPORT void mm_worker_main(Datum arg);

/*
 * Takes on the caller's settings, then its role, in a transaction of its own.
 * Messages go to a backend, in the database's encoding.  Transactions are like
 * the caller's present one (see check_caller()), not as its settings have them.
 */
void
worker_become(const WorkerIdentity *identity, void *settings)
{
	StartTransactionCommand();
	if (identity->take_settings)
		RestoreGUCState(settings);
	SetConfigOption("client_encoding", GetDatabaseEncodingName(),
					PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name,
					PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("default_transaction_isolation", "read committed",
					PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("default_transaction_read_only", "off",
					PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("role", OidIsValid(identity->role) ?
					GetUserNameFromId(identity->role, false) : "none",
					PGC_USERSET, PGC_S_SESSION);
	if (GetUserId() != identity->user)
		elog(ERROR, "background worker runs as another user than its caller");
	CommitTransactionCommand();
}

/*
 * Runs one statement as if it had come from a client, so that a procedure that
 * it calls may commit.
 */
void
worker_execute(const char *command)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "mongo_migrate worker command",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *statements;
	RawStmt    *statement;
	List	   *plans;
	Portal		portal;
	QueryCompletion completion;

	debug_query_string = command;
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, command);
	StartTransactionCommand();

	/* The transaction of the parser is not that of the procedure's end. */
	MemoryContextSwitchTo(context);
	statements = pg_parse_query(command);
	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("command of a background worker must be one statement")));
	statement = linitial_node(RawStmt, statements);
	if (analyze_requires_snapshot(statement))
		PushActiveSnapshot(GetTransactionSnapshot());
	plans = pg_analyze_and_rewrite_fixedparams(statement, command, NULL, 0, NULL);
	plans = pg_plan_queries(plans, command, 0, NULL);
	if (ActiveSnapshotSet())
		PopActiveSnapshot();

	portal = CreatePortal("", true, true);
	portal->visible = false;
	PortalDefineQuery(portal, NULL, command, CreateCommandTag(statement->stmt), plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	(void) MM_PORTAL_RUN(portal, None_Receiver, &completion);
	PortalDrop(portal, false);
	CommitTransactionCommand();

	debug_query_string = NULL;
	MemoryContextDelete(context);
	pgstat_report_activity(STATE_IDLE, NULL);
	pgstat_report_stat(true);
}

/*
 * Entry point of a worker; arg is the handle of its segment.
 */
void
mm_worker_main(Datum arg)
{
	dsm_segment *segment;
	shm_toc    *toc;
	shm_mq	   *queue;
	shm_mq_handle *commands;
	const WorkerIdentity *identity;
	Size		length;
	void	   *command;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	segment = dsm_attach(DatumGetUInt32(arg));
	if (segment == NULL)
		return;					/* the caller is gone */
	toc = shm_toc_attach(WORKER_MAGIC, dsm_segment_address(segment));
	if (toc == NULL)
		elog(ERROR, "segment of a background worker has another layout");
	queue = shm_toc_lookup(toc, WORKER_KEY_MESSAGES, false);
	shm_mq_set_sender(queue, MyProc);
	pq_redirect_to_shm_mq(segment, shm_mq_attach(queue, segment, NULL));
	queue = shm_toc_lookup(toc, WORKER_KEY_COMMANDS, false);
	shm_mq_set_receiver(queue, MyProc);
	commands = shm_mq_attach(queue, segment, NULL);

	identity = shm_toc_lookup(toc, WORKER_KEY_IDENTITY, false);
	BackgroundWorkerInitializeConnectionByOid(identity->database, identity->session_user,
											  MM_WORKER_CONNECTION_FLAGS);
	worker_become(identity, shm_toc_lookup(toc, WORKER_KEY_SETTINGS, false));
	while (shm_mq_receive(commands, &length, &command, false) == SHM_MQ_SUCCESS)
	{
		worker_execute(command);
		/* Advisory locks that it leaves, as the end of a session would. */
		LockReleaseSession(USER_LOCKMETHOD);
		pq_putmessage(WORKER_DONE, NULL, 0);
	}
}
