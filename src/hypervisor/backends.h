/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* The constructors that the router's list names; private to the library. */

#include "hypervisor/hypervisor.h"

VmHypervisor *vm_noop_new (const VmHypervisorConfig *config);
VmHypervisor *vm_qemu_new (const VmHypervisorConfig *config);
