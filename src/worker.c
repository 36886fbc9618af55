/*
 * worker.c
 *	  Background workers that run SQL for a caller.
 *
 * run_workers() has each of its commands run by a background worker of its
 * own, connected to the caller's database with the caller's rights and
 * settings, so that what a command commits stays committed whatever becomes of
 * the caller.  A command runs as if it had come from a client: a procedure may
 * COMMIT.  The function returns when the last worker has ended.
 *
 * Caller and worker share a memory segment, made by the caller for each
 * worker: who to be, the settings, the command, and a message queue on which
 * the worker's NOTICEs and its ERROR come back.  No worker outlives the call:
 * an error in one of them, a cancel or the end of the caller terminates all.
 *
 * The workers see only what is committed, and wait for the caller's locks.  A
 * caller that has written in its transaction is therefore refused, and one
 * whose lock a worker waits for gets an error instead of waiting for ever.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "init.h"
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
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "wait_events.h"

/* The layout of a worker's segment. */
#define WORKER_MAGIC		0x6d6d776b
#define WORKER_KEY_IDENTITY	1
#define WORKER_KEY_SETTINGS	2
#define WORKER_KEY_COMMAND	3
#define WORKER_KEY_QUEUE	4

#define WORKER_QUEUE_SIZE	16384

/* The message that says that a worker's command has ended well. */
#define WORKER_DONE			'X'

/* How often the caller looks whether a worker waits for the caller's locks. */
#define LOCK_CHECK_MS		1000

/* Who a worker is to be. */
typedef struct WorkerIdentity
{
	Oid			database;
	Oid			session_user;	/* to connect as */
	Oid			role;			/* then to SET ROLE; invalid: none */
	Oid			user;			/* the user that the command must run as */
	bool		take_settings;	/* as they are in the caller's session */
} WorkerIdentity;

/* A command and its worker. */
typedef struct Worker
{
	char	   *command;
	dsm_segment *segment;
	shm_mq_handle *queue;		/* NULL once the command has ended */
	BackgroundWorkerHandle *handle;
	bool		ended;			/* the process is gone */
} Worker;

/* The workers of a call. */
typedef struct WorkerSet
{
	int			count;
	int			started;		/* the first ones of the array */
	bool		short_of_slots; /* the caller was told */
	Worker	   *workers;
} WorkerSet;

PG_FUNCTION_INFO_V1(mm_run_workers);
extern PGDLLEXPORT void mm_worker_main(Datum arg);

/* ---------- the caller's side ---------- */

/* Throws where workers could not do the caller's work. */
static void
check_caller(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot run background workers during recovery"),
				 errhint("A standby cannot be written to. Connect to the primary server.")));

	PreventCommandIfReadOnly("mongo_migrate.run_workers()");

	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot run background workers within a security-restricted operation")));

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot run background workers in a transaction of isolation level %s",
						GetConfigOption("transaction_isolation", false, false)),
				 errdetail("The transaction would not see what the workers commit."),
				 errhint("Use READ COMMITTED, or workers => 0 to do all in this transaction.")));

	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot run background workers in a transaction that has changed data"),
				 errdetail("The workers would not see the changes, and could wait for their locks for ever."),
				 errhint("COMMIT first, or use workers => 0 to do all in this transaction.")));
}

/*
 * The commands of an array, as C strings in CurrentMemoryContext.
 */
static WorkerSet *
create_worker_set(ArrayType *array)
{
	WorkerSet  *set = palloc0(sizeof(WorkerSet));
	Datum	   *elements;
	bool	   *nulls;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &set->count);
	set->workers = palloc0(sizeof(Worker) * Max(set->count, 1));
	for (int i = 0; i < set->count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("command must not be null")));
		set->workers[i].command = TextDatumGetCString(elements[i]);
	}
	return set;
}

/*
 * Fills identity so that a worker has the rights of the current user and no
 * more.  Within a SECURITY DEFINER function the worker's session is one of the
 * function's owner, with the owner's own settings: RESET ROLE leads nowhere.
 */
static void
describe_caller(WorkerIdentity *identity)
{
	identity->database = MyDatabaseId;
	identity->user = GetUserId();
	identity->take_settings = !InLocalUserIdChange();
	identity->session_user = identity->take_settings ? GetSessionUserId() : GetUserId();
	identity->role = GetUserId() == identity->session_user ? InvalidOid : GetUserId();
}

/*
 * Makes the segment that a worker is started with.  It is the resource owner's
 * until dsm_detach().
 */
static void
create_segment(Worker *worker)
{
	shm_toc_estimator estimator;
	shm_toc    *toc;
	Size		settings_size = EstimateGUCStateSpace();
	Size		command_size = strlen(worker->command) + 1;
	Size		segment_size;
	void	   *space;
	shm_mq	   *queue;

	shm_toc_initialize_estimator(&estimator);
	shm_toc_estimate_chunk(&estimator, sizeof(WorkerIdentity));
	shm_toc_estimate_chunk(&estimator, settings_size);
	shm_toc_estimate_chunk(&estimator, command_size);
	shm_toc_estimate_chunk(&estimator, WORKER_QUEUE_SIZE);
	shm_toc_estimate_keys(&estimator, 4);
	segment_size = shm_toc_estimate(&estimator);

	worker->segment = dsm_create(segment_size, 0);
	toc = shm_toc_create(WORKER_MAGIC, dsm_segment_address(worker->segment), segment_size);

	space = shm_toc_allocate(toc, sizeof(WorkerIdentity));
	describe_caller(space);
	shm_toc_insert(toc, WORKER_KEY_IDENTITY, space);

	space = shm_toc_allocate(toc, settings_size);
	SerializeGUCState(settings_size, space);
	shm_toc_insert(toc, WORKER_KEY_SETTINGS, space);

	space = shm_toc_allocate(toc, command_size);
	memcpy(space, worker->command, command_size);
	shm_toc_insert(toc, WORKER_KEY_COMMAND, space);

	queue = shm_mq_create(shm_toc_allocate(toc, WORKER_QUEUE_SIZE), WORKER_QUEUE_SIZE);
	shm_toc_insert(toc, WORKER_KEY_QUEUE, queue);
	shm_mq_set_receiver(queue, MyProc);
	worker->queue = shm_mq_attach(queue, worker->segment, NULL);
}

/* Starts a worker; false when the server has no free slot for it. */
static bool
start_worker(Worker *worker, int number)
{
	BackgroundWorker entry = {0};

	create_segment(worker);
	snprintf(entry.bgw_name, BGW_MAXLEN, "mongo_migrate worker %d of session %d",
			 number, MyProcPid);
	strlcpy(entry.bgw_type, "mongo_migrate worker", BGW_MAXLEN);
	entry.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	entry.bgw_start_time = BgWorkerStart_RecoveryFinished;
	entry.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(entry.bgw_library_name, "mongo_migrate", BGW_MAXLEN);
	strlcpy(entry.bgw_function_name, "mm_worker_main", BGW_MAXLEN);
	entry.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(worker->segment));
	entry.bgw_notify_pid = MyProcPid;

	if (!RegisterDynamicBackgroundWorker(&entry, &worker->handle))
	{
		dsm_detach(worker->segment);
		worker->segment = NULL;
		worker->queue = NULL;
		return false;
	}
	shm_mq_set_handle(worker->queue, worker->handle);
	return true;
}

/*
 * Starts the workers that have not been, as far as there are slots.  The rest
 * is tried again when one has ended; without any, it is an error.
 */
static void
start_workers(WorkerSet *set, bool any_running)
{
	while (set->started < set->count)
	{
		if (!start_worker(&set->workers[set->started], set->started + 1))
			break;
		set->started++;
		any_running = true;
	}
	if (set->started == set->count)
		return;

	if (!any_running)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a background worker"),
				 errdetail("All %d background worker slots of the server are taken.",
						   max_worker_processes),
				 errhint("Raise max_worker_processes and restart the server, or use workers => 0 to do all in this transaction.")));
	if (!set->short_of_slots)
		ereport(NOTICE,
				(errmsg("started %d of %d background workers", set->started, set->count),
				 errdetail("All %d background worker slots of the server are taken; the others start as slots become free.",
						   max_worker_processes),
				 errhint("Raise max_worker_processes to have more.")));
	set->short_of_slots = true;
}

/* Passes on a message of a worker; throws when it is an error. */
static void
relay_message(StringInfo message, const Worker *worker, int number)
{
	char	   *worker_name = psprintf("background worker %d", number);
	ErrorData	edata;

	pq_parse_errornotice(message, &edata);

	/* The end of a worker is not the end of the caller's session. */
	edata.elevel = Min(edata.elevel, ERROR);
	if (edata.cursorpos > 0)
	{
		/* It is a position in the worker's command. */
		edata.internalpos = edata.cursorpos;
		edata.internalquery = worker->command;
		edata.cursorpos = 0;
	}
	edata.context = edata.context ? psprintf("%s\n%s", edata.context, worker_name)
		: pstrdup(worker_name);
	ThrowErrorData(&edata);
}

/*
 * Reads what a worker has sent.  Returns when there is no more for now, and
 * sets its queue to NULL when its command has ended.  Throws the worker's error.
 */
static void
read_messages(Worker *worker, int number)
{
	while (worker->queue != NULL)
	{
		Size		length;
		void	   *data;
		StringInfoData message;
		char		type;
		shm_mq_result result;

		CHECK_FOR_INTERRUPTS();
		result = shm_mq_receive(worker->queue, &length, &data, true);
		if (result == SHM_MQ_WOULD_BLOCK)
			return;
		if (result == SHM_MQ_DETACHED)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("background worker %d ended without a result", number),
					 errhint("The server log has the reason.")));

		initStringInfo(&message);
		appendBinaryStringInfo(&message, data, length);
		type = pq_getmsgbyte(&message);
		if (type == 'E' || type == 'N')
			relay_message(&message, worker, number);
		else if (type == WORKER_DONE)
		{
			shm_mq_detach(worker->queue);
			worker->queue = NULL;
		}
		pfree(message.data);
	}
}

/*
 * Whether a process waits for a lock of this session, itself or by way of
 * others that it waits for: also behind their requests, which is how a worker
 * comes to wait for what ALTER TABLE or VACUUM FULL of another session wants
 * and this one keeps from it.  Then *last is the process that waits for this
 * session.  seen: the processes looked at.
 */
static bool
waits_for_us(int pid, List **seen, int *last)
{
	Datum	   *blockers;
	int			count;

	check_stack_depth();
	*seen = lappend_int(*seen, pid);
	deconstruct_array(DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid))),
					  INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &blockers, NULL, &count);
	*last = pid;
	for (int i = 0; i < count; i++)
		if (DatumGetInt32(blockers[i]) == MyProcPid)
			return true;
	for (int i = 0; i < count; i++)
		if (!list_member_int(*seen, DatumGetInt32(blockers[i])) &&
			waits_for_us(DatumGetInt32(blockers[i]), seen, last))
			return true;
	return false;
}

/*
 * Throws when a worker waits for a lock of this session, which would not be
 * released before the worker has ended; the deadlock detector cannot see that.
 */
static void
check_lock_cycle(WorkerSet *set)
{
	for (int i = 0; i < set->started; i++)
	{
		Worker	   *worker = &set->workers[i];
		pid_t		pid;
		int			last;
		List	   *seen = NIL;

		if (worker->ended || GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STARTED ||
			!waits_for_us(pid, &seen, &last))
			continue;
		if (last == pid)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
					 errmsg("background worker %d waits for a lock that this transaction holds", i + 1),
					 errhint("COMMIT first, or use workers => 0 to do all in this transaction.")));
		ereport(ERROR,
				(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
				 errmsg("background worker %d waits for process %d, which waits for a lock that this transaction holds",
						i + 1, last),
				 errhint("Let what process %d does end first.", last)));
	}
}

/* Runs a query in the caller's session, for what it says or throws. */
static void
run_heartbeat(const char *heartbeat)
{
	SPI_connect();
	if (SPI_execute(heartbeat, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", heartbeat);
	SPI_finish();
}

/*
 * Starts the workers, passes their messages on, and returns when all have
 * ended well.
 */
static void
run_worker_set(WorkerSet *set, const char *heartbeat)
{
	TimestampTz last_check = GetCurrentTimestamp();
	TimestampTz last_heartbeat = last_check;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "mongo_migrate worker messages",
												  ALLOCSET_SMALL_SIZES);

	for (int running = 0;;)
	{
		MemoryContext outer;
		TimestampTz now;

		/* Handles must outlive the loop's memory. */
		start_workers(set, running > 0);

		outer = MemoryContextSwitchTo(context);
		running = 0;
		for (int i = 0; i < set->started; i++)
		{
			Worker	   *worker = &set->workers[i];
			pid_t		pid;

			read_messages(worker, i + 1);
			if (!worker->ended && worker->queue == NULL &&
				GetBackgroundWorkerPid(worker->handle, &pid) == BGWH_STOPPED)
			{
				worker->ended = true;
				dsm_detach(worker->segment);
			}
			if (!worker->ended)
				running++;
		}

		now = GetCurrentTimestamp();
		if (TimestampDifferenceExceeds(last_check, now, LOCK_CHECK_MS))
		{
			check_lock_cycle(set);
			last_check = now;
		}
		if (heartbeat != NULL && running > 0 && mm_progress_interval > 0 &&
			TimestampDifferenceExceeds(last_heartbeat, now, mm_progress_interval))
		{
			run_heartbeat(heartbeat);
			last_heartbeat = now;
		}
		MemoryContextSwitchTo(outer);
		MemoryContextReset(context);

		if (running > 0)
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 LOCK_CHECK_MS, wait_event(MONGO_WAIT_WORKERS));
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
		else if (set->started == set->count)
			break;
	}
	MemoryContextDelete(context);
}

/*
 * Error and exit callback: terminates the workers, and waits for their end
 * unless the session itself is ending.
 */
static void
end_workers(int code, Datum arg)
{
	WorkerSet  *set = (WorkerSet *) DatumGetPointer(arg);

	HOLD_INTERRUPTS();
	for (int i = 0; i < set->started; i++)
	{
		Worker	   *worker = &set->workers[i];

		if (worker->ended)
			continue;
		TerminateBackgroundWorker(worker->handle);

		/* It must not wait for a reader of its last words. */
		if (worker->queue != NULL)
			shm_mq_detach(worker->queue);
		worker->queue = NULL;
	}
	if (!proc_exit_inprogress)
		for (int i = 0; i < set->started; i++)
			if (!set->workers[i].ended)
				(void) WaitForBackgroundWorkerShutdown(set->workers[i].handle);
	RESUME_INTERRUPTS();
}

/*
 * run_workers(commands text[], heartbeat text) returns void: see worker.sql.
 */
Datum
mm_run_workers(PG_FUNCTION_ARGS)
{
	const char *const heartbeat = PG_ARGISNULL(1) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	WorkerSet  *set;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("commands must not be null")));
	check_caller();
	wait_names_register();
	set = create_worker_set(PG_GETARG_ARRAYTYPE_P(0));

	PG_ENSURE_ERROR_CLEANUP(end_workers, PointerGetDatum(set));
	{
		run_worker_set(set, heartbeat);
	}
	PG_END_ENSURE_ERROR_CLEANUP(end_workers, PointerGetDatum(set));

	PG_RETURN_VOID();
}

/* ---------- the worker's side ---------- */

/*
 * Takes on the caller's settings, then its role, in a transaction of its own.
 * Messages go to a backend, in the database's encoding.  Transactions are like
 * the caller's present one (see check_caller()), not as its settings have them.
 */
static void
become_caller(const WorkerIdentity *identity, void *settings)
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
static void
execute_command(const char *command)
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

	pgstat_report_activity(STATE_IDLE, NULL);
	pgstat_report_stat(true);
}

/*
 * Entry point of a worker; arg is the handle of its segment.  What is thrown
 * goes to the caller's queue and ends the process.
 */
void
mm_worker_main(Datum arg)
{
	dsm_segment *segment;
	shm_toc    *toc;
	shm_mq	   *queue;
	WorkerIdentity *identity;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	segment = dsm_attach(DatumGetUInt32(arg));
	if (segment == NULL)
		return;					/* the caller is gone */
	toc = shm_toc_attach(WORKER_MAGIC, dsm_segment_address(segment));
	if (toc == NULL)
		elog(ERROR, "segment of a background worker has another layout");
	queue = shm_toc_lookup(toc, WORKER_KEY_QUEUE, false);
	shm_mq_set_sender(queue, MyProc);
	pq_redirect_to_shm_mq(segment, shm_mq_attach(queue, segment, NULL));

	identity = shm_toc_lookup(toc, WORKER_KEY_IDENTITY, false);
	BackgroundWorkerInitializeConnectionByOid(identity->database, identity->session_user,
											  MM_WORKER_CONNECTION_FLAGS);
	become_caller(identity, shm_toc_lookup(toc, WORKER_KEY_SETTINGS, false));
	execute_command(shm_toc_lookup(toc, WORKER_KEY_COMMAND, false));
	pq_putmessage(WORKER_DONE, NULL, 0);
}
