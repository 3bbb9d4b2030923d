/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* How long something may take and who may stop it. A VmOp is a value, handed down as `const VmOp *`
 * to every function that may block; a function that takes none may not block. vm_op_poll() is the
 * only place where a thread of this library sleeps, so every wait is cancellable and bounded. */

#include "runtime/error.h"

#include <poll.h>

VM_BEGIN_DECLS

/* Both members may be left zero: no cancellation, no deadline. */
typedef struct {
  GCancellable *cancel; /* borrowed; may be cancelled from any thread */
  gint64 deadline_us;   /* g_get_monotonic_time() at which to give up; 0: never */
} VmOp;

/* @op with its deadline at most @seconds from now; an earlier one stays. @op may be NULL. */
VmOp vm_op_within (const VmOp *op, double seconds);

/* An op for cleaning up after a failure: not cancellable, at most @seconds long. */
VmOp vm_op_grace (double seconds);

/* FALSE with VM_ERROR_CANCELLED or VM_ERROR_TIMEOUT when @op is over. */
gboolean vm_op_check (const VmOp *op, GError **error);

/* Milliseconds until the deadline, at least 0; -1 when there is none. */
int vm_op_remaining_ms (const VmOp *op);

/* Sleeps until one of @fds is ready (revents set), @max_ms have passed (-1: no limit of its own),
 * or @op is over. @out_ready (nullable) is the number of ready descriptors, 0 after @max_ms.
 * Errors: VM_ERROR_CANCELLED, VM_ERROR_TIMEOUT. */
gboolean vm_op_poll (const VmOp *op, struct pollfd *fds, guint n_fds, int max_ms, guint *out_ready,
                     GError **error);

/* vm_op_poll() for a single descriptor; @fd -1 waits for time alone. */
gboolean
vm_op_wait (const VmOp *op, int fd, short events, int max_ms, gboolean *out_ready, GError **error);

VM_END_DECLS
