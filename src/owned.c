/*
 * owned.c
 *	  Driver objects owned by memory contexts.
 *
 * The handle is itself allocated in the context, so that owner and object end
 * together; PostgreSQL's libpq-be-fe.h does the same for foreign PGresults.
 */
#include "postgres.h"
#include "compat.h"

#include "owned.h"
#include "utils/memutils.h"

struct Owned
{
	MemoryContextCallback callback;
	void	   *object;
	void		(*destroy) (void *object);
};

/* Memory-context callback: destroys the object unless released before. */
static void
owned_callback(void *arg)
{
	owned_release((Owned *) arg);
}

/*
 * Gives object to context.  When the handle cannot be allocated, the object is
 * destroyed before the error is thrown.
 */
Owned *
owned_register(MemoryContext context, void *object, void (*destroy) (void *object))
{
	Owned	   *owned = MemoryContextAllocExtended(context, sizeof(Owned),
												   MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);

	if (owned == NULL)
	{
		destroy(object);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}
	owned->object = object;
	owned->destroy = destroy;
	owned->callback.func = owned_callback;
	owned->callback.arg = owned;
	MemoryContextRegisterResetCallback(context, &owned->callback);
	return owned;
}

/* Destroys the object now; the context's reset then finds nothing to do. */
void
owned_release(Owned *owned)
{
	void	   *object = owned->object;

	owned->object = NULL;
	if (object != NULL)
		owned->destroy(object);
}

static void
destroy_bson(void *object)
{
	bson_destroy((bson_t *) object);
}

/* Gives a document to context. */
bson_t *
owned_bson(MemoryContext context, bson_t *bson)
{
	owned_register(context, bson, destroy_bson);
	return bson;
}

/* Returns a new empty document owned by context. */
bson_t *
owned_bson_new(MemoryContext context)
{
	return owned_bson(context, bson_new());
}

static void
free_bson(void *object)
{
	bson_free(object);
}

/* Memory for a document that has its bytes elsewhere; see owned.h. */
bson_t *
owned_bson_lent(MemoryContext context)
{
	bson_t	   *bson = BSON_ALIGNED_ALLOC0(bson_t);

	owned_register(context, bson, free_bson);
	return bson;
}
