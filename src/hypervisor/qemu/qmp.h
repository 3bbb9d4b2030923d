/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* A QEMU Machine Protocol client: one JSON object a line over a unix socket, replies matched to
 * commands by id, events set apart. QEMU serves one client at a time, so a connection is held no
 * longer than needed. Protocol: docs/interop/qmp-spec.txt of QEMU. */

#include "runtime/json.h"
#include "runtime/op.h"

typedef struct VmQmp VmQmp;

/* Takes over the connected socket @fd (also on failure), reads the greeting and negotiates.
 * Errors: VM_ERROR_QMP_CONNECT_FAILED; VM_ERROR_QEMU_EXITED when the peer hangs up. */
VmQmp *vm_qmp_new (int fd, const VmOp *op, GError **error);
void vm_qmp_free (VmQmp *qmp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmQmp, vm_qmp_free)

/* Runs @command with @arguments (a JSON object as text, or NULL); its return value in @out_return
 * (nullable), owned by the caller. Errors: VM_ERROR_QMP_COMMAND_FAILED with QEMU's own words,
 * VM_ERROR_QEMU_EXITED. */
gboolean vm_qmp_execute (VmQmp *qmp, const char *command, const char *arguments,
                         JsonNode **out_return, const VmOp *op, GError **error);
