/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/qemu/qemu.h"

#include <stdarg.h>

/* For translated code. QEMU's own choice is a gibibyte, which guests of this size do not profit
 * from; and a guest that reboots waits until all of it was thrown away. */
#define TRANSLATION_MIB "128"
#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

/* Adds strings until NULL. */
static void
push (GPtrArray *argv, ...)
{
  va_list args;
  const char *arg;
  va_start (args, argv);
  while ((arg = va_arg (args, const char *)) != NULL)
    g_ptr_array_add (argv, g_strdup (arg));
  va_end (args);
}

static void
    G_GNUC_PRINTF (3, 4) push_format (GPtrArray *argv, const char *option, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_ptr_array_add (argv, g_strdup (option));
  g_ptr_array_add (argv, g_strdup_vprintf (format, args));
  va_end (args);
}

/* Options that take JSON get it, so that no text of the user's can become another option. */
static void
push_json (GPtrArray *argv, const char *option, JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), object);
  g_ptr_array_add (argv, g_strdup (option));
  g_ptr_array_add (argv, json_to_string (node, FALSE));
  json_object_unref (object);
}

static void
push_machine (GPtrArray *argv, const VmQemuLaunch *launch)
{
  const char *pflash = launch->firmware != NULL ? ",pflash0=efi-code,pflash1=efi-vars" : "";
  push_format (argv, "-machine", "q35,usb=off,vmport=off,dump-guest-core=off%s", pflash);
  if (launch->kvm)
    push (argv, "-accel", "kvm", "-cpu", "host", NULL);
  else
    push (argv, "-accel", "tcg,thread=multi,tb-size=" TRANSLATION_MIB, "-cpu", "max", NULL);
}

/* A blockdev of a file under a format: nodes NAME-file and NAME. */
static void
push_blockdev (GPtrArray *argv, const char *name, const char *format, const char *filename,
               gboolean writable, const char *backing)
{
  g_autofree char *file_node = g_strconcat (name, "-file", NULL);
  JsonObject *file = json_object_new ();
  json_object_set_string_member (file, "driver", "file");
  json_object_set_string_member (file, "node-name", file_node);
  json_object_set_string_member (file, "filename", filename);
  json_object_set_boolean_member (file, "read-only", !writable);
  if (writable)
    json_object_set_string_member (file, "discard", "unmap");
  push_json (argv, "-blockdev", file);

  JsonObject *node = json_object_new ();
  json_object_set_string_member (node, "driver", format);
  json_object_set_string_member (node, "node-name", name);
  json_object_set_string_member (node, "file", file_node);
  json_object_set_boolean_member (node, "read-only", !writable);
  if (writable && g_str_equal (format, "qcow2")) {
    json_object_set_string_member (node, "discard", "unmap");
    json_object_set_string_member (node, "detect-zeroes", "unmap");
  }
  if (backing != NULL)
    json_object_set_string_member (node, "backing", backing);
  else if (g_str_equal (format, "qcow2"))
    json_object_set_null_member (node, "backing");
  push_json (argv, "-blockdev", node);
}

static void
push_firmware (GPtrArray *argv, const VmQemuLaunch *launch)
{
  if (launch->firmware == NULL)
    return;
  push_blockdev (argv, "efi-code", "raw", launch->firmware, FALSE, NULL);
  push_blockdev (argv, "efi-vars", "raw", VM_QEMU_EFIVARS, TRUE, NULL);
}

/* The root disk is the first virtio disk; the seed is a CD-ROM on a virtio SCSI controller, which
 * Debian's cloud kernel sees where it has no driver for q35's own AHCI. */
static void
push_disks (GPtrArray *argv, const VmSpec *spec, const VmQemuLaunch *launch)
{
  push_blockdev (argv, "base", vm_image_format_to_string (launch->base_format), spec->image, FALSE,
                 NULL);
  push_blockdev (argv, "disk", "qcow2", VM_QEMU_OVERLAY, TRUE, "base");
  push (argv, "-device",
        "{\"driver\":\"virtio-blk-pci\",\"drive\":\"disk\",\"bootindex\":0,"
        "\"werror\":\"stop\",\"rerror\":\"stop\"}",
        NULL);
  push_blockdev (argv, "seed", "raw", VM_QEMU_SEED, FALSE, NULL);
  push (argv, "-device", "{\"driver\":\"virtio-scsi-pci\",\"id\":\"scsi\"}", "-device",
        "{\"driver\":\"scsi-cd\",\"drive\":\"seed\",\"bus\":\"scsi.0\"}", NULL);
}

static void
add_forward (JsonArray *rules, VmProtocol protocol, const char *address, guint host, guint guest)
{
  g_autofree char *rule = g_strdup_printf (
      "%s:%s:%u-:%u", protocol == VM_PROTOCOL_UDP ? "udp" : "tcp", address, host, guest);
  JsonObject *wrapped = json_object_new ();
  json_object_set_string_member (wrapped, "str", rule);
  json_array_add_object_element (rules, wrapped);
}

static void
push_user_netdev (GPtrArray *argv, const VmHandle *handle, const VmNetwork *network, const char *id,
                  gboolean is_first)
{
  JsonObject *netdev = json_object_new ();
  JsonArray *rules = json_array_new ();
  json_object_set_string_member (netdev, "type", "user");
  json_object_set_string_member (netdev, "id", id);
  json_object_set_boolean_member (netdev, "ipv6", FALSE);
  json_object_set_boolean_member (netdev, "restrict", network->kind == VM_NETWORK_ISOLATED);
  if (is_first) /* port 0: the kernel picks a free one */
    add_forward (rules, VM_PROTOCOL_TCP, "127.0.0.1", handle->ssh_port, 22);
  for (guint i = 0; i < network->forwards->len; i++) {
    const VmForward *forward = network->forwards->pdata[i];
    add_forward (rules, forward->protocol, forward->address, forward->host_port,
                 forward->guest_port);
  }
  json_object_set_array_member (netdev, "hostfwd", rules);
  push_json (argv, "-netdev", netdev);
}

static void
push_networks (GPtrArray *argv, const VmHandle *handle)
{
  gboolean is_first = TRUE;
  for (guint i = 0; i < handle->spec->networks->len; i++) {
    const VmNetwork *network = handle->spec->networks->pdata[i];
    if (network->kind != VM_NETWORK_USER && network->kind != VM_NETWORK_ISOLATED)
      continue;
    g_autofree char *id = g_strdup_printf ("net%u", i);
    push_user_netdev (argv, handle, network, id, is_first);
    JsonObject *nic = json_object_new ();
    json_object_set_string_member (nic, "driver", "virtio-net-pci");
    json_object_set_string_member (nic, "netdev", id);
    json_object_set_string_member (nic, "mac", handle->macs->pdata[i]);
    json_object_set_string_member (nic, "romfile", "");
    push_json (argv, "-device", nic);
    is_first = FALSE;
  }
}

GPtrArray *
vm_qemu_argv (const VmHandle *handle, const VmQemuLaunch *launch)
{
  const VmSpec *spec = handle->spec;
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);

  push (argv, launch->program, "-no-user-config", "-nodefaults", "-display", "none", NULL);
  push_format (argv, "-name", "guest=%s,debug-threads=on", spec->name);
  push_machine (argv, launch);
  push_format (argv, "-smp", "%u", spec->vcpus);
  push_format (argv, "-m", "%" G_GUINT64_FORMAT, spec->memory_mib);
  push (argv, "-sandbox", SANDBOX, "-msg", "timestamp=on", "-pidfile", VM_QEMU_PIDFILE, NULL);
  push_format (argv, "-chardev", "socket,id=qmp,fd=%d,server=on,wait=off", VM_QEMU_FD_QMP);
  push (argv, "-mon", "chardev=qmp,mode=control", NULL);
  push_format (argv, "-chardev",
               "socket,id=console,fd=%d,server=on,wait=off,logfile=" VM_FILE_CONSOLE_LOG
               ",logappend=on",
               VM_QEMU_FD_CONSOLE);
  push (argv, "-device", "{\"driver\":\"isa-serial\",\"chardev\":\"console\"}", NULL);
  push_firmware (argv, launch);
  push_disks (argv, spec, launch);
  push_networks (argv, handle);
  push (argv, "-object",
        "{\"qom-type\":\"rng-random\",\"id\":\"rng\",\"filename\":\"/dev/urandom\"}", "-device",
        "{\"driver\":\"virtio-rng-pci\",\"rng\":\"rng\"}", NULL);
  g_ptr_array_add (argv, NULL);
  return argv;
}
