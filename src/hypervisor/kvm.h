/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Whether KVM is worth using here. A /dev/kvm that opens is no proof: under some hosts it emulates
 * each instruction, thousands of times slower than QEMU's own translator. */

#include "runtime/op.h"

VM_BEGIN_DECLS

/* Runs some thousand instructions in a throw-away VM and looks at the clock; takes 5 ms where KVM
 * works and at most 200 ms elsewhere. FALSE: @out_reason says in words why not, owned by the
 * caller. */
gboolean vm_kvm_is_usable (char **out_reason);

VM_END_DECLS
