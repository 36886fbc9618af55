/*
 * keymatch.h
 *	  Which collections have a profile's values as keys.
 */
#ifndef MM_KEYMATCH_H
#define MM_KEYMATCH_H

#include "mongo/connection.h"
#include "plan/profile.h"

/*
 * Sets node->reference where the sampled values of a path are keys (_id, or a
 * unique index) of a collection of the same database, collection itself
 * included.  What is set lives in the profile's context.
 */
extern void profile_find_references(Profile *profile, MongoConnection *connection,
									const char *collection);

#endif							/* MM_KEYMATCH_H */
