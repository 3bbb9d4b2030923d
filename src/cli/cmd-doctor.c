/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOW_SPACE_GIB 2

typedef enum { FINDING_OK, FINDING_WARNING, FINDING_BROKEN } Verdict;

typedef struct {
  Verdict verdict;
  char *detail; /* what was seen */
  const char *mend;
} Finding;

static const char *const verdict_words[] = { "ok", "warning", "broken" };

/* The first line of what `PROGRAM --version` says. */
static Finding
check_program (const char *program, const char *flag, Verdict if_missing, const char *mend)
{
  const char *argv[] = { program, flag, NULL };
  g_auto (VmProcResult) result = { 0 };
  g_autoptr (GError) error = NULL;
  VmOp limit = vm_op_grace (10);
  if (!vm_proc_run (argv, &result, &limit, &error))
    return (Finding){ if_missing, g_strdup (error->message), mend };
  const char *said = *result.out != '\0' ? result.out : result.err;
  if (!vm_proc_result_is_success (&result))
    return (Finding){ FINDING_BROKEN, g_strdup_printf ("%s does not run: %s", program, said),
                      mend };
  return (Finding){ FINDING_OK, g_strndup (said, strcspn (said, "\n")), NULL };
}

static Finding
check_qemu (Cli *cli)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *program = vm_qemu_find_program (cli->config.qemu, &error);
  if (program == NULL)
    return (Finding){ FINDING_BROKEN, g_strdup (error->message), "apt install qemu-system-x86" };
  return check_program (program, "--version", FINDING_BROKEN, "apt install qemu-system-x86");
}

static Finding
check_qemu_img (Cli *cli)
{
  return check_program ("qemu-img", "--version", FINDING_BROKEN, "apt install qemu-utils");
}

static Finding
check_ssh (Cli *cli)
{
  return check_program ("ssh", "-V", FINDING_WARNING, "apt install openssh-client");
}

static Finding
check_kvm (Cli *cli)
{
  g_autofree char *reason = NULL;
  if (vm_kvm_is_usable (&reason))
    return (Finding){ FINDING_OK, g_strdup ("runs guests at full speed"), NULL };
  return (
      Finding){ FINDING_WARNING, g_steal_pointer (&reason),
                "guests run without it, some ten times slower; on real hardware: load kvm_intel "
                "or kvm_amd, join the group `kvm`" };
}

static Finding
check_firmware (Cli *cli)
{
  const char *code;
  const char *vars;
  if (vm_qemu_find_firmware (&code, &vars, NULL))
    return (Finding){ FINDING_OK, g_strdup (code), NULL };
  return (Finding){ FINDING_WARNING, g_strdup ("no OVMF: VMs with `uefi #true` cannot start"),
                    "apt install ovmf" };
}

static Finding
check_data (Cli *cli)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VmStore) store = vm_store_open (cli->data_dir, &error);
  if (store == NULL)
    return (Finding){ FINDING_BROKEN, g_strdup (error->message),
                      "make the folder yours and writable, or set XDG_DATA_HOME" };
  if (access (cli->data_dir, W_OK) < 0)
    return (Finding){ FINDING_BROKEN, g_strdup_printf ("%s: %s", cli->data_dir, g_strerror (errno)),
                      "its VMs can be looked at, not changed; make it writable" };
  return (Finding){ FINDING_OK, g_strdup (cli->data_dir), NULL };
}

static Finding
check_space (Cli *cli)
{
  struct statvfs fs;
  if (statvfs (cli->data_dir, &fs) < 0)
    return (Finding){ FINDING_WARNING, g_strdup (g_strerror (errno)), NULL };
  guint64 free_gib = (guint64) fs.f_bavail * fs.f_frsize >> 30;
  char *detail = g_strdup_printf ("%" G_GUINT64_FORMAT " GiB free", free_gib);
  if (free_gib >= LOW_SPACE_GIB)
    return (Finding){ FINDING_OK, detail, NULL };
  return (Finding){ FINDING_WARNING, detail, "free some: VMs pause when their disk cannot grow" };
}

static const struct {
  const char *name;
  Finding (*check) (Cli *cli);
} checks[] = {
  { "qemu", check_qemu },        { "qemu-img", check_qemu_img }, { "ssh", check_ssh },
  { "kvm", check_kvm },          { "firmware", check_firmware }, { "data folder", check_data },
  { "disk space", check_space },
};

static void
print_finding (Cli *cli, const char *name, const Finding *finding)
{
  static const char *const colors[] = { "\033[32m", "\033[33m", "\033[31m" };
  cli_print (cli, "%s%-8s%s %-12s %s\n", cli->color_out ? colors[finding->verdict] : "",
             verdict_words[finding->verdict], cli->color_out ? "\033[0m" : "", name,
             finding->detail);
  if (finding->mend != NULL)
    cli_print (cli, "%22s%s\n", "→ ", finding->mend);
}

static void
add_json (JsonBuilder *builder, const char *name, const Finding *finding)
{
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "check");
  json_builder_add_string_value (builder, name);
  json_builder_set_member_name (builder, "verdict");
  json_builder_add_string_value (builder, verdict_words[finding->verdict]);
  json_builder_set_member_name (builder, "detail");
  json_builder_add_string_value (builder, finding->detail);
  if (finding->mend != NULL) {
    json_builder_set_member_name (builder, "mend");
    json_builder_add_string_value (builder, finding->mend);
  }
  json_builder_end_object (builder);
}

static int
run_doctor (Cli *cli, const CliArgs *args, GError **error)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  Verdict worst = FINDING_OK;

  json_builder_begin_array (builder);
  for (gsize i = 0; i < G_N_ELEMENTS (checks); i++) {
    Finding finding = checks[i].check (cli);
    worst = MAX (worst, finding.verdict);
    if (cli->json)
      add_json (builder, checks[i].name, &finding);
    else
      print_finding (cli, checks[i].name, &finding);
    g_free (finding.detail);
  }
  json_builder_end_array (builder);
  if (cli->json)
    cli_print_json (cli, json_builder_get_root (builder));
  return worst == FINDING_BROKEN ? 1 : 0;
}

const CliVerb cli_verb_doctor = {
  .name = "doctor",
  .synopsis = "",
  .summary = "check what VMs need, and say how to mend it",
  .max_names = 0,
  .run = run_doctor,
};
