/* SPDX-License-Identifier: MPL-2.0 */
/* The ssh folder against a real OpenSSH sshd, run as this user on a loopback port; skipped where
 * none is installed. */
#include "ssh-helpers.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define SSHD "/usr/sbin/sshd"

typedef struct {
  char *dir;
  char *host_key; /* its public line */
  char *known_hosts;
  char *authorized_keys;
  const char *keys[2];
  GPid pid;
  VmSshTarget target;
  VmOp op;
} Server;

static char *
in_dir (const Server *server, const char *name)
{
  return g_build_filename (server->dir, name, NULL);
}

static void
die_with_parent (gpointer data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

static char *
make_key (const Server *server, const char *type, const char *name)
{
  g_autofree char *path = in_dir (server, name);
  g_autofree char *public_path = g_strconcat (path, ".pub", NULL);
  g_free (run (
      (const char *[]){ "ssh-keygen", "-q", "-t", type, "-N", "", "-C", name, "-f", path, NULL }));
  return g_strchomp (read_file (public_path));
}

static void
start_sshd (Server *server, guint16 port)
{
  g_autofree char *config = in_dir (server, "sshd_config");
  g_autofree char *log = in_dir (server, "sshd.log");
  /* Without PAM, whoever cannot read /etc/shadow takes every account for locked. */
  const char *uses_pam = geteuid () == 0 ? "no" : "yes";
  g_autofree char *text = g_strdup_printf (
      "ListenAddress 127.0.0.1:%u\nHostKey %s/host_ed25519\nHostKey %s/host_ecdsa\n"
      "AuthorizedKeysFile %s/authorized_keys\nPidFile none\nUsePAM %s\nStrictModes no\n"
      "PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
      "LogLevel VERBOSE\nSubsystem sftp internal-sftp -d %s/home\n",
      port, server->dir, server->dir, server->dir, uses_pam, server->dir);
  write_file (config, text, 0600);
  char *argv[] = { SSHD, "-D", "-f", config, "-E", log, NULL };
  g_autoptr (GError) error = NULL;
  g_spawn_async (NULL, argv, NULL,
                 G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
                     G_SPAWN_STDERR_TO_DEV_NULL,
                 die_with_parent, NULL, &server->pid, &error);
  g_assert_no_error (error);
}

static void
server_set_up (Server *server, gconstpointer data)
{
  guint16 port;
  if (!g_file_test (SSHD, G_FILE_TEST_IS_EXECUTABLE))
    return;
  if (geteuid () == 0) /* sshd run by root insists on this folder */
    g_mkdir_with_parents ("/run/sshd", 0755);
  server->dir = temp_dir ();
  g_autofree char *home = in_dir (server, "home");
  g_mkdir (home, 0755);
  server->host_key = make_key (server, "ed25519", "host_ed25519");
  g_free (make_key (server, "ecdsa", "host_ecdsa"));
  g_autofree char *user_key = make_key (server, "ed25519", "user");
  g_free (make_key (server, "ed25519", "stranger"));
  server->authorized_keys = in_dir (server, "authorized_keys");
  write_file (server->authorized_keys, user_key, 0600);
  server->known_hosts = in_dir (server, "known_hosts");
  server->keys[0] = in_dir (server, "user");
  vm_fd_close (bind_loopback (&port));
  start_sshd (server, port);
  server->target = target_at (port);
  server->target.private_keys = server->keys;
  server->target.known_hosts = server->known_hosts;
  server->op = vm_op_within (NULL, LONG_S);
}

static void
server_tear_down (Server *server, gconstpointer data)
{
  if (server->dir == NULL)
    return;
  kill (server->pid, SIGTERM);
  waitpid (server->pid, NULL, 0);
  vm_dir_remove (server->dir, NULL);
  g_free (server->dir);
  g_free (server->host_key);
  g_free (server->known_hosts);
  g_free (server->authorized_keys);
  g_free ((char *) server->keys[0]);
}

static gboolean
no_server (const Server *server)
{
  if (server->dir == NULL)
    g_test_skip ("there is no " SSHD);
  return server->dir == NULL;
}

static VmSshSession *
connect_to (Server *server)
{
  g_autoptr (GError) error = NULL;
  VmSshSession *session = vm_ssh_connect (&server->target, &server->op, &error);
  g_assert_no_error (error);
  return session;
}

static void
expect_refusal (Server *server, VmErrorCode code, const char *reason)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (vm_ssh_connect (&server->target, &server->op, &error));
  g_assert_error (error, VM_ERROR, (int) code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, reason));
}

typedef struct {
  GByteArray *streams[2];
} Output;

static void
collect (gpointer data, gboolean is_stderr, const char *bytes, gsize n)
{
  Output *output = data;
  g_byte_array_append (output->streams[is_stderr], (const guint8 *) bytes, (guint) n);
}

/* Runs @command; what it printed stands in @output. */
static int
execute (Server *server, VmSshSession *session, const char *command, Output *output,
         char **out_signal)
{
  g_autoptr (GError) error = NULL;
  int status = -1;
  for (int i = 0; i < 2; i++) {
    g_clear_pointer (&output->streams[i], g_byte_array_unref);
    output->streams[i] = g_byte_array_new ();
  }
  vm_ssh_exec (session, command, collect, output, &status, out_signal, &server->op, &error);
  g_assert_no_error (error);
  return status;
}

static void
output_clear (Output *output)
{
  for (int i = 0; i < 2; i++)
    g_clear_pointer (&output->streams[i], g_byte_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Output, output_clear)

static void
test_exec (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  g_autoptr (VmSshSession) session = connect_to (server);
  g_auto (Output) output = { 0 };
  g_autofree char *signal_name = NULL;

  g_assert_cmpint (execute (server, session, "true", &output, &signal_name), ==, 0);
  g_assert_null (signal_name);
  g_assert_cmpint (execute (server, session, "printf 'a\\0b'; echo e >&2; exit 3", &output, NULL),
                   ==, 3);
  g_assert_cmpmem (output.streams[0]->data, output.streams[0]->len, "a\0b", 3);
  g_assert_cmpmem (output.streams[1]->data, output.streams[1]->len, "e\n", 2);
  g_assert_cmpint (execute (server, session, "cat; exit 255", &output, NULL), ==, 255);
  g_assert_cmpint (execute (server, session, "kill -KILL $$", &output, &signal_name), ==,
                   128 + SIGKILL);
  g_assert_cmpstr (signal_name, ==, "KILL");

  /* 1 MiB on each stream, written alternately: neither may block the other. */
  g_assert_cmpint (execute (server, session,
                            "i=0; while [ $i -lt 64 ]; do "
                            "head -c 16384 /dev/zero | tr '\\0' o; "
                            "head -c 16384 /dev/zero | tr '\\0' e >&2; i=$((i+1)); done",
                            &output, NULL),
                   ==, 0);
  for (int i = 0; i < 2; i++) {
    g_assert_cmpint (output.streams[i]->len, ==, 1 << 20);
    for (guint k = 0; k < output.streams[i]->len; k++)
      g_assert_true (output.streams[i]->data[k] == "oe"[i]);
  }
}

/* Ends a wait from inside, once the command has said that it runs. */
typedef struct {
  GCancellable *cancel;
  int watch_fd;
  GPid remote;
} Interrupter;

static void
interrupt (gpointer data, gboolean is_stderr, const char *bytes, gsize n)
{
  Interrupter *interrupter = data;
  g_autofree char *text = g_strndup (bytes, n);
  interrupter->remote = atoi (text);
  g_cancellable_cancel (interrupter->cancel);
  if (interrupter->watch_fd >= 0)
    eventfd_write (interrupter->watch_fd, 1);
}

/* sshd passes signals on, but not in sessions of root. */
static void
await_end (GPid pid)
{
  gint64 until_us = g_get_monotonic_time () + LONG_S * G_USEC_PER_SEC;
  if (geteuid () == 0)
    kill (pid, SIGTERM);
  while (kill (pid, 0) == 0 && g_get_monotonic_time () < until_us)
    g_usleep (10 * 1000); /* no child of ours, so nothing tells */
  g_assert_cmpint (kill (pid, 0), ==, -1);
}

static void
expect_broken_exec (Server *server, VmSshSession *session, const VmOp *op, Interrupter *interrupter,
                    const char *command, VmErrorCode code)
{
  g_autoptr (GError) error = NULL;
  int status = -7;
  g_assert_false (
      vm_ssh_exec (session, command, interrupt, interrupter, &status, NULL, op, &error));
  g_assert_error (error, VM_ERROR, (int) code);
  g_test_message ("%s", error->message);
  g_assert_cmpint (status, ==, -7);
}

static void
test_exec_interrupted (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  vm_autofd int watch = eventfd (0, EFD_CLOEXEC);
  Interrupter interrupter = { .cancel = cancel, .watch_fd = -1 };
  VmOp op = server->op;
  g_auto (Output) output = { 0 };

  server->target.watch_fd = watch;
  g_autoptr (VmSshSession) session = connect_to (server);
  op.cancel = cancel;
  expect_broken_exec (server, session, &op, &interrupter, "echo $$; exec sleep 1000",
                      VM_ERROR_CANCELLED);
  await_end (interrupter.remote);
  g_assert_cmpint (execute (server, session, "exit 4", &output, NULL), ==, 4);

  op = vm_op_within (NULL, 0.3);
  expect_broken_exec (server, session, &op, &interrupter, "echo $$; exec sleep 1000",
                      VM_ERROR_TIMEOUT);
  await_end (interrupter.remote);

  interrupter.watch_fd = watch;
  expect_broken_exec (server, session, &server->op, &interrupter, "echo $$; exec sleep 1000",
                      VM_ERROR_QEMU_EXITED);
  kill (interrupter.remote, SIGKILL);
}

static void
test_exec_lost (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  g_autoptr (VmSshSession) session = connect_to (server);
  Interrupter none = { .watch_fd = -1 };
  expect_broken_exec (server, session, &server->op, &none, "kill -KILL $PPID; exec sleep 2",
                      VM_ERROR_SSH_FAILED);
  g_autoptr (GError) error = NULL;
  int status;
  g_assert_false (vm_ssh_exec (session, "true", NULL, NULL, &status, NULL, &server->op, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_SSH_FAILED);
}

static void
test_logins (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  g_autofree char *missing = in_dir (server, "missing");
  g_autofree char *stranger = in_dir (server, "stranger");
  const char *wrong[] = { missing, stranger, NULL };
  const char *right[] = { missing, stranger, server->keys[0], NULL };
  server->target.private_keys = wrong;
  expect_refusal (server, VM_ERROR_SSH_AUTH_FAILED, "missing (not there), ");
  server->target.private_keys = right;
  vm_ssh_session_free (connect_to (server));
}

static void
test_host_keys (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  g_autofree char *pinned = g_strdup_printf (
      "%s %.*s\n", ALIAS, (int) (strrchr (server->host_key, ' ') - server->host_key),
      server->host_key);
  vm_ssh_session_free (connect_to (server)); /* the first use pins */
  g_autofree char *first = read_file (server->known_hosts);
  g_assert_cmpstr (first, ==, pinned);

  /* OpenSSH finds the guest under its alias in the same file. */
  g_autofree char *port = g_strdup_printf ("-p%u", server->target.port);
  g_autofree char *option = g_strdup_printf ("-oUserKnownHostsFile=%s", server->known_hosts);
  g_autofree char *printed = run (
      (const char *[]){ "ssh", "-F", "none", "-oHostKeyAlias=" ALIAS, option, "-oBatchMode=yes",
                        "-oStrictHostKeyChecking=yes", "-oGlobalKnownHostsFile=/dev/null", "-i",
                        server->keys[0], port, "127.0.0.1", "echo in", NULL });
  g_assert_cmpstr (printed, ==, "in\n");

  /* Another type than the preferred one, if that is what is pinned. */
  g_autofree char *ecdsa_path = in_dir (server, "host_ecdsa.pub");
  g_autofree char *ecdsa = read_file (ecdsa_path);
  g_assert_true (vm_ssh_pin (server->known_hosts, ALIAS, g_strchomp (ecdsa), NULL));
  vm_ssh_session_free (connect_to (server));

  g_autofree char *stranger_path = in_dir (server, "stranger.pub");
  g_autofree char *stranger = read_file (stranger_path);
  g_assert_true (vm_ssh_pin (server->known_hosts, ALIAS, g_strchomp (stranger), NULL));
  g_autofree char *before = read_file (server->known_hosts);
  expect_refusal (server, VM_ERROR_SSH_HOST_KEY_MISMATCH, "another host key (SHA256:");
  g_autofree char *after = read_file (server->known_hosts);
  g_assert_cmpstr (before, ==, after);
}

static gpointer
connect_thread (gpointer data)
{
  return connect_to (data);
}

/* The guest's cloud-init is late: its sshd knows our key only after a first refusal. */
static void
test_settling (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  g_autofree char *log_path = in_dir (server, "sshd.log");
  g_autofree char *key = read_file (server->authorized_keys);
  g_autofree char *log = NULL;
  write_file (server->authorized_keys, "# none yet\n", 0600);
  server->target.settle_s = LONG_S;
  GThread *thread = g_thread_new ("connect", connect_thread, server);
  do {
    g_clear_pointer (&log, g_free);
    g_usleep (20 * 1000);
    log = read_file (log_path);
  } while (strstr (log, "Failed publickey") == NULL);
  write_file (server->authorized_keys, key, 0600);
  g_autoptr (VmSshSession) session = g_thread_join (thread);
  g_assert_nonnull (session);

  /* A deadline in that time tells what was wrong, not merely that it was late. */
  write_file (server->authorized_keys, "", 0600);
  server->op = vm_op_within (NULL, 1);
  expect_refusal (server, VM_ERROR_SSH_AUTH_FAILED, "refused the login");
}

static void
test_agent (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  g_autofree char *path = in_dir (server, "agent");
  g_autofree char *printed = run ((const char *[]){ "ssh-agent", "-s", "-a", path, NULL });
  GPid agent = atoi (strstr (printed, "SSH_AGENT_PID=") + strlen ("SSH_AGENT_PID="));
  server->target.private_keys = NULL;
  g_setenv ("SSH_AUTH_SOCK", path, TRUE);
  expect_refusal (server, VM_ERROR_SSH_AUTH_FAILED, "tried the SSH agent");
  g_free (run ((const char *[]){ "ssh-add", "-q", server->keys[0], NULL }));
  vm_ssh_session_free (connect_to (server));
  kill (agent, SIGTERM);

  /* An agent that takes its time is left at the deadline. */
  g_autofree char *silent_path = in_dir (server, "silent");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  vm_autofd int silent = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_strlcpy (address.sun_path, silent_path, sizeof address.sun_path);
  g_assert_cmpint (bind (silent, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (silent, 4), ==, 0);
  g_setenv ("SSH_AUTH_SOCK", silent_path, TRUE);
  server->op = vm_op_within (NULL, 1);
  expect_refusal (server, VM_ERROR_SSH_TIMEOUT, "not done in time");
  g_unsetenv ("SSH_AUTH_SOCK");
}

static void
upload (Server *server, VmSshSession *session, const char *source, const char *destination,
        int mode)
{
  g_autoptr (GError) error = NULL;
  vm_ssh_upload (session, source, destination, mode, &server->op, &error);
  g_assert_no_error (error);
}

static void
expect_file (const char *folder, const char *name, const char *text, mode_t mode)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *found = read_file (path);
  struct stat st;
  g_assert_cmpstr (found, ==, text);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, mode);
}

static guint
count_entries (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint n = 0;
  while (dir != NULL && g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static void
test_upload_file (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  g_autoptr (VmSshSession) session = connect_to (server);
  g_autoptr (GError) error = NULL;
  g_autofree char *home = in_dir (server, "home");
  g_autofree char *source = in_dir (server, "app.conf");
  g_autofree char *as_new = g_build_filename (home, "deep/er", "new.conf", NULL);

  write_file (source, "one", 0640);
  upload (server, session, source, as_new, -1);
  expect_file (home, "deep/er/new.conf", "one", 0640);
  write_file (source, "two", 0640);
  upload (server, session, source, as_new, 0755);
  expect_file (home, "deep/er/new.conf", "two", 0755);
  upload (server, session, source, home, -1);
  expect_file (home, "app.conf", "two", 0640);
  upload (server, session, source, "~/in/", -1);
  expect_file (home, "in/app.conf", "two", 0640);
  upload (server, session, source, "relative", -1);
  expect_file (home, "relative", "two", 0640);
  g_assert_cmpint (count_entries (home), ==, 4);

  g_autofree char *under_file = g_build_filename (home, "app.conf", "x", NULL);
  g_assert_false (vm_ssh_upload (session, source, under_file, -1, &server->op, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_SSH_FAILED);
  g_test_message ("%s", error->message);
  g_clear_error (&error);
  g_assert_false (vm_ssh_upload (session, under_file, home, -1, &server->op, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_IO);
  g_clear_error (&error);

  for (int i = 0; i < 2; i++) /* a missing one is fine */
    g_assert_true (vm_ssh_remove (session, "~/relative", &server->op, NULL));
  g_assert_cmpint (count_entries (home), ==, 3);
  g_assert_false (vm_ssh_remove (session, home, &server->op, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_SSH_FAILED);
}

/* 8 MiB fill the windows of the protocol; a deadline in the middle leaves nothing behind. */
static void
test_upload_large (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  enum { LARGE = 8 << 20, ENDLESS = 1 << 30 };
  g_autoptr (VmSshSession) session = connect_to (server);
  g_autoptr (GError) error = NULL;
  g_autofree char *home = in_dir (server, "home");
  g_autofree char *source = in_dir (server, "large");
  g_autofree char *copy = g_build_filename (home, "large", NULL);
  g_autofree guint32 *words = g_new (guint32, LARGE / sizeof (guint32));
  for (gsize i = 0; i < LARGE / sizeof *words; i++)
    words[i] = g_test_rand_int ();
  g_assert_true (vm_file_write (source, words, LARGE, 0600, NULL));
  upload (server, session, source, copy, -1);
  g_free (run ((const char *[]){ "cmp", source, copy, NULL }));

  g_assert_cmpint (truncate (source, ENDLESS), ==, 0);
  VmOp op = vm_op_within (NULL, 0.2);
  g_assert_false (vm_ssh_upload (session, source, "~/endless", -1, &op, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_TIMEOUT);
  g_assert_cmpint (count_entries (home), ==, 1);
}

static void
test_upload_folder (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  g_autoptr (VmSshSession) session = connect_to (server);
  g_autofree char *home = in_dir (server, "home");
  g_autofree char *source = in_dir (server, "src");
  g_autofree char *sub = g_build_filename (source, "sub", NULL);
  g_autofree char *empty = g_build_filename (source, "empty", NULL);
  g_autofree char *script = g_build_filename (sub, "run me", NULL);
  g_autofree char *link = g_build_filename (source, "link", NULL);
  g_autofree char *copied_link = g_build_filename (home, "app", "link", NULL);
  g_autofree char *copied_sub = g_build_filename (home, "app", "sub", NULL);
  struct stat st;

  g_assert_cmpint (g_mkdir_with_parents (sub, 0755), ==, 0);
  g_assert_cmpint (g_mkdir (empty, 0700), ==, 0);
  write_file (script, "#!/bin/sh\n", 0755);
  g_assert_cmpint (symlink ("sub/run me", link), ==, 0);
  g_assert_cmpint (g_chmod (sub, 0555), ==, 0);
  for (int i = 0; i < 2; i++) { /* the second run finds everything and does the same */
    g_chmod (copied_sub, 0755);
    upload (server, session, source, "app", -1);
    expect_file (home, "app/sub/run me", "#!/bin/sh\n", 0755);
    g_autofree char *target = g_file_read_link (copied_link, NULL);
    g_assert_cmpstr (target, ==, "sub/run me");
  }
  g_autofree char *copy = g_build_filename (home, "app", NULL);
  g_assert_cmpint (count_entries (copy), ==, 3);
  upload (server, session, source, "~/other/", -1);
  g_autofree char *other_sub = g_build_filename (home, "other", "sub", NULL);
  g_assert_cmpint (stat (other_sub, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0555);
  for (int i = 0; i < 3; i++)
    g_chmod ((char *[]){ sub, copied_sub, other_sub }[i], 0755);
}

static gpointer
exec_thread (gpointer data)
{
  Server *server = data;
  g_autoptr (VmSshSession) session = connect_to (server);
  g_auto (Output) output = { 0 };
  for (int i = 0; i < 5; i++)
    g_assert_cmpint (execute (server, session, "echo x", &output, NULL), ==, 0);
  return NULL;
}

/* Sessions in several threads at once, and nothing of them is left open. */
static void
test_threads (Server *server, gconstpointer data)
{
  if (no_server (server))
    return;
  enum { THREADS = 4 };
  GThread *threads[THREADS];
  g_autofree char *stranger = in_dir (server, "stranger");
  const char *wrong[] = { stranger, NULL };
  exec_thread (server);
  guint before = count_entries ("/proc/self/fd");
  for (int i = 0; i < THREADS; i++)
    threads[i] = g_thread_new ("exec", exec_thread, server);
  for (int i = 0; i < THREADS; i++)
    g_thread_join (threads[i]);
  server->target.private_keys = wrong;
  expect_refusal (server, VM_ERROR_SSH_AUTH_FAILED, "refused the login");
  g_assert_cmpint (count_entries ("/proc/self/fd"), ==, before);
}

int
main (int argc, char **argv)
{
  /* No key and no agent of whoever runs this may help the tests. */
  g_setenv ("HOME", "/nonexistent", TRUE);
  g_unsetenv ("SSH_AUTH_SOCK");
  g_test_init (&argc, &argv, NULL);
#define ADD(path, test) g_test_add (path, Server, NULL, server_set_up, test, server_tear_down)
  ADD ("/sshd/exec", test_exec);
  ADD ("/sshd/exec/interrupted", test_exec_interrupted);
  ADD ("/sshd/exec/lost", test_exec_lost);
  ADD ("/sshd/logins", test_logins);
  ADD ("/sshd/host-keys", test_host_keys);
  ADD ("/sshd/settling", test_settling);
  ADD ("/sshd/agent", test_agent);
  ADD ("/sshd/upload/file", test_upload_file);
  ADD ("/sshd/upload/large", test_upload_large);
  ADD ("/sshd/upload/folder", test_upload_folder);
  ADD ("/sshd/threads", test_threads);
  return g_test_run ();
}
