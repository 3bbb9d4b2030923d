/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* What is wrong with a VMFile and where, as data: the parser's faults and those of the schema in
 * one list, in the order of the file. Two forms of it: text with the source excerpt for people,
 * JSON objects for programs. Knows nothing of what a VMFile may say, never prints, and never looks
 * at the terminal or the environment: the caller says what its output can show. */

#include "kdl/kdl.h"
#include "runtime/error.h"

#include <json-glib/json-glib.h>

VM_BEGIN_DECLS

/* How many faults of one file are kept; the rest is counted. */
#define VM_MAX_DIAGNOSTICS 20

/* How many further places one fault shows; later ones add nothing to the story. */
#define VM_MAX_PLACES 10

/* A place in the file and what is to be said of it. The excerpt underlines the part of the span
 * that lies on its first line. */
typedef struct {
  KdlSpan span;
  char *text; /* NULL: the place says enough */
} VmLabel;

typedef struct {
  VmErrorCode code; /* VM_ERROR_VMFILE_PARSE_FAILED or _VALIDATION */
  char *message;
  VmLabel primary;
  GArray *secondary; /* of VmLabel, never NULL */
  char *help;        /* or NULL */
} VmDiagnostic;

typedef struct {
  char *file;       /* as the user named it */
  KdlDocument *doc; /* the source that the spans point into */
  GPtrArray *list;  /* of VmDiagnostic, never NULL */
  guint n_further;  /* found, but not kept */
} VmDiagnostics;

/* An empty list for the text of @doc, which is taken. */
VmDiagnostics *vm_diagnostics_new (const char *file, KdlDocument *doc);
void vm_diagnostics_free (VmDiagnostics *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmDiagnostics, vm_diagnostics_free)

/* Adds a fault and returns it (borrowed) for its label, help and further places. */
VmDiagnostic *vm_diagnostics_add (VmDiagnostics *self, VmErrorCode code, KdlSpan span,
                                  const char *format, ...) G_GNUC_PRINTF (4, 5);

/* Each sets one text of @self, printf-style. */
void vm_diagnostic_label (VmDiagnostic *self, const char *format, ...) G_GNUC_PRINTF (2, 3);
void vm_diagnostic_help (VmDiagnostic *self, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* Adds a further place, up to VM_MAX_PLACES. */
void vm_diagnostic_point (VmDiagnostic *self, KdlSpan span, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* `vm_manager::vmfile::validation` or `…::parse_failed`. Static. */
const char *vm_diagnostic_code_name (const VmDiagnostic *self);

/* Adds the parser's own faults of the document. */
void vm_diagnostics_add_kdl (VmDiagnostics *self);

/* Puts the list in the order of the file, without repetitions, and keeps its first
 * VM_MAX_DIAGNOSTICS. */
void vm_diagnostics_finish (VmDiagnostics *self);

/* All faults, also those that were not kept. */
guint vm_diagnostics_count (const VmDiagnostics *self);

/* VM_ERROR_VMFILE_PARSE_FAILED when the text is not KDL, else VM_ERROR_VMFILE_VALIDATION. */
VmErrorCode vm_diagnostics_code (const VmDiagnostics *self);

typedef enum {
  VM_RENDER_UNICODE = 1 << 0, /* the output can show it; else all is ASCII */
  VM_RENDER_COLOUR = 1 << 1,  /* with ANSI colours */
} VmRenderFlags;

/* The list as text for people, one boxed excerpt a fault. Control characters and what changes the
 * direction of writing are shown as \u{1B}, never raw. Owned by the caller. */
char *vm_diagnostics_to_text (const VmDiagnostics *self, VmRenderFlags flags);

/* The list as an array of objects: code, message, help (unless there is none), file, line, column,
 * offset, length, labels. Lines and columns count from 1, columns in characters, offset and length
 * are bytes. The first of the labels is the place itself. Owned by the caller. */
JsonNode *vm_diagnostics_to_json (const VmDiagnostics *self);

VM_END_DECLS
