/*
 * owned.h
 *	  Driver objects owned by memory contexts.
 *
 * libbson and libmongoc allocate with malloc.  An object handed to one of
 * these functions belongs to the given memory context from then on: it is
 * destroyed when the context is reset or deleted, so an ERROR reaches it.
 */
#ifndef MM_OWNED_H
#define MM_OWNED_H

#include "utils/palloc.h"

/* Has a document live as long as context, and returns it. */
extern bson_t *owned_bson(MemoryContext context, bson_t *bson);

/* Returns a new empty document that lives as long as context. */
extern bson_t *owned_bson_new(MemoryContext context);

/*
 * Returns what bson_init_static() may be called for as long as context lives,
 * again and again.  libbson's types are aligned, by more than palloc() does.
 */
extern bson_t *owned_bson_lent(MemoryContext context);

/*
 * Has destroy(object) called when context is reset or deleted.  Throws only
 * for want of memory, and then after destroying the object.  Returns a handle
 * for owned_release().
 */
typedef struct Owned Owned;
extern Owned *owned_register(MemoryContext context, void *object,
							 void (*destroy) (void *object));

/* Destroys the object now, and not again when the context goes. */
extern void owned_release(Owned *owned);

#endif							/* MM_OWNED_H */
