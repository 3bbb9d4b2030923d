/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Small things that every folder needs and GLib does not have: exported declarations, descriptors
 * that close themselves, names of VMs, files written whole. Knows nothing of VMs beyond their name.
 */

#include <gio/gio.h>

/* What stands between these two is the library's public interface; all else is built hidden. */
#define VM_BEGIN_DECLS G_BEGIN_DECLS _Pragma ("GCC visibility push(default)")
#define VM_END_DECLS _Pragma ("GCC visibility pop") G_END_DECLS

VM_BEGIN_DECLS

/* Closes @fd unless it is -1; errno stays as it was. */
void vm_fd_close (int fd);

/* A descriptor local that closes itself: `vm_autofd int fd = open (…);` */
static inline void
vm_fd_cleanup (int *fd)
{
  vm_fd_close (*fd);
}
#define vm_autofd __attribute__ ((cleanup (vm_fd_cleanup)))

/* Hands a vm_autofd over: returns it and leaves -1 behind. */
static inline int
vm_fd_steal (int *fd)
{
  int stolen = *fd;
  *fd = -1;
  return stolen;
}

/* Whether @name may name a VM: [A-Za-z0-9][A-Za-z0-9._-]{0,62}. Nothing else is ever used as a
 * folder name, and no such name can be mistaken for an option or a path. */
gboolean vm_name_is_valid (const char *name);

/* Fails with VM_ERROR_VM_INVALID_NAME, quoting @name, unless it is valid. */
gboolean vm_name_check (const char *name, GError **error);

/* Writes @data (@size bytes) to @path with @mode, whole or not at all: a temporary file beside it,
 * fsync, rename. Two writers of one path must not be at it at once. Blocks on the disk. Errors:
 * VM_ERROR_IO. */
gboolean
vm_file_write (const char *path, gconstpointer data, gsize size, mode_t mode, GError **error);

/* Reads at most @limit bytes of @path; a larger file is an error (VM_ERROR_IO), a missing one
 * VM_ERROR_IO with the name. @out_data is NUL-terminated behind its @out_size bytes. */
gboolean
vm_file_read (const char *path, gsize limit, char **out_data, gsize *out_size, GError **error);

/* The last @lines lines of the text file at @path, made valid UTF-8; at most 64 KiB and 512 bytes
 * more for each line. "" when it cannot be read. Owned by the caller. */
char *vm_file_tail (const char *path, guint lines);

/* Makes the folder @path (0700), which must not be there yet, durably. Errors: VM_ERROR_IO. */
gboolean vm_dir_make (const char *path, GError **error);

/* Durably removes the folder @path and everything in it, following no symbolic link; a missing one
 * is fine. Errors: VM_ERROR_IO with the first thing that could not be removed. */
gboolean vm_dir_remove (const char *path, GError **error);

/* The word of @candidates (NULL-terminated) that @word was probably meant to be, or NULL when none
 * is near or two are equally near. Borrowed from @candidates. */
const char *vm_did_you_mean (const char *word, const char *const *candidates);

VM_END_DECLS
