/* SPDX-License-Identifier: MPL-2.0 */

#include "kdl/parser.h"

#include <stdlib.h>
#include <string.h>

/* How one document is written. */
typedef struct Writer {
  KdlVersion version;
  const guint8 *classes;
  GString *out;
} Writer;

/* Appends what may not, or would not visibly, stand literally in a string on one line. */
static void
append_escape (Writer *w, gunichar c)
{
  static const char meant[] = "\n\r\t\b\f\"\\", written[] = "nrtbf\"\\";
  const char *found = c > 0 && c < 0x80 ? strchr (meant, (int) c) : NULL;

  if (found != NULL)
    g_string_append_printf (w->out, "\\%c", written[found - meant]);
  else
    g_string_append_printf (w->out, "\\u{%x}", c);
}

static void
append_quoted (Writer *w, const char *text, gsize length)
{
  const guint8 escaped = KDL_CLASS_QUOTING | KDL_CLASS_NEWLINE | KDL_CLASS_BANNED | KDL_CLASS_NUL;
  const char *end = text + length;

  g_string_append_c (w->out, '"');
  while (text < end) {
    const char *next = g_utf8_next_char (text);

    if (kdl_char_at (text, w->classes).class & escaped || *text == '\t' || *text == '\b')
      append_escape (w, g_utf8_get_char (text));
    else
      g_string_append_len (w->out, text, next - text);
    text = next;
  }
  g_string_append_c (w->out, '"');
}

static void
append_identifier (Writer *w, const char *text, gsize length)
{
  if (kdl_is_bare (w->version, text, length))
    g_string_append_len (w->out, text, (gssize) length);
  else
    append_quoted (w, text, length);
}

static void
append_type (Writer *w, const KdlString *type)
{
  if (type == NULL)
    return;
  g_string_append_c (w->out, '(');
  append_identifier (w, type->text, type->length);
  g_string_append_c (w->out, ')');
}

static void
append_value (Writer *w, const KdlValue *value)
{
  append_type (w, value->type);
  switch (value->kind) {
  case KDL_NULL:
  case KDL_BOOLEAN:
    g_string_append (w->out, value->text);
    break;
  case KDL_NUMBER:
    kdl_number_serialise (value, w->out);
    break;
  case KDL_STRING:
    if (w->version == KDL_VERSION_1)
      append_quoted (w, value->text, value->length);
    else
      append_identifier (w, value->text, value->length);
    break;
  }
}

/* Orders by key and, for equal keys, as in the file. */
static int
compare_properties (const void *a, const void *b)
{
  const KdlProperty *first = *(const KdlProperty *const *) a;
  const KdlProperty *second = *(const KdlProperty *const *) b;
  int order =
      memcmp (first->key.text, second->key.text, MIN (first->key.length, second->key.length));

  if (order == 0)
    order = (first->key.length > second->key.length) - (first->key.length < second->key.length);
  return order != 0 ? order : (first > second) - (first < second);
}

static gboolean
is_same_key (const KdlString *a, const KdlString *b)
{
  return a->length == b->length && memcmp (a->text, b->text, a->length) == 0;
}

static void
append_properties (Writer *w, const KdlNode *node)
{
  g_autofree const KdlProperty **sorted = g_new (const KdlProperty *, node->n_props);

  if (node->n_props == 0)
    return;
  for (guint i = 0; i < node->n_props; i++)
    sorted[i] = &node->props[i];
  qsort (sorted, node->n_props, sizeof *sorted, compare_properties);
  for (guint i = 0; i < node->n_props; i++) {
    if (i + 1 < node->n_props && is_same_key (&sorted[i]->key, &sorted[i + 1]->key))
      continue;
    g_string_append_c (w->out, ' ');
    append_identifier (w, sorted[i]->key.text, sorted[i]->key.length);
    g_string_append_c (w->out, '=');
    append_value (w, &sorted[i]->value);
  }
}

/* Recurses at most KDL_MAX_DEPTH deep. */
static void
append_nodes (Writer *w, const KdlNode *node, int indent)
{
  for (; node != NULL; node = node->next) {
    g_string_append_printf (w->out, "%*s", indent, "");
    append_type (w, node->type);
    append_identifier (w, node->name.text, node->name.length);
    for (guint i = 0; i < node->n_args; i++) {
      g_string_append_c (w->out, ' ');
      append_value (w, &node->args[i]);
    }
    append_properties (w, node);
    if (node->children != NULL) {
      g_string_append (w->out, " {\n");
      append_nodes (w, node->children, indent + 4);
      g_string_append_printf (w->out, "%*s}", indent, "");
    }
    g_string_append_c (w->out, '\n');
  }
}

GString *
kdl_serialise (const KdlDocument *doc)
{
  Writer w = { doc->version, kdl_char_classes (doc->version), g_string_new (NULL) };

  append_nodes (&w, doc->tree.nodes, 0);
  if (w.out->len == 0)
    g_string_append_c (w.out, '\n');
  return w.out;
}
