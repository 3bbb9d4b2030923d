/* SPDX-License-Identifier: MPL-2.0 */

#include "kdl/parser.h"

#include <string.h>

/* --- Space ------------------------------------------------------------------------------------ */

/* Both comments and strings may hold any character but the banned ones. */
static void
skip_comment_char (KdlParser *p)
{
  KdlChar c = kdl_char_at (p->at, p->classes);

  if (c.class & KDL_CLASS_BANNED || (c.class & KDL_CLASS_NUL && p->version == KDL_VERSION_2))
    kdl_fault_banned (p, p->at);
  p->at += c.length;
}

void
kdl_skip_line_comment (KdlParser *p)
{
  const guint8 special = KDL_CLASS_NEWLINE | KDL_CLASS_BANNED | KDL_CLASS_WIDE | KDL_CLASS_NUL;

  while (TRUE) {
    while (!(kdl_class (p) & special))
      p->at++;
    if (p->at == p->end || kdl_char_at (p->at, p->classes).class & KDL_CLASS_NEWLINE)
      return;
    skip_comment_char (p);
  }
}

static void
skip_block_comment (KdlParser *p)
{
  const char *open = p->at;
  gsize depth = 1;

  p->at += 2;
  while (depth > 0 && p->at < p->end) {
    if (p->at[0] == '*' && p->at[1] == '/') {
      depth--;
      p->at += 2;
    } else if (p->at[0] == '/' && p->at[1] == '*') {
      depth++;
      p->at += 2;
    } else {
      skip_comment_char (p);
    }
  }
  if (depth > 0) {
    kdl_fault (p, KDL_FAULT_COMMENT_UNCLOSED, open, open + 2);
    p->stopped = TRUE;
  }
}

/* Skips a run of ASCII blanks, another blank or a block comment. */
static gboolean
skip_blank (KdlParser *p)
{
  guint8 class = kdl_class (p);

  if (class & KDL_CLASS_SPACE) {
    while (kdl_class (p) & KDL_CLASS_SPACE)
      p->at++;
    return TRUE;
  }
  if (p->at[0] == '/' && p->at[1] == '*') {
    skip_block_comment (p);
    return TRUE;
  }
  if (class & KDL_CLASS_WIDE) {
    KdlChar c = kdl_char_at (p->at, p->classes);

    if (c.class & KDL_CLASS_SPACE) {
      p->at += c.length;
      return TRUE;
    }
  }
  return FALSE;
}

gboolean
kdl_take_newline (KdlParser *p)
{
  KdlChar c;

  if (!(kdl_class (p) & (KDL_CLASS_NEWLINE | KDL_CLASS_WIDE)))
    return FALSE;
  c = kdl_char_at (p->at, p->classes);
  if (!(c.class & KDL_CLASS_NEWLINE))
    return FALSE;
  p->at += c.length;
  return TRUE;
}

/* Skips `\` with the rest of its line; without moving if something else stands on that line. */
static gboolean
skip_line_continuation (KdlParser *p)
{
  const char *start = p->at;
  gboolean may_end = p->version == KDL_VERSION_2;

  p->at++;
  while (skip_blank (p))
    continue;
  if (p->at[0] == '/' && p->at[1] == '/') {
    kdl_skip_line_comment (p);
    may_end = TRUE;
  }
  if (kdl_take_newline (p) || (may_end && p->at == p->end))
    return TRUE;
  p->at = start;
  return FALSE;
}

gboolean
kdl_skip_node_space (KdlParser *p)
{
  const char *start = p->at;

  while (skip_blank (p) || (*p->at == '\\' && skip_line_continuation (p)))
    continue;
  return p->at != start;
}

void
kdl_skip_line_space (KdlParser *p)
{
  while (TRUE) {
    if (skip_blank (p))
      continue;
    if (kdl_take_newline (p))
      p->line = p->at;
    else if (p->at[0] == '/' && p->at[1] == '/')
      kdl_skip_line_comment (p);
    else if (*p->at != '\\' || p->version == KDL_VERSION_1 || !skip_line_continuation (p))
      break;
  }
  p->starts_line = p->line != p->known_line;
  if (p->starts_line) {
    p->known_line = p->line;
    p->indent = (gsize) (p->at - p->line);
  }
}

gboolean
kdl_ends_node (const KdlParser *p, const char *at)
{
  return at == p->end || strchr (";{}", *at) != NULL ||
         kdl_char_at (at, p->classes).class & KDL_CLASS_NEWLINE;
}

gboolean
kdl_take_slashdash (KdlParser *p)
{
  if (p->at[0] != '/' || p->at[1] != '-')
    return FALSE;
  p->slashdash = p->at;
  p->at += 2;
  if (p->version == KDL_VERSION_1)
    kdl_skip_node_space (p);
  else
    kdl_skip_line_space (p);
  return TRUE;
}

/* --- Names and values ------------------------------------------------------------------------- */

static const char *
find_bare_end (const char *at, const guint8 *classes)
{
  while (TRUE) {
    guint8 class = classes[(guchar) *at];

    if (class & KDL_CLASS_IDENT) {
      at++;
    } else if (class & KDL_CLASS_WIDE) {
      KdlChar c = kdl_char_at (at, classes);

      if (!(c.class & KDL_CLASS_IDENT))
        return at;
      at += c.length;
    } else {
      return at;
    }
  }
}

typedef struct Keyword {
  const char *text;
  KdlKind kind;
  gboolean is_true;
  gboolean only_v2;
} Keyword;

static const Keyword keywords[] = {
  { "true", KDL_BOOLEAN, TRUE, FALSE }, { "false", KDL_BOOLEAN, FALSE, FALSE },
  { "null", KDL_NULL, FALSE, FALSE },   { "inf", KDL_NUMBER, FALSE, TRUE },
  { "-inf", KDL_NUMBER, FALSE, TRUE },  { "nan", KDL_NUMBER, FALSE, TRUE },
};

static const Keyword *
find_keyword (KdlVersion version, const char *text, gsize length)
{
  if (length < 3 || length > 5 || strchr ("tfni-", *text) == NULL)
    return NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (keywords); i++) {
    const Keyword *keyword = &keywords[i];

    if (strlen (keyword->text) == length && memcmp (keyword->text, text, length) == 0)
      return keyword->only_v2 && version == KDL_VERSION_1 ? NULL : keyword;
  }
  return NULL;
}

/* Whether bare text is to be read as a number. KDL 2 reserves `.5` and the like, which are no
 * numbers, so that they are not taken for identifiers. */
static gboolean
looks_numeric (KdlVersion version, const char *text)
{
  if (*text == '+' || *text == '-')
    text++;
  if (*text == '.' && version == KDL_VERSION_2)
    text++;
  return g_ascii_isdigit (*text);
}

gboolean
kdl_is_bare (KdlVersion version, const char *text, gsize length)
{
  return length > 0 && find_bare_end (text, kdl_char_classes (version)) == text + length &&
         !looks_numeric (version, text) && find_keyword (version, text, length) == NULL;
}

static void
end_token (KdlParser *p, const char *start)
{
  p->token = start;
  p->token_end = p->at;
}

/* Reads a name or a type: a string that in no version may be another kind of value. */
static gboolean
read_string (KdlParser *p, KdlString *out)
{
  const char *start = p->at;

  if (kdl_at_quoted_string (p)) {
    if (!kdl_read_quoted_string (p, out))
      return FALSE;
  } else {
    const char *end = find_bare_end (start, p->classes);

    if (end == start || looks_numeric (p->version, start) ||
        find_keyword (p->version, start, (gsize) (end - start)) != NULL)
      return kdl_fault_no_name (p);
    p->at = end;
    kdl_set_string (p, start, start, (gsize) (end - start), out);
  }
  end_token (p, start);
  return TRUE;
}

gboolean
kdl_read_name (KdlParser *p, KdlString *out)
{
  p->name = p->at;
  p->name_end = p->at;
  if (!read_string (p, out))
    return FALSE;
  p->name_end = p->at;
  return TRUE;
}

gboolean
kdl_read_type (KdlParser *p, const KdlString **out)
{
  const char *open = p->at;
  KdlString type;

  *out = NULL;
  if (*open != '(')
    return TRUE;
  p->at++;
  if (p->version == KDL_VERSION_2)
    kdl_skip_node_space (p);
  if (*p->at == ')')
    return kdl_fault (p, KDL_FAULT_TYPE_EMPTY, open, p->at + 1);
  if (kdl_ends_node (p, p->at))
    return kdl_fault (p, KDL_FAULT_TYPE_UNCLOSED, open, open + 1);
  if (!read_string (p, &type))
    return FALSE;
  if (p->version == KDL_VERSION_2)
    kdl_skip_node_space (p);
  if (*p->at != ')')
    return kdl_fault (p, KDL_FAULT_TYPE_UNCLOSED, open, open + 1);
  p->at++;
  end_token (p, open);
  if (p->version == KDL_VERSION_2)
    kdl_skip_node_space (p);
  *out = memcpy (kdl_arena_alloc (&p->tree->arena, sizeof type), &type, sizeof type);
  return TRUE;
}

static void
set_value (KdlParser *p, const char *start, KdlKind kind, KdlValue *out)
{
  KdlString text;

  kdl_set_string (p, start, start, (gsize) (p->at - start), &text);
  out->text = text.text;
  out->length = text.length;
  out->span = text.span;
  out->kind = kind;
  end_token (p, start);
}

/* `#true` and its like, of KDL 2. */
static gboolean
read_hash_keyword (KdlParser *p, KdlValue *out)
{
  const char *start = p->at;
  const char *end = find_bare_end (start + 1, p->classes);
  const Keyword *keyword = find_keyword (p->version, start + 1, (gsize) (end - start - 1));

  if (end == start + 1)
    return kdl_fault (p, KDL_FAULT_HASH_COMMENT, start, end);
  if (keyword == NULL)
    return kdl_fault (p, KDL_FAULT_KEYWORD_UNKNOWN, start, end);
  p->at = end;
  out->is_true = keyword->is_true;
  set_value (p, start, keyword->kind, out);
  return TRUE;
}

/* A number, an identifier, or a keyword of KDL 1. */
static gboolean
read_bare_value (KdlParser *p, gboolean may_be_key, KdlValue *out)
{
  const char *start = p->at;
  const char *end = find_bare_end (start, p->classes);
  const Keyword *keyword = find_keyword (p->version, start, (gsize) (end - start));
  KdlKind kind = KDL_STRING;

  if (end == start)
    return kdl_fault_no_value (p);
  if (looks_numeric (p->version, start)) {
    if (!kdl_is_number (start, end))
      return kdl_fault_number (p);
    kind = KDL_NUMBER;
  } else if (keyword != NULL) {
    if (p->version == KDL_VERSION_2)
      return kdl_fault_bare_keyword (p, end);
    kind = keyword->kind;
    out->is_true = keyword->is_true;
  } else if (p->version == KDL_VERSION_1 && !(may_be_key && *end == '=')) {
    return kdl_fault_bare_string (p, end);
  }
  p->at = end;
  set_value (p, start, kind, out);
  return TRUE;
}

gboolean
kdl_read_value (KdlParser *p, gboolean may_be_key, KdlValue *out)
{
  const char *start = p->at;
  KdlString string;

  if (!kdl_at_quoted_string (p)) {
    if (*start == '#' && p->version == KDL_VERSION_2)
      return read_hash_keyword (p, out);
    return read_bare_value (p, may_be_key, out);
  }
  if (!kdl_read_quoted_string (p, &string))
    return FALSE;
  out->text = string.text;
  out->length = string.length;
  out->span = string.span;
  out->kind = KDL_STRING;
  end_token (p, start);
  return TRUE;
}
