/* SPDX-License-Identifier: MPL-2.0 */

/* Any bytes must give a document whose diagnostics lie inside the text; a valid text must come out
 * the same when its canonical form is read and written again. */

#include "kdl/kdl.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check_span (const KdlDocument *doc, KdlSpan span)
{
  gsize length;

  kdl_document_source (doc, &length);
  g_assert_cmpuint ((gsize) span.offset + span.length, <=, length);
  kdl_document_position (doc, span.offset);
  kdl_document_line (doc, span.offset);
}

static void
check_diagnostics (const KdlDocument *doc)
{
  guint count;
  const KdlDiagnostic *all = kdl_document_diagnostics (doc, &count);

  for (guint i = 0; i < count; i++) {
    g_assert_nonnull (all[i].message);
    check_span (doc, all[i].span);
    if (all[i].related_label != NULL)
      check_span (doc, all[i].related);
  }
}

static void
check_value (const KdlDocument *doc, const KdlValue *value)
{
  guint64 uint64;
  gint64 int64;
  double number;

  check_span (doc, value->span);
  g_assert_cmpint (value->text[value->length], ==, '\0');
  kdl_value_int64 (value, &int64);
  kdl_value_uint64 (value, &uint64);
  kdl_value_double (value, &number);
}

static void
check_nodes (const KdlDocument *doc, const KdlNode *node)
{
  for (; node != NULL; node = node->next) {
    check_span (doc, node->span);
    check_span (doc, node->block);
    check_span (doc, node->name.span);
    g_assert_cmpint (node->name.text[node->name.length], ==, '\0');
    for (guint i = 0; i < node->n_args; i++)
      check_value (doc, &node->args[i]);
    for (guint i = 0; i < node->n_props; i++)
      check_value (doc, &node->props[i].value);
    check_nodes (doc, node->children);
  }
}

static void
check_round_trip (const KdlDocument *doc)
{
  g_autoptr (GString) once = kdl_serialise (doc);
  g_autoptr (KdlDocument) again = kdl_parse (once->str, once->len, kdl_document_version (doc), 0);
  g_autoptr (GString) twice = kdl_serialise (again);
  guint faults;

  kdl_document_diagnostics (again, &faults);
  g_assert_cmpuint (faults, ==, 0);
  g_assert_cmpmem (twice->str, twice->len, once->str, once->len);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  for (int version = KDL_VERSION_AUTO; version <= KDL_VERSION_2; version++) {
    g_autoptr (KdlDocument) doc = kdl_parse ((const char *) data, size, (KdlVersion) version, 0);
    guint faults;

    kdl_document_diagnostics (doc, &faults);
    check_diagnostics (doc);
    check_nodes (doc, kdl_document_nodes (doc));
    if (faults == 0)
      check_round_trip (doc);
  }
  return 0;
}
