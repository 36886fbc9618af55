/*
 * array.c
 *	  BSON arrays to PostgreSQL arrays.
 *
 * Every element becomes an element, null and undefined become NULL, and one
 * element that has no exact form fails the whole array: positions never shift.
 * Arrays within arrays become dimensions when they are rectangular, unless the
 * element type is json or jsonb, which take an array as one value.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/convert_private.h"
#include "bson/lattice.h"
#include "bson/walk.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct ArrayConverter
{
	Converter	base;
	MemoryContext scratch;		/* elements, until the array is built */
	bool		flat;			/* arrays within are elements, not dimensions */

	/* the value being converted */
	int			ndims;			/* known once the first scalar or NULL is met;
								 * 0 before */
	int			dims[MAXDIM];
	int			positions[MAXDIM];	/* of the element at hand, for messages */
	int			depth;			/* how many of them count */
	bool		ragged;			/* it failed for its shape */
	int			count;
	int			size;
	Datum	   *values;
	bool	   *nulls;
} ArrayConverter;

/* Adds an element; the arrays belong to the converter and grow with the longest value. */
static void
add_element(ArrayConverter *array, Datum value, bool null)
{
	if (array->count == array->size)
	{
		array->size = Max(64, array->size * 2);
		array->values = repalloc_huge(array->values, array->size * sizeof(Datum));
		array->nulls = repalloc_huge(array->nulls, array->size * sizeof(bool));
	}
	array->values[array->count] = value;
	array->nulls[array->count] = null;
	array->count++;
}

static ConvertStatus
shape_error(ArrayConverter *array)
{
	array->ragged = true;
	return CONVERT_WRONG_TYPE;
}

/*
 * Adds the elements of an array that is nested in level others.  The first
 * scalar says how many dimensions there are, the first array of each level how
 * long all of that level are.
 */
static ConvertStatus
add_elements(ArrayConverter *array, const bson_iter_t *value, int level)
{
	Converter  *element = array->base.element;
	int			length = 0;
	Walk		walk;
	ConvertStatus status;

	if (level == MAXDIM)
		return shape_error(array);
	if (!walk_enter(&walk, value))
		return CONVERT_CORRUPT;
	while (bson_iter_next(&walk.iter))
	{
		bson_type_t type = bson_iter_type_unsafe(&walk.iter);

		array->depth = level + 1;
		array->positions[level] = length++;
		if (type == BSON_TYPE_ARRAY && !array->flat)
		{
			if (array->ndims == level + 1)
				return shape_error(array);
			status = add_elements(array, &walk.iter, level + 1);
			if (status != CONVERT_OK)
				return status;
			continue;
		}

		if (array->ndims == 0)
			array->ndims = level + 1;
		else if (array->ndims != level + 1)
			return shape_error(array);
		if (type == BSON_TYPE_NULL || type == BSON_TYPE_UNDEFINED)
			add_element(array, (Datum) 0, true);
		else
		{
			Datum		datum;

			status = element->convert(element, &walk.iter, &datum);
			if (status != CONVERT_OK)
				return status;
			add_element(array, datum, false);
		}
	}
	array->depth = level;
	if (!walk_ended_well(&walk))
		return CONVERT_CORRUPT;
	if (array->dims[level] < 0)
		array->dims[level] = length;
	else if (array->dims[level] != length)
		return shape_error(array);
	if (level > 0 && length == 0)
		return shape_error(array);
	return CONVERT_OK;
}

/* An array to a PostgreSQL array; the elements are made in a context of their own. */
static ConvertStatus
convert_array(Converter *self, const bson_iter_t *value, Datum *result)
{
	ArrayConverter *array = (ArrayConverter *) self;
	int			lower_bounds[MAXDIM];
	MemoryContext caller;
	ConvertStatus status;

	array->count = 0;
	array->ndims = 0;
	array->depth = 0;
	array->ragged = false;
	if (bson_iter_type_unsafe(value) != BSON_TYPE_ARRAY)
		return CONVERT_WRONG_TYPE;
	for (int i = 0; i < MAXDIM; i++)
	{
		array->dims[i] = -1;
		lower_bounds[i] = 1;
	}

	caller = MemoryContextSwitchTo(array->scratch);
	status = add_elements(array, value, 0);
	MemoryContextSwitchTo(caller);
	self->rounded = self->element->rounded;
	if (status == CONVERT_OK)
		*result = PointerGetDatum(array->count == 0 ?
								  construct_empty_array(self->element->type) :
								  construct_md_array(array->values, array->nulls,
													 array->ndims, array->dims, lower_bounds,
													 self->element->type, self->typlen,
													 self->typbyval, self->typalign));
	MemoryContextReset(array->scratch);
	return status;
}

/* A converter to an array type. */
Converter *
converter_create_array(Oid type, Oid element_type, int32 typmod, JsonMode json_mode, bool round)
{
	ArrayConverter *array = converter_alloc(sizeof(ArrayConverter), convert_array, type, typmod);
	Oid			element_base = getBaseType(element_type);

	array->base.element = converter_create(element_type, typmod, json_mode, round);
	get_typlenbyvalalign(element_type, &array->base.typlen, &array->base.typbyval,
						 &array->base.typalign);
	array->flat = element_base == JSONOID || element_base == JSONBOID;
	array->scratch = AllocSetContextCreate(CurrentMemoryContext, "bson to array",
										   ALLOCSET_DEFAULT_SIZES);
	array->size = 64;
	array->values = palloc(array->size * sizeof(Datum));
	array->nulls = palloc(array->size * sizeof(bool));
	return &array->base;
}

/* Where in an array the last conversion failed: how many positions, outermost first. */
int
convert_failed_at(const Converter *converter, const int **positions)
{
	const ArrayConverter *array;

	while (converter_is_domain(converter))
		converter = converter->element;
	if (converter->convert != convert_array)
		return 0;
	array = (const ArrayConverter *) converter;
	*positions = array->positions;
	return array->depth;
}

/* A message for the element that failed. */
char *
convert_array_message(ConvertStatus status, const Converter *converter, const bson_iter_t *value)
{
	const ArrayConverter *array = (const ArrayConverter *) converter;
	bson_iter_t element = *value;

	if (array->ragged)
		return pstrdup("arrays within the array are not of one length and depth, of at most 6 levels, as a PostgreSQL array needs");
	if (array->depth == 0)
	{
		Converter	scalar = *converter;

		scalar.element = NULL;
		return convert_message(status, &scalar, value);
	}
	for (int level = 0; level < array->depth; level++)
	{
		Walk		walk;

		if (!walk_enter(&walk, &element))
			break;
		for (int i = 0; i <= array->positions[level]; i++)
		{
			if (!bson_iter_next(&walk.iter))
				break;
		}
		element = walk.iter;
	}
	return convert_message(status, converter->element, &element);
}
