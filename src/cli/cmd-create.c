/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <stdio.h>

#define MAX_VCPUS 1024
#define MAX_MEMORY_MIB (G_GUINT64_CONSTANT (1) << 24)
#define MAX_DISK_GIB (G_GUINT64_CONSTANT (1) << 16)

static const CliOption options[] = {
  { "name", 'n', "NAME", "the VM's name (or as argument)" },
  { "image", 'i', "PATH", "disk image, qcow2 or raw; never written to" },
  { "image-url", 0, "URL", "where to get it" },
  { "checksum", 0, "SUM", "sha256:HEX or sha512:HEX of it" },
  { "vcpus", 0, "N", "processors (1)" },
  { "memory", 'm', "MIB", "memory in MiB (1024)" },
  { "disk", 0, "GIB", "disk size in GiB (the image's)" },
  { "bridge", 0, "NAME", "a TAP network on this bridge" },
  { "forward", 0, "HOST:GUEST", "forward a port of 127.0.0.1; repeatable" },
  { "cloud-init", 0, "FILE", "user-data for cloud-init" },
  { "ssh-key", 0, "FILE", "a public key that may log in" },
  { "user", 0, "NAME", "the guest's user (vm)" },
  { "uefi", 0, NULL, "boot by UEFI" },
  { "backend", 0, "NAME", "qemu or noop" },
  { "start", 0, NULL, "boot it at once" },
  { 0 },
};

static gboolean
add_forward (VmNetwork *network, const char *text, GError **error)
{
  guint host;
  guint guest;
  char end;
  if (sscanf (text, "%5u:%5u%c", &host, &guest, &end) == 2 && host > 0 && guest > 0 &&
      host <= G_MAXUINT16 && guest <= G_MAXUINT16) {
    g_ptr_array_add (network->forwards, vm_forward_new ((guint16) host, (guint16) guest));
    return TRUE;
  }
  vm_error_set (error, VM_ERROR_USAGE, "--forward takes HOST:GUEST, not \"%s\"", text);
  return vm_error_help (error, "for instance --forward 8080:80");
}

static gboolean
read_network (VmDef *def, const CliArgs *args, GError **error)
{
  const char *bridge = cli_args_get (args, "bridge");
  const GPtrArray *forwards = cli_args_get_all (args, "forward");
  g_autoptr (VmNetwork) network =
      vm_network_new (bridge != NULL ? VM_NETWORK_TAP : VM_NETWORK_USER);
  if (bridge != NULL && forwards != NULL)
    return vm_error_set (error, VM_ERROR_USAGE, "--forward makes no sense with --bridge");
  if (bridge != NULL)
    network->link = g_strdup (bridge);
  for (guint i = 0; forwards != NULL && i < forwards->len; i++) {
    if (!add_forward (network, forwards->pdata[i], error))
      return FALSE;
  }
  g_ptr_array_add (def->networks, g_steal_pointer (&network));
  return TRUE;
}

static gboolean
read_sizes (VmDef *def, const CliArgs *args, GError **error)
{
  guint64 vcpus;
  if (!cli_args_get_number (args, "vcpus", 1, MAX_VCPUS, 0, &vcpus, error) ||
      !cli_args_get_number (args, "memory", 1, MAX_MEMORY_MIB, 0, &def->memory_mib, error) ||
      !cli_args_get_number (args, "disk", 1, MAX_DISK_GIB, 0, &def->disk_gib, error))
    return FALSE;
  def->vcpus = (guint) vcpus;
  return TRUE;
}

/* The command line says the same things as a VMFile, and takes the same way from here on. */
static VmDef *
read_def (const CliArgs *args, GError **error)
{
  const char *name = cli_args_get_name (args, error);
  if (name == NULL || !vm_name_check (name, error))
    return NULL;
  g_autoptr (VmDef) def = vm_def_new (name);
  def->image = g_strdup (cli_args_get (args, "image"));
  def->image_url = g_strdup (cli_args_get (args, "image-url"));
  def->checksum = g_strdup (cli_args_get (args, "checksum"));
  def->backend = g_strdup (cli_args_get (args, "backend"));
  def->user_data = g_strdup (cli_args_get (args, "cloud-init"));
  def->ssh_key = g_strdup (cli_args_get (args, "ssh-key"));
  def->ssh_user = g_strdup (cli_args_get (args, "user"));
  def->uefi = cli_args_has (args, "uefi");
  if ((def->image == NULL) == (def->image_url == NULL)) {
    vm_error_set (error, VM_ERROR_USAGE, "a VM needs one image: --image or --image-url");
    return NULL;
  }
  if (!read_sizes (def, args, error) || !read_network (def, args, error))
    return NULL;
  return g_steal_pointer (&def);
}

typedef struct {
  VmSpec *spec; /* taken by the job */
  gboolean start;
} Creation;

static gboolean
create_one (Cli *cli, const char *name, gpointer data, const VmOp *op, GError **error)
{
  Creation *creation = data;
  g_autoptr (CliMachine) machine =
      cli_machine_create (cli, g_steal_pointer (&creation->spec), op, error);
  return machine != NULL && (!creation->start || cli_machine_start (machine, op, error));
}

static int
run_create (Cli *cli, const CliArgs *args, GError **error)
{
  g_autoptr (VmDef) def = read_def (args, error);
  g_autofree char *here = g_get_current_dir ();
  VmSpec *spec =
      def != NULL ? vm_def_resolve (def, here, vm_hypervisor_default_backend (), error) : NULL;
  if (spec == NULL)
    return 1;
  Creation creation = { spec, cli_args_has (args, "start") };
  char *names[] = { def->name, NULL };
  return cli_for_each (cli, names, 1, create_one, &creation);
}

const CliVerb cli_verb_create = {
  .name = "create",
  .synopsis = "NAME --image=PATH [OPTIONS]",
  .summary = "register a VM and prepare its disk, seed and keys",
  .options = options,
  .min_names = 1,
  .max_names = 1,
  .run = run_create,
};
