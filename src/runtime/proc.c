/* SPDX-License-Identifier: MPL-2.0 */
#include "runtime/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_LIMIT (1024 * 1024)

void
vm_proc_result_clear (VmProcResult *result)
{
  g_clear_pointer (&result->out, g_free);
  g_clear_pointer (&result->err, g_free);
}

gboolean
vm_proc_result_is_success (const VmProcResult *result)
{
  return WIFEXITED (result->wait_status) && WEXITSTATUS (result->wait_status) == 0;
}

char *
vm_proc_describe_status (int wait_status)
{
  if (WIFSIGNALED (wait_status))
    return g_strdup_printf ("killed by signal %d (%s)", WTERMSIG (wait_status),
                            strsignal (WTERMSIG (wait_status)));
  return g_strdup_printf ("exit status %d", WEXITSTATUS (wait_status));
}

static void
reset_signals (void)
{
  sigset_t none;
  for (int sig = 1; sig < NSIG; sig++)
    signal (sig, SIG_DFL);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
}

/* The first number above all that is named in @fds. */
static int
first_free_fd (const VmProcFd *fds, guint n_fds)
{
  int top = STDERR_FILENO;
  for (guint i = 0; i < n_fds; i++)
    top = MAX (top, MAX (fds[i].source, fds[i].target));
  return top + 1;
}

/* Moves every source out of the way of every target first, then to its target. */
static gboolean
place_fds (const VmProcFd *fds, guint n_fds, int scratch)
{
  for (guint i = 0; i < n_fds; i++) {
    if (dup2 (fds[i].source, scratch + (int) i) < 0)
      return FALSE;
  }
  for (int fd = 0; fd < scratch; fd++)
    close (fd);
  for (guint i = 0; i < n_fds; i++) {
    if (dup2 (scratch + (int) i, fds[i].target) < 0)
      return FALSE;
  }
  return TRUE;
}

/* As decimal digits and a newline, with nothing that could take a lock. */
static gboolean
write_pid (int fd)
{
  char digits[16];
  gsize at = sizeof digits;
  digits[--at] = '\n';
  for (pid_t pid = getpid (); pid > 0; pid /= 10)
    digits[--at] = (char) ('0' + pid % 10);
  return write (fd, digits + at, sizeof digits - at) == (ssize_t) (sizeof digits - at);
}

/* FALSE when the parent is gone already: nobody would tell. */
static gboolean
die_with (pid_t parent)
{
  return prctl (PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid () == parent;
}

/* Between fork() and exec() in a program with threads: only async-signal-safe calls from here on.
 */
static void
child_exec (const VmProcStart *start, int status_fd, pid_t parent)
{
  int scratch = MAX (first_free_fd (start->fds, start->n_fds), status_fd + 1);
  int error_fd = scratch + (int) start->n_fds;

  reset_signals ();
  setsid ();
  if (dup2 (status_fd, error_fd) >= 0 && place_fds (start->fds, start->n_fds, scratch) &&
      (start->dir == NULL || chdir (start->dir) == 0) &&
      (!start->dies_with_us || die_with (parent)) &&
      (start->pid_fd < 0 || write_pid (start->pid_fd))) {
    close_range ((unsigned) scratch, ~0U, CLOSE_RANGE_CLOEXEC);
    execve (start->argv[0], (char *const *) start->argv, (char *const *) start->envp);
  }
  int failed = errno;
  while (write (error_fd, &failed, sizeof failed) < 0 && errno == EINTR)
    ;
  _exit (127);
}

/* The status pipe closes on a successful exec and carries errno otherwise. */
static int
read_exec_status (int fd)
{
  int failed = 0;
  ssize_t n;
  do
    n = read (fd, &failed, sizeof failed);
  while (n < 0 && errno == EINTR);
  return n == sizeof failed ? failed : 0;
}

gboolean
vm_proc_spawn (const VmProcStart *start, GPid *out_pid, int *out_pidfd, GError **error)
{
  int status_pipe[2];
  if (pipe2 (status_pipe, O_CLOEXEC) < 0)
    return vm_error_set_errno (error, errno, "cannot make a pipe");
  vm_autofd int status_read = status_pipe[0];
  vm_autofd int status_write = status_pipe[1];

  pid_t parent = getpid ();
  pid_t pid = fork ();
  if (pid < 0)
    return vm_error_set_errno (error, errno, "cannot start %s", start->argv[0]);
  if (pid == 0)
    child_exec (start, status_write, parent);

  vm_fd_close (vm_fd_steal (&status_write));
  int failed = read_exec_status (status_read);
  vm_autofd int pidfd = failed != 0 ? -1 : pidfd_open (pid, 0);
  if (pidfd < 0) {
    int why = failed != 0 ? failed : errno;
    kill (pid, SIGKILL);
    waitpid (pid, NULL, 0);
    return vm_error_set_errno (error, why, "cannot run %s", start->argv[0]);
  }
  *out_pid = pid;
  *out_pidfd = vm_fd_steal (&pidfd);
  return TRUE;
}

gboolean
vm_proc_reap (GPid pid, int *out_wait_status)
{
  return waitpid (pid, out_wait_status, WNOHANG) == pid;
}

/* Reads what is there; what exceeds the limit is dropped. FALSE at the end of the stream. */
static gboolean
collect (int fd, GString *into)
{
  char buffer[8192];
  ssize_t n = read (fd, buffer, sizeof buffer);
  if (n < 0)
    return errno == EINTR || errno == EAGAIN;
  g_string_append_len (into, buffer, MIN (n, (ssize_t) (OUTPUT_LIMIT - into->len)));
  return n > 0;
}

/* Until both streams are closed and the process has ended. */
static gboolean
drain (int out_fd, int err_fd, int pidfd, GString *out, GString *err, const VmOp *op,
       GError **error)
{
  struct pollfd fds[] = { { .fd = out_fd, .events = POLLIN },
                          { .fd = err_fd, .events = POLLIN },
                          { .fd = pidfd, .events = POLLIN } };
  GString *const into[] = { out, err };

  while (fds[2].fd >= 0 || fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (!vm_op_poll (op, fds, G_N_ELEMENTS (fds), -1, NULL, error))
      return FALSE;
    for (int i = 0; i < 2; i++) {
      if (fds[i].revents != 0 && !collect (fds[i].fd, into[i]))
        fds[i].fd = -1;
    }
    if (fds[2].revents != 0)
      fds[2].fd = -1;
  }
  return TRUE;
}

gboolean
vm_proc_run (const char *const *argv, VmProcResult *out_result, const VmOp *op, GError **error)
{
  g_autofree char *program = g_find_program_in_path (argv[0]);
  int out_pipe[2];
  int err_pipe[2];

  if (program == NULL)
    return vm_error_set (error, VM_ERROR_IO, "%s is not installed", argv[0]);
  if (pipe2 (out_pipe, O_CLOEXEC) < 0)
    return vm_error_set_errno (error, errno, "cannot make a pipe");
  vm_autofd int out_read = out_pipe[0];
  vm_autofd int out_write = out_pipe[1];
  if (pipe2 (err_pipe, O_CLOEXEC) < 0)
    return vm_error_set_errno (error, errno, "cannot make a pipe");
  vm_autofd int err_read = err_pipe[0];
  vm_autofd int err_write = err_pipe[1];
  vm_autofd int null_fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);

  g_autofree const char **full =
      g_memdup2 (argv, (g_strv_length ((char **) argv) + 1) * sizeof *argv);
  full[0] = program;
  const VmProcFd fds[] = { { null_fd, 0 }, { out_write, 1 }, { err_write, 2 } };
  vm_autofd int pidfd = -1;
  GPid pid;
  g_auto (GStrv) envp = g_get_environ ();
  const VmProcStart start = {
    .argv = full,
    .envp = (const char *const *) envp,
    .fds = fds,
    .n_fds = G_N_ELEMENTS (fds),
    .dies_with_us = TRUE,
    .pid_fd = -1,
  };
  if (!vm_proc_spawn (&start, &pid, &pidfd, error))
    return FALSE;
  vm_fd_close (vm_fd_steal (&out_write));
  vm_fd_close (vm_fd_steal (&err_write));

  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GString) err = g_string_new (NULL);
  gboolean ended = drain (out_read, err_read, pidfd, out, err, op, error);
  if (!ended)
    pidfd_send_signal (pidfd, SIGKILL, NULL, 0);
  waitpid (pid, &out_result->wait_status, 0);
  if (!ended)
    return FALSE;
  out_result->out = g_string_free (g_steal_pointer (&out), FALSE);
  out_result->err = g_string_free (g_steal_pointer (&err), FALSE);
  return TRUE;
}
