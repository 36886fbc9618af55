/*
 * spool.c
 *	  Documents in a temporary file, to be read once in the order in which they came.
 *
 * They stand in the file one after the other: each begins with its length.  The
 * file is none of PostgreSQL's BufFiles, since one of these, when it is closed
 * after a disk was full, tries to write once more, and throws again.
 */
#include "postgres.h"
#include "compat.h"

#include "lib/stringinfo.h"
#include "mongo/spool.h"
#include "owned.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

/* So many bytes are written or read at a time, or those of one document. */
#define SPOOL_BYTES (64 * 1024)

struct Spool
{
	File		file;
	char	   *name;
	off_t		offset;			/* of what is written or read next */
	StringInfoData bytes;		/* before that: not yet written, or read */
	int			taken;			/* so many of these have been given */
	bson_t	   *document;		/* the last one given */
};

/* Makes an empty one; see spool.h. */
Spool *
spool_create(const char *name, MemoryContext owner)
{
	MemoryContext old = MemoryContextSwitchTo(owner);
	Spool	   *spool = palloc0(sizeof(Spool));

	spool->name = pstrdup(name);
	initStringInfo(&spool->bytes);
	spool->document = owned_bson_lent(owner);
	spool->file = OpenTemporaryFile(true);
	MemoryContextSwitchTo(old);
	return spool;
}

/* Writes what is not yet written. */
static void
flush(Spool *spool)
{
	for (int done = 0; done < spool->bytes.len;)
	{
		int			written = FileWrite(spool->file, spool->bytes.data + done, spool->bytes.len - done,
										spool->offset, WAIT_EVENT_BUFFILE_WRITE);

		if (written <= 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write the temporary file with documents of collection \"%s\": %m",
							spool->name)));
		done += written;
		spool->offset += written;
	}
	resetStringInfo(&spool->bytes);
}

void
spool_put(Spool *spool, const bson_t *document)
{
	appendBinaryStringInfo(&spool->bytes, (const char *) bson_get_data(document), document->len);
	if (spool->bytes.len >= SPOOL_BYTES)
		flush(spool);
}

/* To be called between writing and reading. */
void
spool_rewind(Spool *spool)
{
	flush(spool);
	spool->offset = 0;
}

/* Throws for a file that does not have what was written to it. */
static void
throw_unreadable(Spool *spool)
{
	ereport(ERROR,
			(errcode(ERRCODE_IO_ERROR),
			 errmsg("could not read the temporary file with documents of collection \"%s\"",
					spool->name)));
}

/* Reads until so many bytes are there to be given; false where the file has fewer. */
static bool
fill(Spool *spool, uint32 size)
{
	StringInfo	bytes = &spool->bytes;
	int			left = bytes->len - spool->taken;

	if (left >= size)
		return true;
	memmove(bytes->data, bytes->data + spool->taken, left);
	bytes->len = left;
	spool->taken = 0;
	enlargeStringInfo(bytes, Max(size, SPOOL_BYTES) - left);
	while (bytes->len < size)
	{
		int			n = FileRead(spool->file, bytes->data + bytes->len, bytes->maxlen - bytes->len,
								 spool->offset, WAIT_EVENT_BUFFILE_READ);

		if (n < 0)
			throw_unreadable(spool);
		if (n == 0)
			return false;
		bytes->len += n;
		spool->offset += n;
	}
	return true;
}

/* The next document; see spool.h. */
const bson_t *
spool_next(Spool *spool)
{
	uint32		length;
	const char *bytes;

	if (!fill(spool, 1))
		return NULL;
	if (!fill(spool, sizeof(length)))
		throw_unreadable(spool);
	memcpy(&length, spool->bytes.data + spool->taken, sizeof(length));
	length = BSON_UINT32_FROM_LE(length);
	if (!fill(spool, length))
		throw_unreadable(spool);
	bytes = spool->bytes.data + spool->taken;
	if (!bson_init_static(spool->document, (const uint8_t *) bytes, length))
		throw_unreadable(spool);
	spool->taken += length;
	return spool->document;
}

/* Removes the file. */
void
spool_close(Spool *spool)
{
	FileClose(spool->file);
}
