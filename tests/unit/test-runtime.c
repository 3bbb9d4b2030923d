/* SPDX-License-Identifier: MPL-2.0 */
#include "runtime/op.h"
#include "runtime/proc.h"
#include "runtime/run.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
test_every_error_has_a_name (void)
{
  for (int code = 0; code < VM_N_ERRORS; code++) {
    g_autoptr (GError) error = NULL;
    vm_error_set (&error, (VmErrorCode) code, "x");
    g_assert_nonnull (vm_error_name (error));
    g_assert_true (g_str_has_prefix (vm_error_name (error), "vm_manager::"));
  }
}

static void
test_help_is_the_codes_own_until_replaced (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (vm_error_set (&error, VM_ERROR_VM_NOT_FOUND, "no VM \"%s\"", "x"));
  g_assert_cmpstr (error->message, ==, "no VM \"x\"");
  g_assert_cmpstr (vm_error_get_help (error), ==, "`vmctl list` shows the VMs there are");
  vm_error_help (&error, "look %s", "again");
  g_autoptr (GError) copy = g_error_copy (error);
  g_assert_cmpstr (vm_error_get_help (copy), ==, "look again");
  g_assert_cmpint (vm_error_failure (copy), ==, VM_FAILURE_NOT_FOUND);
}

static void
test_foreign_errors_are_taken_in (void)
{
  g_autoptr (GError) error = NULL;
  vm_error_take (&error, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "stop"),
                 VM_ERROR_IO, "reading");
  g_assert_error (error, VM_ERROR, VM_ERROR_CANCELLED);
  g_assert_cmpstr (error->message, ==, "reading: stop");
}

static void
test_deadlines_only_narrow (void)
{
  VmOp near = vm_op_within (NULL, 1);
  VmOp far = vm_op_within (&near, 100);
  g_assert_cmpint (far.deadline_us, ==, near.deadline_us);
  g_assert_cmpint (vm_op_remaining_ms (&near), <=, 1000);
  g_assert_cmpint (vm_op_remaining_ms (NULL), ==, -1);
}

static void
test_wait_ends_at_the_deadline (void)
{
  g_autoptr (GError) error = NULL;
  VmOp op = vm_op_within (NULL, 0.01);
  g_assert_false (vm_op_wait (&op, -1, 0, -1, NULL, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_TIMEOUT);
}

static void
test_wait_returns_after_max_ms (void)
{
  gboolean ready = TRUE;
  g_assert_true (vm_op_wait (NULL, -1, 0, 1, &ready, NULL));
  g_assert_false (ready);
}

static gpointer
cancel_it (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancel_wakes_a_wait (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  VmOp op = { .cancel = cancel };
  GThread *thread = g_thread_new ("cancel", cancel_it, cancel);
  g_assert_false (vm_op_wait (&op, -1, 0, -1, NULL, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_CANCELLED);
  g_thread_join (thread);
}

static void
test_proc_collects_output_and_status (void)
{
  const char *argv[] = { "sh", "-c", "echo out; echo err >&2; exit 3", NULL };
  g_auto (VmProcResult) result = { 0 };
  g_assert_true (vm_proc_run (argv, &result, NULL, NULL));
  g_assert_cmpstr (result.out, ==, "out\n");
  g_assert_cmpstr (result.err, ==, "err\n");
  g_assert_false (vm_proc_result_is_success (&result));
  g_autofree char *how = vm_proc_describe_status (result.wait_status);
  g_assert_cmpstr (how, ==, "exit status 3");
}

static void
test_proc_that_is_missing (void)
{
  const char *argv[] = { "no-such-program-at-all", NULL };
  g_auto (VmProcResult) result = { 0 };
  g_autoptr (GError) error = NULL;
  g_assert_false (vm_proc_run (argv, &result, NULL, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_IO);
  g_assert_cmpstr (error->message, ==, "no-such-program-at-all is not installed");
}

static void
test_proc_is_killed_at_the_deadline (void)
{
  const char *argv[] = { "sh", "-c", "kill -STOP $$", NULL };
  g_auto (VmProcResult) result = { 0 };
  g_autoptr (GError) error = NULL;
  VmOp op = vm_op_within (NULL, 0.05);
  g_assert_false (vm_proc_run (argv, &result, &op, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_TIMEOUT);
  g_assert_true (WIFSIGNALED (result.wait_status));
}

static void
test_proc_inherits_nothing_else (void)
{
  int leak = dup (STDIN_FILENO);
  g_assert_cmpint (leak, >, 2);
  const char *argv[] = { "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '", NULL };
  g_auto (VmProcResult) result = { 0 };
  g_assert_true (vm_proc_run (argv, &result, NULL, NULL));
  close (leak);
  g_assert_cmpstr (result.out, ==, "0 1 2 3 "); /* 3: the folder that ls reads */
}

static void
test_names (void)
{
  static const char *const good[] = { "a", "Web-1.x_y", "0" };
  static const char *const bad[] = { "", ".", "..", "-rf", "a/b", "a b", "a,b", "é", "a\n" };
  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (vm_name_is_valid (good[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (vm_name_is_valid (bad[i]));
  g_autofree char *longest = g_strnfill (63, 'x');
  g_autofree char *too_long = g_strnfill (64, 'x');
  g_assert_true (vm_name_is_valid (longest));
  g_assert_false (vm_name_is_valid (too_long));
}

static void
test_files_are_written_whole_and_read_back (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vm-runtime-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "file", NULL);
  g_autofree char *data = NULL;
  g_autofree char *tail = NULL;
  gsize size = 0;
  struct stat st;

  g_assert_true (vm_file_write (path, "one\ntwo\nthree\n", 14, 0600, NULL));
  g_assert_true (vm_file_read (path, 14, &data, &size, NULL));
  g_assert_cmpmem (data, size, "one\ntwo\nthree\n", 14);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0600);
  tail = vm_file_tail (path, 2);
  g_assert_cmpstr (tail, ==, "two\nthree\n");

  g_autoptr (GError) error = NULL;
  g_autofree char *none = NULL;
  g_assert_false (vm_file_read (path, 13, &none, NULL, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_IO);
  g_assert_true (vm_dir_remove (dir, NULL));
  g_assert_false (g_file_test (dir, G_FILE_TEST_EXISTS));
  g_assert_true (vm_dir_remove (dir, NULL));
}

static void
test_removing_a_folder_follows_no_link (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vm-runtime-XXXXXX", NULL);
  g_autofree char *kept = g_dir_make_tmp ("vm-runtime-XXXXXX", NULL);
  g_autofree char *treasure = g_build_filename (kept, "treasure", NULL);
  g_autofree char *link = g_build_filename (dir, "link", NULL);
  g_assert_true (vm_file_write (treasure, "x", 1, 0600, NULL));
  g_assert_cmpint (symlink (kept, link), ==, 0);
  g_assert_true (vm_dir_remove (dir, NULL));
  g_assert_true (g_file_test (treasure, G_FILE_TEST_EXISTS));
  g_assert_true (vm_dir_remove (kept, NULL));
}

static void
test_suggestions (void)
{
  static const char *const words[] = { "memory", "vcpus", "depends-on", "start", "status", NULL };
  g_assert_cmpstr (vm_did_you_mean ("memroy", words), ==, "memory");
  g_assert_cmpstr (vm_did_you_mean ("Vcpus", words), ==, "vcpus");
  g_assert_cmpstr (vm_did_you_mean ("depends_on", words), ==, "depends-on");
  g_assert_null (vm_did_you_mean ("banana", words));
}

static gboolean
add_one (gpointer data, const VmOp *op, GError **error)
{
  g_atomic_int_inc ((gint *) data);
  return TRUE;
}

static gboolean
fail (gpointer data, const VmOp *op, GError **error)
{
  return vm_error_set (error, VM_ERROR_IO, "no");
}

static void
test_a_failed_job_does_not_stop_the_others (void)
{
  gint done = 0;
  VmJob jobs[] = { { add_one, &done, NULL }, { fail, NULL, NULL }, { add_one, &done, NULL } };
  g_assert_false (vm_run_all (jobs, G_N_ELEMENTS (jobs), 2, NULL));
  g_assert_cmpint (done, ==, 2);
  g_assert_error (jobs[1].error, VM_ERROR, VM_ERROR_IO);
  g_clear_error (&jobs[1].error);
}

static void
test_jobs_are_not_begun_once_cancelled (void)
{
  gint done = 0;
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  VmOp op = { .cancel = cancel };
  VmJob job = { add_one, &done, NULL };
  g_cancellable_cancel (cancel);
  g_assert_false (vm_run_all (&job, 1, 1, &op));
  g_assert_error (job.error, VM_ERROR, VM_ERROR_CANCELLED);
  g_assert_cmpint (done, ==, 0);
  g_clear_error (&job.error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/error/every-error-has-a-name", test_every_error_has_a_name);
  g_test_add_func ("/error/help", test_help_is_the_codes_own_until_replaced);
  g_test_add_func ("/error/take", test_foreign_errors_are_taken_in);
  g_test_add_func ("/op/deadlines-only-narrow", test_deadlines_only_narrow);
  g_test_add_func ("/op/deadline", test_wait_ends_at_the_deadline);
  g_test_add_func ("/op/max-ms", test_wait_returns_after_max_ms);
  g_test_add_func ("/op/cancel", test_cancel_wakes_a_wait);
  g_test_add_func ("/proc/output-and-status", test_proc_collects_output_and_status);
  g_test_add_func ("/proc/missing", test_proc_that_is_missing);
  g_test_add_func ("/proc/deadline", test_proc_is_killed_at_the_deadline);
  g_test_add_func ("/proc/descriptors", test_proc_inherits_nothing_else);
  g_test_add_func ("/util/names", test_names);
  g_test_add_func ("/util/files", test_files_are_written_whole_and_read_back);
  g_test_add_func ("/util/dir-remove-links", test_removing_a_folder_follows_no_link);
  g_test_add_func ("/util/did-you-mean", test_suggestions);
  g_test_add_func ("/run/failure", test_a_failed_job_does_not_stop_the_others);
  g_test_add_func ("/run/cancel", test_jobs_are_not_begun_once_cancelled);
  return g_test_run ();
}
