/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* What the files of the QEMU backend share. The way of a start: argv.c says what to run, launch.c
 * runs it, backend.c waits for QMP. A VM's process holds the lock on its run.lock for life, and
 * that alone says whether it runs. */

#include "hypervisor/backends.h"
#include "hypervisor/host.h"
#include "hypervisor/qemu/qmp.h"
#include "image/image.h"

/* In the VM's folder, which is QEMU's working folder: no path of the user's gets near an option
 * parser that splits at commas. */
#define VM_QEMU_OVERLAY "overlay.qcow2"
#define VM_QEMU_SEED "seed.iso"
#define VM_QEMU_EFIVARS "efivars.fd"
#define VM_QEMU_LOG "qemu.log"
#define VM_QEMU_PIDFILE "qemu.pid"
#define VM_QEMU_RUN_LOCK "run.lock"
#define VM_QEMU_QMP_SOCKET "qmp.sock"
#define VM_QEMU_CONSOLE_SOCKET "console.sock"

/* The descriptors that QEMU inherits, by these numbers. */
enum { VM_QEMU_FD_QMP = 3, VM_QEMU_FD_CONSOLE = 4, VM_QEMU_FD_RUN_LOCK = 5 };

/* What is decided anew at each start. */
typedef struct {
  const char *program;
  gboolean kvm;
  VmImageFormat base_format;
  const char *firmware; /* OVMF code; NULL: BIOS */
} VmQemuLaunch;

/* The command line, NULL-terminated strings, owned by the caller. Pure. */
GPtrArray *vm_qemu_argv (const VmHandle *handle, const VmQemuLaunch *launch);

/* Starts QEMU on @argv with its sockets and its lock. Errors: VM_ERROR_VM_INVALID_STATE when the VM
 * runs already, VM_ERROR_QEMU_SPAWN_FAILED. */
gboolean vm_qemu_spawn (const VmHandle *handle, GPtrArray *argv, GPid *out_pid, int *out_pidfd,
                        GError **error);

/* A QMP connection to the VM's process. */
VmQmp *vm_qemu_connect (const VmHandle *handle, const VmOp *op, GError **error);

/* The error for a QEMU that ended before it answered: its own last words, and help for the usual
 * causes. Reaps @pid. */
gboolean vm_qemu_spawn_error (const VmHandle *handle, GPid pid, GError **error);

/* The end of qemu.log, without time stamps and program name. Owned by the caller. */
char *vm_qemu_last_words (const VmHandle *handle);

/* Whether the VM was started last in this run of the host's kernel. */
gboolean vm_qemu_is_of_this_boot (const VmHandle *handle);

/* Whether the VM's process lives. */
gboolean vm_qemu_is_running (const VmHandle *handle);

/* A pidfd of the VM's process, certainly its own; -1 when it does not run, or is only just being
 * started. @out_pid is nullable. */
int vm_qemu_open_process (const VmHandle *handle, int *out_pid);

/* The guest's disk, keys and seed; see VmHypervisorOps.prepare. */
gboolean vm_qemu_prepare (const VmHandle *handle, const VmOp *op, GError **error);
