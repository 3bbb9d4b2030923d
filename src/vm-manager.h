/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* libvm-manager: virtual machines from a few lines of text. The headers stand in the order in which
 * data flows: text → definition → spec → handle → a running VM → SSH → provisioning. */

/* clang-format off */

#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/op.h"
#include "runtime/proc.h"
#include "runtime/run.h"
#include "runtime/util.h"

#include "kdl/kdl.h"
#include "vmfile/def.h"
#include "vmfile/diagnostic.h"
#include "vmfile/file.h"
#include "vmfile/spec.h"
#include "vmfile/change.h"

#include "hypervisor/handle.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/host.h"
#include "image/image.h"
#include "ssh/keys.h"
#include "ssh/ssh.h"
#include "store/lock.h"
#include "store/store.h"

#include "provision/provision.h"
