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
	int			depth;			/* of AND and OR around it */
} ClauseContext;

/* shippable_operand.c */

/*
 * A new filter on what node computes from a column: the column itself, or one
 * of the expressions that its form can be; NULL for anything else.
 */
extern Filter *operand_filter(ClauseContext *context, FilterKind kind, Node *node);

/* The same for an array column, with the form of its elements. */
extern Filter *array_operand_filter(ClauseContext *context, FilterKind kind, Node *node);

/* The same for a jsonb column, which may be the whole document, and for what is in it by constant keys. */
extern Filter *json_operand_filter(ClauseContext *context, FilterKind kind, Node *node);

/* As what a form is compared: its own, or that of the type of an expression. */
extern FilterForm operand_compared_form(FilterForm form);

/* shippable.c */

/* Can the scan evaluate the expression beforehand, once? */
extern bool is_comparand(ClauseContext *context, Node *node);

/* Remembers a comparand; returns its index. */
extern int	add_comparand(ClauseContext *context, Node *node);

/* Can a column of the form be compared with a value of the type, under the collation? */
extern bool comparison_is_shippable(FilterForm form, int strategy, Oid comparand_type,
									Oid collation);

/* The operator's strategy in the btree family of its left type, or InvalidStrategy. */
extern int	operator_strategy(Oid operator, Oid lefttype);

/* shippable_document.c */

/* What is in the array or jsonb on the left: @>, &&, = of arrays, ?, ?| and ?&; or NULL. */
extern Filter *filter_from_containment(ClauseContext *context, Oid operator, Node *left,
									   Node *right, Oid collation);

/* comparand = ANY (column), comparand <> ALL (column); or NULL. */
extern Filter *filter_from_element(ClauseContext *context, ScalarArrayOpExpr *clause);

#endif							/* MM_SHIPPABLE_H */
