/* SPDX-License-Identifier: MPL-2.0 */
#include "store/db.h"

/* What has happened: provisioning steps, and the operations on each VM. */

gboolean
vm_store_step_is_done (VmStore *self, const char *name, const char *hash, guint occurrence,
                       gboolean *out_done, GError **error)
{
  g_autofree char *found = NULL;
  if (!vm_db_find_text (self, error, &found,
                        "SELECT hash FROM step"
                        " WHERE vm = ? AND hash = ? AND occurrence = ? AND exit_status = 0",
                        "ssi", name, hash, (gint64) occurrence))
    return FALSE;
  *out_done = found != NULL;
  return TRUE;
}

gboolean
vm_store_step_record (VmStore *self, const char *name, const VmStepRecord *record, GError **error)
{
  return vm_db_run (self, error,
                    "INSERT OR REPLACE INTO step"
                    " (vm, hash, occurrence, started_s, ended_s, exit_status)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    "ssiiii", name, record->hash, (gint64) record->occurrence, record->started_s,
                    record->ended_s, (gint64) record->exit_status);
}

gboolean
vm_store_event (VmStore *self, const char *name, const char *operation, const char *outcome,
                GError **error)
{
  return vm_db_run (self, error,
                    "INSERT INTO event (time_s, vm, operation, outcome) VALUES (?, ?, ?, ?)",
                    "isss", g_get_real_time () / G_USEC_PER_SEC, name, operation, outcome);
}

void
vm_event_free (VmEvent *event)
{
  if (event == NULL)
    return;
  g_free (event->operation);
  g_free (event->outcome);
  g_free (event);
}

GPtrArray *
vm_store_events (VmStore *self, const char *name, guint limit, GError **error)
{
  g_autoptr (Statement) statement = vm_db_query (
      self, error,
      "SELECT time_s, operation, outcome FROM event WHERE vm = ? ORDER BY id DESC LIMIT ?", "si",
      name, (gint64) limit);
  if (statement == NULL)
    return NULL;
  g_autoptr (GPtrArray) events = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_event_free);
  int rc;
  while ((rc = sqlite3_step (statement)) == SQLITE_ROW) {
    VmEvent *event = g_new0 (VmEvent, 1);
    event->time_s = sqlite3_column_int64 (statement, 0);
    event->operation = vm_db_column_dup (statement, 1);
    event->outcome = vm_db_column_dup (statement, 2);
    g_ptr_array_insert (events, 0, event);
  }
  if (rc != SQLITE_DONE) {
    vm_db_error (self, error);
    return NULL;
  }
  return g_steal_pointer (&events);
}
