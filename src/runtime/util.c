/* SPDX-License-Identifier: MPL-2.0 */
#include "runtime/util.h"

#include "runtime/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_LENGTH 63
#define TAIL_BYTES (64 * 1024)
#define TAIL_BYTES_A_LINE 512

void
vm_fd_close (int fd)
{
  int saved = errno;
  if (fd >= 0)
    close (fd);
  errno = saved;
}

gboolean
vm_name_is_valid (const char *name)
{
  gsize length = strlen (name);
  if (length == 0 || length > NAME_MAX_LENGTH || !g_ascii_isalnum (name[0]))
    return FALSE;
  return strspn (name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == length;
}

gboolean
vm_name_check (const char *name, GError **error)
{
  if (vm_name_is_valid (name))
    return TRUE;
  g_autofree char *shown = g_strescape (name, NULL);
  return vm_error_set (error, VM_ERROR_VM_INVALID_NAME, "\"%.100s\" cannot name a VM", shown);
}

/* What is made, renamed or removed in a folder is durable once the folder is. */
static gboolean
sync_folder_of (const char *path)
{
  g_autofree char *dir = g_path_get_dirname (path);
  vm_autofd int fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd >= 0 && fsync (fd) == 0;
}

static gboolean
write_all (int fd, const char *data, gsize size)
{
  while (size > 0) {
    ssize_t n = write (fd, data, size);
    if (n < 0 && errno != EINTR)
      return FALSE;
    if (n > 0) {
      data += n;
      size -= (gsize) n;
    }
  }
  return TRUE;
}

gboolean
vm_file_write (const char *path, gconstpointer data, gsize size, mode_t mode, GError **error)
{
  /* Always the same name: what a writer that was killed has left, the next one uses up. */
  g_autofree char *temporary = g_strconcat (path, ".new", NULL);
  vm_autofd int fd =
      open (temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (fd < 0)
    return vm_error_set_errno (error, errno, "cannot write %s", path);
  if (write_all (fd, data, size) && fchmod (fd, mode) == 0 && fsync (fd) == 0 &&
      rename (temporary, path) == 0 && sync_folder_of (path))
    return TRUE;
  vm_error_set_errno (error, errno, "cannot write %s", path);
  unlink (temporary);
  return FALSE;
}

gboolean
vm_file_read (const char *path, gsize limit, char **out_data, gsize *out_size, GError **error)
{
  /* Not blocking: a FIFO is told from a file only once it is open. */
  vm_autofd int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat (fd, &st) < 0)
    return vm_error_set_errno (error, errno, "cannot read %s", path);
  if (!S_ISREG (st.st_mode))
    return vm_error_set (error, VM_ERROR_IO, "cannot read %s: not a regular file", path);
  if ((guint64) st.st_size > limit)
    return vm_error_set (error, VM_ERROR_IO, "%s is larger than %" G_GSIZE_FORMAT " KiB", path,
                         limit / 1024);

  gsize room = (gsize) st.st_size;
  g_autofree char *data = g_malloc (room + 1);
  gsize size = 0;
  ssize_t n;
  while (size < room && (n = read (fd, data + size, room - size)) != 0) {
    if (n < 0 && errno != EINTR)
      return vm_error_set_errno (error, errno, "cannot read %s", path);
    size += (gsize) MAX (n, 0);
  }
  data[size] = '\0';
  *out_data = g_steal_pointer (&data);
  if (out_size != NULL)
    *out_size = size;
  return TRUE;
}

/* Where the last @lines lines of @text begin. */
static const char *
last_lines (const char *text, gsize size, guint lines)
{
  const char *at = text + size;
  if (size > 0 && at[-1] == '\n')
    at--;
  while (at > text) {
    if (at[-1] == '\n' && --lines == 0)
      break;
    at--;
  }
  return at;
}

char *
vm_file_tail (const char *path, guint lines)
{
  vm_autofd int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat (fd, &st) < 0 || !S_ISREG (st.st_mode) || lines == 0)
    return g_strdup ("");
  gsize room = MIN ((gsize) st.st_size, TAIL_BYTES + (gsize) lines * TAIL_BYTES_A_LINE);
  g_autofree char *data = g_malloc (room);
  ssize_t n = pread (fd, data, room, st.st_size - (off_t) room);
  if (n <= 0)
    return g_strdup ("");
  const char *from = last_lines (data, (gsize) n, lines);
  return g_utf8_make_valid (from, data + n - from);
}

static gboolean
remove_entries (int parent, const char *name, int *out_errno)
{
  int fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir (fd);
  struct dirent *entry;
  gboolean done = dir != NULL;

  if (dir == NULL)
    *out_errno = errno;
  while (done && (entry = readdir (dir)) != NULL) {
    if (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0)
      continue;
    if (unlinkat (fd, entry->d_name, 0) == 0 || errno == ENOENT)
      continue;
    *out_errno = errno;
    done = (errno == EISDIR || errno == EPERM) && remove_entries (fd, entry->d_name, out_errno);
  }
  if (dir != NULL)
    closedir (dir);
  else
    vm_fd_close (fd);
  if (!done || unlinkat (parent, name, AT_REMOVEDIR) == 0)
    return done;
  *out_errno = errno;
  return FALSE;
}

gboolean
vm_dir_remove (const char *path, GError **error)
{
  int failed = 0;
  gboolean removed = remove_entries (AT_FDCWD, path, &failed);
  if (!removed && failed == ENOENT)
    return TRUE;
  if (removed && sync_folder_of (path))
    return TRUE;
  return vm_error_set_errno (error, removed ? errno : failed, "cannot remove %s", path);
}

gboolean
vm_dir_make (const char *path, GError **error)
{
  if (mkdir (path, 0700) == 0 && sync_folder_of (path))
    return TRUE;
  return vm_error_set_errno (error, errno, "cannot make %s", path);
}

static char
fold (char c)
{
  return c == '_' ? '-' : g_ascii_tolower (c);
}

/* Damerau-Levenshtein distance with `_` and `-` the same and case ignored; words of this program
 * are short, longer ones are never near. */
static guint
distance (const char *a, const char *b)
{
  enum { MAX_WORD = 40 };
  guint rows[3][MAX_WORD + 1];
  gsize la = strlen (a);
  gsize lb = strlen (b);

  if (la > MAX_WORD || lb > MAX_WORD)
    return G_MAXUINT;
  for (gsize j = 0; j <= lb; j++)
    rows[0][j] = (guint) j;
  for (gsize i = 1; i <= la; i++) {
    guint *now = rows[i % 3];
    const guint *before = rows[(i - 1) % 3];
    const guint *second = rows[(i + 1) % 3]; /* two rows up */
    now[0] = (guint) i;
    for (gsize j = 1; j <= lb; j++) {
      gboolean differ = fold (a[i - 1]) != fold (b[j - 1]);
      now[j] = MIN (MIN (before[j], now[j - 1]) + 1, before[j - 1] + (guint) differ);
      if (i > 1 && j > 1 && fold (a[i - 1]) == fold (b[j - 2]) &&
          fold (a[i - 2]) == fold (b[j - 1]))
        now[j] = MIN (now[j], second[j - 2] + 1);
    }
  }
  return rows[la % 3][lb];
}

const char *
vm_did_you_mean (const char *word, const char *const *candidates)
{
  guint best = (guint) MAX (1, strlen (word) / 3) + 1;
  const char *found = NULL;

  for (gsize i = 0; candidates[i] != NULL; i++) {
    guint d = distance (word, candidates[i]);
    if (d < best) {
      best = d;
      found = candidates[i];
    } else if (d == best) {
      found = NULL; /* a tie helps nobody */
    }
  }
  return found;
}
