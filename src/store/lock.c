/* SPDX-License-Identifier: MPL-2.0 */
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel tells of a close just before it frees the lock: look again soon after being woken, and
 * now and then in case the holder unlocked without closing. */
#define RETRY_MS 100

struct VmLock {
  int fd;
  char *path;
};

gboolean
vm_lock_try_fd (int fd)
{
  struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  return fcntl (fd, F_OFD_SETLK, &whole) == 0;
}

gboolean
vm_lock_is_held (const char *path)
{
  vm_autofd int fd = open (path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  if (fd < 0)
    return errno != ENOENT && errno != ELOOP && errno != EISDIR && errno != ENXIO;
  return fcntl (fd, F_OFD_GETLK, &whole) < 0 || whole.l_type != F_UNLCK;
}

/* "`stop`, pid 4711, for 3 s": what the holder wrote into the file. */
static char *
describe_holder (const char *path)
{
  g_autofree char *text = vm_file_tail (path, 1);
  char purpose[32];
  int pid = 0;
  long long since_s = 0;
  if (sscanf (text, "%31s %d %lld", purpose, &pid, &since_s) != 3)
    return g_strdup ("another vmctl");
  return g_strdup_printf ("`vmctl %s` (pid %d, for %lld s)", purpose, pid,
                          (long long) (g_get_real_time () / G_USEC_PER_SEC) - since_s);
}

static void
note_holder (int fd, const char *purpose)
{
  g_autofree char *line = g_strdup_printf ("%s %d %lld\n", purpose, (int) getpid (),
                                           (long long) (g_get_real_time () / G_USEC_PER_SEC));
  /* Only a courtesy to whoever waits: failing to write it changes nothing. */
  if (ftruncate (fd, 0) < 0 || pwrite (fd, line, strlen (line), 0) < 0)
    g_debug ("cannot note the holder of a lock: %s", g_strerror (errno));
}

static gboolean
wait_for_close (const char *path, const VmOp *op, GError **error)
{
  vm_autofd int watch = inotify_init1 (IN_CLOEXEC | IN_NONBLOCK);
  if (watch < 0 || inotify_add_watch (watch, path, IN_CLOSE) < 0)
    return vm_op_wait (op, -1, 0, RETRY_MS, NULL, error);
  return vm_op_wait (op, watch, POLLIN, RETRY_MS, NULL, error);
}

static gboolean
locked_error (const char *name, const char *path, GError **error)
{
  g_autofree char *holder = describe_holder (path);
  return vm_error_set (error, VM_ERROR_VM_LOCKED, "VM \"%s\" is held by %s", name, holder);
}

/* Waits for the lock on @fd. */
static gboolean
wait_for_lock (int fd, const char *path, const char *name,
               void (*on_wait) (gpointer data, const char *line), gpointer data, const VmOp *op,
               GError **error)
{
  while (!vm_lock_try_fd (fd)) {
    g_autoptr (GError) over = NULL;
    if (errno != EAGAIN && errno != EACCES)
      return vm_error_set_errno (error, errno, "cannot lock %s", path);
    if (on_wait != NULL) {
      g_autofree char *holder = describe_holder (path);
      g_autofree char *line = g_strdup_printf ("waiting for %s", holder);
      on_wait (data, line);
      on_wait = NULL;
    }
    if (wait_for_close (path, op, &over))
      continue;
    if (g_error_matches (over, VM_ERROR, VM_ERROR_TIMEOUT))
      return locked_error (name, path, error);
    g_propagate_error (error, g_steal_pointer (&over));
    return FALSE;
  }
  return TRUE;
}

/* Whether the file at @path is still the one that is open as @fd: who destroyed the VM meanwhile
 * has removed it, and the next one who came made another. */
static gboolean
is_current (int fd, const char *path)
{
  struct stat locked;
  struct stat named;
  return fstat (fd, &locked) == 0 && stat (path, &named) == 0 && locked.st_ino == named.st_ino &&
         locked.st_dev == named.st_dev;
}

VmLock *
vm_lock_acquire (const char *data_dir, const char *name, const char *purpose,
                 void (*on_wait) (gpointer data, const char *line), gpointer data, const VmOp *op,
                 GError **error)
{
  g_autofree char *dir = g_build_filename (data_dir, "locks", NULL);
  g_autofree char *path = g_build_filename (dir, name, NULL);
  vm_autofd int fd = -1;
  g_mkdir_with_parents (dir, 0700);
  do {
    vm_fd_close (vm_fd_steal (&fd));
    fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
      vm_error_set_errno (error, errno, "cannot open the lock %s", path);
      return NULL;
    }
    if (!wait_for_lock (fd, path, name, on_wait, data, op, error))
      return NULL;
  } while (!is_current (fd, path));
  note_holder (fd, purpose);
  VmLock *lock = g_new0 (VmLock, 1);
  lock->fd = vm_fd_steal (&fd);
  lock->path = g_steal_pointer (&path);
  return lock;
}

void
vm_lock_release (VmLock *lock)
{
  if (lock == NULL)
    return;
  vm_fd_close (lock->fd);
  g_free (lock->path);
  g_free (lock);
}

void
vm_lock_remove (VmLock *lock)
{
  if (lock != NULL)
    unlink (lock->path);
  vm_lock_release (lock);
}
