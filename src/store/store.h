/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* What must survive: which VMs there are, how they were made, which provisioning steps they have
 * behind them, and what happened to them. One SQLite file in the data folder; a connection belongs
 * to the thread that opened it. Handles are JSON text here: the store does not know what is
 * in them, and never whether a VM runs (that is asked of the process, not remembered). */

#include "runtime/op.h"

VM_BEGIN_DECLS

typedef struct VmStore VmStore;

/* How far the making or unmaking of a VM has come. A row is written before anything is made and
 * removed after everything is gone, so whoever comes next can finish or undo. */
typedef enum { VM_PHASE_PREPARING, VM_PHASE_PREPARED, VM_PHASE_DESTROYING } VmPhase;

typedef struct {
  char *name;
  char *backend;
  char *origin; /* absolute path of the VMFile it came from; NULL for `create` */
  VmPhase phase;
  gint64 created_s; /* Unix time */
  char *handle;     /* JSON */
} VmRow;

void vm_row_free (VmRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmRow, vm_row_free)

/* Opens the store in @data_dir, making folder (0700) and schema when they are not there. All calls
 * block on the disk and wait up to 5 s for another process. On a file system that cannot be written
 * to the store is opened for reading alone. Errors: VM_ERROR_STORE_FAILED, with what helps: the
 * disk is full, the store is damaged, somebody has been writing for too long, a newer version made
 * it. */
VmStore *vm_store_open (const char *data_dir, GError **error);
void vm_store_free (VmStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmStore, vm_store_free)

/* Records the intention to make VM @name (VM_PHASE_PREPARING). @origin may be NULL.
 * Errors: VM_ERROR_VM_EXISTS. */
gboolean vm_store_add (VmStore *store, const char *name, const char *backend, const char *origin,
                       const char *handle, GError **error);

gboolean vm_store_set_handle (VmStore *store, const char *name, const char *handle, GError **error);

/* Makes VM @name belong to the VMFile @origin. */
gboolean vm_store_set_origin (VmStore *store, const char *name, const char *origin, GError **error);

gboolean vm_store_set_phase (VmStore *store, const char *name, VmPhase phase, GError **error);

/* Removes the VM's row and all that hangs on it. A missing row is fine. */
gboolean vm_store_remove (VmStore *store, const char *name, GError **error);

/* The row of @name, owned by the caller. Errors: VM_ERROR_VM_NOT_FOUND, with a suggestion. */
VmRow *vm_store_get (VmStore *store, const char *name, GError **error);

/* Whether there is a row of @name, in @out_row (NULL when there is none). */
gboolean vm_store_find (VmStore *store, const char *name, VmRow **out_row, GError **error);

/* All rows by name, of VmRow, owned by the caller. */
GPtrArray *vm_store_list (VmStore *store, GError **error);

/* Makes @macs (of char *) the addresses of VM @name, for life. Errors: VM_ERROR_VM_EXISTS naming
 * the VM that has one of them already. */
gboolean vm_store_set_macs (VmStore *store, const char *name, GPtrArray *macs, GError **error);

/* A port of the host that a VM listens on. */
typedef struct {
  const char *protocol; /* "tcp" or "udp" */
  const char *address;  /* "0.0.0.0" takes the port on every address */
  guint16 port;
} VmPort;

/* Makes @ports the ones that VM @name holds, in place of those it held. When another VM holds one
 * of them, nothing is changed and *@out_holder is its name, owned by the caller; else NULL. Whether
 * the holder still runs, and so has a right to it, is for the caller to find out. */
gboolean vm_store_claim_ports (VmStore *store, const char *name, const VmPort *ports, guint n_ports,
                               char **out_holder, GError **error);

/* VM @name listens no more. */
gboolean vm_store_release_ports (VmStore *store, const char *name, GError **error);

/* Records that VM @name stands on the image at @path. */
gboolean vm_store_use_image (VmStore *store, const char *name, const char *path, GError **error);

/* The names of the VMs that stand on the image at @path, NULL-terminated, owned by the caller. */
char **vm_store_image_users (VmStore *store, const char *path, GError **error);

/* How a provisioning step ended. A step is known by what it does, not by its place: @hash is that
 * of its content, @occurrence counts steps with the same content from 0. Times are Unix seconds. */
typedef struct {
  const char *hash;
  guint occurrence;
  gint64 started_s;
  gint64 ended_s;
  int exit_status;
} VmStepRecord;

/* Whether the step of this hash and occurrence has succeeded on VM @name. */
gboolean vm_store_step_is_done (VmStore *store, const char *name, const char *hash,
                                guint occurrence, gboolean *out_done, GError **error);

gboolean
vm_store_step_record (VmStore *store, const char *name, const VmStepRecord *record, GError **error);

typedef struct {
  gint64 time_s; /* Unix time */
  char *operation;
  char *outcome;
} VmEvent;

void vm_event_free (VmEvent *event);

/* The last @limit events of VM @name, oldest first, of VmEvent, owned by the caller. */
GPtrArray *vm_store_events (VmStore *store, const char *name, guint limit, GError **error);

/* Adds a line to the event journal: @operation ("start") on @name ended with @outcome ("ok" or an
 * error's name). Events outlive their VM. */
gboolean vm_store_event (VmStore *store, const char *name, const char *operation,
                         const char *outcome, GError **error);

VM_END_DECLS
