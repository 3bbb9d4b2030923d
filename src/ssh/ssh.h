/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* SSH into a guest: waiting until its sshd is there, one verified and authenticated connection,
 * commands with live output, files going up. Built on libssh in non-blocking mode; every wait is
 * vm_op_poll(). Reads no configuration and no known_hosts of the user. Knows nothing of VMs,
 * hypervisors or provisioning: it gets an address, keys and a file of pinned host keys. A session
 * belongs to one thread at a time; several sessions in several threads are fine. */

#include "runtime/op.h"

VM_BEGIN_DECLS

/* Whom to connect to and how to know that it is the one. All borrowed for the length of the call,
 * save @watch_fd, which a session goes on using. */
typedef struct {
  const char *host; /* a numeric address, "127.0.0.1" or "::1" */
  guint16 port;
  const char *user;
  /* Paths of private keys, NULL-terminated, tried in this order, missing ones skipped; NULL: none.
   * Behind them come ~/.ssh/id_ed25519, id_ecdsa, id_rsa and the agent. */
  const char *const *private_keys;
  const char *known_hosts;    /* path of the VM's own file; it may not exist yet */
  const char *host_key_alias; /* the name under which the key is pinned there: the VM's name */
  /* -1, or a descriptor that becomes readable once waiting has lost its sense: the pidfd of the
   * VM's process. Must stay open as long as the session. */
  int watch_fd;
  /* For so many seconds after the first sign of sshd, a refused login, another host key or a broken
   * handshake is taken for a guest that is still setting itself up (sshd may come up before
   * cloud-init has made its user and keys) and tried again. 0: the first failure counts. */
  guint settle_s;
  /* The guest's processor is an emulated one: it may take seconds to greet, and every attempt at a
   * connection makes it slower. They come more rarely then. */
  gboolean is_slow;
} VmSshTarget;

typedef struct VmSshSession VmSshSession;

/* Blocks until sshd greets with its identification string (RFC 4253, 4.2), or @op is over. That a
 * connection is accepted proves nothing: QEMU's user network accepts it without any guest.
 * Errors: VM_ERROR_SSH_TIMEOUT at the deadline, saying what was seen last; VM_ERROR_QEMU_EXITED
 * when @watch_fd became readable; VM_ERROR_CANCELLED; VM_ERROR_SSH_FAILED for an unusable address.
 */
gboolean vm_ssh_wait (const VmSshTarget *target, const VmOp *op, GError **error);

/* vm_ssh_wait() that hands over the connection which was greeted, with the greeting still to be
 * read: non-blocking, owned by the caller. Errors: as vm_ssh_wait(). */
gboolean vm_ssh_dial (const VmSshTarget *target, int *out_fd, const VmOp *op, GError **error);

/* vm_ssh_wait(), then key exchange, verification of the host key and login over the very connection
 * that was answered. A guest whose alias has no pinned key yet is pinned now. The session is the
 * caller's: vm_ssh_session_free(). Errors: those of vm_ssh_wait(); VM_ERROR_SSH_HOST_KEY_MISMATCH,
 * VM_ERROR_SSH_AUTH_FAILED, VM_ERROR_SSH_FAILED, VM_ERROR_IO (known_hosts). */
VmSshSession *vm_ssh_connect (const VmSshTarget *target, const VmOp *op, GError **error);

/* Disconnects without waiting. NULL is fine. */
void vm_ssh_session_free (VmSshSession *session);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmSshSession, vm_ssh_session_free)

/* Gets output as it comes, @n > 0 bytes, not NUL-terminated. Must not use the session. */
typedef void (*VmSshOutput) (gpointer data, gboolean is_stderr, const char *bytes, gsize n);

/* Runs @command by the user's login shell, stdin empty, and blocks until it has ended and all its
 * output went to @output (NULL: dropped), byte for byte, both streams, in constant memory.
 * @out_exit_status: 0 to 255; 128 + n after a signal, whose name without "SIG" goes to @out_signal
 * (nullable; owned by the caller; else NULL). TRUE means that the command ended, with whatever
 * status. When @op is over the command gets SIGTERM and its channel is closed; the session stays
 * usable. Errors: VM_ERROR_SSH_FAILED (connection lost, no status), VM_ERROR_QEMU_EXITED,
 * VM_ERROR_TIMEOUT, VM_ERROR_CANCELLED. */
gboolean vm_ssh_exec (VmSshSession *session, const char *command, VmSshOutput output, gpointer data,
                      int *out_exit_status, char **out_signal, const VmOp *op, GError **error);

/* Copies the file or folder @source up by SFTP (blocking). A file appears whole under its final
 * name or not at all; a @destination that is an existing folder or ends in `/` takes it under its
 * own name. A folder's content goes into @destination, so that a second run does the same again;
 * symbolic links in it are copied as links. Missing folders are made; a relative @destination and
 * `~/` begin at the home folder. @mode is that of the file, -1: the source's; folders that are made
 * keep theirs. Errors: VM_ERROR_IO (source), VM_ERROR_SSH_FAILED (guest), and those of @op. */
gboolean vm_ssh_upload (VmSshSession *session, const char *source, const char *destination,
                        int mode, const VmOp *op, GError **error);

/* Removes the file @path in the guest by SFTP (blocking); a missing one is fine.
 * Errors: as vm_ssh_upload(). */
gboolean vm_ssh_remove (VmSshSession *session, const char *path, const VmOp *op, GError **error);

/* @arg as one word of a POSIX shell, whatever it contains. Owned by the caller. */
char *vm_ssh_quote (const char *arg);

/* Makes @public_key (an OpenSSH public key line, its comment is left out) the only key pinned for
 * @alias in the file @known_hosts, which is made (0600) or rewritten whole; entries of other names
 * stay. OpenSSH reads it with HostKeyAlias=@alias (format: sshd(8), SSH_KNOWN_HOSTS). Call it
 * before the guest's first boot with the key that it was given. Errors: VM_ERROR_IO,
 * VM_ERROR_SSH_FAILED for a malformed key. */
gboolean
vm_ssh_pin (const char *known_hosts, const char *alias, const char *public_key, GError **error);

VM_END_DECLS
