/*
 * spool.h
 *	  Documents in a temporary file, to be read once in the order in which they came.
 */
#ifndef MM_SPOOL_H
#define MM_SPOOL_H

typedef struct Spool Spool;

/*
 * The file outlives transactions, until spool_close(); the memory belongs to
 * owner.  name is the collection's, for messages.
 */
extern Spool *spool_create(const char *name, MemoryContext owner);

extern void spool_put(Spool *spool, const bson_t *document);

/* To be called after the last document, and before the first is read. */
extern void spool_rewind(Spool *spool);

/* The next document, lent until the next call; NULL at the end. */
extern const bson_t *spool_next(Spool *spool);

/* Removes the file.  Never throws. */
extern void spool_close(Spool *spool);

#endif							/* MM_SPOOL_H */
