/*
 * stream_connect.c
 *	  The driver's way to a host: a socket of ours, and TLS on top of it.
 *
 * Connecting ends on an interrupt as reading and writing do (stream.c).  Looking
 * a name up (getaddrinfo) cannot be interrupted.
 */
#include "postgres.h"
#include "compat.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "error.h"
#include "mongo/stream_private.h"
#include "storage/fd.h"

/*
 * A peer that vanished is noticed after KEEPALIVE_IDLE plus KEEPALIVE_COUNT
 * times KEEPALIVE_INTERVAL seconds, or when sent data has gone unacknowledged
 * for USER_TIMEOUT_MS.
 */
#define KEEPALIVE_IDLE 60
#define KEEPALIVE_INTERVAL 10
#define KEEPALIVE_COUNT 6
#define USER_TIMEOUT_MS (120 * 1000)

/* Makes a socket non-blocking, prompt, and watchful of a vanished peer. */
static bool
socket_prepare(int fd, int family)
{
	int			on = 1;
	int			idle = KEEPALIVE_IDLE;
	int			interval = KEEPALIVE_INTERVAL;
	int			count = KEEPALIVE_COUNT;
	int			user_timeout = USER_TIMEOUT_MS;

	if (!pg_set_noblock(fd) || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return false;
	if (family == AF_UNIX)
		return true;
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
	return true;
}

/* Connects to one address.  Returns the socket, or -1 with errno. */
static int
socket_connect(StreamControl *control, int family, const struct sockaddr *address,
			   socklen_t length, int64 deadline)
{
	int			fd = socket(family, SOCK_STREAM, 0);
	int			error = 0;
	socklen_t	error_length = sizeof(error);

	if (fd < 0)
		return -1;
	if (!socket_prepare(fd, family))
		error = errno;
	else if (connect(fd, address, length) < 0)
	{
		if (errno != EINPROGRESS && errno != EINTR)
			error = errno;
		else if (!stream_wait_for(control, fd, POLLOUT, deadline))
			error = errno;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_length) < 0)
			error = errno;
	}
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

/* Connects to a socket in the file system. */
static int
connect_unix(StreamControl *control, const mongoc_host_list_t *host, int64 deadline)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlcpy(address.sun_path, host->host, sizeof(address.sun_path)) >=
		sizeof(address.sun_path))
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	return socket_connect(control, AF_UNIX, (struct sockaddr *) &address, sizeof(address),
						  deadline);
}

/* Connects to the first address of a host that answers. */
static int
connect_tcp(StreamControl *control, const mongoc_host_list_t *host, int64 deadline,
			bson_error_t *error)
{
	struct addrinfo hints = {.ai_family = host->family,.ai_socktype = SOCK_STREAM};
	struct addrinfo *addresses;
	char		port[8];
	int			status;
	int			fd = -1;
	int			saved_errno;

	snprintf(port, sizeof(port), "%u", (unsigned) host->port);
	status = getaddrinfo(host->host, port, &hints, &addresses);
	if (status != 0)
	{
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION,
					   "could not resolve \"%s\": %s", host->host, gai_strerror(status));
		return -1;
	}
	for (struct addrinfo *address = addresses; address != NULL && fd < 0;
		 address = address->ai_next)
		fd = socket_connect(control, address->ai_family, address->ai_addr,
							address->ai_addrlen, deadline);
	saved_errno = errno;
	freeaddrinfo(addresses);
	if (fd < 0)
	{
		errno = saved_errno;
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT,
					   "%s", strerror(errno));
	}
	return fd;
}

/*
 * Puts TLS on a stream and shakes hands.  Returns the stream to use, which owns
 * the given one, or NULL with that destroyed.
 */
static mongoc_stream_t *
start_tls(const mongoc_uri_t *uri, const mongoc_host_list_t *host, mongoc_stream_t *base,
		  int32_t timeout_ms, bson_error_t *error)
{
	bool		insecure = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSINSECURE, false);
	mongoc_ssl_opt_t options = {
		.pem_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, NULL),
		.pem_pwd = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD,
												 NULL),
		.ca_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, NULL),
		.weak_cert_validation =
		mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, insecure),
		.allow_invalid_hostname =
		mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, insecure),
	};
	mongoc_stream_t *tls = mongoc_stream_tls_new_with_hostname(base, host->host, &options, 1);

	if (tls == NULL)
	{
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET,
					   "could not set up TLS");
		mongoc_stream_destroy(base);
		return NULL;
	}
	if (!mongoc_stream_tls_handshake_block(tls, host->host, timeout_ms, error))
	{
		mongoc_stream_destroy(tls);
		return NULL;
	}
	return tls;
}

/* Connects to a host, TLS included.  Returns NULL with error filled. */
static mongoc_stream_t *
connect_host(StreamControl *control, const mongoc_uri_t *uri, const mongoc_host_list_t *host,
			 bson_error_t *error)
{
	int32_t		timeout_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS,
															10000);
	int64		deadline = stream_deadline(timeout_ms);
	mongoc_stream_t *stream;
	int			fd;

	if (stream_must_give_up(control))
	{
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "canceled");
		return NULL;
	}
	if (!AcquireExternalFD())
	{
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT,
					   "too many open files");
		return NULL;
	}
	if (host->family == AF_UNIX)
		fd = connect_unix(control, host, deadline);
	else
		fd = connect_tcp(control, host, deadline, error);
	if (fd < 0)
	{
		if (error->code == 0)
			bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT,
						   "%s", strerror(errno));
		ReleaseExternalFD();
		return NULL;
	}
	stream = stream_create(control, uri, host, fd);
	if (mongoc_uri_get_tls(uri))
		stream = start_tls(uri, host, stream, timeout_ms, error);
	return stream;
}

/*
 * The driver's way to a host.  Never throws; returns NULL with error filled,
 * and names the host there, as the driver does not.
 *
 * Where the driver could not take that for an answer, it gets a stream without a
 * socket, and the error waits for mongo_throw().
 */
mongoc_stream_t *
stream_initiate(const mongoc_uri_t *uri, const mongoc_host_list_t *host, void *control,
				bson_error_t *error)
{
	bson_error_t cause = {0};
	mongoc_stream_t *stream = connect_host(control, uri, host, &cause);

	if (stream == NULL)
	{
		bson_set_error(error, cause.domain, cause.code, "%s: %s",
					   host->host_and_port, cause.message);
#if MONGOC_NEEDS_STREAMS
		mongo_error_note_cause(error->message);
		stream = stream_create(control, uri, host, -1);
#endif
	}
	return stream;
}
