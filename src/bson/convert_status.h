/*
 * convert_status.h
 *	  What became of a value on its way to another form.
 */
#ifndef MM_CONVERT_STATUS_H
#define MM_CONVERT_STATUS_H

typedef enum ConvertStatus
{
	CONVERT_OK,
	CONVERT_WRONG_TYPE,			/* this BSON type has no exact form in the
								 * column's type */
	CONVERT_OUT_OF_RANGE,		/* number or date beyond the column's type */
	CONVERT_INEXACT,			/* digits would be lost */
	CONVERT_TOO_LONG,			/* longer than varchar(n), char(n), name, or
								 * too large for jsonb */
	CONVERT_NUL_BYTE,			/* U+0000 in a string */
	CONVERT_BAD_ENCODING,		/* not valid UTF-8, or not in the database's
								 * encoding */
	CONVERT_BAD_SYNTAX,			/* text that should be hex, a number, ... and
								 * is not */
	CONVERT_DUPLICATE_KEY,		/* a key that the column needs stands twice in
								 * its document */
	CONVERT_DOMAIN_CHECK,		/* a constraint of the column's domain says no */
	CONVERT_NOT_DOCUMENT,		/* a scalar or array where the plan has a
								 * sub-document */
	CONVERT_NOT_ARRAY,			/* another value where the plan has an array */
	CONVERT_TOO_DEEP,			/* nested beyond what jsonb or the stack takes */
	CONVERT_CORRUPT				/* not well-formed BSON */
} ConvertStatus;

#endif							/* MM_CONVERT_STATUS_H */
