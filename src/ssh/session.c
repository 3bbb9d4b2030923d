/* SPDX-License-Identifier: MPL-2.0 */
#include "ssh/internal.h"

#include <stdbool.h>
#include <string.h>

#define RETRY_MS 200

/* libssh's own preference, to be reordered when a key is pinned. */
static const char *const host_key_types[] = {
  "ssh-ed25519",         "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp256", "rsa-sha2-512",        "rsa-sha2-256",
};

static gboolean
has_ended (const VmSshSession *session)
{
  struct pollfd watch = { .fd = session->watch_fd, .events = POLLIN };
  return session->watch_fd >= 0 && poll (&watch, 1, 0) > 0;
}

gboolean
vm_ssh_session_fail (VmSshSession *session, const char *what, GError **error)
{
  const char *why = ssh_get_error (session->handle);
  if (has_ended (session))
    return vm_error_set (error, VM_ERROR_QEMU_EXITED, "the VM ended, and SSH to %s with it",
                         session->peer);
  if (ssh_is_connected (session->handle))
    return vm_error_set (error, VM_ERROR_SSH_FAILED, "%s: %s: %s", session->peer, what, why);
  /* "Socket error: disconnected" says the same again; what sshd said as it hung up is news. */
  if (g_str_has_prefix (why, "Socket error"))
    why = what;
  return vm_error_set (error, VM_ERROR_SSH_FAILED, "connection to %s lost: %s", session->peer, why);
}

gboolean
vm_ssh_session_wait (VmSshSession *session, const VmOp *op, GError **error)
{
  gboolean write_too = (ssh_get_poll_flags (session->handle) & SSH_WRITE_PENDING) != 0;
  struct pollfd fds[] = {
    { .fd = ssh_get_fd (session->handle), .events = POLLIN | (write_too ? POLLOUT : 0) },
    { .fd = session->watch_fd, .events = POLLIN },
  };
  if (!vm_op_poll (op, fds, G_N_ELEMENTS (fds), -1, NULL, error))
    return FALSE;
  /* What the guest said before it went is read first: the exit status of `poweroff` counts. */
  if (fds[1].revents != 0 && fds[0].revents == 0)
    return vm_ssh_session_fail (session, "nothing more came", error);
  return TRUE;
}

gboolean
vm_ssh_session_step (VmSshSession *session, const VmOp *op, GError **error)
{
  if (!vm_ssh_session_wait (session, op, error))
    return FALSE;
  if (ssh_event_dopoll (session->event, 0) == SSH_ERROR || !ssh_is_connected (session->handle))
    return vm_ssh_session_fail (session, "it hung up", error);
  return TRUE;
}

void
vm_ssh_session_free (VmSshSession *session)
{
  if (session == NULL)
    return;
  if (session->event != NULL) {
    ssh_event_remove_session (session->event, session->handle);
    ssh_event_free (session->event);
  }
  /* Not ssh_disconnect(): it leaves a descriptor that it was given open, but closes it when its
   * last word cannot be sent, so that nobody knows who is to close it. ssh_free() always does. */
  ssh_free (session->handle);
  g_free (session->peer);
  g_free (session);
}

static gboolean
is_of_type (const char *algorithm, const char *key)
{
  gsize length = strcspn (key, " ");
  if (length == strlen ("ssh-rsa") && strncmp (key, "ssh-rsa", length) == 0)
    return g_str_has_prefix (algorithm, "rsa-sha2-");
  return strlen (algorithm) == length && strncmp (algorithm, key, length) == 0;
}

/* The types of @pinned first: a guest with several host keys must show the one that we know. The
 * others stay allowed, so that a guest that lost it is a mismatch and no failed negotiation. */
static char *
prefer_types (const GPtrArray *pinned)
{
  g_autoptr (GString) first = g_string_new (NULL);
  g_autoptr (GString) others = g_string_new (NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (host_key_types); i++) {
    gboolean known = FALSE;
    for (guint k = 0; k < pinned->len && !known; k++)
      known = is_of_type (host_key_types[i], g_ptr_array_index (pinned, k));
    g_string_append_printf (known ? first : others, ",%s", host_key_types[i]);
  }
  g_string_append (first, others->str);
  return g_strdup (first->str + 1);
}

static gboolean
set_options (ssh_session handle, const VmSshTarget *target, const GPtrArray *pinned)
{
  const unsigned int port = target->port;
  const bool no = false;
  g_autofree char *types = prefer_types (pinned);
  ssh_set_blocking (handle, 0);
  return ssh_options_set (handle, SSH_OPTIONS_PROCESS_CONFIG, &no) == 0 &&
         ssh_options_set (handle, SSH_OPTIONS_HOST, target->host) == 0 &&
         ssh_options_set (handle, SSH_OPTIONS_PORT, &port) == 0 &&
         ssh_options_set (handle, SSH_OPTIONS_USER, target->user) == 0 &&
         ssh_options_set (handle, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") == 0 &&
         ssh_options_set (handle, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") == 0 &&
         ssh_options_set (handle, SSH_OPTIONS_HOSTKEYS, types) == 0;
}

static VmSshSession *
session_new (const VmSshTarget *target, const GPtrArray *pinned, GError **error)
{
  g_autoptr (VmSshSession) session = g_new0 (VmSshSession, 1);
  session->watch_fd = target->watch_fd;
  session->peer = g_strdup_printf ("%s@%s:%u", target->user, target->host, target->port);
  session->handle = ssh_new ();
  if (session->handle == NULL || !set_options (session->handle, target, pinned)) {
    vm_error_set (error, VM_ERROR_SSH_FAILED, "cannot prepare the connection to %s", session->peer);
    return NULL;
  }
  return g_steal_pointer (&session);
}

/* Takes @fd. */
static gboolean
exchange_keys (VmSshSession *session, int fd, const VmOp *op, GError **error)
{
  int rc;
  ssh_options_set (session->handle, SSH_OPTIONS_FD, &fd);
  while ((rc = ssh_connect (session->handle)) == SSH_AGAIN) {
    if (!vm_ssh_session_wait (session, op, error))
      return FALSE;
  }
  if (rc != SSH_OK)
    return vm_ssh_session_fail (session, "during the key exchange", error);
  session->event = ssh_event_new ();
  ssh_event_add_session (session->event, session->handle);
  return TRUE;
}

/* `type base64` of the key that the server has proved to own. */
static char *
server_key (VmSshSession *session, char **out_fingerprint)
{
  g_auto (ssh_key) key = NULL;
  unsigned char *hash = NULL;
  size_t hash_size = 0;
  char *base64 = NULL;
  if (ssh_get_server_publickey (session->handle, &key) != SSH_OK ||
      ssh_pki_export_pubkey_base64 (key, &base64) != SSH_OK)
    return NULL;
  if (ssh_get_publickey_hash (key, SSH_PUBLICKEY_HASH_SHA256, &hash, &hash_size) == SSH_OK) {
    char *shown = ssh_get_fingerprint_hash (SSH_PUBLICKEY_HASH_SHA256, hash, hash_size);
    *out_fingerprint = g_strdup (shown);
    ssh_string_free_char (shown);
    ssh_clean_pubkey_hash (&hash);
  }
  char *text = g_strdup_printf ("%s %s", ssh_key_type_to_char (ssh_key_type (key)), base64);
  ssh_string_free_char (base64);
  return text;
}

static gboolean
verify (VmSshSession *session, const VmSshTarget *target, const GPtrArray *pinned, GError **error)
{
  g_autofree char *fingerprint = NULL;
  g_autofree char *key = server_key (session, &fingerprint);
  if (key == NULL)
    return vm_ssh_session_fail (session, "its host key cannot be read", error);
  if (pinned->len == 0)
    return vm_ssh_pin (target->known_hosts, target->host_key_alias, key, error);
  for (guint i = 0; i < pinned->len; i++) {
    if (strcmp (g_ptr_array_index (pinned, i), key) == 0)
      return TRUE;
  }
  return vm_error_set (error, VM_ERROR_SSH_HOST_KEY_MISMATCH,
                       "%s shows another host key (%s) than the one pinned for %s in %s",
                       session->peer, fingerprint, target->host_key_alias, target->known_hosts);
}

/* Takes @fd. */
static VmSshSession *
handshake (const VmSshTarget *target, int fd, const VmOp *op, GError **error)
{
  vm_autofd int own_fd = fd;
  g_autoptr (GPtrArray) pinned =
      vm_ssh_pinned_keys (target->known_hosts, target->host_key_alias, error);
  if (pinned == NULL)
    return NULL;
  g_autoptr (VmSshSession) session = session_new (target, pinned, error);
  if (session == NULL || !exchange_keys (session, vm_fd_steal (&own_fd), op, error) ||
      !verify (session, target, pinned, error) || !vm_ssh_login (session, target, op, error))
    return NULL;
  return g_steal_pointer (&session);
}

/* Failures that a guest which is still setting itself up may show. */
static gboolean
may_pass (const GError *failure)
{
  return g_error_matches (failure, VM_ERROR, VM_ERROR_SSH_FAILED) ||
         g_error_matches (failure, VM_ERROR, VM_ERROR_SSH_AUTH_FAILED) ||
         g_error_matches (failure, VM_ERROR, VM_ERROR_SSH_HOST_KEY_MISMATCH);
}

/* A deadline tells less than what went wrong before it. */
static void
report (const VmSshTarget *target, GError *failure, GError *earlier, GError **error)
{
  g_autoptr (GError) last = failure;
  g_autoptr (GError) before = earlier;
  gboolean late = g_error_matches (last, VM_ERROR, VM_ERROR_TIMEOUT) ||
                  g_error_matches (last, VM_ERROR, VM_ERROR_SSH_TIMEOUT);
  if (late && before != NULL)
    g_propagate_error (error, g_steal_pointer (&before));
  else if (g_error_matches (last, VM_ERROR, VM_ERROR_TIMEOUT))
    vm_error_set (error, VM_ERROR_SSH_TIMEOUT,
                  "sshd on %s port %u greets, but the login was not done in time", target->host,
                  target->port);
  else
    g_propagate_error (error, g_steal_pointer (&last));
}

VmSshSession *
vm_ssh_connect (const VmSshTarget *target, const VmOp *op, GError **error)
{
  g_autoptr (GError) earlier = NULL;
  gint64 settled_us = 0;

  while (TRUE) {
    g_autoptr (GError) failure = NULL;
    int fd = -1;
    VmSshSession *session = NULL;
    if (vm_ssh_dial (target, &fd, op, &failure)) {
      if (settled_us == 0)
        settled_us = g_get_monotonic_time () + (gint64) target->settle_s * G_USEC_PER_SEC;
      session = handshake (target, fd, op, &failure);
    }
    if (session != NULL)
      return session;
    if (may_pass (failure) && g_get_monotonic_time () < settled_us) {
      g_clear_error (&earlier);
      earlier = g_steal_pointer (&failure);
      vm_op_wait (op, target->watch_fd, POLLIN, RETRY_MS, NULL, &failure);
    }
    if (failure != NULL) {
      report (target, g_steal_pointer (&failure), g_steal_pointer (&earlier), error);
      return NULL;
    }
  }
}
