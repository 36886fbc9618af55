/*
 * stream.c
 *	  A network stream for the driver that ends its waits on an interrupt.
 *
 * libmongoc waits in poll() and goes on when a signal interrupts it, so that a
 * cancel would have to wait for the driver's own timeout.  Here the driver
 * gets a stream of ours, over a socket of ours, on top of which it puts its TLS
 * where that is asked for.  Every wait ends when an interrupt is pending: the
 * call fails, and so does every later one of the same client, until the driver
 * gives up and returns to us.  The error is thrown only then, by
 * stream_throw_interrupt(): a longjmp out of the driver would leave it broken.
 *
 * Interrupts that do not end a statement (barriers, messages of parallel
 * workers, ...) are served within the wait.
 *
 * Beside the driver, cursors send messages of their own on a stream without TLS
 * (stream_ask).  A stream owes one reply at most, and reads it in full before
 * the driver writes again.
 *
 * Nothing here allocates from memory contexts, since that may throw.
 */
#include "postgres.h"
#include "compat.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "miscadmin.h"
#include "mongo/stream_private.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"
#include "wait_events.h"

/* Type number of our streams; the driver's own are small. */
#define STREAM_TYPE 1000

/* A signal ends poll() at once, save when it comes just before; then this does. */
#define SLICE_MS 200

/* What a clean-up may take in all. */
#define CLEANUP_USEC (1000 * 1000L)

#define NO_DEADLINE (-1)

/* A message begins with its length; the server's limit is maxMessageSizeBytes. */
#define MIN_MESSAGE_SIZE 16
#define MAX_MESSAGE_SIZE 48000000

struct MongoStream
{
	mongoc_stream_t vtable;		/* must be first */
	StreamControl *control;
	int			fd;				/* -1 once closed */
	int			error;			/* errno of the last call, 0 when it succeeded */
	dlist_node	node;
	uint64		number;			/* never used again, unlike an address */
	bool		plain;			/* messages pass as they are */
	int32_t		timeout_ms;		/* longest wait for a reply */
	StreamReply *owed;			/* to be read before anything is written */
	char		host[BSON_HOST_NAME_MAX + 7];
};

/* Whether errno says to wait and try again. */
static bool
would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Prepares a control block that lives in context. */
void
stream_control_init(StreamControl *control, MemoryContext context)
{
	memset(control, 0, sizeof(*control));
	control->context = context;
	dlist_init(&control->streams);
}

/*
 * Whether a socket between two requests is as it should be: open, and with
 * nothing to read.  (A server never speaks first, but TLS does when it closes.)
 */
static bool
socket_idle(int fd)
{
	char		byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && would_block();
}

/* Whether the peer has not closed a socket that may have a reply to read. */
static bool
socket_open(int fd)
{
	char		byte;
	ssize_t		n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n > 0 || (n < 0 && would_block());
}

/* Whether all open streams could still be used, without a round trip. */
bool
stream_control_alive(StreamControl *control)
{
	dlist_iter	iter;

	if (control->interrupted || control->broken)
		return false;
	dlist_foreach(iter, &control->streams)
	{
		MongoStream *self = dlist_container(MongoStream, node, iter.cur);

		if (!(self->owed != NULL ? socket_open(self->fd) : socket_idle(self->fd)))
			return false;
	}
	return true;
}

/* Until stream_cleanup_end(), all waits together take a second at most. */
void
stream_cleanup_begin(StreamControl *control)
{
	control->cleanup_until = bson_get_monotonic_time() + CLEANUP_USEC;
}

void
stream_cleanup_end(StreamControl *control)
{
	control->cleanup_until = 0;
}

/*
 * Throws the interrupt that ended a wait, if any did.  Returns when there is
 * none, or when it has gone in the meantime.
 */
void
stream_throw_interrupt(StreamControl *control)
{
	ErrorData  *error = control->error;

	if (!control->interrupted)
		return;
	if (IsUnderPostmaster && !PostmasterIsAlive())
		proc_exit(1);
	control->error = NULL;
	if (error != NULL)
		ReThrowError(error);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Serves what is pending and does not end the statement.  Returns true when
 * something does, with what it threw kept for stream_throw_interrupt().
 *
 * Cancel and termination are not served here: they would throw, and the second
 * would end the process from within the driver.
 */
static bool
serve_interrupts(StreamControl *control)
{
	MemoryContext old = CurrentMemoryContext;
	volatile bool thrown = false;

	if (QueryCancelPending || ProcDiePending)
		return true;
	control->serving = true;
	PG_TRY();
	{
		CHECK_FOR_INTERRUPTS();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(control->context);
		control->error = CopyErrorData();
		FlushErrorState();
		thrown = true;
	}
	PG_END_TRY();
	control->serving = false;
	MemoryContextSwitchTo(old);
	return thrown;
}

/*
 * Whether the driver must give up, for an interrupt that came now or before.
 * In a clean-up, which may be part of an abort, none is served.
 */
bool
stream_must_give_up(StreamControl *control)
{
	if (control->interrupted)
		return true;
	if (IsUnderPostmaster && !PostmasterIsAlive())
		control->interrupted = true;
	else if (control->cleanup_until != 0)
		control->interrupted = QueryCancelPending || ProcDiePending;
	else if (INTERRUPTS_PENDING_CONDITION() && INTERRUPTS_CAN_BE_PROCESSED())
		control->interrupted = serve_interrupts(control);
	return control->interrupted;
}

/* When a wait of timeout_ms from now ends, for wait_for(). */
int64
stream_deadline(int32_t timeout_ms)
{
	return timeout_ms < 0 ? NO_DEADLINE : bson_get_monotonic_time() + timeout_ms * INT64CONST(1000);
}

/*
 * Waits for events of sockets.  Returns poll()'s positive result, or -1 with
 * errno: ECANCELED when the driver must give up, ETIMEDOUT at the deadline
 * (EAGAIN when there was no time to wait).
 */
static int
wait_for(StreamControl *control, struct pollfd *fds, nfds_t count, int64 deadline)
{
	bool		waited = false;

	if (control->cleanup_until != 0 &&
		(deadline == NO_DEADLINE || deadline > control->cleanup_until))
		deadline = control->cleanup_until;
	for (;;)
	{
		int			timeout = SLICE_MS;
		int			result;
		int			poll_errno;

		if (stream_must_give_up(control))
		{
			errno = ECANCELED;
			return -1;
		}
		if (deadline != NO_DEADLINE)
		{
			int64		left = deadline - bson_get_monotonic_time();

			timeout = left <= 0 ? 0 : Min(SLICE_MS, left / 1000 + 1);
		}
		pgstat_report_wait_start(wait_event(MONGO_WAIT_NETWORK));
		result = poll(fds, count, timeout);
		poll_errno = errno;
		pgstat_report_wait_end();
		if (result > 0)
			return result;
		if (result < 0 && poll_errno != EINTR)
		{
			errno = poll_errno;
			return -1;
		}
		if (timeout == 0)
		{
			errno = waited ? ETIMEDOUT : EAGAIN;
			return -1;
		}
		waited = true;
	}
}

/* The same for one socket; true when the events came, else errno. */
bool
stream_wait_for(StreamControl *control, int fd, short events, int64 deadline)
{
	struct pollfd pollfd = {.fd = fd,.events = events};

	return wait_for(control, &pollfd, 1, deadline) > 0;
}

/*
 * Ends a call of the driver: keeps errno where the driver asks for it, and
 * remembers a failure that is more than "nothing there yet".
 */
static ssize_t
finish(MongoStream *self, ssize_t result)
{
	self->error = result < 0 ? errno : 0;
	if (result < 0 && !would_block())
		self->control->broken = true;
	return result;
}

/*
 * Reads at least min_bytes, or something when that is 0.  Returns the number of
 * bytes, 0 at the end of the stream, or -1 with errno.
 */
static ssize_t
stream_readv(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t iovcnt, size_t min_bytes,
			 int32_t timeout_ms)
{
	MongoStream *self = (MongoStream *) stream;
	int64		deadline = stream_deadline(timeout_ms);
	size_t		current = 0;
	size_t		offset = 0;
	ssize_t		done = 0;

	while (current < iovcnt)
	{
		ssize_t		n = recv(self->fd, (char *) iov[current].iov_base + offset,
							 iov[current].iov_len - offset, 0);

		if (n > 0)
		{
			done += n;
			offset += n;
			if (offset == iov[current].iov_len)
			{
				current++;
				offset = 0;
			}
			if (done >= (ssize_t) min_bytes)
				break;
		}
		else if (n == 0)
		{
			errno = ECONNRESET;
			finish(self, -1);
			return min_bytes == 0 ? done : -1;
		}
		else if (!would_block() ||
				 !stream_wait_for(self->control, self->fd, POLLIN, deadline))
			return finish(self, -1);
	}
	self->control->last_read = self->number;
	return finish(self, done);
}

/* Reads so many bytes of a reply; false with errno. */
static bool
read_exactly(MongoStream *self, void *buffer, size_t length)
{
	mongoc_iovec_t iov = {.iov_base = buffer,.iov_len = length};

	return stream_readv(&self->vtable, &iov, 1, length, self->timeout_ms) == (ssize_t) length;
}

/* Reads a message into malloc'd memory; false with errno. */
static bool
read_message(MongoStream *self, StreamReply *reply)
{
	uint32		size;

	if (!read_exactly(self, &size, sizeof(size)))
		return false;
	reply->size = BSON_UINT32_FROM_LE(size);
	if (reply->size < MIN_MESSAGE_SIZE || reply->size > MAX_MESSAGE_SIZE)
	{
		errno = EPROTO;
		return false;
	}
	reply->data = malloc(reply->size);
	if (reply->data == NULL)
	{
		errno = ENOMEM;
		return false;
	}
	memcpy(reply->data, &size, sizeof(size));
	return read_exactly(self, reply->data + sizeof(size), reply->size - sizeof(size));
}

/* Makes every later use of a stream fail, the driver's too. */
static void
break_stream(MongoStream *self)
{
	self->control->broken = true;
	if (self->fd >= 0)
		(void) shutdown(self->fd, SHUT_RDWR);
}

/* Ends the debt of a stream: error is 0 where the reply is there in full. */
static void
end_debt(MongoStream *self, int error)
{
	self->owed->error = error;
	self->owed->stream = NULL;
	self->owed = NULL;
}

/*
 * Reads what a stream owes.  After a failure there may be the rest of a reply
 * to come, which nobody must take for another.
 */
static bool
settle(MongoStream *self)
{
	StreamReply *reply = self->owed;

	if (reply == NULL)
		return true;
	if (read_message(self, reply))
		end_debt(self, 0);
	else
	{
		end_debt(self, errno);
		break_stream(self);
	}
	errno = reply->error;
	return reply->error == 0;
}

/* Writes everything.  Returns less at the deadline, -1 when nothing was written. */
static ssize_t
stream_writev(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t iovcnt, int32_t timeout_ms)
{
	MongoStream *self = (MongoStream *) stream;
	int64		deadline;
	size_t		current = 0;
	size_t		offset = 0;
	ssize_t		done = 0;

	if (!settle(self))
		return finish(self, -1);
	deadline = stream_deadline(timeout_ms);
	while (current < iovcnt)
	{
		ssize_t		n = send(self->fd, (char *) iov[current].iov_base + offset,
							 iov[current].iov_len - offset,
							 MSG_NOSIGNAL | (current + 1 < iovcnt ? MSG_MORE : 0));

		if (n >= 0)
		{
			done += n;
			offset += n;
			if (offset == iov[current].iov_len)
			{
				current++;
				offset = 0;
			}
		}
		else if (!would_block() ||
				 !stream_wait_for(self->control, self->fd, POLLOUT, deadline))
		{
			finish(self, -1);
			return done > 0 ? done : -1;
		}
	}
	return finish(self, done);
}

/*
 * Polls several streams of one client.  Those without a socket are in error;
 * when the driver must give up, all of them are.
 */
static ssize_t
stream_poll(mongoc_stream_poll_t *streams, size_t count, int32_t timeout_ms)
{
	StreamControl *control = ((MongoStream *) streams[0].stream)->control;
	struct pollfd *fds;
	ssize_t		result = 0;

	for (size_t i = 0; i < count; i++)
	{
		bool		without_socket = ((MongoStream *) streams[i].stream)->fd < 0;

		streams[i].revents = without_socket ? POLLERR : 0;
		result += without_socket;
	}
	if (result > 0)
		return result;
	fds = bson_malloc0(sizeof(struct pollfd) * count);
	for (size_t i = 0; i < count; i++)
	{
		fds[i].fd = ((MongoStream *) streams[i].stream)->fd;
		fds[i].events = streams[i].events;
	}
	result = wait_for(control, fds, count, stream_deadline(timeout_ms));
	if (result < 0 && (errno == ETIMEDOUT || errno == EAGAIN))
		result = 0;
	for (size_t i = 0; i < count; i++)
		streams[i].revents = result < 0 ? POLLERR : fds[i].revents;
	bson_free(fds);
	return result < 0 ? (ssize_t) count : result;
}

/* Closes the socket; the stream stays. */
static int
stream_close(mongoc_stream_t *stream)
{
	MongoStream *self = (MongoStream *) stream;

	if (self->owed != NULL)
		end_debt(self, ECONNRESET);
	if (self->fd >= 0)
	{
		dlist_delete(&self->node);
		close(self->fd);
		ReleaseExternalFD();
		self->fd = -1;
	}
	return 0;
}

static void
stream_destroy(mongoc_stream_t *stream)
{
	stream_close(stream);
	bson_free(stream);
}

static int
stream_flush(mongoc_stream_t *stream)
{
	return 0;
}

static int
stream_setsockopt(mongoc_stream_t *stream, int level, int name, void *value,
				  mongoc_socklen_t length)
{
	return setsockopt(((MongoStream *) stream)->fd, level, name, value, length);
}

static bool
stream_check_closed(mongoc_stream_t *stream)
{
	MongoStream *self = (MongoStream *) stream;

	return self->control->interrupted || self->fd < 0 || !settle(self) || !socket_idle(self->fd);
}

static bool
stream_timed_out(mongoc_stream_t *stream)
{
	return ((MongoStream *) stream)->error == ETIMEDOUT;
}

static bool
stream_should_retry(mongoc_stream_t *stream)
{
	int			error = ((MongoStream *) stream)->error;

	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/*
 * Wraps a connected socket, which belongs to the stream from here on; or none,
 * where fd is -1: then the driver finds the stream in error.
 */
mongoc_stream_t *
stream_create(StreamControl *control, const mongoc_uri_t *uri, const mongoc_host_list_t *host,
			  int fd)
{
	MongoStream *self = bson_malloc0(sizeof(MongoStream));

	self->vtable.type = STREAM_TYPE;
	self->vtable.destroy = stream_destroy;
	self->vtable.failed = stream_destroy;
	self->vtable.close = stream_close;
	self->vtable.flush = stream_flush;
	self->vtable.writev = stream_writev;
	self->vtable.readv = stream_readv;
	self->vtable.setsockopt = stream_setsockopt;
	self->vtable.check_closed = stream_check_closed;
	self->vtable.poll = stream_poll;
	self->vtable.timed_out = stream_timed_out;
	self->vtable.should_retry = stream_should_retry;
	self->control = control;
	self->fd = fd;
	if (fd >= 0)
	{
		self->number = ++control->numbers;
		dlist_push_tail(&control->streams, &self->node);
	}
	self->plain = !mongoc_uri_get_tls(uri) && bson_empty(mongoc_uri_get_compressors(uri));
	self->timeout_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, INT_MAX);
	strlcpy(self->host, host->host_and_port, sizeof(self->host));
	return &self->vtable;
}

/* The open stream of that number, or NULL. */
static MongoStream *
find_stream(StreamControl *control, uint64 number)
{
	dlist_iter	iter;

	dlist_foreach(iter, &control->streams)
	{
		MongoStream *self = dlist_container(MongoStream, node, iter.cur);

		if (self->number == number)
			return self;
	}
	return NULL;
}

/* The host and port of a stream; see stream.h. */
const char *
stream_host(StreamControl *control, uint64 number)
{
	MongoStream *self = find_stream(control, number);

	return self == NULL ? NULL : self->host;
}

/* Sends a message beside the driver; see stream.h. */
bool
stream_ask(StreamControl *control, uint64 number, const void *message, size_t length,
		   StreamReply *reply)
{
	MongoStream *self = find_stream(control, number);
	mongoc_iovec_t iov = {.iov_base = unconstify(void *, message),.iov_len = length};

	if (self == NULL || !self->plain || self->owed != NULL || control->broken ||
		control->interrupted)
		return false;
	memset(reply, 0, sizeof(*reply));
	if (stream_writev(&self->vtable, &iov, 1, self->timeout_ms) == (ssize_t) length)
	{
		reply->stream = self;
		self->owed = reply;
	}
	else
	{
		reply->error = self->error != 0 ? self->error : ETIMEDOUT;
		break_stream(self);
	}
	return true;
}

/* Waits for a reply; see stream.h. */
bool
stream_receive(StreamReply *reply)
{
	if (reply->stream != NULL)
		return settle(reply->stream);
	errno = reply->error;
	return reply->error == 0;
}

/* Reads all that the streams owe; see stream.h. */
void
stream_settle(StreamControl *control)
{
	dlist_iter	iter;

	dlist_foreach(iter, &control->streams)
		(void) settle(dlist_container(MongoStream, node, iter.cur));
}

/* Gives a stream up whose peer does not keep to the protocol. */
void
stream_break(StreamControl *control, uint64 number)
{
	MongoStream *self = find_stream(control, number);

	control->broken = true;
	if (self != NULL)
		break_stream(self);
}
