/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/qemu/qemu.h"

#include "runtime/proc.h"
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RUN_LOCK_LIMIT 256
#define CONNECT_RETRY_MS 20

#ifdef __aarch64__
#define DEFAULT_PROGRAM "qemu-system-aarch64"
#else
#define DEFAULT_PROGRAM "qemu-system-x86_64"
#endif

/* What QEMU writes when it gives up, and what helps. The first match counts. */
static const struct {
  const char *words;
  VmErrorCode code;
  const char *help;
} usual_causes[] = {
  { "Could not set up host forwarding rule", VM_ERROR_PORT_UNAVAILABLE,
    "another program has that port (`ss -lntup` names it); forward another one" },
  { "Could not access KVM", VM_ERROR_QEMU_SPAWN_FAILED,
    "join the group `kvm` and log in again, or set accel \"tcg\"" },
  { "failed to initialize kvm", VM_ERROR_QEMU_SPAWN_FAILED, "set accel \"tcg\"" },
  { "Failed to get \"write\" lock", VM_ERROR_QEMU_SPAWN_FAILED,
    "another process has the VM's disk open; end it first" },
  { "Failed to get shared \"write\" lock", VM_ERROR_QEMU_SPAWN_FAILED,
    "another process writes to the base image; a base image must not change" },
  { "annot allocate memory", VM_ERROR_QEMU_SPAWN_FAILED,
    "the host has too little free memory: lower `memory` or stop another VM" },
};

char *
vm_qemu_find_program (const char *wanted, GError **error)
{
  const char *name = wanted != NULL ? wanted : DEFAULT_PROGRAM;
  char *found = g_find_program_in_path (name);
  if (found != NULL)
    return found;
  vm_error_set (error, VM_ERROR_QEMU_SPAWN_FAILED, "%s is not installed", name);
  vm_error_help (error, wanted != NULL ? "VMCTL_QEMU names the program to run"
                                       : "install QEMU (Debian: apt install qemu-system-x86)");
  return NULL;
}

/* The address of @name in the folder open as @dir_fd: short however deep the folder lies. */
static struct sockaddr_un
socket_address (int dir_fd, const char *name)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_snprintf (address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
  return address;
}

static int
open_dir (const VmHandle *handle, GError **error)
{
  int fd = open (handle->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    vm_error_set_errno (error, errno, "cannot open the VM's folder %s", handle->dir);
  return fd;
}

static int
listen_at (int dir_fd, const char *name, GError **error)
{
  struct sockaddr_un address = socket_address (dir_fd, name);
  vm_autofd int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  unlinkat (dir_fd, name, 0);
  if (fd < 0 || bind (fd, (struct sockaddr *) &address, sizeof address) < 0 || listen (fd, 4) < 0) {
    vm_error_set_errno (error, errno, "cannot listen on %s", name);
    return -1;
  }
  fchmodat (dir_fd, name, 0600, 0);
  return vm_fd_steal (&fd);
}

/* Which run of the host's kernel this is; NULL when the kernel does not tell. */
static char *
boot_id (void)
{
  char *id = NULL;
  g_file_get_contents ("/proc/sys/kernel/random/boot_id", &id, NULL, NULL);
  return id;
}

gboolean
vm_qemu_is_of_this_boot (const VmHandle *handle)
{
  g_autofree char *path = vm_handle_path (handle, VM_QEMU_RUN_LOCK);
  g_autofree char *now = boot_id ();
  g_autofree char *text = NULL;
  return now == NULL || !vm_file_read (path, RUN_LOCK_LIMIT, &text, NULL, NULL) ||
         g_str_has_prefix (text, now);
}

/* The lock that QEMU holds for life, taken before it exists. The file says in which run of the
 * host's kernel that was, and in its second line, which QEMU's process itself writes before it
 * becomes QEMU, who it is. */
static int
take_run_lock (int dir_fd, const char *name, GError **error)
{
  vm_autofd int fd =
      openat (dir_fd, VM_QEMU_RUN_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    vm_error_set_errno (error, errno, "cannot open " VM_QEMU_RUN_LOCK);
    return -1;
  }
  if (!vm_lock_try_fd (fd)) {
    vm_error_set (error, VM_ERROR_VM_INVALID_STATE, "VM \"%s\" runs already", name);
    return -1;
  }
  g_autofree char *boot = boot_id ();
  const char *line = boot != NULL ? boot : "unknown\n";
  if (ftruncate (fd, 0) < 0 || write (fd, line, strlen (line)) < 0) {
    vm_error_set_errno (error, errno, "cannot write " VM_QEMU_RUN_LOCK);
    return -1;
  }
  unlinkat (dir_fd, VM_QEMU_PIDFILE, 0); /* of a QEMU that could not tidy up */
  return vm_fd_steal (&fd);
}

/* A name that is taken by a link or a FIFO is freed, so that nothing is written elsewhere and
 * nobody waits for a reader. */
static void
free_name (int dir_fd, const char *name)
{
  struct stat st;
  if (fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG (st.st_mode))
    unlinkat (dir_fd, name, 0);
}

gboolean
vm_qemu_spawn (const VmHandle *handle, GPtrArray *argv, GPid *out_pid, int *out_pidfd,
               GError **error)
{
  static const char *const envp[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", NULL };
  vm_autofd int dir = open_dir (handle, error);
  if (dir < 0)
    return FALSE;
  vm_autofd int run_lock = take_run_lock (dir, handle->spec->name, error);
  if (run_lock < 0)
    return FALSE;
  vm_autofd int qmp = listen_at (dir, VM_QEMU_QMP_SOCKET, error);
  vm_autofd int console = qmp < 0 ? -1 : listen_at (dir, VM_QEMU_CONSOLE_SOCKET, error);
  if (console < 0)
    return FALSE;
  free_name (dir, VM_QEMU_LOG);
  free_name (dir, VM_FILE_CONSOLE_LOG);
  vm_autofd int null_fd = open ("/dev/null", O_RDWR | O_CLOEXEC);
  vm_autofd int log = openat (
      dir, VM_QEMU_LOG, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (null_fd < 0 || log < 0)
    return vm_error_set_errno (error, errno, "cannot open " VM_QEMU_LOG);

  const VmProcFd fds[] = {
    { null_fd, STDIN_FILENO }, { log, STDOUT_FILENO },          { log, STDERR_FILENO },
    { qmp, VM_QEMU_FD_QMP },   { console, VM_QEMU_FD_CONSOLE }, { run_lock, VM_QEMU_FD_RUN_LOCK },
  };
  const VmProcStart start = {
    .argv = (const char *const *) argv->pdata,
    .envp = envp,
    .dir = handle->dir,
    .fds = fds,
    .n_fds = G_N_ELEMENTS (fds),
    .pid_fd = VM_QEMU_FD_RUN_LOCK,
  };
  g_autoptr (GError) cause = NULL;
  if (vm_proc_spawn (&start, out_pid, out_pidfd, &cause))
    return TRUE;
  return vm_error_set (error, VM_ERROR_QEMU_SPAWN_FAILED, "%s", cause->message);
}

/* QEMU talks to one client at a time and lets few wait; nothing tells when there is room again. */
static int
connect_when_free (int dir_fd, const VmOp *op)
{
  struct sockaddr_un address = socket_address (dir_fd, VM_QEMU_QMP_SOCKET);
  vm_autofd int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  while (fd >= 0) {
    if (connect (fd, (struct sockaddr *) &address, sizeof address) == 0)
      return vm_fd_steal (&fd);
    if (errno != EAGAIN || !vm_op_wait (op, -1, 0, CONNECT_RETRY_MS, NULL, NULL))
      break;
  }
  return -1;
}

VmQmp *
vm_qemu_connect (const VmHandle *handle, const VmOp *op, GError **error)
{
  vm_autofd int dir = open_dir (handle, error);
  if (dir < 0)
    return NULL;
  int fd = connect_when_free (dir, op);
  if (fd < 0) {
    vm_error_set (error, VM_ERROR_QMP_CONNECT_FAILED, "cannot reach QEMU of VM \"%s\": %s",
                  handle->spec->name, g_strerror (errno));
    return NULL;
  }
  g_autoptr (VmQmp) qmp = vm_qmp_new (fd, op, error);
  if (qmp == NULL)
    g_prefix_error (error, "VM \"%s\": ", handle->spec->name);
  return g_steal_pointer (&qmp);
}

char *
vm_qemu_last_words (const VmHandle *handle)
{
  g_autofree char *path = vm_handle_path (handle, VM_QEMU_LOG);
  g_autofree char *tail = vm_file_tail (path, 3);
  g_autoptr (GRegex) noise =
      g_regex_new ("^[0-9T:.-]+Z (\\S*qemu-system\\S*: )?", G_REGEX_MULTILINE, 0, NULL);
  char *words = g_regex_replace_literal (noise, tail, -1, 0, "", 0, NULL);
  return g_strstrip (words);
}

gboolean
vm_qemu_spawn_error (const VmHandle *handle, GPid pid, GError **error)
{
  g_autofree char *words = vm_qemu_last_words (handle);
  g_autofree char *how = NULL;
  int status = 0;

  if (vm_proc_reap (pid, &status))
    how = vm_proc_describe_status (status);
  for (gsize i = 0; i < G_N_ELEMENTS (usual_causes); i++) {
    if (strstr (words, usual_causes[i].words) == NULL)
      continue;
    vm_error_set (error, usual_causes[i].code, "QEMU did not start VM \"%s\": %s",
                  handle->spec->name, words);
    return vm_error_help (error, "%s", usual_causes[i].help);
  }
  return vm_error_set (error, VM_ERROR_QEMU_SPAWN_FAILED, "QEMU did not start VM \"%s\" (%s)%s%s",
                       handle->spec->name, how != NULL ? how : "it ended at once",
                       *words != '\0' ? ": " : "", words);
}

gboolean
vm_qemu_is_running (const VmHandle *handle)
{
  g_autofree char *path = vm_handle_path (handle, VM_QEMU_RUN_LOCK);
  return vm_lock_is_held (path);
}

/* The second line of the run lock; 0 while there is none. */
static int
read_pid (const VmHandle *handle)
{
  g_autofree char *path = vm_handle_path (handle, VM_QEMU_RUN_LOCK);
  g_autofree char *text = NULL;
  if (!vm_file_read (path, RUN_LOCK_LIMIT, &text, NULL, NULL))
    return 0;
  const char *second = strchr (text, '\n');
  return second != NULL ? atoi (second + 1) : 0;
}

/* The pid is looked at only while the lock says that its owner lives, and once more after the pidfd
 * is open: the process that it names is then the one that holds the lock. */
int
vm_qemu_open_process (const VmHandle *handle, int *out_pid)
{
  if (!vm_qemu_is_running (handle))
    return -1;
  int pid = read_pid (handle);
  vm_autofd int fd = pid > 0 ? pidfd_open (pid, 0) : -1;
  if (fd < 0 || !vm_qemu_is_running (handle) || read_pid (handle) != pid)
    return -1;
  if (out_pid != NULL)
    *out_pid = pid;
  return vm_fd_steal (&fd);
}
