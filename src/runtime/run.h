/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Runs jobs side by side, each on a thread of its own and in straight-line code, while the calling
 * thread keeps its main loop going: signals and timers work meanwhile. A job owns all it touches.
 */

#include "runtime/op.h"

VM_BEGIN_DECLS

typedef struct {
  gboolean (*run) (gpointer data, const VmOp *op, GError **error);
  gpointer data;
  GError *error; /* out: why it failed; NULL when it succeeded; freed by the caller */
} VmJob;

/* Runs all of @jobs, at most @parallel at once, started in order, and returns when the last has
 * ended, iterating the calling thread's default main context. A failed job does not stop the
 * others; once @op is over, jobs that have not begun fail without being run. TRUE when all
 * succeeded. */
gboolean vm_run_all (VmJob *jobs, guint n_jobs, guint parallel, const VmOp *op);

VM_END_DECLS
