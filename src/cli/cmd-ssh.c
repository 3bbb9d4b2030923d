/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ssh ends in exec of OpenSSH, which in turn gets its connection from `vmctl dial`: that one knows
 * the VM's port, and tries again where a booting or busy sshd turns a connection away, which
 * OpenSSH itself would not. */

static const char *const standard_keys[] = { "id_ed25519", "id_ecdsa", "id_rsa" };

static const CliOption options[] = {
  { "name", 'n', "NAME", "the same as the argument" },
  { "user", 'l', "NAME", "log in as this user" },
  { "key", 'i', "FILE", "try this private key first" },
  { "file", 'f', "FILE", "the VMFile that names the VM, when NAME is left out" },
  { 0 },
};

typedef struct {
  CliMachine *machine;
  int fd; /* out: the connection */
} Dial;

static gboolean
dial_one (Cli *cli, const char *name, gpointer data, const VmOp *op, GError **error)
{
  Dial *dial = data;
  return cli_machine_dial (dial->machine, &dial->fd, op, error);
}

/* Waits for the guest's sshd; the exit status, and a connection in *@out_fd. */
static int
dial (Cli *cli, CliMachine *machine, int *out_fd)
{
  char *names[] = { machine->handle->spec->name, NULL };
  Dial dialed = { machine, -1 };
  int status = cli_for_each (cli, names, 1, dial_one, &dialed);
  *out_fd = dialed.fd;
  return status;
}

/* NAME, or the only VM of the VMFile. Owned by the caller. */
static char *
pick_name (Cli *cli, const CliArgs *args, GError **error)
{
  if (cli_args_has (args, "name") || args->names->len > 0)
    return g_strdup (cli_args_get_name (args, error));
  g_autoptr (CliProject) project = cli_project_load (cli, args, error);
  if (project == NULL)
    return NULL;
  if (project->selected->len == 1)
    return g_strdup (((VmDef *) project->selected->pdata[0])->name);
  vm_error_set (error, VM_ERROR_USAGE, "%s has %u VMs", project->path, project->selected->len);
  vm_error_help (error, "say which: vmctl ssh NAME");
  return NULL;
}

static void G_GNUC_PRINTF (2, 3) push (GPtrArray *argv, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_ptr_array_add (argv, g_strdup_vprintf (format, args));
  va_end (args);
}

/* ssh expands `%` in the names of key files. */
static void
push_key (GPtrArray *argv, const char *path)
{
  g_autofree char *absolute = path != NULL ? g_canonicalize_filename (path, NULL) : NULL;
  if (absolute == NULL || access (absolute, R_OK) != 0)
    return;
  g_auto (GStrv) parts = g_strsplit (absolute, "%", -1);
  g_autofree char *escaped = g_strjoinv ("%%", parts);
  push (argv, "-i");
  push (argv, "%s", escaped);
}

/* One word goes to the guest's shell as it is, as with ssh; several are one command and its
 * arguments, and arrive as they were given. */
static void
push_command (GPtrArray *argv, char **words)
{
  if (words == NULL || words[0] == NULL)
    return;
  push (argv, "--");
  if (words[1] == NULL) {
    push (argv, "%s", words[0]);
    return;
  }
  g_autoptr (GString) command = g_string_new (NULL);
  for (guint i = 0; words[i] != NULL; i++) {
    g_autofree char *quoted = vm_ssh_quote (words[i]);
    g_string_append_printf (command, "%s%s", i > 0 ? " " : "", quoted);
  }
  push (argv, "%s", command->str);
}

/* The value of ssh_config(5)'s ProxyCommand: run by a shell, `%` expanded before. */
static char *
proxy_command (const char *name)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *quoted = vm_ssh_quote (self != NULL ? self : "vmctl");
  g_auto (GStrv) parts = g_strsplit (quoted, "%", -1);
  g_autofree char *escaped = g_strjoinv ("%%", parts);
  return g_strdup_printf ("%s dial %s", escaped, name);
}

/* The guest's host key is pinned in the VM's own known_hosts; nothing of the user's configuration
 * may weaken that. A guest that took no key from us is pinned at its first use. ssh runs in the
 * VM's folder: its option parser has rules of its own for spaces, quotes and `$` in paths, none of
 * which can hurt a plain file name. */
static GPtrArray *
ssh_command (const CliMachine *machine, const CliArgs *args)
{
  const VmHandle *handle = machine->handle;
  const char *user = cli_args_get (args, "user");
  g_autofree char *known_hosts = vm_handle_path (handle, VM_FILE_KNOWN_HOSTS);
  g_autofree char *proxy = proxy_command (handle->spec->name);
  gboolean pinned = g_file_test (known_hosts, G_FILE_TEST_EXISTS);
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);

  push (argv, "ssh");
  push (argv, "-F");
  push (argv, "none");
  push (argv, "-o");
  push (argv, "ProxyCommand=%s", proxy);
  push (argv, "-o");
  push (argv, "ProxyUseFdpass=yes");
  push (argv, "-o");
  push (argv, "UserKnownHostsFile=" VM_FILE_KNOWN_HOSTS);
  push (argv, "-o");
  push (argv, "GlobalKnownHostsFile=/dev/null");
  push (argv, "-o");
  push (argv, "HostKeyAlias=%s", handle->spec->name);
  push (argv, "-o");
  push (argv, "StrictHostKeyChecking=%s", pinned ? "yes" : "accept-new");
  push (argv, "-o");
  push (argv, "LogLevel=ERROR");
  /* Else every key of an agent would be offered first, and sshd gives up after a few. */
  push (argv, "-o");
  push (argv, "IdentitiesOnly=yes");
  push_key (argv, cli_args_get (args, "key"));
  push (argv, "-i");
  push (argv, VM_FILE_PRIVATE_KEY);
  push_key (argv, handle->spec->private_key);
  for (gsize i = 0; i < G_N_ELEMENTS (standard_keys); i++) {
    g_autofree char *path = g_build_filename (g_get_home_dir (), ".ssh", standard_keys[i], NULL);
    push_key (argv, path);
  }
  push (argv, "-l");
  push (argv, "%s", user != NULL ? user : handle->spec->ssh_user);
  push (argv, "%s", handle->spec->name);
  push_command (argv, args->rest);
  g_ptr_array_add (argv, NULL);
  return argv;
}

static int
run_ssh (Cli *cli, const CliArgs *args, GError **error)
{
  g_autofree char *name = pick_name (cli, args, error);
  g_autoptr (CliMachine) machine = name != NULL ? cli_machine_peek (cli, name, error) : NULL;
  if (machine == NULL)
    return 1;
  vm_autofd int fd = -1;
  int status = dial (cli, machine, &fd);
  if (status != 0)
    return status;
  g_autoptr (GPtrArray) argv = ssh_command (machine, args);
  if (chdir (machine->handle->dir) < 0) {
    vm_error_set_errno (error, errno, "cannot enter %s", machine->handle->dir);
    return 1;
  }
  signal (SIGPIPE, SIG_DFL);
  execvp ("ssh", (char **) argv->pdata);
  vm_error_set_errno (error, errno, "cannot run ssh");
  vm_error_help (error, "install OpenSSH's client (Debian: apt install openssh-client)");
  return 1;
}

/* Hands @fd to whoever holds the other end of stdout, as ssh_config(5)'s ProxyUseFdpass wants it:
 * one byte that carries the descriptor. */
static gboolean
pass_descriptor (int fd, GError **error)
{
  char byte = 0;
  struct iovec data = { &byte, 1 };
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE (sizeof (int))];
  } control = { 0 };
  struct msghdr message = { .msg_iov = &data,
                            .msg_iovlen = 1,
                            .msg_control = control.space,
                            .msg_controllen = sizeof control.space };
  struct cmsghdr *header = CMSG_FIRSTHDR (&message);
  *header = (struct cmsghdr){ CMSG_LEN (sizeof (int)), SOL_SOCKET, SCM_RIGHTS };
  memcpy (CMSG_DATA (header), &fd, sizeof fd);
  if (sendmsg (STDOUT_FILENO, &message, MSG_NOSIGNAL) == 1)
    return TRUE;
  vm_error_set_errno (error, errno, "cannot hand the connection over");
  return vm_error_help (error, "`vmctl dial` is for ssh: ProxyCommand with ProxyUseFdpass yes");
}

static int
run_dial (Cli *cli, const CliArgs *args, GError **error)
{
  vm_autofd int fd = -1;
  g_autoptr (CliMachine) machine = cli_machine_peek (cli, args->names->pdata[0], error);
  if (machine == NULL)
    return 1;
  int status = dial (cli, machine, &fd);
  if (status != 0)
    return status;
  return pass_descriptor (fd, error) ? 0 : 1;
}

const CliVerb cli_verb_ssh = {
  .name = "ssh",
  .synopsis = "[NAME] [--user=NAME] [--key=FILE] [-- COMMAND…]",
  .summary = "log in, or run a command, over SSH",
  .options = options,
  .max_names = 1,
  .takes_rest = TRUE,
  .run = run_ssh,
};

const CliVerb cli_verb_dial = {
  .name = "dial",
  .synopsis = "NAME",
  .summary = "connect ssh to a VM (its ProxyCommand, with ProxyUseFdpass)",
  .min_names = 1,
  .max_names = 1,
  .run = run_dial,
};
