/*
 * wait_events.c
 *	  Names of wait events.
 *
 * PostgreSQL has them in shared memory, which can be short or locked: they are
 * registered by the first function of a session that may throw, and not in the
 * midst of a wait.  Before version 17 all of them are "Extension".
 */
#include "postgres.h"
#include "compat.h"

#include "wait_events.h"

static uint32 events[MONGO_WAIT_COUNT];

void
wait_names_register(void)
{
	if (events[MONGO_WAIT_CONNECT] != 0)
		return;
	events[MONGO_WAIT_NETWORK] = MM_WAIT_EVENT("MongoMigrateNetwork");
	events[MONGO_WAIT_WORKERS] = MM_WAIT_EVENT("MongoMigrateWorkers");
	events[MONGO_WAIT_REST] = MM_WAIT_EVENT("MongoMigrateRest");
	events[MONGO_WAIT_CONNECT] = MM_WAIT_EVENT("MongoMigrateConnect");
}

uint32
wait_event(MongoWait wait)
{
	return events[wait] != 0 ? events[wait] : PG_WAIT_EXTENSION;
}
