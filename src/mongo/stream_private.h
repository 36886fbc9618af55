/*
 * stream_private.h
 *	  What stream_connect.c needs of stream.c, where its comments are.
 */
#ifndef MM_STREAM_PRIVATE_H
#define MM_STREAM_PRIVATE_H

#include "mongo/stream.h"

extern bool stream_must_give_up(StreamControl *control);
extern int64 stream_deadline(int32_t timeout_ms);
extern bool stream_wait_for(StreamControl *control, int fd, short events, int64 deadline);
extern mongoc_stream_t *stream_create(StreamControl *control, const mongoc_uri_t *uri,
									  const mongoc_host_list_t *host, int fd);

#endif							/* MM_STREAM_PRIVATE_H */
