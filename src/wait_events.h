/*
 * wait_events.h
 *	  What the module waits for, as pg_stat_activity.wait_event says.
 */
#ifndef MM_WAIT_EVENTS_H
#define MM_WAIT_EVENTS_H

typedef enum MongoWait
{
	MONGO_WAIT_CONNECT,			/* before a server is looked for again */
	MONGO_WAIT_NETWORK,			/* for bytes from or to MongoDB */
	MONGO_WAIT_WORKERS,			/* for background workers */
	MONGO_WAIT_REST,			/* until max_docs_per_second lets it go on */
	MONGO_WAIT_COUNT
} MongoWait;

/* Gives the events their names.  May throw; to be called before the first wait. */
extern void wait_names_register(void);

/* The event for a wait; never throws. */
extern uint32 wait_event(MongoWait wait);

#endif							/* MM_WAIT_EVENTS_H */
