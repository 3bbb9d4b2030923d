/* SPDX-License-Identifier: MPL-2.0 */
#include "runtime/run.h"

typedef struct {
  const VmOp *op;
  GMainContext *context;
  gint pending; /* atomic */
} Group;

static void
run_job (gpointer item, gpointer user_data)
{
  VmJob *job = item;
  Group *group = user_data;
  if (vm_op_check (group->op, &job->error))
    job->run (job->data, group->op, &job->error);
  g_atomic_int_dec_and_test (&group->pending);
  g_main_context_wakeup (group->context);
}

gboolean
vm_run_all (VmJob *jobs, guint n_jobs, guint parallel, const VmOp *op)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  Group group = { op, context, (gint) n_jobs };
  g_autoptr (GError) no_thread = NULL;
  GThreadPool *pool =
      g_thread_pool_new (run_job, &group, (gint) MAX (parallel, 1), TRUE, &no_thread);
  gboolean all = TRUE;

  for (guint i = 0; i < n_jobs; i++) {
    if (no_thread == NULL)
      g_thread_pool_push (pool, &jobs[i], NULL);
    else /* none to be had: one after the other, then */
      run_job (&jobs[i], &group);
  }
  while (g_atomic_int_get (&group.pending) > 0)
    g_main_context_iteration (context, TRUE);
  if (pool != NULL)
    g_thread_pool_free (pool, FALSE, TRUE);
  for (guint i = 0; i < n_jobs; i++)
    all = all && jobs[i].error == NULL;
  return all;
}
