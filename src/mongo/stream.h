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
	uint64		numbers;		/* given to streams so far */
	uint64		last_read;		/* number of the stream that was last read */
} StreamControl;

typedef struct MongoStream MongoStream;

/* The reply to stream_ask(). */
typedef struct StreamReply
{
	MongoStream *stream;		/* owes it; NULL once it is here or failed */
	int			error;			/* errno, 0 for none */
	uint8	   *data;			/* the message with its header, from malloc() */
	uint32		size;
} StreamReply;

/* For mongoc_client_set_stream_initiator(), with a StreamControl as user_data. */
extern mongoc_stream_t *stream_initiate(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
										void *control, bson_error_t *error);

extern void stream_control_init(StreamControl *control, MemoryContext context);

/* Whether all open streams could still be used, without a round trip. */
extern bool stream_control_alive(StreamControl *control);

/* Between these, the driver gets a second at most for all that it waits for. */
extern void stream_cleanup_begin(StreamControl *control);
extern void stream_cleanup_end(StreamControl *control);

/*
 * The host and port of a stream, NULL when it is closed.  The number of the
 * stream that has answered a command of the driver is in last_read.
 */
extern const char *stream_host(StreamControl *control, uint64 number);

/*
 * Sends a message beside the driver, which may go on using the stream.  Returns
 * false with nothing done where that cannot be: the stream is closed, has TLS or
 * compression, or owes a reply to another.  Otherwise the caller frees
 * reply->data, and leaves reply where it is until stream_receive().
 */
extern bool stream_ask(StreamControl *control, uint64 number, const void *message, size_t length,
					   StreamReply *reply);

/* Waits for a reply; false with errno when it did not come in full. */
extern bool stream_receive(StreamReply *reply);

/* Reads all that the streams owe, so that the driver finds them idle. */
extern void stream_settle(StreamControl *control);

/* Gives a stream up whose peer does not keep to the protocol. */
extern void stream_break(StreamControl *control, uint64 number);

/* Throws the interrupt that ended a wait, if any did. */
extern void stream_throw_interrupt(StreamControl *control);

#endif							/* MM_STREAM_H */
