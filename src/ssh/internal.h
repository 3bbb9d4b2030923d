/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* What the files of this folder share: the session, its channels, the SFTP client, the pinned keys.
 * Not installed. libssh is always in non-blocking mode: a call that says SSH_AGAIN is repeated
 * after vm_ssh_session_wait(). */

#include "ssh/ssh.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

G_DEFINE_AUTO_CLEANUP_FREE_FUNC (ssh_key, ssh_key_free, NULL)

struct VmSshSession {
  ssh_session handle;
  ssh_event event; /* the only way to let libssh read when no call of its own is due */
  int watch_fd;    /* borrowed */
  char *peer;      /* "vm@127.0.0.1:2222", for messages */
};

/* Sleeps until libssh can go on. Errors: those of @op, VM_ERROR_QEMU_EXITED. */
gboolean vm_ssh_session_wait (VmSshSession *session, const VmOp *op, GError **error);

/* vm_ssh_session_wait(), then lets libssh handle what came in (channel callbacks run in here).
 * Errors also: VM_ERROR_SSH_FAILED when the connection is lost. */
gboolean vm_ssh_session_step (VmSshSession *session, const VmOp *op, GError **error);

/* FALSE with what libssh has to say about @what, told as VM_ERROR_QEMU_EXITED if the VM has ended.
 */
gboolean vm_ssh_session_fail (VmSshSession *session, const char *what, GError **error);

/* Logs in with the first key that is taken. Errors: VM_ERROR_SSH_AUTH_FAILED naming what was tried,
 * and those of vm_ssh_session_step(). */
gboolean
vm_ssh_login (VmSshSession *session, const VmSshTarget *target, const VmOp *op, GError **error);

/* The keys pinned for @alias, each `type base64`; empty when there is none or no file. Owned by the
 * caller. NULL with VM_ERROR_IO when the file cannot be read. */
GPtrArray *vm_ssh_pinned_keys (const char *known_hosts, const char *alias, GError **error);

/* `type base64` of an OpenSSH public key line; NULL when it is malformed or of a type that libssh
 * does not know. Owned by the caller. */
char *vm_ssh_key_text (const char *line);

/* A session channel. Output goes to a callback as soon as libssh sees it, nothing piles up. */
typedef struct {
  VmSshSession *session;
  ssh_channel handle;
  struct ssh_channel_callbacks_struct callbacks;
  VmSshOutput output;
  gpointer data;
  gboolean closed; /* by the other side */
  int exit_status; /* -1: not known */
  char *signal;    /* that ended the command, or NULL */
} VmSshChannel;

/* Blocks. Errors: as vm_ssh_session_step(). */
VmSshChannel *vm_ssh_channel_open (VmSshSession *session, VmSshOutput output, gpointer data,
                                   const VmOp *op, GError **error);

/* Writes all @n bytes; blocks while the other side's window is closed. */
gboolean vm_ssh_channel_write (VmSshChannel *channel, gconstpointer bytes, gsize n, const VmOp *op,
                               GError **error);

/* Closes it without waiting. */
void vm_ssh_channel_free (VmSshChannel *channel);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmSshChannel, vm_ssh_channel_free)

/* An SFTP client, protocol version 3 (draft-ietf-secsh-filexfer-02 and OpenSSH's PROTOCOL).
 * libssh's own cannot be interrupted: in non-blocking mode it spins until the answer is there. */
typedef struct VmSftp VmSftp;

typedef enum {
  VM_SFTP_MISSING,
  VM_SFTP_FOLDER,
  VM_SFTP_OTHER,
} VmSftpKind;

/* All of these block and fail with VM_ERROR_SSH_FAILED naming the path, or as
 * vm_ssh_session_step(). Paths are the guest's; relative ones begin at the home folder. */
VmSftp *vm_sftp_new (VmSshSession *session, const VmOp *op, GError **error);
void vm_sftp_free (VmSftp *sftp);
gboolean
vm_sftp_kind (VmSftp *sftp, const char *path, VmSftpKind *out_kind, const VmOp *op, GError **error);
gboolean
vm_sftp_make_folder (VmSftp *sftp, const char *path, guint32 mode, const VmOp *op, GError **error);
gboolean
vm_sftp_set_mode (VmSftp *sftp, const char *path, guint32 mode, const VmOp *op, GError **error);
gboolean
vm_sftp_link (VmSftp *sftp, const char *path, const char *target, const VmOp *op, GError **error);
/* A missing one is fine. */
gboolean vm_sftp_remove (VmSftp *sftp, const char *path, const VmOp *op, GError **error);
/* Replaces @to. */
gboolean
vm_sftp_rename (VmSftp *sftp, const char *from, const char *to, const VmOp *op, GError **error);
/* Writes what @fd holds into the new file @path. */
gboolean
vm_sftp_put (VmSftp *sftp, int fd, const char *path, guint32 mode, const VmOp *op, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmSftp, vm_sftp_free)
