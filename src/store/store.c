/* SPDX-License-Identifier: MPL-2.0 */
#include "store/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_MS 5000

struct VmStore {
  sqlite3 *db;
  char *path;
};

typedef sqlite3_stmt Statement;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Statement, sqlite3_finalize)

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
  "  idx INTEGER NOT NULL,"
  "  hash TEXT NOT NULL,"
  "  started_s INTEGER NOT NULL,"
  "  ended_s INTEGER NOT NULL,"
  "  exit_status INTEGER NOT NULL,"
  "  PRIMARY KEY (vm, idx)"
  ") STRICT;"
  "CREATE TABLE event ("
  "  id INTEGER PRIMARY KEY,"
  "  time_s INTEGER NOT NULL,"
  "  vm TEXT NOT NULL,"
  "  operation TEXT NOT NULL,"
  "  outcome TEXT NOT NULL"
  ") STRICT;",
};

static const char connection_setup[] = "PRAGMA journal_mode = WAL;"
                                       "PRAGMA synchronous = FULL;"
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
store_error (VmStore *self, GError **error)
{
  return vm_error_set (error, VM_ERROR_STORE_FAILED, "%s: %s", self->path,
                       sqlite3_errmsg (self->db));
}

static gboolean
execute (VmStore *self, const char *sql, GError **error)
{
  return sqlite3_exec (self->db, sql, NULL, NULL, NULL) == SQLITE_OK || store_error (self, error);
}

/* Binds @types ('s' a string or NULL, 'i' a gint64) to the statement's parameters in order. */
static Statement *
prepare_va (VmStore *self, const char *sql, const char *types, va_list args, GError **error)
{
  g_autoptr (Statement) statement = NULL;
  int rc = sqlite3_prepare_v2 (self->db, sql, -1, &statement, NULL);
  for (int i = 0; rc == SQLITE_OK && types[i] != '\0'; i++) {
    if (types[i] == 's')
      rc = sqlite3_bind_text (statement, i + 1, va_arg (args, const char *), -1, SQLITE_TRANSIENT);
    else
      rc = sqlite3_bind_int64 (statement, i + 1, va_arg (args, gint64));
  }
  if (rc != SQLITE_OK) {
    store_error (self, error);
    return NULL;
  }
  return g_steal_pointer (&statement);
}

static Statement *
query (VmStore *self, GError **error, const char *sql, const char *types, ...)
{
  va_list args;
  va_start (args, types);
  Statement *statement = prepare_va (self, sql, types, args, error);
  va_end (args);
  return statement;
}

/* A statement that returns no rows. */
static gboolean
run (VmStore *self, GError **error, const char *sql, const char *types, ...)
{
  va_list args;
  va_start (args, types);
  g_autoptr (Statement) statement = prepare_va (self, sql, types, args, error);
  va_end (args);
  if (statement == NULL)
    return FALSE;
  return sqlite3_step (statement) == SQLITE_DONE || store_error (self, error);
}

static gboolean
schema_version (VmStore *self, gint64 *out_version, GError **error)
{
  g_autoptr (Statement) statement = query (self, error, "PRAGMA user_version", "");
  if (statement == NULL)
    return FALSE;
  if (sqlite3_step (statement) != SQLITE_ROW)
    return store_error (self, error);
  *out_version = sqlite3_column_int64 (statement, 0);
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
    if (!execute (self, migrations[version], error) || !execute (self, mark, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
migrate (VmStore *self, GError **error)
{
  gint64 version = 0;
  if (!schema_version (self, &version, error))
    return FALSE;
  if (version == (gint64) G_N_ELEMENTS (migrations))
    return TRUE;
  if (!execute (self, "BEGIN IMMEDIATE", error))
    return FALSE;
  if (migrate_locked (self, error))
    return execute (self, "COMMIT", error);
  execute (self, "ROLLBACK", NULL);
  return FALSE;
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
  self->path = g_build_filename (data_dir, "vmctl.db", NULL);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2 (self->path, &self->db, flags, NULL) != SQLITE_OK) {
    store_error (self, error);
    return NULL;
  }
  sqlite3_busy_timeout (self->db, BUSY_MS);
  if (!execute (self, connection_setup, error) || !migrate (self, error))
    return NULL;
  return g_steal_pointer (&self);
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
  return run (self, error,
              "INSERT INTO vm (name, backend, origin, phase, created_s, handle)"
              " VALUES (?, ?, ?, ?, ?, ?)",
              "sssiis", name, backend, origin, (gint64) VM_PHASE_PREPARING,
              g_get_real_time () / G_USEC_PER_SEC, handle);
}

gboolean
vm_store_set_handle (VmStore *self, const char *name, const char *handle, GError **error)
{
  return run (self, error, "UPDATE vm SET handle = ? WHERE name = ?", "ss", handle, name);
}

gboolean
vm_store_set_origin (VmStore *self, const char *name, const char *origin, GError **error)
{
  return run (self, error, "UPDATE vm SET origin = ? WHERE name = ?", "ss", origin, name);
}

gboolean
vm_store_set_phase (VmStore *self, const char *name, VmPhase phase, GError **error)
{
  return run (self, error, "UPDATE vm SET phase = ? WHERE name = ?", "is", (gint64) phase, name);
}

gboolean
vm_store_remove (VmStore *self, const char *name, GError **error)
{
  return run (self, error, "DELETE FROM vm WHERE name = ?", "s", name);
}

#define ROW_COLUMNS "name, backend, origin, phase, created_s, handle"

static char *
column_dup (Statement *statement, int column)
{
  return g_strdup ((const char *) sqlite3_column_text (statement, column));
}

static VmRow *
row_read (Statement *statement)
{
  VmRow *row = g_new0 (VmRow, 1);
  row->name = column_dup (statement, 0);
  row->backend = column_dup (statement, 1);
  row->origin = column_dup (statement, 2);
  row->phase = (VmPhase) sqlite3_column_int (statement, 3);
  row->created_s = sqlite3_column_int64 (statement, 4);
  row->handle = column_dup (statement, 5);
  return row;
}

gboolean
vm_store_find (VmStore *self, const char *name, VmRow **out_row, GError **error)
{
  g_autoptr (Statement) statement =
      query (self, error, "SELECT " ROW_COLUMNS " FROM vm WHERE name = ?", "s", name);
  if (statement == NULL)
    return FALSE;
  int rc = sqlite3_step (statement);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE)
    return store_error (self, error);
  *out_row = rc == SQLITE_ROW ? row_read (statement) : NULL;
  return TRUE;
}

GPtrArray *
vm_store_list (VmStore *self, GError **error)
{
  g_autoptr (Statement) statement =
      query (self, error, "SELECT " ROW_COLUMNS " FROM vm ORDER BY name", "");
  if (statement == NULL)
    return NULL;
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_row_free);
  int rc;
  while ((rc = sqlite3_step (statement)) == SQLITE_ROW)
    g_ptr_array_add (rows, row_read (statement));
  if (rc != SQLITE_DONE) {
    store_error (self, error);
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

gboolean
vm_store_step_is_done (VmStore *self, const char *name, guint index, const char *hash,
                       gboolean *out_done, GError **error)
{
  g_autoptr (Statement) statement = query (
      self, error, "SELECT 1 FROM step WHERE vm = ? AND idx = ? AND hash = ? AND exit_status = 0",
      "sis", name, (gint64) index, hash);
  if (statement == NULL)
    return FALSE;
  int rc = sqlite3_step (statement);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE)
    return store_error (self, error);
  *out_done = rc == SQLITE_ROW;
  return TRUE;
}

gboolean
vm_store_step_record (VmStore *self, const char *name, guint index, const char *hash,
                      gint64 started_s, gint64 ended_s, int exit_status, GError **error)
{
  return run (self, error,
              "INSERT OR REPLACE INTO step (vm, idx, hash, started_s, ended_s, exit_status)"
              " VALUES (?, ?, ?, ?, ?, ?)",
              "sisiii", name, (gint64) index, hash, started_s, ended_s, (gint64) exit_status);
}

gboolean
vm_store_event (VmStore *self, const char *name, const char *operation, const char *outcome,
                GError **error)
{
  return run (self, error, "INSERT INTO event (time_s, vm, operation, outcome) VALUES (?, ?, ?, ?)",
              "isss", g_get_real_time () / G_USEC_PER_SEC, name, operation, outcome);
}
