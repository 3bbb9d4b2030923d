/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Child processes: short ones whose output is wanted, and long ones that outlive their parent.
 * Signals go through pidfds. Knows nothing of what it runs. */

#include "runtime/op.h"

VM_BEGIN_DECLS

typedef struct {
  int wait_status; /* as of waitpid() */
  char *out;       /* stdout, NUL-terminated, at most 1 MiB */
  char *err;       /* stderr, likewise */
} VmProcResult;

void vm_proc_result_clear (VmProcResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VmProcResult, vm_proc_result_clear)

/* Runs @argv (searched in PATH, no shell) with stdin from /dev/null, and collects what it prints.
 * Ends it with SIGKILL when @op is over. FALSE when it could not be started (VM_ERROR_IO) or @op
 * was over; a non-zero exit is TRUE, see @out_result. */
gboolean
vm_proc_run (const char *const *argv, VmProcResult *out_result, const VmOp *op, GError **error);

/* Whether the process exited with status 0. */
gboolean vm_proc_result_is_success (const VmProcResult *result);

/* "exit status 1", "killed by signal 9 (Killed)". Owned by the caller. */
char *vm_proc_describe_status (int wait_status);

/* A descriptor that the new process gets under number @target. */
typedef struct {
  int source;
  int target;
} VmProcFd;

typedef struct {
  const char *const *argv; /* argv[0] is a path */
  const char *const *envp;
  const char *dir;     /* working folder; NULL: ours */
  const VmProcFd *fds; /* all that it inherits; 0, 1 and 2 must be among them */
  guint n_fds;
  gboolean dies_with_us; /* it is killed when the calling thread ends, however that happens */
  int pid_fd; /* one of the targets, into which it writes its pid before it is executed; -1: none */
} VmProcStart;

/* Starts a process in a session of its own. Returns its pid and a pidfd (owned by the caller). Does
 * not wait; the caller reaps it with vm_proc_reap() as long as it lives itself. Errors: VM_ERROR_IO
 * when the program cannot be executed. */
gboolean vm_proc_spawn (const VmProcStart *start, GPid *out_pid, int *out_pidfd, GError **error);

/* Takes the exit status of child @pid if it has ended. FALSE when it has not, or is no child. */
gboolean vm_proc_reap (GPid pid, int *out_wait_status);

VM_END_DECLS
