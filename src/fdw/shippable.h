/*
 * shippable.h
 *	  Parts of shippable.c.
 */
#ifndef MM_SHIPPABLE_H
#define MM_SHIPPABLE_H

#include "fdw/filter.h"
#include "fdw/relation.h"

/* What the conversion of one clause works with. */
typedef struct ClauseContext
{
	PlannerInfo *root;
	RelOptInfo *rel;
	FdwRelation *relation;
	List	  **comparands;
} ClauseContext;

/* shippable_operand.c */

/*
 * A new filter on what node computes from a column: the column itself, or one
 * of the expressions that its form can be; NULL for anything else.
 */
extern Filter *operand_filter(ClauseContext *context, FilterKind kind, Node *node);

/* As what a form is compared: its own, or that of the type of an expression. */
extern FilterForm operand_compared_form(FilterForm form);

#endif							/* MM_SHIPPABLE_H */
