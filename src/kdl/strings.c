/* SPDX-License-Identifier: MPL-2.0 */

#include "kdl/parser.h"

#include <string.h>

/* Characters that end the plain run inside a quoted string. */
#define SPECIAL \
  (KDL_CLASS_QUOTING | KDL_CLASS_NEWLINE | KDL_CLASS_BANNED | KDL_CLASS_WIDE | KDL_CLASS_NUL)

/* Where a string in quotes begins and how it must end. */
typedef struct Opening {
  const char *start; /* of the token */
  const char *body;
  guint hashes;
  gboolean raw;
  gboolean multiline;
} Opening;

void
kdl_set_string (KdlParser *p, const char *start, const char *text, gsize length, KdlString *out)
{
  char *copy = p->tree->strings + (text - p->source);

  copy[length] = '\0';
  out->text = copy;
  out->length = (guint32) length;
  out->span.offset = (guint32) (start - p->source);
  out->span.length = (guint32) (p->at - start);
}

static const char *
skip_hashes (const char *at)
{
  while (*at == '#')
    at++;
  return at;
}

gboolean
kdl_at_quoted_string (const KdlParser *p)
{
  if (*p->at == '"')
    return TRUE;
  if (p->version == KDL_VERSION_1)
    return *p->at == 'r' && *skip_hashes (p->at + 1) == '"';
  return *p->at == '#' && *skip_hashes (p->at) == '"';
}

static Opening
read_opening (const KdlParser *p)
{
  const char *hashes = p->version == KDL_VERSION_1 && *p->at == 'r' ? p->at + 1 : p->at;
  const char *quote = skip_hashes (hashes);
  Opening opening = { .start = p->at, .body = quote + 1, .hashes = (guint) (quote - hashes) };

  opening.raw = *p->at != '"';
  opening.multiline = p->version == KDL_VERSION_2 && g_str_has_prefix (quote, "\"\"\"");
  if (opening.multiline)
    opening.body = quote + 3;
  return opening;
}

/* Whether the closing delimiter stands at `at`. */
static gboolean
is_closing (const Opening *opening, const char *at, const char **out_end)
{
  guint hashes = 0;

  if (*at != '"' || (opening->multiline && !g_str_has_prefix (at, "\"\"\"")))
    return FALSE;
  at += opening->multiline ? 3 : 1;
  while (hashes < opening->hashes && at[hashes] == '#')
    hashes++;
  *out_end = at + hashes;
  return hashes == opening->hashes;
}

/* Places `at` after the string or, if it is not closed on its line, at the line's end: for going
 * on after a fault inside. */
static void
skip_faulty_string (KdlParser *p, const Opening *opening)
{
  const char *end;

  while (p->at < p->end && !(kdl_char_at (p->at, p->classes).class & KDL_CLASS_NEWLINE)) {
    if (is_closing (opening, p->at, &end)) {
      p->at = end;
      return;
    }
    p->at += *p->at == '\\' && !opening->raw && p->at + 1 < p->end ? 2 : 1;
  }
}

/* --- Escapes ---------------------------------------------------------------------------------- */

static int
simple_escape (KdlVersion version, char c)
{
  static const char written[] = "nrtbf\"\\", meant[] = "\n\r\t\b\f\"\\";
  const char *found = c == '\0' ? NULL : strchr (written, c);

  if (found != NULL)
    return meant[found - written];
  if (c == 's' && version == KDL_VERSION_2)
    return ' ';
  if (c == '/' && version == KDL_VERSION_1)
    return '/';
  return -1;
}

/* Takes the `\u{…}` at `at`. */
static gboolean
take_unicode_escape (KdlParser *p, char **to)
{
  const char *digits = p->at + 3;
  const char *digit = digits;
  gunichar c = 0;

  if (p->at[2] != '{')
    return FALSE;
  for (; g_ascii_isxdigit (*digit) && digit - digits < 6; digit++)
    c = c * 16 + (gunichar) g_ascii_xdigit_value (*digit);
  if (digit == digits || *digit != '}' || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
    return FALSE;
  *to += g_unichar_to_utf8 (c, *to);
  p->at = digit + 1;
  return TRUE;
}

/* Skips the blanks and line ends that `\` makes disappear in KDL 2. */
static gboolean
take_space_escape (KdlParser *p)
{
  const char *start = ++p->at;

  while (TRUE) {
    KdlChar c = kdl_char_at (p->at, p->classes);

    if (!(c.class & (KDL_CLASS_SPACE | KDL_CLASS_NEWLINE)))
      break;
    p->at += c.length;
  }
  if (p->at == start)
    p->at--;
  return p->at > start;
}

/* Takes the escape at `at` and writes what it means. */
static gboolean
take_escape (KdlParser *p, char **to)
{
  int meant = simple_escape (p->version, p->at[1]);

  if (meant >= 0) {
    *(*to)++ = (char) meant;
    p->at += 2;
    return TRUE;
  }
  if (p->at[1] == 'u')
    return take_unicode_escape (p, to);
  return p->version == KDL_VERSION_2 && take_space_escape (p);
}

/* --- Strings on one line ---------------------------------------------------------------------- */

/* Takes one character that is neither a quote nor a line end of KDL 2. */
static gboolean
take_char (KdlParser *p, const Opening *opening, char **to)
{
  KdlChar c = kdl_char_at (p->at, p->classes);
  const char *start = p->at;

  if (*p->at == '\\' && !opening->raw) {
    if (take_escape (p, to))
      return TRUE;
    skip_faulty_string (p, opening);
    return kdl_fault_escape (p, start, opening->start);
  }
  if (c.class & KDL_CLASS_BANNED || (c.class & KDL_CLASS_NUL && p->version == KDL_VERSION_2)) {
    skip_faulty_string (p, opening);
    return kdl_fault_banned (p, start);
  }
  memcpy (*to, p->at, c.length);
  *to += c.length;
  p->at += c.length;
  return TRUE;
}

/* Whether the text leaves as many braces open as it closes. */
static gboolean
braces_balance (const char *at, const char *end)
{
  gssize open = 0;

  for (; at < end; at++)
    open += (*at == '{') - (*at == '}');
  return open == 0;
}

/* The closing quote is missing, `at` is at the line's end. Most likely the quote belongs before
 * the braces that end the line: `vm "web {`, or `ssh { user "u }` where the line opened a block. */
static gboolean
fail_unclosed (KdlParser *p, const Opening *opening)
{
  const char *line_end = p->at;
  const char *brace = p->at;

  if (p->version == KDL_VERSION_1) {
    p->stopped = TRUE;
    return kdl_fault_unclosed_string (p, opening->start, opening->body);
  }
  while (brace > opening->body && strchr ("{}; \t", brace[-1]) != NULL)
    brace--;
  if (memchr (brace, '{', (gsize) (line_end - brace)) != NULL ||
      p->frames[p->depth].open >= p->line)
    p->at = brace;
  p->braces_unsure |= !braces_balance (opening->body, p->at);
  return kdl_fault_unclosed_string (p, opening->start, line_end);
}

/* A string on one line, raw or not; in KDL 1 it may also hold line ends. */
static gboolean
read_line_string (KdlParser *p, const Opening *opening, KdlString *out)
{
  char *text = p->tree->strings + (opening->body - p->source);
  char *to = text;
  const char *end;

  p->at = opening->body;
  while (!is_closing (opening, p->at, &end)) {
    if (p->at == p->end ||
        (p->version == KDL_VERSION_2 && kdl_char_at (p->at, p->classes).class & KDL_CLASS_NEWLINE))
      return fail_unclosed (p, opening);
    if (!take_char (p, opening, &to))
      return FALSE;
  }
  p->at = end;
  kdl_set_string (p, opening->start, opening->body, (gsize) (to - text), out);
  return TRUE;
}

/* --- Strings of several lines ----------------------------------------------------------------- */

/* The body of a multi-line string. The last line holds only blanks, which are to be removed from
 * the start of the others, and the closing quotes. */
typedef struct Lines {
  const char *first;
  const char *last;
  const char *close;
  const char *end; /* of the token */
  gsize indent;    /* length of the last line's blanks */
} Lines;

static const char *
skip_blanks (const KdlParser *p, const char *at)
{
  KdlChar c = kdl_char_at (at, p->classes);

  while (c.class & KDL_CLASS_SPACE) {
    at += c.length;
    c = kdl_char_at (at, p->classes);
  }
  return at;
}

/* Looks for the end of the string. Lines are counted after removing escaped line ends, as they are
 * to be dedented. */
static gboolean
find_lines (KdlParser *p, const Opening *opening, Lines *lines)
{
  lines->first = p->at;
  lines->last = p->at;
  while (!is_closing (opening, p->at, &lines->end)) {
    if (p->at == p->end)
      return FALSE;
    if (kdl_take_newline (p))
      lines->last = p->at;
    else if (*p->at != '\\' || opening->raw)
      p->at += kdl_char_at (p->at, p->classes).length;
    else if (!take_space_escape (p))
      p->at += p->at + 1 < p->end ? 2 : 1;
  }
  lines->close = p->at;
  lines->indent = (gsize) (skip_blanks (p, lines->last) - lines->last);
  return TRUE;
}

/* Whether nothing but blanks, escaped or not, stands before the closing quotes. */
static gboolean
last_line_is_blank (KdlParser *p, const Opening *opening, const Lines *lines)
{
  p->at = lines->last + lines->indent;
  while (!opening->raw && *p->at == '\\' && take_space_escape (p))
    continue;
  return p->at == lines->close;
}

/* Copies the line at `at` without its indentation, and its end as LF. */
static gboolean
take_line (KdlParser *p, const Opening *opening, const Lines *lines, char **to)
{
  const char *start = p->at;

  p->at = skip_blanks (p, start);
  if (!kdl_take_newline (p)) {
    if (strncmp (start, lines->last, lines->indent) != 0)
      return kdl_fault (p, KDL_FAULT_MULTILINE_INDENT, start, p->at);
    p->at = start + lines->indent;
    while (!kdl_take_newline (p))
      if (!take_char (p, opening, to))
        return FALSE;
  }
  *(*to)++ = '\n';
  return TRUE;
}

/* The body does not begin on a line of its own. */
static gboolean
fail_multiline_open (KdlParser *p, const Opening *opening)
{
  Lines lines;

  if (find_lines (p, opening, &lines))
    p->at = lines.end;
  else
    p->stopped = TRUE;
  return kdl_fault (p, KDL_FAULT_MULTILINE_OPEN, opening->start, opening->body);
}

static gboolean
read_multiline_string (KdlParser *p, const Opening *opening, KdlString *out)
{
  char *text = p->tree->strings + (opening->body - p->source);
  char *to = text;
  gboolean ok = TRUE;
  Lines lines;

  p->at = opening->body;
  if (!kdl_take_newline (p))
    return fail_multiline_open (p, opening);
  if (!find_lines (p, opening, &lines)) {
    p->stopped = TRUE;
    return kdl_fault (p, KDL_FAULT_MULTILINE_UNCLOSED, opening->start, opening->body);
  }
  if (last_line_is_blank (p, opening, &lines))
    p->at = lines.first;
  else
    ok = kdl_fault (p, KDL_FAULT_MULTILINE_CLOSE, lines.close, lines.end);
  while (ok && p->at < lines.last)
    ok = take_line (p, opening, &lines, &to);
  p->at = lines.end;
  if (to > text)
    to--; /* the line end before the last line */
  kdl_set_string (p, opening->start, opening->body, (gsize) (to - text), out);
  return ok;
}

/* Takes the common case, a string without anything special, or returns FALSE. */
static gboolean
take_plain_string (KdlParser *p, KdlString *out)
{
  const char *start = p->at;
  const char *at = start + 1;

  if (*start != '"')
    return FALSE;
  while (!(p->classes[(guchar) *at] & SPECIAL))
    at++;
  if (*at != '"' || (at == start + 1 && at[1] == '"'))
    return FALSE;
  p->at = at + 1;
  kdl_set_string (p, start, start + 1, (gsize) (at - start - 1), out);
  return TRUE;
}

gboolean
kdl_read_quoted_string (KdlParser *p, KdlString *out)
{
  Opening opening;

  if (take_plain_string (p, out))
    return TRUE;
  opening = read_opening (p);
  return opening.multiline ? read_multiline_string (p, &opening, out)
                           : read_line_string (p, &opening, out);
}
