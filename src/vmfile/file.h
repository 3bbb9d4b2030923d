/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* A whole VMFile: finding it, reading it, and the definitions in it. Knows nothing of what becomes
 * of the definitions, nor of how faults are shown. */

#include "vmfile/def.h"
#include "vmfile/diagnostic.h"

VM_BEGIN_DECLS

#define VM_FILE_NAME "VMFile.kdl"
#define VM_FILE_MAX_SIZE (1024 * 1024)

typedef struct {
  char *path;
  gboolean read_as_kdl1; /* it is not valid KDL 2, but valid KDL 1 */
  GPtrArray *vms;        /* of VmDef, in the order of the file; at least one */
} VmFile;

void vm_file_free (VmFile *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmFile, vm_file_free)

/* Turns a parsed document, which is taken, into definitions. Pure: no I/O. Either returns the file,
 * owned by the caller, or NULL and the faults, owned by the caller, in *@out_diagnostics. @path is
 * only a name. */
VmFile *vm_file_decode (const char *path, KdlDocument *doc, VmDiagnostics **out_diagnostics);

/* Reads, parses and decodes the VMFile at @path; blocks on the disk. Errors:
 * VM_ERROR_VMFILE_NOT_FOUND when there is none, VM_ERROR_IO when it cannot be read or is larger
 * than VM_FILE_MAX_SIZE; VM_ERROR_VMFILE_PARSE_FAILED or _VALIDATION ("3 faults in PATH") with the
 * faults, owned by the caller, in *@out_diagnostics, which stays untouched otherwise. */
gboolean
vm_file_load (const char *path, VmFile **out_file, VmDiagnostics **out_diagnostics, GError **error);

/* Looks for VM_FILE_NAME in @start_dir, then in its parents. *@out_path is owned by the caller;
 * *@out_is_parent (nullable) says whether it lies in a parent. Blocks on the disk. Errors:
 * VM_ERROR_VMFILE_NOT_FOUND. */
gboolean
vm_file_find (const char *start_dir, char **out_path, gboolean *out_is_parent, GError **error);

/* The VMs such that each comes after those it depends on, else in the order of the file. The array
 * is owned by the caller, the VmDefs in it belong to @self. */
GPtrArray *vm_file_order (const VmFile *self);

/* The VM called @name (borrowed), or NULL. */
const VmDef *vm_file_get (const VmFile *self, const char *name);

VM_END_DECLS
