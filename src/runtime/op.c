/* SPDX-License-Identifier: MPL-2.0 */
#include "runtime/op.h"

#include <errno.h>

static gint64
after_us (double seconds)
{
  return g_get_monotonic_time () + (gint64) (seconds * G_USEC_PER_SEC);
}

VmOp
vm_op_within (const VmOp *op, double seconds)
{
  VmOp narrowed = op != NULL ? *op : (VmOp){ 0 };
  gint64 limit = after_us (seconds);
  if (narrowed.deadline_us == 0 || limit < narrowed.deadline_us)
    narrowed.deadline_us = limit;
  return narrowed;
}

VmOp
vm_op_grace (double seconds)
{
  return (VmOp){ .deadline_us = after_us (seconds) };
}

gboolean
vm_op_check (const VmOp *op, GError **error)
{
  if (op == NULL)
    return TRUE;
  if (g_cancellable_is_cancelled (op->cancel))
    return vm_error_set (error, VM_ERROR_CANCELLED, "interrupted");
  if (op->deadline_us != 0 && g_get_monotonic_time () >= op->deadline_us)
    return vm_error_set (error, VM_ERROR_TIMEOUT, "the time for it is over");
  return TRUE;
}

int
vm_op_remaining_ms (const VmOp *op)
{
  if (op == NULL || op->deadline_us == 0)
    return -1;
  gint64 left_us = op->deadline_us - g_get_monotonic_time ();
  /* Rounded up: a poll that ends a fraction of a millisecond early would spin until the deadline.
   */
  return (int) CLAMP ((left_us + 999) / 1000, 0, G_MAXINT);
}

static int
shorter (int a_ms, int b_ms)
{
  if (a_ms < 0 || b_ms < 0)
    return MAX (a_ms, b_ms);
  return MIN (a_ms, b_ms);
}

gboolean
vm_op_poll (const VmOp *op, struct pollfd *fds, guint n_fds, int max_ms, guint *out_ready,
            GError **error)
{
  GPollFD cancel_fd = { .fd = -1 };
  gboolean cancellable =
      op != NULL && op->cancel != NULL && g_cancellable_make_pollfd (op->cancel, &cancel_fd);
  g_autofree struct pollfd *all = g_new0 (struct pollfd, n_fds + 1);
  gint64 end_us = max_ms < 0 ? 0 : g_get_monotonic_time () + (gint64) max_ms * 1000;
  VmOp own = { .deadline_us = end_us };
  gboolean alive;
  int n = 0;

  for (guint i = 0; i < n_fds; i++)
    all[i] = fds[i];
  all[n_fds] = (struct pollfd){ .fd = cancel_fd.fd, .events = POLLIN };
  do {
    alive = vm_op_check (op, error);
    if (alive)
      n = poll (all, n_fds + 1, shorter (vm_op_remaining_ms (op), vm_op_remaining_ms (&own)));
  } while (alive && n < 0 && errno == EINTR);
  if (cancellable)
    g_cancellable_release_fd (op->cancel);

  if (alive && n < 0)
    alive = vm_error_set_errno (error, errno, "cannot wait");
  else if (alive && (n == 0 || all[n_fds].revents != 0))
    alive = vm_op_check (op, error);
  if (!alive)
    return FALSE;
  for (guint i = 0; i < n_fds; i++)
    fds[i].revents = all[i].revents;
  if (out_ready != NULL)
    *out_ready = (guint) MAX (n, 0);
  return TRUE;
}

gboolean
vm_op_wait (const VmOp *op, int fd, short events, int max_ms, gboolean *out_ready, GError **error)
{
  struct pollfd one = { .fd = fd, .events = events };
  guint ready = 0;
  if (!vm_op_poll (op, &one, 1, max_ms, &ready, error))
    return FALSE;
  if (out_ready != NULL)
    *out_ready = ready > 0;
  return TRUE;
}
