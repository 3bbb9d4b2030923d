/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* What it takes to make a VM of one spec a VM of another: setting by setting, and how deep each
 * change cuts. One table says it for `plan`, which shows it, and for `up`, which does it. Knows
 * nothing of how a VM is changed. */

#include "vmfile/spec.h"

VM_BEGIN_DECLS

/* In the order of how much they disturb. */
typedef enum {
  VM_CHANGE_HOT,      /* can be had while the VM runs */
  VM_CHANGE_RESTART,  /* takes effect when the VM is started next */
  VM_CHANGE_RECREATE, /* needs a new VM: what is on its disk would be lost */
} VmChangeKind;

typedef struct {
  const char *setting; /* as in a VMFile; static */
  VmChangeKind kind;
  char *from; /* NULL: not set, or too long to be shown */
  char *to;   /* likewise */
} VmChange;

void vm_change_free (VmChange *change);

/* "hot", "restart" or "recreate". Static. */
const char *vm_change_kind_to_string (VmChangeKind kind);

/* What differs, of VmChange, owned by the caller; provisioning steps are not looked at, they have a
 * journal of their own. An image that was fetched from the same URL is the same image. */
GPtrArray *vm_spec_changes (const VmSpec *from, const VmSpec *to);

/* @from with its steps and all changes up to @deepest taken from @to. Owned by the caller. */
VmSpec *vm_spec_merge (const VmSpec *from, const VmSpec *to, VmChangeKind deepest);

VM_END_DECLS
