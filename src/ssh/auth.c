/* SPDX-License-Identifier: MPL-2.0 */
#include "ssh/internal.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const home_keys[] = { "id_ed25519", "id_ecdsa", "id_rsa" };

typedef struct {
  VmSshSession *session;
  GString *tried; /* for the message when none was taken */
  gboolean is_in;
} Login;

static void
note (Login *login, const char *what, const char *how)
{
  g_string_append_printf (login->tried, "%s%s%s", login->tried->len > 0 ? ", " : "", what, how);
}

/* Without it OpenSSL would ask for a passphrase on the terminal. */
static int
refuse_passphrase (const char *prompt, char *buffer, size_t size, int echo, int verify,
                   void *userdata)
{
  return -1;
}

/* The end of one attempt. FALSE when no other can follow. */
static gboolean
conclude (Login *login, int rc, GError **error)
{
  VmSshSession *session = login->session;
  login->is_in = rc == SSH_AUTH_SUCCESS;
  if (ssh_is_connected (session->handle))
    return TRUE;
  /* OpenSSH counts refused keys and hangs up at MaxAuthTries. */
  if (strstr (ssh_get_error (session->handle), "Too many authentication failures") != NULL)
    return vm_error_set (error, VM_ERROR_SSH_AUTH_FAILED, "%s refused too many keys: %s",
                         session->peer, login->tried->str);
  return vm_ssh_session_fail (session, "while logging in", error);
}

static gboolean
try_key (Login *login, const char *path, gboolean is_named, const VmOp *op, GError **error)
{
  g_auto (ssh_key) key = NULL;
  int rc = ssh_pki_import_privkey_file (path, NULL, refuse_passphrase, NULL, &key);
  if (rc != SSH_OK) {
    if (is_named || rc != SSH_EOF)
      note (login, path, rc == SSH_EOF ? " (not there)" : " (unreadable, or has a passphrase)");
    return TRUE;
  }
  note (login, path, "");
  while ((rc = ssh_userauth_publickey (login->session->handle, NULL, key)) == SSH_AUTH_AGAIN) {
    if (!vm_ssh_session_wait (login->session, op, error))
      return FALSE;
  }
  return conclude (login, rc, error);
}

/* libssh talks to the agent with blocking calls, and an agent may ask its user first. A thread
 * watches @op meanwhile and hangs up on the agent when it is over. */
typedef struct {
  const VmOp *op;
  int agent_fd;
  int done_fd;
} AgentGuard;

static gpointer
guard_agent (gpointer data)
{
  const AgentGuard *guard = data;
  if (!vm_op_wait (guard->op, guard->done_fd, POLLIN, -1, NULL, NULL))
    shutdown (guard->agent_fd, SHUT_RDWR);
  return NULL;
}

static int
connect_agent (void)
{
  const char *path = g_getenv ("SSH_AUTH_SOCK");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (path == NULL || *path == '\0' ||
      g_strlcpy (address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path)
    return -1;
  vm_autofd int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    return -1;
  return vm_fd_steal (&fd);
}

static gboolean
ask_agent (Login *login, const VmOp *op, GError **error)
{
  int rc;
  while ((rc = ssh_userauth_agent (login->session->handle, NULL)) == SSH_AUTH_AGAIN) {
    if (!vm_ssh_session_wait (login->session, op, error))
      return FALSE;
  }
  return vm_op_check (op, error) && conclude (login, rc, error);
}

static gboolean
try_agent (Login *login, const VmOp *op, GError **error)
{
  int agent_fd = connect_agent ();
  if (agent_fd < 0)
    return TRUE;
  note (login, "the SSH agent", "");
  ssh_set_agent_socket (login->session->handle, agent_fd); /* takes it */

  vm_autofd int guard_fd = dup (agent_fd);
  vm_autofd int done_fd = eventfd (0, EFD_CLOEXEC);
  AgentGuard guard = { .op = op, .agent_fd = guard_fd, .done_fd = done_fd };
  GThread *thread = g_thread_new ("ssh-agent", guard_agent, &guard);
  gboolean asked = ask_agent (login, op, error);
  eventfd_write (done_fd, 1);
  g_thread_join (thread);
  return asked;
}

static gboolean
try_all (Login *login, const char *const *named, const VmOp *op, GError **error)
{
  for (guint i = 0; named != NULL && named[i] != NULL; i++) {
    if (!try_key (login, named[i], TRUE, op, error))
      return FALSE;
    if (login->is_in)
      return TRUE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (home_keys); i++) {
    g_autofree char *path = g_build_filename (g_get_home_dir (), ".ssh", home_keys[i], NULL);
    if (named != NULL && g_strv_contains (named, path))
      continue;
    if (!try_key (login, path, FALSE, op, error))
      return FALSE;
    if (login->is_in)
      return TRUE;
  }
  return try_agent (login, op, error);
}

gboolean
vm_ssh_login (VmSshSession *session, const VmSshTarget *target, const VmOp *op, GError **error)
{
  g_autoptr (GString) tried = g_string_new (NULL);
  Login login = { .session = session, .tried = tried };
  if (!try_all (&login, target->private_keys, op, error))
    return FALSE;
  if (login.is_in)
    return TRUE;
  return vm_error_set (error, VM_ERROR_SSH_AUTH_FAILED, "%s refused the login; tried %s",
                       session->peer, tried->len > 0 ? tried->str : "nothing, there is no key");
}
