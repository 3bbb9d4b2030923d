/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/qemu/qemu.h"

#include <unistd.h>

/* Where distributions keep OVMF, without Secure Boot; code and variables belong together. */
static const struct {
  const char *code;
  const char *vars;
} firmware[] = {
  { "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
  { "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd" },
  { "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
  { "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd" },
  { "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd" },
  { "/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin" },
};

gboolean
vm_qemu_find_firmware (const char **out_code, const char **out_vars, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (firmware); i++) {
    if (access (firmware[i].code, R_OK) == 0 && access (firmware[i].vars, R_OK) == 0) {
      *out_code = firmware[i].code;
      *out_vars = firmware[i].vars;
      return TRUE;
    }
  }
  vm_error_set (error, VM_ERROR_QEMU_SPAWN_FAILED, "there is no UEFI firmware (OVMF) here");
  return vm_error_help (error, "install it (Debian: apt install ovmf), or leave `uefi` out");
}
