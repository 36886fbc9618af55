/*
 * worker_pool.c
 *	  Background workers that run SQL for a caller: the caller's side.
 *
 * run_workers() has each of its commands run by a background worker, connected
 * to the caller's database with the caller's rights and settings, so that what
 * a command commits stays committed whatever becomes of the caller.  A command
 * runs as if it had come from a client: a procedure may COMMIT.  The function
 * returns when the last command has ended.
 *
 * The workers stay for the next call in the caller's transaction: a migration
 * takes many small steps, and a new process would have to connect to MongoDB
 * and to fill its caches each time.  A worker that a call has no command for
 * is let go by it, and all are as the transaction ends.  An error in one of
 * them, a cancel or the end of the caller terminates all.
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
#include "libpq/libpq.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "wait_events.h"
#include "worker.h"

#define WORKER_QUEUE_SIZE	16384

/* How often the caller looks whether a worker waits for the caller's locks. */
#define LOCK_CHECK_MS		1000

typedef struct Worker
{
	dsm_segment *segment;
	shm_mq_handle *commands;	/* to it */
	shm_mq_handle *messages;	/* from it */
	BackgroundWorkerHandle *handle;
	const char *command;		/* that it is at; NULL: none */
} Worker;

/* The workers of a transaction, who they are, and the memory of all that. */
typedef struct WorkerPool
{
	MemoryContext context;		/* a child of TopTransactionContext */
	WorkerIdentity identity;
	Size		settings_size;
	char	   *settings;
	List	   *workers;		/* Worker *; those of numbers 1, 2, ... */
	bool		in_use;			/* by a call */
} WorkerPool;

static WorkerPool *pool = NULL;

PG_FUNCTION_INFO_V1(mm_run_workers);

int			worker_progress_interval = 5000;

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
 * Fills identity so that a worker has the rights of the current user and no
 * more.  Within a SECURITY DEFINER function the worker's session is one of the
 * function's owner, with the owner's own settings: RESET ROLE leads nowhere.
 */
void
worker_describe_caller(WorkerIdentity *identity)
{
	identity->database = MyDatabaseId;
	identity->user = GetUserId();
	identity->take_settings = !InLocalUserIdChange();
	identity->session_user = identity->take_settings ? GetSessionUserId() : GetUserId();
	identity->role = GetUserId() == identity->session_user ? InvalidOid : GetUserId();
}

/* Fills what every worker of a database has in its entry. */
void
worker_entry(BackgroundWorker *entry, const char *type, const char *function)
{
	strlcpy(entry->bgw_type, type, BGW_MAXLEN);
	entry->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	entry->bgw_start_time = BgWorkerStart_RecoveryFinished;
	strlcpy(entry->bgw_library_name, "mongo_migrate", BGW_MAXLEN);
	strlcpy(entry->bgw_function_name, function, BGW_MAXLEN);
}

/* ---------- the pool ---------- */

/* Tells a worker to end, once its command has. */
static void
detach_worker(Worker *worker)
{
	if (worker->segment != NULL)
		dsm_detach(worker->segment);
	worker->segment = NULL;
}

/*
 * Lets all workers go but the first ones; with wait, returns when they are gone.
 * A cancel while it waits leaves the rest to the transaction's end.
 */
static void
dismiss_workers(int keep, bool wait)
{
	/* Each ends while the next ones are told. */
	for (int i = keep; i < list_length(pool->workers); i++)
		detach_worker(list_nth(pool->workers, i));
	while (list_length(pool->workers) > keep)
	{
		const Worker *worker = llast(pool->workers);

		if (wait)
			(void) WaitForBackgroundWorkerShutdown(worker->handle);
		pool->workers = list_delete_last(pool->workers);
	}
}

/* The same for all of them, and the pool. */
static void
end_pool(bool wait)
{
	dismiss_workers(0, wait);
	MemoryContextDelete(pool->context);
	pool = NULL;
}

/* Callback of transactions: as one ends, its workers do. */
static void
pool_xact_callback(XactEvent event, void *arg)
{
	const bool	committing = event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE;

	if (pool != NULL && (committing || event == XACT_EVENT_ABORT))
		end_pool(committing);
}

/*
 * Error and exit callback of a call: terminates the workers, and waits for
 * their end unless the session itself is ending.
 */
static void
terminate_workers(int code, Datum arg)
{
	ListCell   *cell;

	HOLD_INTERRUPTS();
	foreach(cell, pool->workers)
		TerminateBackgroundWorker(((Worker *) lfirst(cell))->handle);
	/* They must not wait for a reader of their last words. */
	end_pool(!proc_exit_inprogress);
	RESUME_INTERRUPTS();
}

/*
 * Takes those workers from the pool that were told to end, or were ended from
 * outside: a worker without a command says nothing but its last words.
 */
static void
forget_ended_workers(void)
{
	ListCell   *cell;

	foreach(cell, pool->workers)
	{
		Worker	   *worker = lfirst(cell);
		Size		length;
		void	   *message;

		if (worker->segment != NULL &&
			shm_mq_receive(worker->messages, &length, &message, true) == SHM_MQ_WOULD_BLOCK)
			continue;
		detach_worker(worker);
		pool->workers = foreach_delete_current(pool->workers, cell);
	}
}

/*
 * Makes pool the one of workers who are what the caller is now, without more
 * of them than are needed.
 */
static void
prepare_pool(int needed)
{
	static bool registered = false;
	MemoryContext outer;
	WorkerPool *fresh;

	if (!registered)
		RegisterXactCallback(pool_xact_callback, NULL);
	registered = true;

	outer = MemoryContextSwitchTo(AllocSetContextCreate(TopTransactionContext,
														"mongo_migrate workers",
														ALLOCSET_SMALL_SIZES));
	fresh = palloc0(sizeof(WorkerPool));
	fresh->context = CurrentMemoryContext;
	worker_describe_caller(&fresh->identity);
	fresh->settings_size = EstimateGUCStateSpace();
	fresh->settings = palloc0(fresh->settings_size);
	SerializeGUCState(fresh->settings_size, fresh->settings);
	MemoryContextSwitchTo(outer);

	if (pool != NULL && (memcmp(&pool->identity, &fresh->identity, sizeof(WorkerIdentity)) != 0 ||
						 pool->settings_size != fresh->settings_size ||
						 memcmp(pool->settings, fresh->settings, fresh->settings_size) != 0))
		end_pool(true);
	if (pool == NULL)
		pool = fresh;
	else
	{
		MemoryContextDelete(fresh->context);
		forget_ended_workers();
		dismiss_workers(needed, true);
	}
}

/*
 * A queue of a worker's segment, made and attached to by the caller.
 */
static shm_mq_handle *
create_queue(dsm_segment *segment, shm_toc *toc, uint64 key)
{
	shm_mq	   *queue = shm_mq_create(shm_toc_allocate(toc, WORKER_QUEUE_SIZE), WORKER_QUEUE_SIZE);

	shm_toc_insert(toc, key, queue);
	if (key == WORKER_KEY_COMMANDS)
		shm_mq_set_sender(queue, MyProc);
	else
		shm_mq_set_receiver(queue, MyProc);
	return shm_mq_attach(queue, segment, NULL);
}

/*
 * Makes the segment that a worker is started with.  The pool has it, not the
 * resource owner of a subtransaction.
 */
static void
create_segment(Worker *worker)
{
	shm_toc_estimator estimator;
	shm_toc    *toc;
	Size		size;
	void	   *space;

	shm_toc_initialize_estimator(&estimator);
	shm_toc_estimate_chunk(&estimator, sizeof(WorkerIdentity));
	shm_toc_estimate_chunk(&estimator, pool->settings_size);
	shm_toc_estimate_chunk(&estimator, WORKER_QUEUE_SIZE);
	shm_toc_estimate_chunk(&estimator, WORKER_QUEUE_SIZE);
	shm_toc_estimate_keys(&estimator, 4);
	size = shm_toc_estimate(&estimator);

	worker->segment = dsm_create(size, 0);
	dsm_pin_mapping(worker->segment);
	toc = shm_toc_create(WORKER_MAGIC, dsm_segment_address(worker->segment), size);

	space = shm_toc_allocate(toc, sizeof(WorkerIdentity));
	memcpy(space, &pool->identity, sizeof(WorkerIdentity));
	shm_toc_insert(toc, WORKER_KEY_IDENTITY, space);

	space = shm_toc_allocate(toc, pool->settings_size);
	memcpy(space, pool->settings, pool->settings_size);
	shm_toc_insert(toc, WORKER_KEY_SETTINGS, space);

	worker->commands = create_queue(worker->segment, toc, WORKER_KEY_COMMANDS);
	worker->messages = create_queue(worker->segment, toc, WORKER_KEY_MESSAGES);
}

/* Adds a worker to the pool; false when the server has no free slot for it. */
static bool
start_worker(void)
{
	BackgroundWorker entry = {0};
	MemoryContext outer = MemoryContextSwitchTo(pool->context);
	Worker	   *worker = palloc0(sizeof(Worker));
	bool		started;

	create_segment(worker);
	snprintf(entry.bgw_name, BGW_MAXLEN, "mongo_migrate worker %d of session %d",
			 list_length(pool->workers) + 1, MyProcPid);
	worker_entry(&entry, "mongo_migrate worker", "mm_worker_main");
	entry.bgw_restart_time = BGW_NEVER_RESTART;
	entry.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(worker->segment));
	entry.bgw_notify_pid = MyProcPid;

	started = RegisterDynamicBackgroundWorker(&entry, &worker->handle);
	if (started)
	{
		shm_mq_set_handle(worker->commands, worker->handle);
		shm_mq_set_handle(worker->messages, worker->handle);
		pool->workers = lappend(pool->workers, worker);
	}
	else
	{
		detach_worker(worker);
		pfree(worker);
	}
	MemoryContextSwitchTo(outer);
	return started;
}

/* ---------- a call ---------- */

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
		edata.internalquery = unconstify(char *, worker->command);
		edata.cursorpos = 0;
	}
	edata.context = edata.context ? psprintf("%s\n%s", edata.context, worker_name)
		: pstrdup(worker_name);
	ThrowErrorData(&edata);
}

/*
 * Reads what a worker has sent.  Returns when there is no more for now, or when
 * its command has ended.  Throws the worker's error.
 */
static void
read_messages(Worker *worker, int number)
{
	while (worker->command != NULL)
	{
		Size		length;
		void	   *data;
		StringInfoData message;
		char		type;
		shm_mq_result result;

		CHECK_FOR_INTERRUPTS();
		result = shm_mq_receive(worker->messages, &length, &data, true);
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
			worker->command = NULL;
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
 * released before its command has ended; the deadlock detector cannot see that.
 */
static void
check_lock_cycle(void)
{
	for (int i = 0; i < list_length(pool->workers); i++)
	{
		const Worker *worker = list_nth(pool->workers, i);
		pid_t		pid;
		int			last;
		List	   *seen = NIL;

		if (worker->command == NULL || GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STARTED ||
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
 * Gives commands to workers that have none, and starts workers for the rest,
 * as far as there are slots.  Returns how many of the commands have been given
 * by now.  Throws when there is no worker at all.
 */
static int
give_commands(const char *const *commands, int count, int given)
{
	for (int i = 0; given < count; i++)
	{
		Worker	   *worker;

		if (i == list_length(pool->workers) && !start_worker())
			break;
		worker = list_nth(pool->workers, i);
		if (worker->command != NULL)
			continue;
		worker->command = commands[given++];
		/* Where the worker is gone, its messages tell why. */
		(void) shm_mq_send(worker->commands, strlen(worker->command) + 1, worker->command, false, true);
	}
	if (count > 0 && pool->workers == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a background worker"),
				 errdetail("All %d background worker slots of the server are taken.",
						   max_worker_processes),
				 errhint("Raise max_worker_processes and restart the server, or use workers => 0 to do all in this transaction.")));
	return given;
}

/*
 * Has the workers do the commands, passes their messages on, and returns when
 * all have ended well.
 */
static void
run_commands(const char *const *commands, int count, const char *heartbeat)
{
	TimestampTz last_check = GetCurrentTimestamp();
	TimestampTz last_heartbeat = last_check;
	bool		short_of_slots = false;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "mongo_migrate worker messages",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);

	for (int given = 0, ended = 0; ended < count;)
	{
		TimestampTz now;

		given = give_commands(commands, count, given);
		if (given < count && !short_of_slots)
		{
			short_of_slots = true;
			ereport(NOTICE,
					(errmsg("started %d of %d background workers", given, count),
					 errdetail("All %d background worker slots of the server are taken; the others start as slots become free.",
							   max_worker_processes),
					 errhint("Raise max_worker_processes to have more.")));
		}

		ended = given;
		for (int i = 0; i < list_length(pool->workers); i++)
		{
			Worker	   *worker = list_nth(pool->workers, i);

			read_messages(worker, i + 1);
			if (worker->command != NULL)
				ended--;
		}

		now = GetCurrentTimestamp();
		if (TimestampDifferenceExceeds(last_check, now, LOCK_CHECK_MS))
		{
			check_lock_cycle();
			last_check = now;
		}
		if (heartbeat != NULL && ended < count && worker_progress_interval > 0 &&
			TimestampDifferenceExceeds(last_heartbeat, now, worker_progress_interval))
		{
			run_heartbeat(heartbeat);
			last_heartbeat = now;
		}
		MemoryContextReset(context);

		/* A worker that has ended its command may have the next one at once. */
		if (ended < count && (given == count || given - ended == list_length(pool->workers)))
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 LOCK_CHECK_MS, wait_event(MONGO_WAIT_WORKERS));
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
}

/*
 * run_workers(commands text[], heartbeat text) returns void: see worker_pool.sql.
 */
Datum
mm_run_workers(PG_FUNCTION_ARGS)
{
	const char *const heartbeat = PG_ARGISNULL(1) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	const char **commands;
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("commands must not be null")));
	check_caller();
	if (pool != NULL && pool->in_use)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("run_workers() cannot be called by its heartbeat")));
	wait_names_register();

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &count);
	commands = palloc0(sizeof(char *) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("command must not be null")));
		commands[i] = TextDatumGetCString(elements[i]);
	}

	prepare_pool(count);
	pool->in_use = true;
	PG_ENSURE_ERROR_CLEANUP(terminate_workers, (Datum) 0);
	{
		run_commands(commands, count, heartbeat);
	}
	PG_END_ENSURE_ERROR_CLEANUP(terminate_workers, (Datum) 0);
	pool->in_use = false;

	PG_RETURN_VOID();
}
