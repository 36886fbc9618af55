/*
 * json_sink.h
 *	  The shape of Extended JSON, apart from where it is written to.
 *	  Private to bson/.
 */
#ifndef MM_JSON_SINK_H
#define MM_JSON_SINK_H

#include "bson/convert_status.h"
#include "mongo/options.h"

typedef struct JsonSink JsonSink;

/* Receives one JSON value as events; a status other than CONVERT_OK ends the walk. */
struct JsonSink
{
	void		(*open) (JsonSink *sink, bool array);
	ConvertStatus (*close) (JsonSink *sink, bool array);
	bool		wrapping;		/* the next key is of an object that stands
								 * for a value */
	/* UTF-8 from a document, not checked yet; both outlive the sink */
	ConvertStatus (*key) (JsonSink *sink, const char *utf8, size_t length);
	ConvertStatus (*string) (JsonSink *sink, const char *utf8, size_t length);
	/* plain ASCII; lent */
	void		(*ascii) (JsonSink *sink, const char *text, int length);
	/* a finite number of any of the four types */
	void		(*number) (JsonSink *sink, const bson_iter_t *value);
	void		(*integer) (JsonSink *sink, int64 value);
	void		(*literal) (JsonSink *sink, bool null, bool value);
};

extern ConvertStatus json_emit_value(JsonSink *sink, const bson_iter_t *value, JsonMode mode);
extern ConvertStatus json_emit_document(JsonSink *sink, const bson_t *document, JsonMode mode);

#endif							/* MM_JSON_SINK_H */
