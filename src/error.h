/*
 * error.h
 *	  Errors of the driver as errors of PostgreSQL.
 */
#ifndef MM_ERROR_H
#define MM_ERROR_H

/*
 * Throws for a driver or server error.  doing is a present participle phrase
 * that goes into "error while %s: ...", such as "reading collection \"shop.orders\"".
 * The driver's text goes into errdetail; credentials never appear.  reply may
 * be NULL; when it is the server's reply, its code and codeName are used.
 */
pg_noreturn extern void mongo_throw(const bson_error_t *error, const bson_t *reply,
									const char *doing);

/*
 * Notes why a host could not be connected to, for errors in which the driver says
 * that it does not know why; and has what was noted before forgotten.  Never throw.
 */
extern void mongo_error_note_cause(const char *cause);
extern void mongo_error_forget_causes(void);

/* What the driver says, such as error->message, for a message of PostgreSQL's; palloc'd. */
extern char *mongo_error_text(const char *message);

/*
 * Finds a failure that a reply with ok: 1 tells of by its field writeErrors, whose
 * first it is, or writeConcernError.  fields are those of the failure.
 */
extern bool mongo_find_failure(const bson_t *reply, const char *name, bson_error_t *error,
							   bson_iter_t *fields);

/* The SQLSTATE (as MAKE_SQLSTATE) for a driver or server error. */
extern int	mongo_sqlstate(const bson_error_t *error);

#endif							/* MM_ERROR_H */
