/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* What this host has to run VMs with. Knows nothing of any VM. */

#include "runtime/error.h"

VM_BEGIN_DECLS

/* Whether KVM is worth using. A /dev/kvm that opens is no proof: under some hosts it emulates each
 * instruction, thousands of times slower than QEMU's own translator. Runs some thousand
 * instructions in a throw-away VM and looks at the clock; takes 5 ms where KVM works and at most
 * 200 ms elsewhere. FALSE: @out_reason says in words why not, owned by the caller. */
gboolean vm_kvm_is_usable (char **out_reason);

/* The QEMU to run: @wanted or the one for this machine, as an absolute path owned by the caller.
 * Errors: VM_ERROR_QEMU_SPAWN_FAILED. */
char *vm_qemu_find_program (const char *wanted, GError **error);

/* UEFI firmware: OVMF's code and its template of variables (static paths). Errors:
 * VM_ERROR_QEMU_SPAWN_FAILED. */
gboolean vm_qemu_find_firmware (const char **out_code, const char **out_vars, GError **error);

VM_END_DECLS
