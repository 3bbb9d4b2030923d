/* SPDX-License-Identifier: MPL-2.0 */
#include "ssh/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PERMISSIONS 0777 /* set-uid and the like do not travel */
#define CLEAN_UP_S 5

/* SFTP knows no `~`, but begins at the home folder. */
static char *
from_home (const char *path)
{
  if (strcmp (path, "~") == 0)
    return g_strdup (".");
  if (g_str_has_prefix (path, "~/"))
    return g_strconcat ("./", path + strlen ("~/"), NULL);
  return g_strdup (path);
}

static gboolean
make_parents (VmSftp *sftp, const char *path, const VmOp *op, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (path);
  VmSftpKind kind;
  if (strcmp (parent, ".") == 0 || strcmp (parent, "/") == 0)
    return TRUE;
  if (!vm_sftp_kind (sftp, parent, &kind, op, error))
    return FALSE;
  if (kind != VM_SFTP_MISSING)
    return TRUE;
  return make_parents (sftp, parent, op, error) &&
         vm_sftp_make_folder (sftp, parent, 0755, op, error);
}

/* A broken-off upload leaves nothing behind, if the connection still carries a word. The old SFTP
 * channel may have answers under way, so it is a new one. */
static void
discard (VmSshSession *session, const char *temporary)
{
  VmOp grace = vm_op_grace (CLEAN_UP_S);
  if (ssh_is_connected (session->handle))
    vm_ssh_remove (session, temporary, &grace, NULL);
}

static gboolean
upload_file (VmSshSession *session, VmSftp *sftp, const char *source, const char *destination,
             int mode, const VmOp *op, GError **error)
{
  vm_autofd int fd = open (source, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat (fd, &st) < 0)
    return vm_error_set_errno (error, errno, "cannot read %s", source);
  if (!S_ISREG (st.st_mode))
    return vm_error_set (error, VM_ERROR_IO, "%s is neither a file nor a folder", source);
  guint32 wanted = (mode >= 0 ? (guint32) mode : st.st_mode) & PERMISSIONS;
  g_autofree char *temporary =
      g_strdup_printf ("%s.%08x%08x", destination, g_random_int (), g_random_int ());
  if (vm_sftp_put (sftp, fd, temporary, wanted, op, error) &&
      vm_sftp_rename (sftp, temporary, destination, op, error))
    return TRUE;
  discard (session, temporary);
  return FALSE;
}

static gboolean
upload_link (VmSftp *sftp, const char *source, const char *destination, const VmOp *op,
             GError **error)
{
  g_autofree char *target = g_file_read_link (source, NULL);
  if (target == NULL)
    return vm_error_set (error, VM_ERROR_IO, "cannot read the link %s", source);
  return vm_sftp_remove (sftp, destination, op, error) &&
         vm_sftp_link (sftp, destination, target, op, error);
}

static gboolean upload_folder (VmSshSession *session, VmSftp *sftp, const char *source,
                               const char *destination, const VmOp *op, GError **error);

static gboolean
upload_entry (VmSshSession *session, VmSftp *sftp, const char *source, const char *destination,
              const VmOp *op, GError **error)
{
  struct stat st;
  if (lstat (source, &st) < 0)
    return vm_error_set_errno (error, errno, "cannot read %s", source);
  if (S_ISDIR (st.st_mode))
    return upload_folder (session, sftp, source, destination, op, error);
  if (S_ISLNK (st.st_mode))
    return upload_link (sftp, source, destination, op, error);
  return upload_file (session, sftp, source, destination, -1, op, error);
}

static gboolean
upload_content (VmSshSession *session, VmSftp *sftp, const char *source, const char *destination,
                const VmOp *op, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (GDir) dir = g_dir_open (source, 0, &failure);
  const char *name;
  if (dir == NULL)
    return vm_error_take (error, g_steal_pointer (&failure), VM_ERROR_IO, "cannot read %s", source);
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *from = g_build_filename (source, name, NULL);
    g_autofree char *to = g_build_filename (destination, name, NULL);
    if (!upload_entry (session, sftp, from, to, op, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
upload_folder (VmSshSession *session, VmSftp *sftp, const char *source, const char *destination,
               const VmOp *op, GError **error)
{
  struct stat st;
  VmSftpKind kind;
  if (stat (source, &st) < 0)
    return vm_error_set_errno (error, errno, "cannot read %s", source);
  if (!vm_sftp_kind (sftp, destination, &kind, op, error))
    return FALSE;
  /* A folder that is there, /tmp say, keeps its mode; a new one gets its own once it is filled, as
   * that mode may forbid writing. */
  if (kind != VM_SFTP_MISSING)
    return upload_content (session, sftp, source, destination, op, error);
  return vm_sftp_make_folder (sftp, destination, 0700, op, error) &&
         upload_content (session, sftp, source, destination, op, error) &&
         vm_sftp_set_mode (sftp, destination, st.st_mode & PERMISSIONS, op, error);
}

/* Where the file @source ends up: `folder/` and a folder that exists take it under its own name. */
static gboolean
place_file (VmSftp *sftp, const char *source, const char *destination, char **out_path,
            const VmOp *op, GError **error)
{
  g_autofree char *name = g_path_get_basename (source);
  VmSftpKind kind = VM_SFTP_FOLDER;
  if (!g_str_has_suffix (destination, "/") && !vm_sftp_kind (sftp, destination, &kind, op, error))
    return FALSE;
  *out_path =
      kind == VM_SFTP_FOLDER ? g_build_filename (destination, name, NULL) : g_strdup (destination);
  return TRUE;
}

gboolean
vm_ssh_upload (VmSshSession *session, const char *source, const char *destination, int mode,
               const VmOp *op, GError **error)
{
  g_autofree char *wanted = from_home (destination);
  struct stat st;
  if (stat (source, &st) < 0)
    return vm_error_set_errno (error, errno, "cannot read %s", source);
  g_autoptr (VmSftp) sftp = vm_sftp_new (session, op, error);
  if (sftp == NULL)
    return FALSE;
  g_autofree char *path = NULL;
  if (S_ISDIR (st.st_mode))
    return make_parents (sftp, wanted, op, error) &&
           upload_folder (session, sftp, source, wanted, op, error);
  return place_file (sftp, source, wanted, &path, op, error) &&
         make_parents (sftp, path, op, error) &&
         upload_file (session, sftp, source, path, mode, op, error);
}

gboolean
vm_ssh_remove (VmSshSession *session, const char *path, const VmOp *op, GError **error)
{
  g_autofree char *wanted = from_home (path);
  g_autoptr (VmSftp) sftp = vm_sftp_new (session, op, error);
  return sftp != NULL && vm_sftp_remove (sftp, wanted, op, error);
}
