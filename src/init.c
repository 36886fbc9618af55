/*
 * init.c
 *	  What happens when the module is loaded: GUCs, and libmongoc's start.
 */
#include "postgres.h"
#include "compat.h"

#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fdw/fdw.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "worker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

static int	batch_time = 5000;	/* milliseconds; SQL reads it */

/*
 * Takes the name of the driver's counters away, a file in /dev/shm that would
 * stay there after a process that is killed.  The driver has made it when it
 * was loaded; the process keeps its memory.
 */
static void
forget_counters(void)
{
	char		name[32];

	snprintf(name, sizeof(name), "/mongoc-%d", (int) getpid());
	(void) shm_unlink(name);
}

/* Called once by PostgreSQL when it loads the module. */
void
_PG_init(void)
{
	DefineCustomIntVariable("mongo_migrate.progress_interval",
							"Time between two progress messages of a migration.",
							"0 has none sent.",
							&worker_progress_interval,
							5000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("mongo_migrate.batch_time",
							"Time above which a migration's next batch has half as many documents.",
							"0 lets all batches have batch_size documents.",
							&batch_time,
							5000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("mongo_migrate.enable_pushdown",
							 "Has MongoDB evaluate conditions, sorts, limits, groups and joins of queries on foreign tables.",
							 "Turning this off is of use to find out whether a result depends on it.",
							 &fdw_enable_pushdown,
							 true,
							 PGC_USERSET, GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
	MarkGUCPrefixReserved("mongo_migrate");

	mongoc_init();
	forget_counters();
}
