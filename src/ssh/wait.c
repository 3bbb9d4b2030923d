/* SPDX-License-Identifier: MPL-2.0 */
#include "ssh/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* QEMU's user network accepts a forwarded connection at once and only then knocks at the guest. A
 * knock that the guest did not hear is repeated after 6, 18, 42 s, so one connection may learn of
 * sshd late; hence new ones are started again and again and the first with a greeting wins. */
#define SLOTS 6
#define GAP_US (400 * 1000)
#define GAP_SLOW_US (1500 * 1000)
/* A guest that refuses is awake, and its sshd will listen any moment. One that answers nothing may
 * as well be slow to greet: each connection costs it a process, and a guest without acceleration
 * that gets five a second ends up turning everybody away (sshd_config(5), MaxStartups). */
#define GAP_REFUSED_US (100 * 1000)
#define GREETING "SSH-"
#define GREETING_SIZE 4

typedef struct {
  const VmSshTarget *target;
  struct sockaddr_storage address;
  socklen_t address_size;
  struct pollfd fds[SLOTS + 1]; /* attempts, then the target's watch_fd */
  guint n_started;
  guint newest;      /* its slot */
  gint64 started_us; /* the newest one */
  gint64 next_us;    /* when to start another */
  const char *heard; /* how the last attempt that ended did so; static */
} Race;

static gboolean
race_init (Race *race, const VmSshTarget *target, GError **error)
{
  g_autoptr (GSocketAddress) address =
      g_inet_socket_address_new_from_string (target->host, target->port);
  *race = (Race){ .target = target };
  for (guint i = 0; i < SLOTS; i++)
    race->fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
  race->fds[SLOTS] = (struct pollfd){ .fd = target->watch_fd, .events = POLLIN };
  if (address == NULL ||
      !g_socket_address_to_native (address, &race->address, sizeof race->address, NULL))
    return vm_error_set (error, VM_ERROR_SSH_FAILED, "\"%s\" is not a numeric address",
                         target->host);
  race->address_size = (socklen_t) g_socket_address_get_native_size (address);
  return TRUE;
}

static void
race_drop (Race *race, guint slot)
{
  vm_fd_close (race->fds[slot].fd);
  race->fds[slot].fd = -1;
}

static void
race_clear (Race *race)
{
  for (guint i = 0; i < SLOTS; i++)
    race_drop (race, i);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Race, race_clear)

/* An attempt has ended without a greeting. */
static void
race_lose (Race *race, guint slot, const char *how)
{
  race_drop (race, slot);
  race->heard = how;
}

/* The same by a refusal, which is worth a quick second try. */
static void
race_lose_to_refusal (Race *race, guint slot, const char *how)
{
  race_lose (race, slot, how);
  race->next_us = MIN (race->next_us, race->started_us + GAP_REFUSED_US);
}

static const char *
describe_errno (int errnum)
{
  switch (errnum) {
  case ECONNREFUSED:
    return "connection refused";
  case ECONNRESET:
    return "connection reset before any greeting";
  case EHOSTUNREACH:
  case ENETUNREACH:
    return "no route to that address";
  default:
    return "the connection failed";
  }
}

/* The slot of the nth attempt is the number of trailing zeros of n: slot 0 is reused by every
 * second attempt, slot 1 by every fourth. So the young ones are many, and some always grow old
 * enough for a guest that takes seconds to greet. */
static void
race_start (Race *race, gint64 now_us)
{
  race->n_started++;
  guint slot = (guint) MIN (g_bit_nth_lsf (race->n_started, -1), SLOTS - 1);
  const int low_water = GREETING_SIZE;
  const int on = 1;

  race->newest = slot;
  race->started_us = now_us;
  race->next_us = now_us + (race->target->is_slow ? GAP_SLOW_US : GAP_US);

  race_drop (race, slot);
  int fd = socket (race->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  race->fds[slot].fd = fd;
  /* Without the low-water mark half a greeting, which is only peeked at, would make poll() spin. */
  if (fd < 0 || setsockopt (fd, SOL_SOCKET, SO_RCVLOWAT, &low_water, sizeof low_water) < 0 ||
      setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
      (connect (fd, (struct sockaddr *) &race->address, race->address_size) < 0 &&
       errno != EINPROGRESS))
    race_lose_to_refusal (race, slot, describe_errno (errno));
}

/* Servers may send lines of text ahead of the identification string (RFC 4253, 4.2). */
static gboolean
is_greeting (const char *bytes, gsize n)
{
  return (n >= GREETING_SIZE && memcmp (bytes, GREETING, GREETING_SIZE) == 0) ||
         memmem (bytes, n, "\n" GREETING, GREETING_SIZE + 1) != NULL;
}

/* Whether the attempt in @slot, on which something has happened, has won. */
static gboolean
race_look (Race *race, guint slot)
{
  char bytes[1024];
  ssize_t n = recv (race->fds[slot].fd, bytes, sizeof bytes, MSG_PEEK);
  if (n > 0 && is_greeting (bytes, (gsize) n))
    return TRUE;
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return FALSE;
  if (n < 0)
    race_lose_to_refusal (race, slot, describe_errno (errno));
  else if (n == 0)
    race_lose_to_refusal (race, slot, "connection closed before any greeting");
  else
    race_lose (race, slot, "what answers there is not SSH");
  return FALSE;
}

static gboolean
race_run (Race *race, int *out_fd, const VmOp *op, GError **error)
{
  while (TRUE) {
    gint64 now_us = g_get_monotonic_time ();
    if (now_us >= race->next_us)
      race_start (race, now_us);
    int pause_ms = (int) ((MAX (race->next_us - now_us, 0) + 999) / 1000);
    if (!vm_op_poll (op, race->fds, SLOTS + 1, pause_ms, NULL, error))
      return FALSE;
    if (race->fds[SLOTS].revents != 0)
      return vm_error_set (error, VM_ERROR_QEMU_EXITED, "the VM ended while waiting for SSH");
    for (guint i = 0; i < SLOTS; i++) {
      if (race->fds[i].revents == 0 || !race_look (race, i))
        continue;
      *out_fd = vm_fd_steal (&race->fds[i].fd);
      return TRUE;
    }
  }
}

static const char *
race_describe (const Race *race)
{
  struct sockaddr_storage peer;
  socklen_t size = sizeof peer;
  int newest_fd = race->fds[race->newest].fd;
  if (newest_fd < 0 || race->n_started == 0)
    return race->heard != NULL ? race->heard : "nothing was tried";
  if (getpeername (newest_fd, (struct sockaddr *) &peer, &size) == 0)
    return "connection accepted, but no sshd greets";
  return "no answer";
}

/* The socket as libssh shall have it. A peer without a process behind it (a bridged guest that is
 * gone) is noticed after two minutes of silence. */
static void
tune (int fd)
{
  const int one = 1;
  const int idle_s = 60;
  const int interval_s = 15;
  const int probes = 4;
  setsockopt (fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
  setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

gboolean
vm_ssh_dial (const VmSshTarget *target, int *out_fd, const VmOp *op, GError **error)
{
  g_auto (Race) race = { 0 };
  g_autoptr (GError) failure = NULL;
  if (!race_init (&race, target, error))
    return FALSE;
  if (race_run (&race, out_fd, op, &failure)) {
    tune (*out_fd);
    return TRUE;
  }
  if (g_error_matches (failure, VM_ERROR, VM_ERROR_TIMEOUT))
    return vm_error_set (error, VM_ERROR_SSH_TIMEOUT, "no SSH on %s port %u in time: %s",
                         target->host, target->port, race_describe (&race));
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

gboolean
vm_ssh_wait (const VmSshTarget *target, const VmOp *op, GError **error)
{
  vm_autofd int fd = -1;
  return vm_ssh_dial (target, &fd, op, error);
}
