/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/qemu/qmp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* QEMU's longest replies are some hundred KiB; a peer that sends more in one line is not QEMU. */
#define LINE_LIMIT (4 * 1024 * 1024)

struct VmQmp {
  int fd;
  GString *buffer; /* received, not yet taken */
  gsize scanned;   /* of the buffer: known to hold no newline */
  guint last_id;
};

static gboolean
receive (VmQmp *self, const VmOp *op, GError **error)
{
  char chunk[16384];
  if (!vm_op_wait (op, self->fd, POLLIN, -1, NULL, error))
    return FALSE;
  ssize_t n = recv (self->fd, chunk, sizeof chunk, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return TRUE;
  if (n <= 0)
    return vm_error_set (error, VM_ERROR_QEMU_EXITED, "QEMU hung up");
  g_string_append_len (self->buffer, chunk, n);
  return TRUE;
}

/* The next line as a JSON object; NULL with @error when there is none to come. */
static JsonNode *
read_message (VmQmp *self, const VmOp *op, GError **error)
{
  char *end;
  while ((end = memchr (self->buffer->str + self->scanned, '\n',
                        self->buffer->len - self->scanned)) == NULL) {
    self->scanned = self->buffer->len;
    if (self->scanned > LINE_LIMIT) {
      vm_error_set (error, VM_ERROR_QMP_COMMAND_FAILED, "QEMU sent an endless line");
      return NULL;
    }
    if (!receive (self, op, error))
      return NULL;
  }
  gsize length = (gsize) (end - self->buffer->str);
  g_autofree char *line = g_strndup (self->buffer->str, length);
  g_string_erase (self->buffer, 0, (gssize) length + 1);
  self->scanned = 0;
  g_debug ("qmp < %s", line);
  JsonNode *node = vm_json_parse_object (line);
  if (node == NULL)
    vm_error_set (error, VM_ERROR_QMP_COMMAND_FAILED, "QEMU sent something that is not QMP");
  return node;
}

static gboolean
send_all (VmQmp *self, const char *text, const VmOp *op, GError **error)
{
  gsize left = strlen (text);
  while (left > 0) {
    if (!vm_op_wait (op, self->fd, POLLOUT, -1, NULL, error))
      return FALSE;
    ssize_t n = send (self->fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return vm_error_set (error, VM_ERROR_QEMU_EXITED, "QEMU hung up");
    text += MAX (n, 0);
    left -= (gsize) MAX (n, 0);
  }
  return TRUE;
}

/* Events carry no id; a late reply to a command that was given up has an older one. */
static gboolean
is_reply (JsonObject *message, guint id)
{
  JsonNode *own = json_object_get_member (message, "id");
  return own != NULL && JSON_NODE_HOLDS_VALUE (own) && json_node_get_int (own) == (gint64) id;
}

static gboolean
take_reply (JsonObject *message, const char *command, JsonNode **out_return, GError **error)
{
  JsonNode *failure = json_object_get_member (message, "error");
  if (failure != NULL) {
    const char *desc = JSON_NODE_HOLDS_OBJECT (failure)
                           ? vm_json_get_string (json_node_get_object (failure), "desc")
                           : NULL;
    return vm_error_set (error, VM_ERROR_QMP_COMMAND_FAILED, "QEMU refused %s: %s", command,
                         desc != NULL ? desc : "no reason given");
  }
  if (!json_object_has_member (message, "return"))
    return vm_error_set (error, VM_ERROR_QMP_COMMAND_FAILED, "QEMU gave no answer to %s", command);
  if (out_return != NULL)
    *out_return = json_node_copy (json_object_get_member (message, "return"));
  return TRUE;
}

gboolean
vm_qmp_execute (VmQmp *self, const char *command, const char *arguments, JsonNode **out_return,
                const VmOp *op, GError **error)
{
  guint id = ++self->last_id;
  g_autofree char *line = g_strdup_printf ("{\"execute\":\"%s\",\"id\":%u%s%s}\n", command, id,
                                           arguments != NULL ? ",\"arguments\":" : "",
                                           arguments != NULL ? arguments : "");
  g_debug ("qmp > %s", line);
  if (!send_all (self, line, op, error))
    return FALSE;
  for (;;) {
    g_autoptr (JsonNode) message = read_message (self, op, error);
    if (message == NULL)
      return FALSE;
    if (is_reply (json_node_get_object (message), id))
      return take_reply (json_node_get_object (message), command, out_return, error);
  }
}

static gboolean
negotiate (VmQmp *self, const VmOp *op, GError **error)
{
  g_autoptr (JsonNode) greeting = read_message (self, op, error);
  if (greeting == NULL)
    return FALSE;
  if (!json_object_has_member (json_node_get_object (greeting), "QMP"))
    return vm_error_set (error, VM_ERROR_QMP_CONNECT_FAILED, "QEMU did not greet as QMP does");
  return vm_qmp_execute (self, "qmp_capabilities", NULL, NULL, op, error);
}

VmQmp *
vm_qmp_new (int fd, const VmOp *op, GError **error)
{
  g_autoptr (VmQmp) self = g_new0 (VmQmp, 1);
  g_autoptr (GError) cause = NULL;
  self->fd = fd;
  self->buffer = g_string_new (NULL);
  if (negotiate (self, op, &cause))
    return g_steal_pointer (&self);
  if (g_error_matches (cause, VM_ERROR, VM_ERROR_TIMEOUT))
    vm_error_set (error, VM_ERROR_QMP_CONNECT_FAILED, "QEMU does not answer on its QMP socket");
  else
    g_propagate_error (error, g_steal_pointer (&cause));
  return NULL;
}

void
vm_qmp_free (VmQmp *self)
{
  if (self == NULL)
    return;
  vm_fd_close (self->fd);
  g_string_free (self->buffer, TRUE);
  g_free (self);
}
