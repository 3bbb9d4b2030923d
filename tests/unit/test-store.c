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

static gboolean
is_done (Fixture *fixture, const char *hash, guint occurrence)
{
  gboolean done = FALSE;
  g_assert_true (vm_store_step_is_done (fixture->store, "web", hash, occurrence, &done, NULL));
  return done;
}

static void
test_steps_are_remembered_by_content (Fixture *fixture, gconstpointer data)
{
  VmStepRecord record = { .hash = "h", .started_s = 1, .ended_s = 2, .exit_status = 3 };
  add (fixture, "web");
  g_assert_false (is_done (fixture, "h", 0));
  g_assert_true (vm_store_step_record (fixture->store, "web", &record, NULL));
  g_assert_false (is_done (fixture, "h", 0)); /* it failed */
  record.exit_status = 0;
  g_assert_true (vm_store_step_record (fixture->store, "web", &record, NULL));
  g_assert_true (is_done (fixture, "h", 0));
  g_assert_false (is_done (fixture, "h", 1)); /* the same thing a second time */
  g_assert_false (is_done (fixture, "other", 0));

  /* A VM made anew under the same name starts from nothing. */
  g_assert_true (vm_store_remove (fixture->store, "web", NULL));
  add (fixture, "web");
  g_assert_false (is_done (fixture, "h", 0));
}

static GPtrArray *
mac_list (const char *mac)
{
  GPtrArray *macs = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (macs, g_strdup (mac));
  return macs;
}

static void
test_a_mac_is_one_vms (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) macs = mac_list ("52:54:00:00:00:01");
  g_autoptr (GError) error = NULL;
  add (fixture, "web");
  add (fixture, "db");
  g_assert_true (vm_store_set_macs (fixture->store, "web", macs, NULL));
  g_assert_true (vm_store_set_macs (fixture->store, "web", macs, NULL)); /* again: the same */
  g_assert_false (vm_store_set_macs (fixture->store, "db", macs, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_VM_EXISTS);
  g_assert_nonnull (g_strstr_len (error->message, -1, "web"));
  g_assert_true (vm_store_remove (fixture->store, "web", NULL));
  g_assert_true (vm_store_set_macs (fixture->store, "db", macs, NULL));
}

static void
claim (Fixture *fixture, const char *name, const VmPort *port, const char *expected_holder)
{
  g_autofree char *holder = NULL;
  g_assert_true (vm_store_claim_ports (fixture->store, name, port, port != NULL, &holder, NULL));
  g_assert_cmpstr (holder, ==, expected_holder);
}

static void
test_a_port_is_one_vms (Fixture *fixture, gconstpointer data)
{
  const VmPort local = { "tcp", "127.0.0.1", 8080 };
  const VmPort other = { "tcp", "127.0.0.2", 8080 };
  const VmPort every = { "tcp", "0.0.0.0", 8080 };
  const VmPort udp = { "udp", "127.0.0.1", 8080 };
  add (fixture, "a");
  add (fixture, "b");
  claim (fixture, "a", &local, NULL);
  claim (fixture, "a", &local, NULL);
  claim (fixture, "b", &local, "a");
  claim (fixture, "b", &every, "a");
  claim (fixture, "b", &other, NULL);
  claim (fixture, "b", &udp, NULL); /* in place of the other */
  claim (fixture, "a", &every, NULL);
  claim (fixture, "b", &other, "a");
  g_assert_true (vm_store_release_ports (fixture->store, "a", NULL));
  claim (fixture, "b", &local, NULL);
}

static void
test_an_image_knows_its_users (Fixture *fixture, gconstpointer data)
{
  add (fixture, "b");
  add (fixture, "a");
  g_assert_true (vm_store_use_image (fixture->store, "a", "/x", NULL));
  g_assert_true (vm_store_use_image (fixture->store, "b", "/x", NULL));
  g_auto (GStrv) both = vm_store_image_users (fixture->store, "/x", NULL);
  g_assert_cmpstr (both[0], ==, "a");
  g_assert_cmpstr (both[1], ==, "b");
  g_assert_null (both[2]);
  g_assert_true (vm_store_remove (fixture->store, "a", NULL));
  g_auto (GStrv) left = vm_store_image_users (fixture->store, "/x", NULL);
  g_assert_cmpstr (left[0], ==, "b");
  g_assert_null (left[1]);
}

static void
test_the_last_events_in_order (Fixture *fixture, gconstpointer data)
{
  g_assert_true (vm_store_event (fixture->store, "a", "create", "ok", NULL));
  g_assert_true (vm_store_event (fixture->store, "b", "create", "ok", NULL));
  g_assert_true (vm_store_event (fixture->store, "a", "start", "vm_manager::io", NULL));
  g_assert_true (vm_store_event (fixture->store, "a", "stop", "ok", NULL));
  g_autoptr (GPtrArray) events = vm_store_events (fixture->store, "a", 2, NULL);
  g_assert_cmpuint (events->len, ==, 2);
  const VmEvent *first = events->pdata[0];
  const VmEvent *last = events->pdata[1];
  g_assert_cmpstr (first->outcome, ==, "vm_manager::io");
  g_assert_cmpstr (last->operation, ==, "stop");
  g_assert_cmpint (last->time_s, >, 0);
}

/* A store as the first version made it, with a VM in it. */
static const char version_1[] =
    "CREATE TABLE vm (name TEXT PRIMARY KEY, backend TEXT NOT NULL, origin TEXT,"
    " phase INTEGER NOT NULL, created_s INTEGER NOT NULL, handle TEXT NOT NULL) STRICT;"
    "CREATE TABLE step (vm TEXT NOT NULL REFERENCES vm (name) ON DELETE CASCADE,"
    " hash TEXT NOT NULL, occurrence INTEGER NOT NULL, started_s INTEGER NOT NULL,"
    " ended_s INTEGER NOT NULL, exit_status INTEGER NOT NULL, PRIMARY KEY (vm, hash, occurrence)) "
    "STRICT;"
    "CREATE TABLE event (id INTEGER PRIMARY KEY, time_s INTEGER NOT NULL, vm TEXT NOT NULL,"
    " operation TEXT NOT NULL, outcome TEXT NOT NULL) STRICT;"
    "INSERT INTO vm VALUES ('old', 'noop', NULL, 1, 7, '{}');"
    "PRAGMA user_version = 1";

static void
test_an_old_store_is_brought_up_to_date (Fixture *fixture, gconstpointer data)
{
  g_autofree char *dir = g_build_filename (fixture->dir, "old", NULL);
  g_autofree char *path = g_build_filename (dir, "vmctl.db", NULL);
  g_autoptr (GPtrArray) macs = mac_list ("52:54:00:00:00:01");
  sqlite3 *db;
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, version_1, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);

  g_autoptr (VmStore) store = vm_store_open (dir, NULL);
  g_autoptr (VmRow) row = vm_store_get (store, "old", NULL);
  g_assert_cmpint (row->created_s, ==, 7);
  g_assert_cmpint (row->phase, ==, VM_PHASE_PREPARED);
  g_assert_true (vm_store_set_macs (store, "old", macs, NULL));
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
  ADD ("/store/macs", test_a_mac_is_one_vms);
  ADD ("/store/ports", test_a_port_is_one_vms);
  ADD ("/store/images", test_an_image_knows_its_users);
  ADD ("/store/events", test_the_last_events_in_order);
  ADD ("/store/migration", test_an_old_store_is_brought_up_to_date);
  ADD ("/store/newer", test_a_newer_store_is_refused);
  ADD ("/store/damaged", test_a_damaged_store_is_refused);
  ADD ("/lock/one-holder", test_a_lock_is_held_by_one);
  ADD ("/lock/waiter", test_a_waiter_gets_the_lock);
  ADD ("/lock/asking", test_asking_takes_nothing);
  return g_test_run ();
}
