/* SPDX-License-Identifier: MPL-2.0 */
#include "store/db.h"
#include "store/lock.h"

#include <errno.h>
#include <sys/statvfs.h>

#define BUSY_MS 5000
#define STORE_LOCK ".store" /* no VM can be called that */

/* Each entry leads from schema version i to i + 1; entries are only ever added. */
static const char *const migrations[] = {
  "CREATE TABLE vm ("
  "  name TEXT PRIMARY KEY,"
  "  backend TEXT NOT NULL,"
  "  origin TEXT,"
  "  phase INTEGER NOT NULL,"
  "  created_s INTEGER NOT NULL,"
  "  handle TEXT NOT NULL"
  ") STRICT;"
  "CREATE TABLE step ("
  "  vm TEXT NOT NULL REFERENCES vm (name) ON DELETE CASCADE,"
  "  hash TEXT NOT NULL,"
  "  occurrence INTEGER NOT NULL,"
  "  started_s INTEGER NOT NULL,"
  "  ended_s INTEGER NOT NULL,"
  "  exit_status INTEGER NOT NULL,"
  "  PRIMARY KEY (vm, hash, occurrence)"
  ") STRICT;"
  "CREATE TABLE event ("
  "  id INTEGER PRIMARY KEY,"
  "  time_s INTEGER NOT NULL,"
  "  vm TEXT NOT NULL,"
  "  operation TEXT NOT NULL,"
  "  outcome TEXT NOT NULL"
  ") STRICT;",

  "CREATE TABLE mac ("
  "  mac TEXT PRIMARY KEY,"
  "  vm TEXT NOT NULL REFERENCES vm (name) ON DELETE CASCADE"
  ") STRICT;"
  "CREATE TABLE port ("
  "  protocol TEXT NOT NULL,"
  "  address TEXT NOT NULL,"
  "  port INTEGER NOT NULL,"
  "  vm TEXT NOT NULL REFERENCES vm (name) ON DELETE CASCADE,"
  "  PRIMARY KEY (protocol, port, address)"
  ") STRICT;"
  "CREATE TABLE image_use ("
  "  vm TEXT PRIMARY KEY REFERENCES vm (name) ON DELETE CASCADE,"
  "  path TEXT NOT NULL"
  ") STRICT;"
  "CREATE INDEX mac_by_vm ON mac (vm);"
  "CREATE INDEX port_by_vm ON port (vm);"
  "CREATE INDEX image_use_by_path ON image_use (path);"
  "CREATE INDEX event_by_vm ON event (vm, id);",
};

static const char connection_setup[] = "PRAGMA synchronous = FULL;"
                                       "PRAGMA foreign_keys = ON;"
                                       "PRAGMA trusted_schema = OFF;"
                                       "PRAGMA cell_size_check = ON;";

void
vm_row_free (VmRow *row)
{
  if (row == NULL)
    return;
  g_free (row->name);
  g_free (row->backend);
  g_free (row->origin);
  g_free (row->handle);
  g_free (row);
}

static gboolean
schema_version (VmStore *self, gint64 *out_version, GError **error)
{
  g_autoptr (Statement) statement = vm_db_query (self, error, "PRAGMA user_version", "");
  if (statement == NULL)
    return FALSE;
  if (sqlite3_step (statement) != SQLITE_ROW)
    return vm_db_error (self, error);
  *out_version = sqlite3_column_int64 (statement, 0);
  if (*out_version < 0)
    return vm_error_set (error, VM_ERROR_STORE_FAILED,
                         "%s is damaged: its version is %" G_GINT64_FORMAT, self->path,
                         *out_version);
  return TRUE;
}

/* Inside a transaction that keeps others out, so that only one process migrates. */
static gboolean
migrate_locked (VmStore *self, GError **error)
{
  gint64 version = 0;
  if (!schema_version (self, &version, error))
    return FALSE;
  if (version > (gint64) G_N_ELEMENTS (migrations))
    return vm_error_set (error, VM_ERROR_STORE_FAILED,
                         "%s was made by a newer version (schema %" G_GINT64_FORMAT
                         ", this one knows %zu)",
                         self->path, version, G_N_ELEMENTS (migrations));
  for (; version < (gint64) G_N_ELEMENTS (migrations); version++) {
    g_autofree char *mark =
        g_strdup_printf ("PRAGMA user_version = %" G_GINT64_FORMAT, version + 1);
    if (!vm_db_execute (self, migrations[version], error) || !vm_db_execute (self, mark, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
migrate_body (VmStore *self, gpointer data, GError **error)
{
  return migrate_locked (self, error);
}

/* The first user of a store makes it, and the switch to WAL cannot wait for others as transactions
 * do: one process at a time, under a lock of its own. */
static gboolean
set_up_schema (VmStore *self, const char *data_dir, GError **error)
{
  VmOp limit = vm_op_grace (BUSY_MS / 1000.0);
  g_autoptr (GError) cause = NULL;
  g_autoptr (VmLock) lock =
      vm_lock_acquire (data_dir, STORE_LOCK, "set-up", NULL, NULL, &limit, &cause);
  if (lock == NULL)
    return vm_error_set (error, VM_ERROR_STORE_FAILED, "%s cannot be set up: %s", self->path,
                         cause->message);
  return vm_db_execute (self, "PRAGMA journal_mode = WAL", error) &&
         vm_db_transact (self, migrate_body, NULL, error);
}

static gboolean
migrate (VmStore *self, const char *data_dir, GError **error)
{
  gint64 version = 0;
  if (!schema_version (self, &version, error))
    return FALSE;
  return version == (gint64) G_N_ELEMENTS (migrations) || set_up_schema (self, data_dir, error);
}

static gboolean
open_file (VmStore *self, const char *name, int flags, GError **error)
{
  sqlite3_close (g_steal_pointer (&self->db));
  if (sqlite3_open_v2 (name, &self->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL) !=
      SQLITE_OK)
    return vm_db_error (self, error);
  sqlite3_busy_timeout (self->db, BUSY_MS);
  return vm_db_execute (self, connection_setup, error);
}

/* For a file system that is read-only. If SQLite cannot make its helper files there and finds none,
 * nobody else changes the store either. */
static gboolean
open_for_reading (VmStore *self, GError **error)
{
  struct statvfs fs;
  gint64 version;
  if (statvfs (self->path, &fs) < 0 || (fs.f_flag & ST_RDONLY) == 0)
    return FALSE;
  if (open_file (self, self->path, SQLITE_OPEN_READONLY, NULL) &&
      schema_version (self, &version, NULL))
    return TRUE;
  g_autofree char *escaped = g_uri_escape_string (self->path, "/", FALSE);
  g_autofree char *uri = g_strdup_printf ("file:%s?immutable=1", escaped);
  return open_file (self, uri, SQLITE_OPEN_READONLY, error);
}

VmStore *
vm_store_open (const char *data_dir, GError **error)
{
  if (g_mkdir_with_parents (data_dir, 0700) < 0) {
    vm_error_set (error, VM_ERROR_STORE_FAILED, "cannot make the data folder %s: %s", data_dir,
                  g_strerror (errno));
    return NULL;
  }
  g_autoptr (VmStore) self = g_new0 (VmStore, 1);
  g_autoptr (GError) cause = NULL;
  self->path = g_build_filename (data_dir, "vmctl.db", NULL);
  if (open_file (self, self->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &cause) &&
      migrate (self, data_dir, &cause))
    return g_steal_pointer (&self);
  if (open_for_reading (self, NULL))
    return g_steal_pointer (&self);
  g_propagate_error (error, g_steal_pointer (&cause));
  return NULL;
}

void
vm_store_free (VmStore *self)
{
  if (self == NULL)
    return;
  sqlite3_close (self->db);
  g_free (self->path);
  g_free (self);
}

gboolean
vm_store_add (VmStore *self, const char *name, const char *backend, const char *origin,
              const char *handle, GError **error)
{
  g_autoptr (VmRow) existing = NULL;
  if (!vm_store_find (self, name, &existing, error))
    return FALSE;
  if (existing != NULL)
    return vm_error_set (error, VM_ERROR_VM_EXISTS, "there is a VM \"%s\" already", name);
  return vm_db_run (self, error,
                    "INSERT INTO vm (name, backend, origin, phase, created_s, handle)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    "sssiis", name, backend, origin, (gint64) VM_PHASE_PREPARING,
                    g_get_real_time () / G_USEC_PER_SEC, handle);
}

gboolean
vm_store_set_handle (VmStore *self, const char *name, const char *handle, GError **error)
{
  return vm_db_run (self, error, "UPDATE vm SET handle = ? WHERE name = ?", "ss", handle, name);
}

gboolean
vm_store_set_origin (VmStore *self, const char *name, const char *origin, GError **error)
{
  return vm_db_run (self, error, "UPDATE vm SET origin = ? WHERE name = ?", "ss", origin, name);
}

gboolean
vm_store_set_phase (VmStore *self, const char *name, VmPhase phase, GError **error)
{
  return vm_db_run (self, error, "UPDATE vm SET phase = ? WHERE name = ?", "is", (gint64) phase,
                    name);
}

gboolean
vm_store_remove (VmStore *self, const char *name, GError **error)
{
  return vm_db_run (self, error, "DELETE FROM vm WHERE name = ?", "s", name);
}

#define ROW_COLUMNS "name, backend, origin, phase, created_s, handle"

static VmRow *
row_read (Statement *statement)
{
  VmRow *row = g_new0 (VmRow, 1);
  row->name = vm_db_column_dup (statement, 0);
  row->backend = vm_db_column_dup (statement, 1);
  row->origin = vm_db_column_dup (statement, 2);
  row->phase = (VmPhase) sqlite3_column_int (statement, 3);
  row->created_s = sqlite3_column_int64 (statement, 4);
  row->handle = vm_db_column_dup (statement, 5);
  return row;
}

gboolean
vm_store_find (VmStore *self, const char *name, VmRow **out_row, GError **error)
{
  g_autoptr (Statement) statement =
      vm_db_query (self, error, "SELECT " ROW_COLUMNS " FROM vm WHERE name = ?", "s", name);
  if (statement == NULL)
    return FALSE;
  int rc = sqlite3_step (statement);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE)
    return vm_db_error (self, error);
  *out_row = rc == SQLITE_ROW ? row_read (statement) : NULL;
  return TRUE;
}

GPtrArray *
vm_store_list (VmStore *self, GError **error)
{
  g_autoptr (Statement) statement =
      vm_db_query (self, error, "SELECT " ROW_COLUMNS " FROM vm ORDER BY name", "");
  if (statement == NULL)
    return NULL;
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_row_free);
  int rc;
  while ((rc = sqlite3_step (statement)) == SQLITE_ROW)
    g_ptr_array_add (rows, row_read (statement));
  if (rc != SQLITE_DONE) {
    vm_db_error (self, error);
    return NULL;
  }
  return g_steal_pointer (&rows);
}

/* Fails with VM_ERROR_VM_NOT_FOUND and, where a VM has a similar name, says so. */
static void
not_found (VmStore *self, const char *name, GError **error)
{
  g_autoptr (GPtrArray) rows = vm_store_list (self, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  for (guint i = 0; rows != NULL && i < rows->len; i++)
    g_ptr_array_add (names, ((VmRow *) rows->pdata[i])->name);
  g_ptr_array_add (names, NULL);
  const char *near = vm_did_you_mean (name, (const char *const *) names->pdata);

  vm_error_set (error, VM_ERROR_VM_NOT_FOUND, "there is no VM \"%s\"", name);
  if (near != NULL)
    vm_error_help (error, "did you mean `%s`? `vmctl list` shows the VMs there are", near);
}

VmRow *
vm_store_get (VmStore *self, const char *name, GError **error)
{
  VmRow *row = NULL;
  if (!vm_store_find (self, name, &row, error))
    return NULL;
  if (row == NULL)
    not_found (self, name, error);
  return row;
}
