/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* What test-ssh.c and test-sshd.c share: temporary files, commands whose output is wanted, a
 * loopback port of one's own. Every helper ends the test on failure. */

#include "runtime/proc.h"
#include "ssh/ssh.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALIAS "web"
#define LONG_S 20 /* a deadline that only a broken test meets */

static inline char *
temp_dir (void)
{
  char *dir = g_dir_make_tmp ("test-ssh-XXXXXX", NULL);
  g_assert_nonnull (dir);
  return dir;
}

static inline void
write_file (const char *path, const char *text, mode_t mode)
{
  g_autoptr (GError) error = NULL;
  vm_file_write (path, text, strlen (text), mode, &error);
  g_assert_no_error (error);
}

static inline char *
read_file (const char *path)
{
  char *text = NULL;
  g_autoptr (GError) error = NULL;
  vm_file_read (path, 1 << 20, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

/* stdout of a command that must succeed. */
static inline char *
run (const char *const *argv)
{
  g_auto (VmProcResult) result = { 0 };
  g_autoptr (GError) error = NULL;
  VmOp op = vm_op_within (NULL, LONG_S);
  vm_proc_run (argv, &result, &op, &error);
  g_assert_no_error (error);
  if (!vm_proc_result_is_success (&result))
    g_test_message ("%s: %s", argv[0], result.err);
  g_assert_true (vm_proc_result_is_success (&result));
  return g_steal_pointer (&result.out);
}

/* A bound socket, the caller's; it refuses as long as nobody lets it listen. */
static inline int
bind_loopback (guint16 *out_port)
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t size = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, size), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &size), ==, 0);
  *out_port = ntohs (address.sin_port);
  return fd;
}

static inline VmSshTarget
target_at (guint16 port)
{
  return (VmSshTarget){ .host = "127.0.0.1",
                        .port = port,
                        .user = g_get_user_name (),
                        .known_hosts = "/nonexistent/known_hosts",
                        .host_key_alias = ALIAS,
                        .watch_fd = -1 };
}
