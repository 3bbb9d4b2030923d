/* SPDX-License-Identifier: MPL-2.0 */
#include "vmfile/diagnostic.h"

#include <string.h>

static void
clear_label (gpointer data)
{
  g_free (((VmLabel *) data)->text);
}

static void
diagnostic_free (gpointer data)
{
  VmDiagnostic *self = data;
  g_free (self->message);
  g_free (self->primary.text);
  g_array_unref (self->secondary);
  g_free (self->help);
  g_free (self);
}

VmDiagnostics *
vm_diagnostics_new (const char *file, KdlDocument *doc)
{
  VmDiagnostics *self = g_new0 (VmDiagnostics, 1);
  self->file = g_strdup (file);
  self->doc = doc;
  self->list = g_ptr_array_new_with_free_func (diagnostic_free);
  return self;
}

void
vm_diagnostics_free (VmDiagnostics *self)
{
  if (self == NULL)
    return;
  g_free (self->file);
  kdl_document_free (self->doc);
  g_ptr_array_unref (self->list);
  g_free (self);
}

VmDiagnostic *
vm_diagnostics_add (VmDiagnostics *self, VmErrorCode code, KdlSpan span, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  VmDiagnostic *diagnostic = g_new0 (VmDiagnostic, 1);
  diagnostic->code = code;
  diagnostic->message = g_strdup_vprintf (format, args);
  diagnostic->primary.span = span;
  diagnostic->secondary = g_array_new (FALSE, TRUE, sizeof (VmLabel));
  g_array_set_clear_func (diagnostic->secondary, clear_label);
  g_ptr_array_add (self->list, diagnostic);
  va_end (args);
  return diagnostic;
}

void
vm_diagnostic_label (VmDiagnostic *self, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_free (self->primary.text);
  self->primary.text = g_strdup_vprintf (format, args);
  va_end (args);
}

void
vm_diagnostic_help (VmDiagnostic *self, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_free (self->help);
  self->help = g_strdup_vprintf (format, args);
  va_end (args);
}

void
vm_diagnostic_point (VmDiagnostic *self, KdlSpan span, const char *format, ...)
{
  if (self->secondary->len >= VM_MAX_PLACES)
    return;
  va_list args;
  va_start (args, format);
  VmLabel label = { span, g_strdup_vprintf (format, args) };
  g_array_append_val (self->secondary, label);
  va_end (args);
}

const char *
vm_diagnostic_code_name (const VmDiagnostic *self)
{
  GError bare = { .domain = VM_ERROR, .code = (int) self->code };
  return vm_error_name (&bare);
}

void
vm_diagnostics_add_kdl (VmDiagnostics *self)
{
  guint n = 0;
  const KdlDiagnostic *faults = kdl_document_diagnostics (self->doc, &n);
  for (guint i = 0; i < n; i++) {
    VmDiagnostic *diagnostic = vm_diagnostics_add (self, VM_ERROR_VMFILE_PARSE_FAILED,
                                                   faults[i].span, "%s", faults[i].message);
    diagnostic->primary.text = g_strdup (faults[i].label);
    diagnostic->help = g_strdup (faults[i].help);
    if (faults[i].related_label != NULL)
      vm_diagnostic_point (diagnostic, faults[i].related, "%s", faults[i].related_label);
  }
  self->n_further += kdl_document_further_faults (self->doc);
}

static int
compare_places (gconstpointer a, gconstpointer b)
{
  const VmDiagnostic *left = *(const VmDiagnostic *const *) a;
  const VmDiagnostic *right = *(const VmDiagnostic *const *) b;
  guint32 x = left->primary.span.offset;
  guint32 y = right->primary.span.offset;
  return x != y ? (x > y) - (x < y) : strcmp (left->message, right->message);
}

/* A setting of `defaults` is checked with each VM that has it; the same fault at the same place is
 * one fault. */
static void
drop_repeated (GPtrArray *list)
{
  for (guint i = list->len; i > 1; i--)
    if (compare_places (&list->pdata[i - 1], &list->pdata[i - 2]) == 0)
      g_ptr_array_remove_index (list, i - 1);
}

void
vm_diagnostics_finish (VmDiagnostics *self)
{
  g_ptr_array_sort (self->list, compare_places);
  drop_repeated (self->list);
  if (self->list->len <= VM_MAX_DIAGNOSTICS)
    return;
  self->n_further += self->list->len - VM_MAX_DIAGNOSTICS;
  g_ptr_array_set_size (self->list, VM_MAX_DIAGNOSTICS);
}

guint
vm_diagnostics_count (const VmDiagnostics *self)
{
  return self->list->len + self->n_further;
}

VmErrorCode
vm_diagnostics_code (const VmDiagnostics *self)
{
  guint n_kdl = 0;
  kdl_document_diagnostics (self->doc, &n_kdl);
  return n_kdl > 0 ? VM_ERROR_VMFILE_PARSE_FAILED : VM_ERROR_VMFILE_VALIDATION;
}

/* ---- JSON ---- */

static JsonObject *
label_to_json (const VmDiagnostics *self, const VmLabel *label)
{
  KdlPosition at = kdl_document_position (self->doc, label->span.offset);
  JsonObject *object = json_object_new ();
  json_object_set_int_member (object, "line", at.line);
  json_object_set_int_member (object, "column", at.column);
  json_object_set_int_member (object, "offset", label->span.offset);
  json_object_set_int_member (object, "length", label->span.length);
  if (label->text != NULL)
    json_object_set_string_member (object, "text", label->text);
  return object;
}

static JsonObject *
diagnostic_to_json (const VmDiagnostics *self, const VmDiagnostic *diagnostic)
{
  JsonObject *object = json_object_new ();
  json_object_set_string_member (object, "code", vm_diagnostic_code_name (diagnostic));
  json_object_set_string_member (object, "message", diagnostic->message);
  if (diagnostic->help != NULL)
    json_object_set_string_member (object, "help", diagnostic->help);

  KdlPosition at = kdl_document_position (self->doc, diagnostic->primary.span.offset);
  json_object_set_string_member (object, "file", self->file);
  json_object_set_int_member (object, "line", at.line);
  json_object_set_int_member (object, "column", at.column);
  json_object_set_int_member (object, "offset", diagnostic->primary.span.offset);
  json_object_set_int_member (object, "length", diagnostic->primary.span.length);

  JsonArray *labels = json_array_new ();
  json_array_add_object_element (labels, label_to_json (self, &diagnostic->primary));
  for (guint i = 0; i < diagnostic->secondary->len; i++)
    json_array_add_object_element (
        labels, label_to_json (self, &g_array_index (diagnostic->secondary, VmLabel, i)));
  json_object_set_array_member (object, "labels", labels);
  return object;
}

JsonNode *
vm_diagnostics_to_json (const VmDiagnostics *self)
{
  JsonArray *array = json_array_new ();
  for (guint i = 0; i < self->list->len; i++)
    json_array_add_object_element (array, diagnostic_to_json (self, self->list->pdata[i]));
  JsonNode *node = json_node_new (JSON_NODE_ARRAY);
  json_node_take_array (node, array);
  return node;
}
