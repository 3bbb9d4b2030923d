/* SPDX-License-Identifier: MPL-2.0 */
#include "store/db.h"

#include <sys/statvfs.h>

/* What helps against the usual troubles, by SQLite's primary result code. */
static const struct {
  int code;
  const char *help;
} troubles[] = {
  { SQLITE_FULL, "free some room (or inodes) on the disk of the data folder; nothing is lost" },
  { SQLITE_IOERR, "the disk of the data folder has a fault, or is full" },
  { SQLITE_READONLY, "the data folder cannot be written to: check its owner and its file system" },
  { SQLITE_CANTOPEN, "the data folder cannot be opened: check its owner and its file system" },
  { SQLITE_BUSY, "another vmctl has been writing for long; try again when it is done" },
  { SQLITE_CORRUPT,
    "the store is damaged: move vmctl.db away, and the VMs are found again by their "
    "folders" },
  { SQLITE_NOTADB, "this is no store: move vmctl.db away, and the VMs are found again by their "
                   "folders" },
};

/* SQLite does not tell why a file cannot be opened; a file system without room or inodes is the one
 * reason that is not the folder's. */
static gboolean
is_out_of_room (VmStore *self)
{
  g_autofree char *dir = g_path_get_dirname (self->path);
  struct statvfs fs;
  return statvfs (dir, &fs) == 0 && (fs.f_bavail == 0 || (fs.f_files > 0 && fs.f_favail == 0));
}

gboolean
vm_db_error (VmStore *self, GError **error)
{
  int code = sqlite3_errcode (self->db) & 0xff;
  const char *said = sqlite3_errmsg (self->db);
  if (code == SQLITE_BUSY)
    said = "busy";
  if ((code == SQLITE_CANTOPEN || code == SQLITE_IOERR) && is_out_of_room (self)) {
    code = SQLITE_FULL;
    said = "no space or no inode is left on its disk";
  }
  vm_error_set (error, VM_ERROR_STORE_FAILED, "%s: %s", self->path, said);
  for (gsize i = 0; i < G_N_ELEMENTS (troubles); i++) {
    if (troubles[i].code == code)
      vm_error_help (error, "%s", troubles[i].help);
  }
  return FALSE;
}

gboolean
vm_db_execute (VmStore *self, const char *sql, GError **error)
{
  return sqlite3_exec (self->db, sql, NULL, NULL, NULL) == SQLITE_OK || vm_db_error (self, error);
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
    vm_db_error (self, error);
    return NULL;
  }
  return g_steal_pointer (&statement);
}

Statement *
vm_db_query (VmStore *self, GError **error, const char *sql, const char *types, ...)
{
  va_list args;
  va_start (args, types);
  Statement *statement = prepare_va (self, sql, types, args, error);
  va_end (args);
  return statement;
}

gboolean
vm_db_run (VmStore *self, GError **error, const char *sql, const char *types, ...)
{
  va_list args;
  va_start (args, types);
  g_autoptr (Statement) statement = prepare_va (self, sql, types, args, error);
  va_end (args);
  if (statement == NULL)
    return FALSE;
  return sqlite3_step (statement) == SQLITE_DONE || vm_db_error (self, error);
}

char *
vm_db_column_dup (Statement *statement, int column)
{
  return g_strdup ((const char *) sqlite3_column_text (statement, column));
}

gboolean
vm_db_find_text (VmStore *self, GError **error, char **out_text, const char *sql, const char *types,
                 ...)
{
  va_list args;
  va_start (args, types);
  g_autoptr (Statement) statement = prepare_va (self, sql, types, args, error);
  va_end (args);
  int rc = statement != NULL ? sqlite3_step (statement) : SQLITE_ERROR;
  if (statement == NULL || (rc != SQLITE_ROW && rc != SQLITE_DONE))
    return statement != NULL && vm_db_error (self, error);
  *out_text = rc == SQLITE_ROW ? vm_db_column_dup (statement, 0) : NULL;
  return TRUE;
}

gboolean
vm_db_transact (VmStore *self, gboolean (*body) (VmStore *self, gpointer data, GError **error),
                gpointer data, GError **error)
{
  if (!vm_db_execute (self, "BEGIN IMMEDIATE", error))
    return FALSE;
  if (body (self, data, error) && vm_db_execute (self, "COMMIT", error))
    return TRUE;
  vm_db_execute (self, "ROLLBACK", NULL);
  return FALSE;
}
