/*
 * subtransaction.h
 *	  A call in a subtransaction.
 */
#ifndef MM_SUBTRANSACTION_H
#define MM_SUBTRANSACTION_H

/*
 * Calls a function in a subtransaction, in the current memory context.  Returns
 * NULL when it is done, and else the error, in that context; then nothing is
 * done, and the error is the caller's to throw on.  keep false: what was done is
 * rolled back, too.
 */
extern ErrorData *subtransaction_call(void (*function) (void *arg), void *arg, bool keep);

#endif							/* MM_SUBTRANSACTION_H */
