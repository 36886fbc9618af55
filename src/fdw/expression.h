/*
 * expression.h
 *	  Filters as expressions of MongoDB's aggregation.
 */
#ifndef MM_EXPRESSION_H
#define MM_EXPRESSION_H

#include "fdw/filter.h"

/*
 * Can an expression be true just where the filter is, for documents whose
 * columns can be decoded?
 */
extern bool filter_is_expressible(const Filter *filter);

/*
 * That expression, owned by the current memory context.  Comparands that are
 * not known appear as "$1", "$2", ...
 */
extern bson_t *filter_to_expression(const Filter *filter, const FilterValue *values);

#endif							/* MM_EXPRESSION_H */
