/*
 * json.c
 *	  Extended JSON as text, and short forms of values for messages.
 *
 * The text has the document's keys in their order, duplicates included, and
 * U+0000 as \u0000, so that a column of type json loses nothing.  In a database
 * whose encoding is not UTF-8 all but ASCII is escaped, which json takes too.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/json.h"
#include "bson/json_read.h"
#include "bson/json_sink.h"
#include "bson/number.h"
#include "bson/text.h"
#include "bson/walk.h"
#include "mb/pg_wchar.h"

/* Bytes of a preview, about. */
#define PREVIEW_SIZE 60

typedef struct TextSink
{
	JsonSink	sink;
	StringInfo	out;
	bool		comma;			/* something stands before at this level */
	bool		escape;			/* write non-ASCII as \uXXXX */
} TextSink;

/* The comma before a value or key that is not the first. */
static void
append_comma(TextSink *text)
{
	if (text->comma)
		appendStringInfoChar(text->out, ',');
	text->comma = true;
}

/* An object or array begins. */
static void
text_open(JsonSink *sink, bool array)
{
	TextSink   *text = (TextSink *) sink;

	append_comma(text);
	appendStringInfoChar(text->out, array ? '[' : '{');
	text->comma = false;
}

/* It ends. */
static ConvertStatus
text_close(JsonSink *sink, bool array)
{
	TextSink   *text = (TextSink *) sink;

	appendStringInfoChar(text->out, array ? ']' : '}');
	text->comma = true;

	return CONVERT_OK;
}

/* A character that cannot stand for itself. */
static void
append_escape(StringInfo out, uint32 codepoint)
{
	static const char characters[] = "\"\\\b\f\n\r\t";
	static const char letters[] = "\"\\bfnrt";
	const char *found = codepoint == 0 || codepoint > 127 ? NULL : strchr(characters, (int) codepoint);

	if (found != NULL)
	{
		appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, letters[found - characters]);
		return;
	}
	if (codepoint >= 0x10000)
	{
		appendStringInfo(out, "\\u%04x", 0xD7C0 + (codepoint >> 10));
		codepoint = 0xDC00 | (codepoint & 0x3FF);
	}
	appendStringInfo(out, "\\u%04x", codepoint);
}

/*
 * A string between quotes: runs of bytes that stand for themselves, and escapes
 * between them.
 */
static ConvertStatus
append_string(TextSink *text, const char *utf8, size_t length)
{
	const char *end = utf8 + length;
	const char *run = utf8;
	ConvertStatus status = text_check(utf8, length);

	if (status == CONVERT_NUL_BYTE)
	{
		/* legal here: the parts between must be valid */
		status = CONVERT_OK;
		for (const char *part = utf8; part < end && status == CONVERT_OK;)
		{
			size_t		part_length = strnlen(part, end - part);

			status = text_check(part, part_length);
			part += part_length + 1;
		}
	}
	if (status != CONVERT_OK)
		return status;

	appendStringInfoChar(text->out, '"');
	for (const char *c = utf8; c < end;)
	{
		unsigned char byte = (unsigned char) *c;
		bool		escape = byte < 0x20 || byte == '"' || byte == '\\' ||
			(text->escape && IS_HIGHBIT_SET(byte));

		if (!escape)
		{
			c++;
			continue;
		}
		appendBinaryStringInfo(text->out, run, c - run);
		append_escape(text->out, utf8_to_unicode((const unsigned char *) c));
		c += pg_utf_mblen((const unsigned char *) c);
		run = c;
	}
	appendBinaryStringInfo(text->out, run, end - run);
	appendStringInfoChar(text->out, '"');
	return CONVERT_OK;
}

/* A string of the document. */
static ConvertStatus
text_string_event(JsonSink *sink, const char *utf8, size_t length)
{
	TextSink   *text = (TextSink *) sink;

	append_comma(text);
	return append_string(text, utf8, length);
}

/* A key, and the colon. */
static ConvertStatus
text_key(JsonSink *sink, const char *utf8, size_t length)
{
	TextSink   *text = (TextSink *) sink;
	ConvertStatus status;

	if (!sink->wrapping && !text->comma && json_key_is_special(utf8, length))
	{
		appendStringInfo(text->out, "\"\\u0024%.*s\":", (int) length - 1, utf8 + 1);
		return CONVERT_OK;
	}
	append_comma(text);
	status = append_string(text, utf8, length);
	appendStringInfoChar(text->out, ':');
	text->comma = false;

	return status;
}

/* A string of ours. */
static void
text_ascii(JsonSink *sink, const char *ascii, int length)
{
	TextSink   *text = (TextSink *) sink;

	append_comma(text);
	appendStringInfoChar(text->out, '"');
	appendBinaryStringInfo(text->out, ascii, length);
	appendStringInfoChar(text->out, '"');
}

/* A number as JSON has it. */
static void
text_number(JsonSink *sink, const bson_iter_t *value)
{
	TextSink   *text = (TextSink *) sink;
	char		buffer[NUMBER_TEXT_SIZE];
	int			length = bson_iter_type_unsafe(value) == BSON_TYPE_DOUBLE ?
		number_double_text(bson_iter_double_unsafe(value), buffer) :
		number_value_text(value, buffer);

	append_comma(text);
	appendBinaryStringInfo(text->out, buffer, length);
}

/* An integer of ours. */
static void
text_integer(JsonSink *sink, int64 value)
{
	TextSink   *text = (TextSink *) sink;

	append_comma(text);
	appendStringInfo(text->out, INT64_FORMAT, value);
}

/* null, true or false. */
static void
text_literal(JsonSink *sink, bool null, bool value)
{
	TextSink   *text = (TextSink *) sink;

	append_comma(text);
	appendStringInfoString(text->out, null ? "null" : value ? "true" : "false");
}

/* A sink that appends to out. */
static void
text_sink_init(TextSink *text, StringInfo out)
{
	static const JsonSink events = {
		.open = text_open,
		.close = text_close,
		.key = text_key,
		.string = text_string_event,
		.ascii = text_ascii,
		.number = text_number,
		.integer = text_integer,
		.literal = text_literal
	};

	text->sink = events;
	text->out = out;
	text->comma = false;
	text->escape = !text_server_takes_utf8();
}

/* Appends a value as Extended JSON; what is there after a failure is of no use. */
ConvertStatus
json_append_value(StringInfo out, const bson_iter_t *value, JsonMode mode)
{
	TextSink	text;

	text_sink_init(&text, out);
	return json_emit_value(&text.sink, value, mode);
}

/* The same for a document. */
ConvertStatus
json_append_document(StringInfo out, const bson_t *document, JsonMode mode)
{
	TextSink	text;

	text_sink_init(&text, out);
	return json_emit_document(&text.sink, document, mode);
}

/* As a string cut to the size of a preview, whatever its bytes are. */
static void
append_preview_string(StringInfo out, const char *utf8, size_t length)
{
	bool		escape = !text_server_takes_utf8();
	size_t		i = 0;

	appendStringInfoChar(out, '"');
	while (i < length && out->len < PREVIEW_SIZE - 4)
	{
		unsigned char byte = (unsigned char) utf8[i];
		int			size = pg_utf_mblen((const unsigned char *) utf8 + i);
		bool		valid = byte == 0 || (i + size <= length && text_check(utf8 + i, size) == CONVERT_OK);

		if (!valid)
		{
			appendStringInfo(out, "\\x%02x", byte);
			size = 1;
		}
		else if (byte < 0x20 || byte == '"' || byte == '\\' || (escape && IS_HIGHBIT_SET(byte)))
			append_escape(out, utf8_to_unicode((const unsigned char *) utf8 + i));
		else
			appendBinaryStringInfo(out, utf8 + i, size);
		i += size;
	}
	appendStringInfoString(out, i < length ? "...\"" : "\"");
}

/* A short form of a value for messages, palloc'd. */
char *
json_preview(const bson_iter_t *value)
{
	StringInfoData out;
	const char *utf8;
	size_t		length;

	initStringInfo(&out);
	if (text_string(value, &utf8, &length))
	{
		append_preview_string(&out, utf8, length);
		return out.data;
	}
	if (json_append_value(&out, value, JSON_RELAXED) != CONVERT_OK)
	{
		resetStringInfo(&out);
		appendStringInfoString(&out, bson_iter_type_unsafe(value) == BSON_TYPE_ARRAY ?
							   "[...]" : "{...}");
	}
	else if (out.len > PREVIEW_SIZE)
	{
		out.len = pg_mbcliplen(out.data, out.len, PREVIEW_SIZE - 3);
		out.data[out.len] = '\0';
		appendStringInfoString(&out, "...");
	}
	return out.data;
}

/* "_id" of a document as such a preview, or "(none)". */
char *
json_preview_id(const bson_t *document)
{
	Walk		walk;

	if (walk_start(&walk, bson_get_data(document), document->len))
	{
		while (bson_iter_next(&walk.iter))
		{
			if (strcmp(bson_iter_key_unsafe(&walk.iter), "_id") == 0)
				return json_preview(&walk.iter);
		}
	}
	return pstrdup("(none)");
}
