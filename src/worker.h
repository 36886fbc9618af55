/*
 * worker.h
 *	  What a caller and a background worker of its share: a memory segment.
 *
 * The caller makes it (worker_pool.c), and hands its handle to the worker
 * (worker.c) as it starts.  It has who the worker is to be, its settings, and
 * two message queues: one on which commands come, each an SQL statement with
 * its closing zero byte, and one on which go the worker's NOTICEs, its ERROR,
 * and a WORKER_DONE for each command that has ended well.  The worker ends
 * when the caller detaches.
 */
#ifndef MM_WORKER_H
#define MM_WORKER_H

#include "postmaster/bgworker.h"

#define WORKER_MAGIC		0x6d6d776b
#define WORKER_KEY_IDENTITY	1
#define WORKER_KEY_SETTINGS	2
#define WORKER_KEY_COMMANDS	3
#define WORKER_KEY_MESSAGES	4

/* The message that says that a command has ended well. */
#define WORKER_DONE			'X'

/* Who a worker is to be. */
typedef struct WorkerIdentity
{
	Oid			database;
	Oid			session_user;	/* to connect as */
	Oid			role;			/* then to SET ROLE; invalid: none */
	Oid			user;			/* the user that commands must run as */
	bool		take_settings;	/* as they are in the caller's session */
} WorkerIdentity;

/* worker_pool.c */

/* mongo_migrate.progress_interval, in milliseconds; 0: no progress NOTICEs. */
extern int	worker_progress_interval;

extern void worker_entry(BackgroundWorker *entry, const char *type, const char *function);
extern void worker_describe_caller(WorkerIdentity *identity);

/* worker.c */
extern void worker_become(const WorkerIdentity *identity, void *settings);
extern void worker_execute(const char *command);

#endif							/* MM_WORKER_H */
