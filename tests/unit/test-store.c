/* SPDX-License-Identifier: MPL-2.0 */
#include "store/lock.h"
#include "store/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

typedef struct {
  char *dir;
  VmStore *store;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->dir = g_dir_make_tmp ("vm-store-XXXXXX", NULL);
  fixture->store = vm_store_open (fixture->dir, NULL);
  g_assert_nonnull (fixture->store);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  vm_store_free (fixture->store);
  g_assert_true (vm_dir_remove (fixture->dir, NULL));
  g_free (fixture->dir);
}

static void
add (Fixture *fixture, const char *name)
{
  g_assert_true (vm_store_add (fixture->store, name, "noop", "/x/VMFile.kdl", "{}", NULL));
}

static void
test_a_row_lives (Fixture *fixture, gconstpointer data)
{
  add (fixture, "web");
  g_autoptr (VmRow) made = vm_store_get (fixture->store, "web", NULL);
  g_assert_cmpstr (made->origin, ==, "/x/VMFile.kdl");
  g_assert_cmpint (made->phase, ==, VM_PHASE_PREPARING);
  g_assert_cmpint (made->created_s, >, 0);

  g_assert_true (vm_store_set_handle (fixture->store, "web", "{\"a\":1}", NULL));
  g_assert_true (vm_store_set_phase (fixture->store, "web", VM_PHASE_PREPARED, NULL));
  g_assert_true (vm_store_set_origin (fixture->store, "web", "/y", NULL));
  g_autoptr (VmRow) changed = vm_store_get (fixture->store, "web", NULL);
  g_assert_cmpstr (changed->handle, ==, "{\"a\":1}");
  g_assert_cmpint (changed->phase, ==, VM_PHASE_PREPARED);
  g_assert_cmpstr (changed->origin, ==, "/y");

  g_assert_true (vm_store_remove (fixture->store, "web", NULL));
  g_autoptr (VmRow) gone = NULL;
  g_assert_true (vm_store_find (fixture->store, "web", &gone, NULL));
  g_assert_null (gone);
}

static void
test_a_name_is_taken_once (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  add (fixture, "web");
  g_assert_false (vm_store_add (fixture->store, "web", "noop", NULL, "{}", &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_VM_EXISTS);
}

static void
test_a_missing_row_is_named (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  add (fixture, "web");
  g_assert_null (vm_store_get (fixture->store, "wbe", &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_VM_NOT_FOUND);
  g_assert_nonnull (g_strstr_len (vm_error_get_help (error), -1, "did you mean `web`"));
}

static void
test_steps_are_remembered_by_content (Fixture *fixture, gconstpointer data)
{
  gboolean done = TRUE;
  add (fixture, "web");
  g_assert_true (vm_store_step_is_done (fixture->store, "web", 0, "h", &done, NULL));
  g_assert_false (done);
  g_assert_true (vm_store_step_record (fixture->store, "web", 0, "h", 1, 2, 3, NULL));
  g_assert_true (vm_store_step_is_done (fixture->store, "web", 0, "h", &done, NULL));
  g_assert_false (done); /* it failed */
  g_assert_true (vm_store_step_record (fixture->store, "web", 0, "h", 1, 2, 0, NULL));
  g_assert_true (vm_store_step_is_done (fixture->store, "web", 0, "h", &done, NULL));
  g_assert_true (done);
  g_assert_true (vm_store_step_is_done (fixture->store, "web", 0, "other", &done, NULL));
  g_assert_false (done);

  /* A VM made anew under the same name starts from nothing. */
  g_assert_true (vm_store_remove (fixture->store, "web", NULL));
  add (fixture, "web");
  g_assert_true (vm_store_step_is_done (fixture->store, "web", 0, "h", &done, NULL));
  g_assert_false (done);
}

static void
test_a_newer_store_is_refused (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->dir, "vmctl.db", NULL);
  g_autoptr (GError) error = NULL;
  sqlite3 *db;
  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, "PRAGMA user_version = 99", NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
  g_assert_null (vm_store_open (fixture->dir, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_STORE_FAILED);
  g_assert_nonnull (g_strstr_len (error->message, -1, "newer version"));
}

static void
test_a_damaged_store_is_refused (Fixture *fixture, gconstpointer data)
{
  g_autofree char *dir = g_build_filename (fixture->dir, "other", NULL);
  g_autofree char *path = g_build_filename (dir, "vmctl.db", NULL);
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_true (
      g_file_set_contents (path, "this is no database, by its length neither", -1, NULL));
  g_assert_null (vm_store_open (dir, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_STORE_FAILED);
  g_assert_nonnull (g_strstr_len (error->message, -1, path));
}

static void
test_a_lock_is_held_by_one (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VmOp op = vm_op_within (NULL, 0.05);
  g_autoptr (VmLock) first = vm_lock_acquire (fixture->dir, "web", "stop", NULL, NULL, NULL, NULL);
  g_assert_nonnull (first);
  g_assert_null (vm_lock_acquire (fixture->dir, "web", "start", NULL, NULL, &op, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_VM_LOCKED);
  g_assert_nonnull (g_strstr_len (error->message, -1, "`vmctl stop` (pid "));
  g_autoptr (VmLock) other = vm_lock_acquire (fixture->dir, "db", "start", NULL, NULL, NULL, NULL);
  g_assert_nonnull (other);
}

static void
count (gpointer data, const char *line)
{
  (*(guint *) data)++;
}

static gpointer
release (gpointer lock)
{
  vm_lock_release (lock);
  return NULL;
}

static void
test_a_waiter_gets_the_lock (Fixture *fixture, gconstpointer data)
{
  guint told = 0;
  VmLock *first = vm_lock_acquire (fixture->dir, "web", "stop", NULL, NULL, NULL, NULL);
  GThread *thread = g_thread_new ("release", release, first);
  VmOp op = vm_op_within (NULL, 10);
  g_autoptr (VmLock) second =
      vm_lock_acquire (fixture->dir, "web", "start", count, &told, &op, NULL);
  g_thread_join (thread);
  g_assert_nonnull (second);
  g_assert_cmpuint (told, <=, 1);
}

static void
test_asking_takes_nothing (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->dir, "run.lock", NULL);
  g_assert_false (vm_lock_is_held (path));
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  g_assert_false (vm_lock_is_held (path));
  g_assert_true (vm_lock_try_fd (fd));
  g_assert_true (vm_lock_is_held (path));
  int copy = dup (fd);
  close (fd);
  g_assert_true (vm_lock_is_held (path)); /* as long as any copy lives */
  close (copy);
  g_assert_false (vm_lock_is_held (path));
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/store/row", test_a_row_lives);
  ADD ("/store/name-once", test_a_name_is_taken_once);
  ADD ("/store/missing", test_a_missing_row_is_named);
  ADD ("/store/steps", test_steps_are_remembered_by_content);
  ADD ("/store/newer", test_a_newer_store_is_refused);
  ADD ("/store/damaged", test_a_damaged_store_is_refused);
  ADD ("/lock/one-holder", test_a_lock_is_held_by_one);
  ADD ("/lock/waiter", test_a_waiter_gets_the_lock);
  ADD ("/lock/asking", test_asking_takes_nothing);
  return g_test_run ();
}
