/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Locks that die with their holder. They are open-file-description locks (fcntl(2), F_OFD_SETLK):
 * inherited with the descriptor, gone when its last copy is closed, and they can be asked about
 * without being taken. One kind serializes the commands that change a VM, the other is held by the
 * VM's process itself and is the one proof that it lives. */

#include "runtime/op.h"

VM_BEGIN_DECLS

typedef struct VmLock VmLock;

/* Takes the lock of VM @name under @data_dir for @purpose ("stop"), waiting until @op is over.
 * @on_wait (nullable) is called once, with a line that names the holder, if there is waiting to do.
 * Errors: VM_ERROR_VM_LOCKED naming the holder, VM_ERROR_CANCELLED, VM_ERROR_IO. */
VmLock *vm_lock_acquire (const char *data_dir, const char *name, const char *purpose,
                         void (*on_wait) (gpointer data, const char *line), gpointer data,
                         const VmOp *op, GError **error);

void vm_lock_release (VmLock *lock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmLock, vm_lock_release)

/* Releases the lock and removes its file: there is nothing left to lock. */
void vm_lock_remove (VmLock *lock);

/* Takes the lock on the whole of @fd without waiting; FALSE when somebody else holds it or on an
 * error (errno tells: EAGAIN or EACCES when held). */
gboolean vm_lock_try_fd (int fd);

/* Whether somebody holds the lock on the file at @path; a missing file is held by nobody, one that
 * cannot be asked about (no descriptor left, no right) by somebody, to be on the safe side. Does
 * not block and takes nothing. */
gboolean vm_lock_is_held (const char *path);

VM_END_DECLS
