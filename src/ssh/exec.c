/* SPDX-License-Identifier: MPL-2.0 */
#include "ssh/internal.h"

#include <signal.h>
#include <string.h>

/* RFC 4254, 6.10. */
static const struct {
  const char *name;
  int number;
} signals[] = {
  { "ABRT", SIGABRT }, { "ALRM", SIGALRM }, { "FPE", SIGFPE },   { "HUP", SIGHUP },
  { "ILL", SIGILL },   { "INT", SIGINT },   { "KILL", SIGKILL }, { "PIPE", SIGPIPE },
  { "QUIT", SIGQUIT }, { "SEGV", SIGSEGV }, { "TERM", SIGTERM }, { "USR1", SIGUSR1 },
  { "USR2", SIGUSR2 },
};

/* As shells report it; 255, as ssh(1) does, for a signal that has no number here. */
static int
signal_status (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (signals); i++) {
    if (strcmp (signals[i].name, name) == 0)
      return 128 + signals[i].number;
  }
  return 255;
}

static int
on_data (ssh_session handle, ssh_channel ssh, void *data, uint32_t size, int is_stderr,
         void *userdata)
{
  VmSshChannel *channel = userdata;
  if (channel->output != NULL && size > 0)
    channel->output (channel->data, is_stderr != 0, data, size);
  return (int) size;
}

static void
on_exit_status (ssh_session handle, ssh_channel ssh, int status, void *userdata)
{
  VmSshChannel *channel = userdata;
  channel->exit_status = status & 0xff;
}

static void
on_exit_signal (ssh_session handle, ssh_channel ssh, const char *name, int core,
                const char *message, const char *language, void *userdata)
{
  VmSshChannel *channel = userdata;
  g_free (channel->signal);
  channel->signal = g_strdup (name);
  channel->exit_status = signal_status (name);
}

static void
on_close (ssh_session handle, ssh_channel ssh, void *userdata)
{
  VmSshChannel *channel = userdata;
  channel->closed = TRUE;
}

VmSshChannel *
vm_ssh_channel_open (VmSshSession *session, VmSshOutput output, gpointer data, const VmOp *op,
                     GError **error)
{
  g_autoptr (VmSshChannel) channel = g_new0 (VmSshChannel, 1);
  int rc = SSH_ERROR;

  *channel = (VmSshChannel){
    .session = session,
    .handle = ssh_channel_new (session->handle),
    .output = output,
    .data = data,
    .exit_status = -1,
    .callbacks = { .userdata = channel,
                   .channel_data_function = on_data,
                   .channel_close_function = on_close,
                   .channel_exit_status_function = on_exit_status,
                   .channel_exit_signal_function = on_exit_signal },
  };
  ssh_callbacks_init (&channel->callbacks);
  if (channel->handle != NULL) {
    ssh_set_channel_callbacks (channel->handle, &channel->callbacks);
    while ((rc = ssh_channel_open_session (channel->handle)) == SSH_AGAIN) {
      if (!vm_ssh_session_wait (session, op, error))
        return NULL;
    }
  }
  if (rc != SSH_OK) {
    vm_ssh_session_fail (session, "it opens no channel", error);
    return NULL;
  }
  return g_steal_pointer (&channel);
}

gboolean
vm_ssh_channel_write (VmSshChannel *channel, gconstpointer bytes, gsize n, const VmOp *op,
                      GError **error)
{
  const char *at = bytes;
  while (n > 0) {
    int done = ssh_channel_write (channel->handle, at, (uint32_t) MIN (n, G_MAXINT32));
    if (done == SSH_ERROR || channel->closed)
      return vm_ssh_session_fail (channel->session, "it took no more", error);
    if (done <= 0 && !vm_ssh_session_step (channel->session, op, error))
      return FALSE;
    at += MAX (done, 0);
    n -= (gsize) MAX (done, 0);
  }
  return TRUE;
}

void
vm_ssh_channel_free (VmSshChannel *channel)
{
  if (channel == NULL)
    return;
  if (channel->handle != NULL) {
    /* libssh keeps its channel until the other side has closed it too. */
    ssh_remove_channel_callbacks (channel->handle, &channel->callbacks);
    ssh_channel_free (channel->handle);
  }
  g_free (channel->signal);
  g_free (channel);
}

static gboolean
request_exec (VmSshChannel *channel, const char *command, const VmOp *op, GError **error)
{
  int rc;
  while ((rc = ssh_channel_request_exec (channel->handle, command)) == SSH_AGAIN) {
    if (!vm_ssh_session_wait (channel->session, op, error))
      return FALSE;
  }
  if (rc != SSH_OK || ssh_channel_send_eof (channel->handle) == SSH_ERROR)
    return vm_ssh_session_fail (channel->session, "it does not run the command", error);
  return TRUE;
}

static gboolean
is_over (const GError *failure)
{
  return g_error_matches (failure, VM_ERROR, VM_ERROR_CANCELLED) ||
         g_error_matches (failure, VM_ERROR, VM_ERROR_TIMEOUT);
}

/* Until the channel is closed, which sshd does once the command has ended and both its streams are
 * read to their end. */
static gboolean
drain (VmSshChannel *channel, const VmOp *op, GError **error)
{
  g_autoptr (GError) failure = NULL;
  while (!channel->closed && failure == NULL)
    vm_ssh_session_step (channel->session, op, &failure);
  if (is_over (failure)) {
    ssh_channel_request_send_signal (channel->handle, "TERM");
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  /* A guest that powers itself off may be gone right behind the exit status. */
  if (channel->exit_status >= 0)
    return TRUE;
  if (failure == NULL)
    return vm_error_set (error, VM_ERROR_SSH_FAILED, "%s: the command ended without a status",
                         channel->session->peer);
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

gboolean
vm_ssh_exec (VmSshSession *session, const char *command, VmSshOutput output, gpointer data,
             int *out_exit_status, char **out_signal, const VmOp *op, GError **error)
{
  g_autoptr (VmSshChannel) channel = vm_ssh_channel_open (session, output, data, op, error);
  if (channel == NULL || !request_exec (channel, command, op, error) || !drain (channel, op, error))
    return FALSE;
  *out_exit_status = channel->exit_status;
  if (out_signal != NULL)
    *out_signal = g_steal_pointer (&channel->signal);
  return TRUE;
}

char *
vm_ssh_quote (const char *arg)
{
  return g_shell_quote (arg); /* '…', and '\'' for a quote: that is all POSIX needs */
}
