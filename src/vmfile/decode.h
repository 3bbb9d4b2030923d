/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Inside the decoder: what decode.c (structure), value.c (single values) and check.c (what only a
 * whole block or the whole file shows) share. Not for use outside this folder. */

#include "vmfile/file.h"
#include "vmfile/schema.h"

typedef struct {
  VmFile *file;
  VmDiagnostics *diagnostics;
  const char *source;
  gboolean is_kdl1;
  gboolean braces_differ;  /* what stands in which block is a guess of the parser's */
  VmDef *defaults;         /* NULL: the file has none */
  VmDiagnostic *no_way_in; /* the last fault of a provisioner that cannot log in */
  GHashTable *places;      /* a VmDef, VmForward, VmStep or a name in depends_on → KdlSpan */
} VmDecoder;

/* A block being decoded. */
typedef struct {
  guint scopes; /* what may stand in it; more than one VmScope when its kind is not known */
  gpointer target;
  const KdlNode *node; /* NULL: the file */
  GHashTable *given;   /* const VmSetting * → VmGiven, what was written so far */
} VmBlock;

typedef struct {
  KdlSpan span;
  gboolean is_guess;      /* an unknown name that was probably meant to be this */
  VmDiagnostic *repeated; /* the fault that gathers all repetitions */
} VmGiven;

/* Adds a fault at @span. */
VmDiagnostic *
vm_decoder_fault (VmDecoder *self, KdlSpan span, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* Remembers where @thing was written, and finds it again. */
void vm_decoder_place (VmDecoder *self, gconstpointer thing, KdlSpan span);
KdlSpan vm_decoder_place_of (const VmDecoder *self, gconstpointer thing);

/* The user's own text for a message: its beginning when it is long. Owned by the caller. */
char *vm_decoder_quote (const char *text);

/* The source of @span, its beginning when it is very long. Owned by the caller. */
char *vm_decoder_source (const VmDecoder *self, KdlSpan span);

/* From the first byte of @from to the last of @to. */
KdlSpan vm_span_join (KdlSpan from, KdlSpan to);

/* Whether it is clear what may stand in @block. If not, that is a fault already, and no name in the
 * block can be called unknown. */
gboolean vm_block_is_kind_known (const VmBlock *block);

/* The name of @node and its arguments: `vm "web"`. */
KdlSpan vm_node_head (const KdlNode *node);

/* A value on its way into a field. */
typedef struct {
  const VmSetting *setting;
  VmSpelling spelling;
  const char *node; /* name of the node that it stands on */
  const KdlValue *value;
} VmReading;

/* Checks the value and stores it at @field, or adds a fault and returns FALSE. */
gboolean vm_decoder_read (VmDecoder *self, const VmReading *reading, gpointer field);

/* Finds what is valid KDL and yet a slip: a URL without quotes, of which `//` makes a comment, and
 * quotes that are none. Adds a fault and returns TRUE. */
gboolean vm_decoder_find_slip (VmDecoder *self, const KdlNode *node);

/* What a whole block shows: something that is missing from it, or two things that exclude each
 * other. */
void vm_decoder_check_block (VmDecoder *self, const VmBlock *block);

/* What the VMs of the file show together: names and host ports used twice, depends-on. */
void vm_decoder_check_file (VmDecoder *self);

typedef void (*VmCycleFunc) (GPtrArray *cycle, gpointer data);

/* @vms such that each comes after those it depends on, else in their order. Calls @on_cycle
 * (nullable) with the VMs of each circle, no VM twice, each depending on the next and the last on
 * the first. The array is owned by the caller. */
GPtrArray *vm_defs_sort (const GPtrArray *vms, VmCycleFunc on_cycle, gpointer data);
