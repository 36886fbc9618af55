/*
 * error.c
 *	  Errors of the driver as errors of PostgreSQL.
 */
#include "postgres.h"
#include "compat.h"

#include "error.h"

/* The SQLSTATE for a driver or server error. */
int
mongo_sqlstate(const bson_error_t *error)
{
	switch (error->domain)
	{
		case MONGOC_ERROR_STREAM:
		case MONGOC_ERROR_SERVER_SELECTION:
			return ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION;
		default:
			return ERRCODE_FDW_ERROR;
	}
}

/* Throws for a driver or server error. */
void
mongo_throw(const bson_error_t *error, const bson_t *reply, const char *doing)
{
	ereport(ERROR,
			(errcode(mongo_sqlstate(error)),
			 errmsg("error while %s", doing),
			 errdetail("%s", error->message)));
}
