/*
 * stream.h
 *	  A network stream for the driver that ends its waits on an interrupt.
 */
#ifndef MM_STREAM_H
#define MM_STREAM_H

#include "lib/ilist.h"

/* What the streams of one client share; its owner outlives the client. */
typedef struct StreamControl
{
	bool		interrupted;	/* a wait has ended; now everything fails */
	bool		serving;		/* an interrupt is served within the driver */
	bool		broken;			/* a stream failed: good for no new use */
	int64		cleanup_until;	/* monotonic time in us; 0: no clean-up */
	ErrorData  *error;			/* what the interrupt threw, if it did */
	MemoryContext context;		/* for error */
	dlist_head	streams;		/* the open ones */
} StreamControl;

/* For mongoc_client_set_stream_initiator(), with a StreamControl as user_data. */
extern mongoc_stream_t *stream_initiate(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
										void *control, bson_error_t *error);

extern void stream_control_init(StreamControl *control, MemoryContext context);

/* Whether all open streams could still be used, without a round trip. */
extern bool stream_control_alive(StreamControl *control);

/* Between these, the driver gets a second at most for all that it waits for. */
extern void stream_cleanup_begin(StreamControl *control);
extern void stream_cleanup_end(StreamControl *control);

/* Throws the interrupt that ended a wait, if any did. */
extern void stream_throw_interrupt(StreamControl *control);

#endif							/* MM_STREAM_H */
