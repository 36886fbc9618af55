/*
 * early.h
 *	  Scans that start before their statement writes.
 */
#ifndef MM_EARLY_H
#define MM_EARLY_H

#include "nodes/execnodes.h"

typedef struct EarlyScan EarlyScan;

/* Notes a scan whose first row was not asked for; owned by the memory of its query. */
extern EarlyScan *early_scan_add(ForeignScanState *scan, void (*start) (ForeignScanState *scan));

/* Forgets it, as it has started or ended; NULL is none. */
extern void early_scan_remove(EarlyScan *early);

/* To be called before a statement writes for the first time: starts what it can. */
extern void early_scans_start(EState *estate);

#endif							/* MM_EARLY_H */
