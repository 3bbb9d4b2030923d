/* SPDX-License-Identifier: MPL-2.0 */
#include "ssh/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROTOCOL_VERSION 3
#define HEADER_SIZE 5             /* type and id */
#define PACKET_LIMIT (256 * 1024) /* OpenSSH's SFTP_MAX_MSG_LENGTH */
#define CHUNK (32 * 1024)         /* every server takes packets of 34000 bytes */
#define MAX_UNANSWERED 32

enum {
  FXP_INIT = 1,
  FXP_VERSION = 2,
  FXP_OPEN = 3,
  FXP_CLOSE = 4,
  FXP_WRITE = 6,
  FXP_SETSTAT = 9,
  FXP_FSETSTAT = 10,
  FXP_REMOVE = 13,
  FXP_MKDIR = 14,
  FXP_STAT = 17,
  FXP_SYMLINK = 20,
  FXP_STATUS = 101,
  FXP_HANDLE = 102,
  FXP_ATTRS = 105,
  FXP_EXTENDED = 200,
};

enum { FX_OK = 0, FX_NO_SUCH_FILE = 2, FX_PERMISSION_DENIED = 3 };

enum {
  ATTR_SIZE = 0x01,
  ATTR_UIDGID = 0x02,
  ATTR_PERMISSIONS = 0x04,
};

enum { OPEN_WRITE = 0x02, OPEN_CREATE = 0x08, OPEN_EXCLUSIVE = 0x20 };

struct VmSftp {
  VmSshChannel *channel;
  GByteArray *in; /* what came and is not yet taken */
  guint32 last_id;
};

/* Packets: uint32 length, byte type, uint32 request id, then fields; numbers are big endian,
 * strings have a length before them (section 3). */

static void
put_u32 (GByteArray *packet, guint32 value)
{
  value = GUINT32_TO_BE (value);
  g_byte_array_append (packet, (const guint8 *) &value, sizeof value);
}

static void
put_bytes (GByteArray *packet, gconstpointer bytes, gsize n)
{
  put_u32 (packet, (guint32) n);
  g_byte_array_append (packet, bytes, (guint) n);
}

static void
put_string (GByteArray *packet, const char *text)
{
  put_bytes (packet, text, strlen (text));
}

static void
put_mode (GByteArray *packet, guint32 mode)
{
  put_u32 (packet, ATTR_PERMISSIONS);
  put_u32 (packet, mode);
}

/* A request whose fields are to be appended; its length is filled in when it is sent. */
static GByteArray *
request_new (VmSftp *sftp, guint8 type)
{
  GByteArray *packet = g_byte_array_new ();
  put_u32 (packet, 0);
  g_byte_array_append (packet, &type, 1);
  put_u32 (packet, ++sftp->last_id);
  return packet;
}

static gboolean
send_packet (VmSftp *sftp, GByteArray *packet, const VmOp *op, GError **error)
{
  guint32 length = GUINT32_TO_BE (packet->len - sizeof length);
  memcpy (packet->data, &length, sizeof length);
  return vm_ssh_channel_write (sftp->channel, packet->data, packet->len, op, error);
}

/* What is left of a reply. Reading past its end gives zeros and empty strings: such a reply is
 * malformed, and 0 is no type, no handle and no mode that anything follows from. */
typedef struct {
  guint8 type;
  guint32 id;
  const guint8 *at;
  gsize left;
  GByteArray *packet;
} Reply;

static void
reply_clear (Reply *reply)
{
  g_clear_pointer (&reply->packet, g_byte_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reply, reply_clear)

static guint32
take_u32 (Reply *reply)
{
  guint32 value = 0;
  gsize n = MIN (reply->left, sizeof value);
  if (n == sizeof value)
    memcpy (&value, reply->at, n);
  reply->at += n;
  reply->left -= n;
  return GUINT32_FROM_BE (value);
}

static GBytes *
take_bytes (Reply *reply)
{
  gsize n = take_u32 (reply);
  n = MIN (n, reply->left);
  GBytes *bytes = g_bytes_new (reply->at, n);
  reply->at += n;
  reply->left -= n;
  return bytes;
}

/* The length field of what came; HEADER_SIZE as long as there is none. */
static guint32
packet_length (const GByteArray *in)
{
  guint32 length;
  if (in->len < sizeof length)
    return HEADER_SIZE;
  memcpy (&length, in->data, sizeof length);
  return GUINT32_FROM_BE (length);
}

static void
on_output (gpointer data, gboolean is_stderr, const char *bytes, gsize n)
{
  GByteArray *in = data;
  if (!is_stderr)
    g_byte_array_append (in, (const guint8 *) bytes, (guint) n);
}

static gboolean
malformed (VmSftp *sftp, GError **error)
{
  return vm_error_set (error, VM_ERROR_SSH_FAILED, "%s: its SFTP server makes no sense",
                       sftp->channel->session->peer);
}

/* The next packet, whose type is @type or a status. */
static gboolean
receive (VmSftp *sftp, guint8 type, Reply *out_reply, const VmOp *op, GError **error)
{
  VmSshSession *session = sftp->channel->session;
  GByteArray *in = sftp->in;
  guint32 length;

  while ((length = packet_length (in)) + sizeof length > in->len) {
    if (length > PACKET_LIMIT)
      return malformed (sftp, error);
    if (sftp->channel->closed)
      return vm_error_set (error, VM_ERROR_SSH_FAILED, "%s: the SFTP server has ended",
                           session->peer);
    if (!vm_ssh_session_step (session, op, error))
      return FALSE;
  }
  if (length < HEADER_SIZE)
    return malformed (sftp, error);
  Reply reply = { .packet = g_byte_array_sized_new (length) };
  g_byte_array_append (reply.packet, in->data + sizeof length, length);
  g_byte_array_remove_range (in, 0, (guint) sizeof length + length);
  reply.type = reply.packet->data[0];
  reply.at = reply.packet->data + 1;
  reply.left = length - 1;
  reply.id = take_u32 (&reply);
  if (reply.type != type && reply.type != FXP_STATUS) {
    reply_clear (&reply);
    return malformed (sftp, error);
  }
  *out_reply = reply;
  return TRUE;
}

/* Sends @request and takes its answer. */
static gboolean
call (VmSftp *sftp, GByteArray *request, guint8 type, Reply *out_reply, const VmOp *op,
      GError **error)
{
  g_auto (Reply) reply = { 0 };
  if (!send_packet (sftp, request, op, error) || !receive (sftp, type, &reply, op, error))
    return FALSE;
  if (reply.id != sftp->last_id)
    return malformed (sftp, error);
  *out_reply = reply;
  reply.packet = NULL;
  return TRUE;
}

/* FALSE with what the status in @reply says about @path. */
static gboolean
refuse (Reply *reply, const char *what, const char *path, GError **error)
{
  guint32 code = take_u32 (reply);
  g_autoptr (GBytes) text = take_bytes (reply);
  g_autofree char *message =
      g_utf8_make_valid (g_bytes_get_data (text, NULL), (gssize) g_bytes_get_size (text));
  vm_error_set (error, VM_ERROR_SSH_FAILED, "cannot %s %s in the guest: %s", what, path,
                *message != '\0' ? message : "SFTP failure");
  if (code == FX_PERMISSION_DENIED)
    vm_error_help (error, "the guest's user may not write there; send it to /tmp and let a shell "
                          "step move it with sudo");
  return FALSE;
}

static gboolean
is_ok (const Reply *reply)
{
  Reply look = *reply;
  return reply->type == FXP_STATUS && take_u32 (&look) == FX_OK;
}

/* A request that is answered by a status alone. */
static gboolean
command (VmSftp *sftp, GByteArray *request, const char *what, const char *path, const VmOp *op,
         GError **error)
{
  g_auto (Reply) reply = { 0 };
  if (!call (sftp, request, FXP_STATUS, &reply, op, error))
    return FALSE;
  return is_ok (&reply) || refuse (&reply, what, path, error);
}

static gboolean
request_sftp (VmSshChannel *channel, const VmOp *op, GError **error)
{
  int rc;
  while ((rc = ssh_channel_request_sftp (channel->handle)) == SSH_AGAIN) {
    if (!vm_ssh_session_wait (channel->session, op, error))
      return FALSE;
  }
  if (rc == SSH_OK)
    return TRUE;
  vm_ssh_session_fail (channel->session, "it offers no SFTP", error);
  return vm_error_help (error, "install sftp-server (openssh-sftp-server) in the guest");
}

VmSftp *
vm_sftp_new (VmSshSession *session, const VmOp *op, GError **error)
{
  static const guint8 init[] = { 0, 0, 0, 5, FXP_INIT, 0, 0, 0, PROTOCOL_VERSION };
  g_autoptr (VmSftp) sftp = g_new0 (VmSftp, 1);
  g_auto (Reply) reply = { 0 };

  sftp->in = g_byte_array_new ();
  sftp->channel = vm_ssh_channel_open (session, on_output, sftp->in, op, error);
  if (sftp->channel == NULL || !request_sftp (sftp->channel, op, error) ||
      !vm_ssh_channel_write (sftp->channel, init, sizeof init, op, error) ||
      !receive (sftp, FXP_VERSION, &reply, op, error))
    return NULL;
  if (reply.type != FXP_VERSION || reply.id != PROTOCOL_VERSION) {
    vm_error_set (error, VM_ERROR_SSH_FAILED, "%s: its SFTP is not version 3", session->peer);
    return NULL;
  }
  return g_steal_pointer (&sftp);
}

void
vm_sftp_free (VmSftp *sftp)
{
  if (sftp == NULL)
    return;
  vm_ssh_channel_free (sftp->channel);
  g_byte_array_unref (sftp->in);
  g_free (sftp);
}

gboolean
vm_sftp_kind (VmSftp *sftp, const char *path, VmSftpKind *out_kind, const VmOp *op, GError **error)
{
  g_autoptr (GByteArray) request = request_new (sftp, FXP_STAT);
  g_auto (Reply) reply = { 0 };
  put_string (request, path);
  if (!call (sftp, request, FXP_ATTRS, &reply, op, error))
    return FALSE;
  if (reply.type == FXP_STATUS) {
    Reply look = reply;
    if (take_u32 (&look) != FX_NO_SUCH_FILE)
      return refuse (&reply, "look at", path, error);
    *out_kind = VM_SFTP_MISSING;
    return TRUE;
  }
  guint32 flags = take_u32 (&reply);
  gsize skip = ((flags & ATTR_SIZE) != 0 ? 8 : 0) + ((flags & ATTR_UIDGID) != 0 ? 8 : 0);
  while (skip-- > 0 && reply.left > 0) {
    reply.at++;
    reply.left--;
  }
  guint32 mode = (flags & ATTR_PERMISSIONS) != 0 ? take_u32 (&reply) : 0;
  *out_kind = S_ISDIR (mode) ? VM_SFTP_FOLDER : VM_SFTP_OTHER;
  return TRUE;
}

gboolean
vm_sftp_make_folder (VmSftp *sftp, const char *path, guint32 mode, const VmOp *op, GError **error)
{
  g_autoptr (GByteArray) request = request_new (sftp, FXP_MKDIR);
  put_string (request, path);
  put_mode (request, mode);
  return command (sftp, request, "make the folder", path, op, error);
}

gboolean
vm_sftp_set_mode (VmSftp *sftp, const char *path, guint32 mode, const VmOp *op, GError **error)
{
  g_autoptr (GByteArray) request = request_new (sftp, FXP_SETSTAT);
  put_string (request, path);
  put_mode (request, mode);
  return command (sftp, request, "set the mode of", path, op, error);
}

gboolean
vm_sftp_link (VmSftp *sftp, const char *path, const char *target, const VmOp *op, GError **error)
{
  /* OpenSSH takes the two in the order opposite to the draft's (its PROTOCOL, 4.1). */
  g_autoptr (GByteArray) request = request_new (sftp, FXP_SYMLINK);
  put_string (request, target);
  put_string (request, path);
  return command (sftp, request, "make the link", path, op, error);
}

gboolean
vm_sftp_remove (VmSftp *sftp, const char *path, const VmOp *op, GError **error)
{
  g_autoptr (GByteArray) request = request_new (sftp, FXP_REMOVE);
  g_auto (Reply) reply = { 0 };
  put_string (request, path);
  if (!call (sftp, request, FXP_STATUS, &reply, op, error))
    return FALSE;
  Reply look = reply;
  return is_ok (&reply) || take_u32 (&look) == FX_NO_SUCH_FILE ||
         refuse (&reply, "remove", path, error);
}

gboolean
vm_sftp_rename (VmSftp *sftp, const char *from, const char *to, const VmOp *op, GError **error)
{
  /* The draft's own RENAME does not replace; this is OpenSSH's (its PROTOCOL, 4.3). */
  g_autoptr (GByteArray) request = request_new (sftp, FXP_EXTENDED);
  put_string (request, "posix-rename@openssh.com");
  put_string (request, from);
  put_string (request, to);
  return command (sftp, request, "put in place", to, op, error);
}

static GBytes *
open_new (VmSftp *sftp, const char *path, const VmOp *op, GError **error)
{
  g_autoptr (GByteArray) request = request_new (sftp, FXP_OPEN);
  g_auto (Reply) reply = { 0 };
  put_string (request, path);
  put_u32 (request, OPEN_WRITE | OPEN_CREATE | OPEN_EXCLUSIVE);
  put_mode (request, 0600);
  if (!call (sftp, request, FXP_HANDLE, &reply, op, error))
    return NULL;
  if (reply.type == FXP_HANDLE)
    return take_bytes (&reply);
  refuse (&reply, "write", path, error);
  return NULL;
}

static gboolean
await_write (VmSftp *sftp, const char *path, const VmOp *op, GError **error)
{
  g_auto (Reply) reply = { 0 };
  if (!receive (sftp, FXP_STATUS, &reply, op, error))
    return FALSE;
  return is_ok (&reply) || refuse (&reply, "write", path, error);
}

/* Writes are answered in any order, but each with a status: counting them is enough. On failure
 * answers may be outstanding; the caller gives the connection to the SFTP server up. */
static gboolean
copy (VmSftp *sftp, int fd, GBytes *handle, const char *path, const VmOp *op, GError **error)
{
  g_autofree char *chunk = g_malloc (CHUNK);
  guint64 offset = 0;
  guint unanswered = 0;
  ssize_t n;

  while ((n = read (fd, chunk, CHUNK)) > 0) {
    g_autoptr (GByteArray) request = request_new (sftp, FXP_WRITE);
    put_bytes (request, g_bytes_get_data (handle, NULL), g_bytes_get_size (handle));
    put_u32 (request, (guint32) (offset >> 32));
    put_u32 (request, (guint32) offset);
    put_bytes (request, chunk, (gsize) n);
    if (!send_packet (sftp, request, op, error))
      return FALSE;
    offset += (guint64) n;
    if (++unanswered == MAX_UNANSWERED) {
      unanswered--;
      if (!await_write (sftp, path, op, error))
        return FALSE;
    }
  }
  if (n < 0)
    return vm_error_set_errno (error, errno, "cannot read what to send to %s", path);
  while (unanswered-- > 0) {
    if (!await_write (sftp, path, op, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
vm_sftp_put (VmSftp *sftp, int fd, const char *path, guint32 mode, const VmOp *op, GError **error)
{
  g_autoptr (GBytes) handle = open_new (sftp, path, op, error);
  if (handle == NULL || !copy (sftp, fd, handle, path, op, error))
    return FALSE;

  gsize size;
  gconstpointer data = g_bytes_get_data (handle, &size);
  g_autoptr (GByteArray) chmod_request = request_new (sftp, FXP_FSETSTAT);
  put_bytes (chmod_request, data, size);
  put_mode (chmod_request, mode);
  if (!command (sftp, chmod_request, "set the mode of", path, op, error))
    return FALSE;
  g_autoptr (GByteArray) close_request = request_new (sftp, FXP_CLOSE);
  put_bytes (close_request, data, size);
  return command (sftp, close_request, "write", path, op, error);
}
