/*
 * objectid.h
 *	  The type mongo_migrate.objectid: a bson_oid_t, 12 bytes by reference.
 */
#ifndef MM_OBJECTID_H
#define MM_OBJECTID_H

#define DatumGetObjectidP(datum) ((bson_oid_t *) DatumGetPointer(datum))
#define PG_GETARG_OBJECTID_P(n) DatumGetObjectidP(PG_GETARG_DATUM(n))
#define PG_RETURN_OBJECTID_P(oid) PG_RETURN_POINTER(oid)

/* The type's oid, or InvalidOid while the extension is not created. */
extern Oid	objectid_type(void);

#endif							/* MM_OBJECTID_H */
