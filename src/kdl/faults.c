/* SPDX-License-Identifier: MPL-2.0 */

#include "kdl/parser.h"

#include <string.h>

/* --- Building diagnostics --------------------------------------------------------------------- */

/* Counts a fault. Returns its diagnostic with the message set, or NULL if none is wanted. */
static KdlDiagnostic *G_GNUC_PRINTF (4, 5)
    add (KdlParser *p, const char *from, const char *to, const char *format, ...)
{
  KdlDiagnostic diagnostic = { 0 };
  GArray *all = p->doc->diagnostics;
  va_list args;

  p->faults++;
  p->stopped |= p->trial;
  if (p->trial || all->len == KDL_MAX_DIAGNOSTICS) {
    p->doc->further_faults += !p->trial;
    return NULL;
  }
  diagnostic.span.offset = (guint32) (from - p->source);
  diagnostic.span.length = (guint32) (to - from);
  va_start (args, format);
  diagnostic.message = g_strdup_vprintf (format, args);
  va_end (args);
  g_array_append_val (all, diagnostic);
  return &g_array_index (all, KdlDiagnostic, all->len - 1);
}

/* Adds the second place. */
static void
relate (KdlParser *p, KdlDiagnostic *d, const char *from, const char *to, char *label)
{
  d->related.offset = (guint32) (from - p->source);
  d->related.length = (guint32) (to - from);
  d->related_label = label;
}

static guint
line_of (const KdlParser *p, const char *at)
{
  return kdl_document_position (p->doc, (gsize) (at - p->source)).line;
}

/* --- Faults with fixed texts ------------------------------------------------------------------ */

typedef struct Texts {
  const char *before, *after; /* of the message, around the quoted source; after may be NULL */
  const char *label;
  const char *help;
} Texts;

static const Texts fault_texts[] = {
  [KDL_FAULT_BLOCK_END] = { "KDL 1 wants the last node of a block terminated", NULL, NULL,
                            "put `;` or a line end before `}`" },
  [KDL_FAULT_COMMENT_UNCLOSED] = { "this comment is never closed", NULL, "opened here",
                                   "add `*/`" },
  [KDL_FAULT_ENTRY_AFTER_BLOCK] = { "only the end of the node may follow its block", NULL, NULL,
                                    "put arguments and properties before the block" },
  [KDL_FAULT_HASH_COMMENT] = { "`#` does not begin a comment", NULL, NULL, "use `//`" },
  [KDL_FAULT_KEYWORD_UNKNOWN] = { "`", "` is not a keyword", NULL,
                                  "the keywords are #true, #false, #null, #inf, #-inf and #nan; "
                                  "a comment begins with `//`" },
  [KDL_FAULT_MARKER] = { "KDL version ", " is not known", "only 1 and 2 are",
                         "write `/- kdl-version 2`" },
  [KDL_FAULT_MULTILINE_CLOSE] = { "the closing quotes need a line of their own", NULL,
                                  "follows text", "put them on the next line" },
  [KDL_FAULT_MULTILINE_INDENT] = { "this line is indented less than the closing quotes", NULL, NULL,
                                   "begin it with the very same blanks as the line of the "
                                   "closing quotes" },
  [KDL_FAULT_MULTILINE_OPEN] = { "a string in three quotes begins on the next line", NULL, NULL,
                                 "put a line end after the opening quotes and before the closing "
                                 "ones, or use `\"` for a string on one line" },
  [KDL_FAULT_MULTILINE_UNCLOSED] = { "this string is never closed", NULL, "opened here",
                                     "add the closing quotes on a line of their own" },
  [KDL_FAULT_NODE_AFTER_BLOCK] = { "a node ends after its block", NULL, "a new node begins here",
                                   "put `;` or a line end before it" },
  [KDL_FAULT_TOO_DEEP] = { "blocks are nested too deeply", NULL, "more than 128 levels", NULL },
  [KDL_FAULT_TYPE_EMPTY] = { "the type annotation is empty", NULL, NULL,
                             "put a name between the parentheses, or remove them" },
  [KDL_FAULT_TYPE_ON_KEY] = { "a type annotation belongs to the value, not to the property", NULL,
                              NULL, "put it after `=`" },
  [KDL_FAULT_TYPE_UNCLOSED] = { "the type annotation is not closed", NULL, "opened here",
                                "add `)` after its name" },
};

G_STATIC_ASSERT (KDL_MAX_DEPTH == 128); /* the text above says so */

gboolean
kdl_fault (KdlParser *p, KdlFault fault, const char *from, const char *to)
{
  const Texts *texts = &fault_texts[fault];
  g_autofree char *quoted = texts->after != NULL ? kdl_quote (from, to) : NULL;
  KdlDiagnostic *d = add (p, from, to, "%s%s%s", texts->before, quoted != NULL ? quoted : "",
                          quoted != NULL ? texts->after : "");

  if (d == NULL)
    return FALSE;
  d->label = g_strdup (texts->label);
  d->help = g_strdup (texts->help);
  return FALSE;
}

/* --- The text as a whole ---------------------------------------------------------------------- */

gboolean
kdl_fault_too_large (KdlParser *p, gsize length, gsize max_size)
{
  KdlDiagnostic *d = add (p, p->source, p->source, "the file is too large");

  d->label = g_strdup_printf ("%" G_GSIZE_FORMAT " bytes, at most %" G_GSIZE_FORMAT " are allowed",
                              length, max_size);
  return FALSE;
}

gboolean
kdl_fault_not_utf8 (KdlParser *p, const char *at)
{
  guchar byte = (guchar) *at;
  gboolean utf16 =
      at == p->source && (g_str_has_prefix (at, "\xff\xfe") || g_str_has_prefix (at, "\xfe\xff"));
  /* Latin-1's letters, mostly alone among ASCII. */
  gboolean latin1 = byte >= 0xc0 && (guchar) at[1] < 0x80;
  KdlDiagnostic *d = add (p, at, at + 1, "not UTF-8, byte 0x%02X%s", byte,
                          utf16    ? ", looks like UTF-16"
                          : latin1 ? ", looks like Latin-1"
                                   : "");

  d->label = g_strdup_printf ("at offset %" G_GSIZE_FORMAT, (gsize) (at - p->source));
  d->help = g_strdup ("save the file as UTF-8");
  return FALSE;
}

gboolean
kdl_fault_banned (KdlParser *p, const char *at)
{
  gunichar c = g_utf8_get_char (at);
  KdlDiagnostic *d = add (p, at, at == p->end ? at : g_utf8_next_char (at),
                          "the character U+%04X is not allowed", c);

  if (d != NULL)
    d->help = g_strdup_printf ("remove it, or write \\u{%X} in a quoted string", c);
  return FALSE;
}

/* --- Words ------------------------------------------------------------------------------------ */

/* A character that may not stand in a word without quotes; the word is from `start` on. */
static gboolean
fault_unquoted (KdlParser *p, const char *start)
{
  const char *end = kdl_find_word_end (p, p->at + 1);
  g_autofree char *c = kdl_quote (p->at, g_utf8_next_char (p->at));
  KdlDiagnostic *d = add (p, start, end, "`%s` is not allowed in an unquoted string", c);

  if (d != NULL)
    d->help = kdl_suggest_quotes (p, start, end);
  return FALSE;
}

static gboolean
fault_comma (KdlParser *p, const char *comma)
{
  KdlDiagnostic *d = add (p, comma, comma + 1, "KDL has no commas between arguments");

  if (d != NULL)
    d->help = kdl_suggest_without_commas (p);
  return FALSE;
}

static gboolean
fault_bracket (KdlParser *p)
{
  KdlDiagnostic *d = add (p, p->at, p->at + 1, "KDL has no lists in brackets");

  if (d != NULL)
    d->help = kdl_suggest_without_commas (p);
  return FALSE;
}

/* A `=` directly after the node's name. */
static gboolean
fault_assignment (KdlParser *p)
{
  const char *value = kdl_skip_blanks (p->at + 1, p->end);
  g_autofree char *name = kdl_quote (p->name, p->name_end);
  KdlDiagnostic *d = add (p, p->at, p->at + 1, "`%s` is a node, not an assignment", name);
  const char *end;
  GString *help;

  if (d == NULL)
    return FALSE;
  end = kdl_find_value_end (p, value, "");
  help = g_string_new (NULL);
  g_string_append_printf (help, "write: %s ", name);
  if (end > value)
    kdl_suggest_value (p, value, end, help);
  else
    g_string_append (help, "VALUE");
  d->help = g_string_free (help, FALSE);
  return FALSE;
}

/* Two numbers around a colon, which in a configuration file are a pair of ports. */
static char *
suggest_pair (const KdlParser *p, const char *from, const char *to)
{
  const char *colon = from;

  while (g_ascii_isdigit (*colon))
    colon++;
  if (colon == from || *colon != ':' || !kdl_is_number (colon + 1, to))
    return NULL;
  return g_strdup_printf ("host and guest port are two arguments: %.*s %.*s %.*s",
                          (int) (p->name_end - p->name), p->name, (int) (colon - from), from,
                          (int) (to - colon - 1), colon + 1);
}

gboolean
kdl_fault_number (KdlParser *p)
{
  const char *end = kdl_find_word_end (p, p->at);
  const char *comma = memchr (p->at, ',', (gsize) (end - p->at));
  g_autofree char *word = kdl_quote (p->at, end);
  KdlDiagnostic *d;

  if (comma != NULL)
    return fault_comma (p, comma);
  d = add (p, p->at, end, "`%s` is not a number", word);
  if (d == NULL)
    return FALSE;
  d->help = suggest_pair (p, p->at, end);
  if (d->help != NULL)
    return FALSE;
  d->label = g_strdup (g_ascii_isdigit (*p->at) ? "starts with a digit" : "starts like a number");
  d->help = kdl_suggest_quotes (p, p->at, end);
  return FALSE;
}

gboolean
kdl_fault_bare_keyword (KdlParser *p, const char *end)
{
  g_autofree char *word = kdl_quote (p->at, end);
  gboolean in_v1 = strchr ("tfn", *word) != NULL && strcmp (word, "nan") != 0;
  KdlDiagnostic *d = add (p, p->at, end, "`%s` must be written `#%s` in KDL 2", word, word);

  if (d != NULL)
    d->help = g_strdup_printf ("write #%s, or %s", word,
                               in_v1 ? "begin the file with `/- kdl-version 1`"
                                     : "quote it if it is meant as text");
  return FALSE;
}

gboolean
kdl_fault_bare_string (KdlParser *p, const char *end)
{
  const char *word_end = kdl_find_value_end (p, end, "\"");
  g_autofree char *word = kdl_quote (p->at, word_end);
  KdlDiagnostic *d = add (p, p->at, word_end, "`%s` must be quoted in KDL 1", word);

  if (d != NULL)
    d->help = kdl_suggest_quotes (p, p->at, word_end);
  return FALSE;
}

static gboolean
is_banned (const KdlParser *p)
{
  return p->at < p->end &&
         kdl_char_at (p->at, p->classes).class & (KDL_CLASS_BANNED | KDL_CLASS_NUL);
}

/* A node or value ends where it should begin, after what stands before it. */
static gboolean
fault_nothing (KdlParser *p, const char *what)
{
  KdlDiagnostic *d;

  if (p->key != NULL) {
    g_autofree char *key = kdl_quote (p->key, p->key_end);

    d = add (p, p->key_end, p->at, "the property `%s` has no value", key);
    if (d != NULL)
      d->help = g_strdup_printf ("write a value after `=`: %s=VALUE", key);
  } else if (p->token < p->token_end && *p->token == '(') {
    g_autofree char *type = kdl_quote (p->token, p->token_end);

    d = add (p, p->token, p->token_end, "the type annotation `%s` has no %s", type, what);
    if (d != NULL)
      d->help = g_strdup_printf ("write a %s after it", what);
  } else if (*p->at == ';') {
    d = add (p, p->at, p->at + 1, "unexpected `;`");
    if (d != NULL) {
      d->label = g_strdup ("no node stands before it");
      d->help = g_strdup ("remove it");
    }
  } else {
    d = add (p, p->slashdash, p->slashdash + 2, "nothing follows `/-`");
    if (d != NULL)
      d->help = g_strdup_printf ("write the %s to comment out after it, or remove it", what);
  }
  return FALSE;
}

/* Punctuation where none may stand. */
static gboolean
fault_unexpected (KdlParser *p)
{
  const char *next = g_utf8_next_char (p->at);
  g_autofree char *c = kdl_quote (p->at, next);
  KdlDiagnostic *d = add (p, p->at, next, "unexpected `%s`", c);

  if (d != NULL)
    d->help = g_strdup ("put text that contains it in quotes");
  return FALSE;
}

gboolean
kdl_fault_no_value (KdlParser *p)
{
  if (is_banned (p))
    return kdl_fault_banned (p, p->at);
  if (kdl_ends_node (p, p->at))
    return fault_nothing (p, "value");
  switch (*p->at) {
  case ',':
    return fault_comma (p, p->at);
  case '[':
  case ']':
    return fault_bracket (p);
  case '=':
    if (p->name_end > p->name && kdl_skip_blanks (p->name_end, p->at) == p->at)
      return fault_assignment (p);
    break;
  case '/':
  case '\\':
    return fault_unquoted (p, p->at);
  default:
    break;
  }
  return fault_unexpected (p);
}

gboolean
kdl_fault_no_name (KdlParser *p)
{
  const char *end = kdl_find_word_end (p, p->at);
  g_autofree char *word = kdl_quote (p->at, end);
  KdlDiagnostic *d;

  if (is_banned (p))
    return kdl_fault_banned (p, p->at);
  if (kdl_ends_node (p, p->at))
    return fault_nothing (p, "node");
  if (*p->at == '#')
    return kdl_fault (p, KDL_FAULT_HASH_COMMENT, p->at, p->at + 1);
  if (*p->at == '/' || *p->at == '\\')
    return fault_unquoted (p, p->at);
  if (!(kdl_class (p) & KDL_CLASS_IDENT))
    return fault_unexpected (p);
  d = add (p, p->at, end, "`%s` cannot be a name", word);
  if (d == NULL)
    return FALSE;
  d->label = g_strdup (kdl_is_keyword (p->at, end) ? "is a keyword"
                       : g_ascii_isdigit (*p->at)  ? "starts with a digit"
                                                   : "starts like a number");
  d->help = kdl_suggest_quotes (p, p->at, end);
  return FALSE;
}

gboolean
kdl_fault_junction (KdlParser *p)
{
  gboolean is_word = strchr ("\")#", p->token_end[-1]) == NULL;
  const char *next = g_utf8_next_char (p->at);
  KdlDiagnostic *d;

  if (is_banned (p))
    return kdl_fault_banned (p, p->at);
  if (*p->at == '=' && p->token_end == p->name_end)
    return fault_assignment (p);
  if (*p->at == ',')
    return fault_comma (p, p->at);
  if (*p->at == '[' || *p->at == ']')
    return fault_bracket (p);
  if (is_word && *p->at != '"' && *p->at != '=')
    return fault_unquoted (p, p->token);
  if (*p->at == '=')
    return fault_unexpected (p);
  d = add (p, p->at, next, "a blank is missing");
  if (d == NULL)
    return FALSE;
  d->label = g_strdup ("begins right after what stands before it");
  d->help = g_strdup (is_word ? "separate arguments and properties by blanks"
                              : "separate arguments and properties by blanks; inside a string, "
                                "a quote is written `\\\"`");
  return FALSE;
}

/* --- Strings ---------------------------------------------------------------------------------- */

gboolean
kdl_fault_unclosed_string (KdlParser *p, const char *open, const char *to)
{
  const char *quotes = strchr (open, '"');
  gboolean is_v2 = p->version == KDL_VERSION_2;
  g_autofree char *hashes = NULL;
  KdlDiagnostic *d;

  d = add (p, open, to, is_v2 ? "string is not closed on its line" : "this string is never closed");
  if (d == NULL)
    return FALSE;
  hashes = kdl_quote (*open == 'r' ? open + 1 : open, quotes);
  d->help = g_strdup_printf ("add `\"%s`%s%s%s", hashes, is_v2 ? "; for several lines use `" : "",
                             is_v2 ? hashes : "",
                             is_v2 ? "\"\"\"` alone on the first and last line" : "");
  return FALSE;
}

/* Whether the string is one that could be written raw, on one line. */
static gboolean
can_be_raw (const KdlParser *p, const char *open, const char *close)
{
  return close > open + 2 && close[-1] == '"' && close <= p->end &&
         memchr (open + 1, '"', (gsize) (close - open - 2)) == NULL &&
         memchr (open, '\n', (gsize) (close - open)) == NULL && close - open < KDL_LONGEST_QUOTE;
}

gboolean
kdl_fault_escape (KdlParser *p, const char *at, const char *open)
{
  const char *end = at + 1 == p->end ? at + 1 : g_utf8_next_char (at + 1);
  g_autofree char *escape = NULL;
  const char *close;
  KdlDiagnostic *d;

  if (at[1] == 'u' && at[2] == '{')
    end = MIN (at + 3 + strspn (at + 3, "0123456789abcdefABCDEF}"), p->end);
  escape = kdl_quote (at, end);
  d = add (p, at, end, "`%s` is not an escape", escape);
  if (d == NULL)
    return FALSE;
  close = kdl_find_value_end (p, open, "");
  if (at[1] == 'u')
    d->help = g_strdup ("write \\u{…} with the 1 to 6 hexadecimal digits of a character");
  else if (can_be_raw (p, open, close))
    d->help = g_strdup_printf (p->version == KDL_VERSION_2
                                   ? "write `\\\\` for a backslash, or use a raw string: #%.*s#"
                                   : "write `\\\\` for a backslash, or use a raw string: r%.*s",
                               (int) (close - open), open);
  else
    d->help = g_strdup ("write `\\\\` for a backslash, or use a raw string");
  return FALSE;
}

/* --- Braces ----------------------------------------------------------------------------------- */

/* The node as its author calls it: its name and the first argument, as in vm "web". */
static char *
node_title (const KdlParser *p, const KdlNode *node)
{
  const char *from = p->source + node->name.span.offset;
  const KdlSpan *last = node->n_args > 0 ? &node->args[0].span : &node->name.span;
  const char *to = p->source + last->offset + last->length;

  if (node->n_args > 0 && memchr (from, '\n', (gsize) (to - from)) != NULL)
    to = from + node->name.span.length;
  return kdl_quote (from, to);
}

gboolean
kdl_fault_surplus_brace (KdlParser *p)
{
  KdlDiagnostic *d;

  if (p->braces_unsure && p->faults > 0)
    return FALSE;
  d = add (p, p->at, p->at + 1, "unexpected `}`");
  if (d == NULL)
    return FALSE;
  d->label = g_strdup ("no block is open here");
  d->help = g_strdup ("remove it");
  if (p->last_closed != NULL) {
    g_autofree char *title = node_title (p, p->last_closed);

    relate (p, d, p->last_close, p->last_close + 1,
            g_strdup_printf ("`%s` was closed here (line %u)", title, line_of (p, p->last_close)));
  }
  return FALSE;
}

/* Returns the line of the last thing before `at` that is not blank. */
static guint
last_line_before (const KdlParser *p, const char *at)
{
  while (at > p->source && g_ascii_isspace (at[-1]))
    at--;
  return line_of (p, at);
}

/* Returns what to say about the `}` or the node that gives away that a `}` is missing. */
static char *
explain_misfit (const KdlParser *p)
{
  const KdlNode *intended = p->misfit.intended;
  g_autofree char *title = NULL;

  if (*p->misfit.place != '}')
    return g_strdup ("its indentation says that the block has ended before");
  if (intended == NULL)
    return g_strdup ("closes it, but is indented less");
  title = node_title (p, intended);
  return g_strdup_printf ("closes it, but its indentation belongs to `%s` (line %u)", title,
                          line_of (p, p->source + intended->span.offset));
}

/* The block to complain about is the one whose `}` is missing, not the outermost one that was left
 * open by that: indentation tells. */
gboolean
kdl_fault_unclosed_block (KdlParser *p)
{
  gboolean misfits = p->misfit.open != NULL;
  const char *open = misfits ? p->misfit.open : p->frames[p->depth].open;
  const char *place = misfits ? p->misfit.place : p->end;
  KdlDiagnostic *d;

  if (p->braces_unsure && p->faults > 0)
    return FALSE;
  d = add (p, open, open + 1, "this block is never closed");
  if (d == NULL)
    return FALSE;
  d->label = g_strdup ("opened here");
  d->help = g_strdup_printf ("add `}` after line %u", last_line_before (p, place));
  if (misfits)
    relate (p, d, place, g_utf8_next_char (place), explain_misfit (p));
  else
    relate (p, d, place, place, g_strdup ("the file ends here"));
  return FALSE;
}

gboolean
kdl_fault_second_block (KdlParser *p, const KdlNode *node)
{
  KdlDiagnostic *d = add (p, p->at, p->at + 1, "a node can have only one block");

  if (d == NULL)
    return FALSE;
  d->label = g_strdup ("second block");
  d->help = g_strdup ("put the contents of both into one block, or begin a new node before it");
  if (node != NULL && node->block.length > 0) {
    const char *first = p->source + node->block.offset;

    relate (p, d, first, first + 1, g_strdup ("first block"));
  }
  return FALSE;
}

gboolean
kdl_fault_stray_block (KdlParser *p, const KdlNode *node)
{
  KdlDiagnostic *d = add (p, p->at, p->at + 1, "this block has no node");

  if (d == NULL)
    return FALSE;
  d->help = g_strdup ("write the node's name before `{`, on the same line");
  if (node != NULL && node->block.length == 0) {
    g_autofree char *title = node_title (p, node);
    const char *end = p->source + node->span.offset + node->span.length;

    g_free (d->help);
    d->help = g_strdup_printf ("put `{` on the line of its node: %s {", title);
    relate (p, d, p->source + node->span.offset, end,
            g_strdup_printf ("`%s` ended with its line", title));
  }
  return FALSE;
}
