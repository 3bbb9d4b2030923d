/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* The store's files share this much of SQLite: statements that free themselves, errors that say
 * what helps, transactions that happen whole or not at all. Private to the folder. */

#include "store/store.h"

#include <sqlite3.h>

struct VmStore {
  sqlite3 *db;
  char *path;
};

typedef sqlite3_stmt Statement;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Statement, sqlite3_finalize)

/* Sets VM_ERROR_STORE_FAILED to what SQLite said last. Returns FALSE. */
gboolean vm_db_error (VmStore *self, GError **error);

gboolean vm_db_execute (VmStore *self, const char *sql, GError **error);

/* A statement to be stepped through, with values bound in order: @types has an 's' for a string or
 * NULL, an 'i' for a gint64. */
Statement *vm_db_query (VmStore *self, GError **error, const char *sql, const char *types, ...);

/* A statement that returns no rows. */
gboolean vm_db_run (VmStore *self, GError **error, const char *sql, const char *types, ...);

/* The first column of the first row, owned by the caller; NULL when there is no row. */
gboolean vm_db_find_text (VmStore *self, GError **error, char **out_text, const char *sql,
                          const char *types, ...);

/* A text column, owned by the caller; NULL for NULL. */
char *vm_db_column_dup (Statement *statement, int column);

/* Runs @body inside a transaction that keeps other writers out: all of it, or nothing. */
gboolean
vm_db_transact (VmStore *self, gboolean (*body) (VmStore *self, gpointer data, GError **error),
                gpointer data, GError **error);
