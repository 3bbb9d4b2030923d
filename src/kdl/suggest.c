/* SPDX-License-Identifier: MPL-2.0 */

#include "kdl/parser.h"

#include <string.h>

char *
kdl_quote (const char *from, const char *to)
{
  gsize length = (gsize) (to - from);

  if (length <= KDL_LONGEST_QUOTE)
    return g_strndup (from, length);
  length = KDL_LONGEST_QUOTE;
  while (((guchar) from[length] & 0xc0) == 0x80)
    length--;
  return g_strdup_printf ("%.*s…", (int) length, from);
}

/* Whether a word that somebody wrote without quotes ends before `at`. */
static gboolean
ends_word (const KdlParser *p, const char *at)
{
  return kdl_ends_node (p, at) || kdl_char_at (at, p->classes).class & KDL_CLASS_SPACE;
}

const char *
kdl_find_word_end (const KdlParser *p, const char *at)
{
  while (!ends_word (p, at))
    at++;
  return at;
}

const char *
kdl_skip_blanks (const char *at, const char *end)
{
  while (at < end && (*at == ' ' || *at == '\t'))
    at++;
  return at;
}

/* Appends the word as a string in quotes, of the kind that needs no escapes where possible. */
static void
append_in_quotes (const KdlParser *p, const char *from, const char *to, GString *out)
{
  g_autofree char *text = kdl_quote (from, to);
  gboolean raw = strpbrk (text, "\"\\") != NULL;

  if (!raw)
    g_string_append_printf (out, "\"%s\"", text);
  else if (p->version == KDL_VERSION_2)
    g_string_append_printf (out, "#\"%s\"#", text);
  else
    g_string_append_printf (out, "r#\"%s\"#", text);
}

gboolean
kdl_is_keyword (const char *from, const char *to)
{
  static const char *const words[] = { "true", "false", "null", "inf", "-inf", "nan" };

  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    if (strlen (words[i]) == (gsize) (to - from) && g_str_has_prefix (from, words[i]))
      return TRUE;
  return FALSE;
}

void
kdl_suggest_value (const KdlParser *p, const char *from, const char *to, GString *out)
{
  g_autofree char *word = kdl_quote (from, to);
  gboolean is_v2 = p->version == KDL_VERSION_2;

  if (kdl_is_keyword (from, to))
    g_string_append_printf (out, "%s%s", is_v2 ? "#" : "", word);
  else if (strchr ("\"#(", *from) != NULL || kdl_is_number (from, to) ||
           strchr (word, '=') != NULL || (is_v2 && kdl_is_bare (p->version, word, strlen (word))))
    g_string_append (out, word);
  else
    append_in_quotes (p, from, to, out);
}

const char *
kdl_find_value_end (const KdlParser *p, const char *at, const char *stops)
{
  if (*at == '"') {
    for (at++; at < p->end && *at != '"' && *at != '\n' && *at != '\r'; at++)
      at += *at == '\\' && at + 1 < p->end;
    return *at == '"' ? at + 1 : MIN (at, p->end);
  }
  while (!ends_word (p, at) && strchr (stops, *at) == NULL)
    at++;
  return at;
}

char *
kdl_suggest_quotes (const KdlParser *p, const char *from, const char *to)
{
  GString *help = g_string_new ("quote it: ");

  if (p->key != NULL && p->key_end < from) {
    g_string_append_len (help, p->key, p->key_end - p->key);
    g_string_append_c (help, '=');
  } else if (p->name < p->name_end && p->name_end < from &&
             kdl_skip_blanks (p->name_end, from) == from) {
    g_string_append_len (help, p->name, p->name_end - p->name);
    g_string_append_c (help, ' ');
  }
  append_in_quotes (p, from, to, help);
  return g_string_free (help, FALSE);
}

char *
kdl_suggest_without_commas (const KdlParser *p)
{
  GString *help = g_string_new (NULL);
  const char *at = p->name_end;

  g_string_append_len (help, p->name, p->name_end - p->name);
  while (!kdl_ends_node (p, at)) {
    const char *end = kdl_find_value_end (p, at, ",[]");

    if (end == at) {
      at++;
      continue;
    }
    if (g_str_has_prefix (at, "//") || help->len > 2 * KDL_LONGEST_QUOTE)
      break;
    g_string_append_c (help, ' ');
    kdl_suggest_value (p, at, end, help);
    at = end;
  }
  return g_string_free (help, FALSE);
}
