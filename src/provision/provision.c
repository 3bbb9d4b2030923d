/* SPDX-License-Identifier: MPL-2.0 */
#include "provision/provision.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TITLE_WIDTH 60

typedef struct {
  const VmProvision *provision;
  VmSshSession *session;
  int log_fd;
} Runner;

/* "shell: apt-get install -y nginx …": the first line, cut. Owned by the caller. */
static char *
step_title (const VmStep *step)
{
  if (step->kind == VM_STEP_FILE)
    return g_strdup_printf ("file: %s → %s", step->source, step->destination);
  if (step->script != NULL)
    return g_strdup_printf ("script: %s", step->script);
  g_autofree char *text = g_strstrip (g_strdup (step->inline_text));
  gsize line = strcspn (text, "\n");
  g_autofree char *first = g_strndup (text, line);
  gboolean cut = text[line] != '\0' || g_utf8_strlen (first, -1) > TITLE_WIDTH;
  g_autofree char *shown =
      g_utf8_substring (first, 0, MIN (g_utf8_strlen (first, -1), TITLE_WIDTH));
  return g_strdup_printf ("shell: %s%s", shown, cut ? " …" : "");
}

static gboolean hash_path (GChecksum *hash, const char *path, const VmOp *op, GError **error);

static gboolean
hash_file (GChecksum *hash, const char *path, const VmOp *op, GError **error)
{
  guint8 buffer[65536];
  vm_autofd int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat st;
  ssize_t n = -1;
  if (fd >= 0 && fstat (fd, &st) == 0 && !S_ISREG (st.st_mode))
    return vm_error_set (error, VM_ERROR_IO, "%s is neither a file nor a folder", path);
  while (fd >= 0 && (n = read (fd, buffer, sizeof buffer)) > 0) {
    g_checksum_update (hash, buffer, n);
    if (!vm_op_check (op, error))
      return FALSE;
  }
  return n == 0 || vm_error_set_errno (error, errno, "cannot read %s", path);
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static gboolean
hash_folder (GChecksum *hash, const char *path, const VmOp *op, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;
  if (dir == NULL)
    return vm_error_set_errno (error, errno, "cannot read %s", path);
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *child = g_build_filename (path, names->pdata[i], NULL);
    g_checksum_update (hash, names->pdata[i], (gssize) strlen (names->pdata[i]) + 1);
    if (!hash_path (hash, child, op, error))
      return FALSE;
  }
  return TRUE;
}

/* What lies at @path and its mode; a symbolic link inside a folder is its target's text. */
static gboolean
hash_path (GChecksum *hash, const char *path, const VmOp *op, GError **error)
{
  struct stat st;
  if (lstat (path, &st) < 0)
    return vm_error_set_errno (error, errno, "cannot read %s", path);
  g_checksum_update (hash, (const guchar *) &st.st_mode, sizeof st.st_mode);
  if (S_ISDIR (st.st_mode))
    return hash_folder (hash, path, op, error);
  if (!S_ISLNK (st.st_mode))
    return hash_file (hash, path, op, error);
  g_autofree char *target = g_file_read_link (path, NULL);
  g_checksum_update (hash, (const guchar *) (target != NULL ? target : ""), -1);
  return TRUE;
}

static void
hash_text (GChecksum *hash, const char *text)
{
  if (text != NULL)
    g_checksum_update (hash, (const guchar *) text, (gssize) strlen (text));
  g_checksum_update (hash, (const guchar *) "", 1);
}

/* A step is the same step as long as this is the same: its kind, what it runs or copies, and where
 * to. Owned by the caller. */
static char *
step_hash (const VmStep *step, const VmOp *op, GError **error)
{
  g_autoptr (GChecksum) hash = g_checksum_new (G_CHECKSUM_SHA256);
  const char *path = step->kind == VM_STEP_FILE ? step->source : step->script;
  hash_text (hash, step->kind == VM_STEP_FILE ? "file" : "shell");
  hash_text (hash, step->inline_text);
  hash_text (hash, step->destination);
  if (path != NULL) {
    g_autofree char *resolved = realpath (path, NULL);
    if (!hash_path (hash, resolved != NULL ? resolved : path, op, error))
      return NULL;
  }
  return g_strdup (g_checksum_get_string (hash));
}

/* The hashes of all steps, in order; owned by the caller. */
static GPtrArray *
step_hashes (const VmProvision *provision, const VmOp *op, GError **error)
{
  const GPtrArray *steps = provision->vm->spec->steps;
  g_autoptr (GPtrArray) hashes = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < steps->len; i++) {
    char *hash = step_hash (steps->pdata[i], op, error);
    if (hash == NULL)
      return NULL;
    g_ptr_array_add (hashes, hash);
  }
  return g_steal_pointer (&hashes);
}

/* How many steps before @index do the very same. */
static guint
occurrence_of (const GPtrArray *hashes, guint index)
{
  guint n = 0;
  for (guint i = 0; i < index; i++)
    n += g_str_equal (hashes->pdata[i], hashes->pdata[index]);
  return n;
}

static gboolean
must_run (const VmProvision *provision, const GPtrArray *hashes, guint index, gboolean *out_run,
          GError **error)
{
  const VmStep *step = provision->vm->spec->steps->pdata[index];
  gboolean done = FALSE;
  if (!provision->all && step->run == VM_RUN_ONCE &&
      !vm_store_step_is_done (provision->store, provision->vm->spec->name, hashes->pdata[index],
                              occurrence_of (hashes, index), &done, error))
    return FALSE;
  *out_run = !done;
  return TRUE;
}

gboolean
vm_provision_count_pending (const VmProvision *provision, guint *out_pending, const VmOp *op,
                            GError **error)
{
  g_autoptr (GPtrArray) hashes = step_hashes (provision, op, error);
  guint pending = 0;
  if (hashes == NULL)
    return FALSE;
  for (guint i = 0; i < hashes->len; i++) {
    gboolean run = FALSE;
    if (!must_run (provision, hashes, i, &run, error))
      return FALSE;
    pending += run;
  }
  *out_pending = pending;
  return TRUE;
}

static void
write_log (const Runner *runner, const char *bytes, gsize n)
{
  while (n > 0) {
    ssize_t written = write (runner->log_fd, bytes, n);
    if (written < 0 && errno != EINTR)
      return; /* the log is a convenience; the step must not fail for it */
    bytes += MAX (written, 0);
    n -= (gsize) MAX (written, 0);
  }
}

static void G_GNUC_PRINTF (2, 3) log_line (const Runner *runner, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *stamp = g_date_time_format_iso8601 (now);
  g_autofree char *line = g_strdup_printf ("=== %s %s\n", stamp, text);
  write_log (runner, line, strlen (line));
}

static void
on_output (gpointer data, gboolean is_stderr, const char *bytes, gsize n)
{
  const Runner *runner = data;
  write_log (runner, bytes, n);
  if (runner->provision->on_output != NULL)
    runner->provision->on_output (runner->provision->data, is_stderr, bytes, n);
}

static gboolean
run_script (Runner *runner, const VmStep *step, guint index, int *out_status, const VmOp *op,
            GError **error)
{
  g_autofree char *remote = g_strdup_printf ("/tmp/vmctl-provision-%u.sh", index + 1);
  gboolean ran =
      vm_ssh_upload (runner->session, step->script, remote, 0700, op, error) &&
      vm_ssh_exec (runner->session, remote, on_output, runner, out_status, NULL, op, error);
  VmOp grace = vm_op_grace (5);
  vm_ssh_remove (runner->session, remote, &grace, NULL);
  return ran;
}

static gboolean
run_step (Runner *runner, const VmStep *step, guint index, int *out_status, const VmOp *op,
          GError **error)
{
  *out_status = 0;
  if (step->kind == VM_STEP_FILE)
    return vm_ssh_upload (runner->session, step->source, step->destination, -1, op, error);
  if (step->script != NULL)
    return run_script (runner, step, index, out_status, op, error);
  return vm_ssh_exec (runner->session, step->inline_text, on_output, runner, out_status, NULL, op,
                      error);
}

static gint64
now_s (void)
{
  return g_get_real_time () / G_USEC_PER_SEC;
}

/* Runs step @index and records how it ended; an interrupted one stays unrecorded and thus pending.
 */
static gboolean
run_and_record (Runner *runner, const GPtrArray *hashes, guint index, const VmOp *op,
                GError **error)
{
  const VmSpec *spec = runner->provision->vm->spec;
  const VmStep *step = spec->steps->pdata[index];
  g_autofree char *title = step_title (step);
  VmStepRecord record = { .hash = hashes->pdata[index],
                          .occurrence = occurrence_of (hashes, index),
                          .started_s = now_s () };
  int status = 0;

  if (runner->provision->on_step != NULL)
    runner->provision->on_step (runner->provision->data, index, title);
  log_line (runner, "step %u of %u: %s", index + 1, spec->steps->len, title);
  if (!run_step (runner, step, index, &status, op, error)) {
    log_line (runner, "step %u was not finished", index + 1);
    g_prefix_error (error, "step %u of %u (%s): ", index + 1, spec->steps->len, title);
    return FALSE;
  }
  log_line (runner, "step %u ended with exit status %d", index + 1, status);
  record.ended_s = now_s ();
  record.exit_status = status;
  if (!vm_store_step_record (runner->provision->store, spec->name, &record, error))
    return FALSE;
  if (status == 0)
    return TRUE;
  return vm_error_set (error, VM_ERROR_PROVISION_FAILED,
                       "step %u of %u on VM \"%s\" failed with exit status %d: %s", index + 1,
                       spec->steps->len, spec->name, status, title);
}

static gboolean
run_steps (Runner *runner, const VmOp *op, GError **error)
{
  g_autoptr (GPtrArray) hashes = step_hashes (runner->provision, op, error);
  if (hashes == NULL)
    return FALSE;
  for (guint i = 0; i < hashes->len; i++) {
    gboolean run = FALSE;
    if (!must_run (runner->provision, hashes, i, &run, error))
      return FALSE;
    if (run && !run_and_record (runner, hashes, i, op, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
vm_provision_run (const VmProvision *provision, VmSshSession *session, const VmOp *op,
                  GError **error)
{
  g_autofree char *path = vm_handle_path (provision->vm, VM_FILE_PROVISION_LOG);
  vm_autofd int log = open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (log < 0)
    return vm_error_set_errno (error, errno, "cannot write %s", path);
  Runner runner = { provision, session, log };
  return run_steps (&runner, op, error);
}
