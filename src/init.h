/*
 * init.h
 *	  Settings of the module.
 */
#ifndef MM_INIT_H
#define MM_INIT_H

/* mongo_migrate.progress_interval, in milliseconds; 0: no progress NOTICEs. */
extern int	mm_progress_interval;

#endif							/* MM_INIT_H */
