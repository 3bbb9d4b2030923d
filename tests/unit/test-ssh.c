/* SPDX-License-Identifier: MPL-2.0 */
/* What of the ssh folder needs no server: keys, quoting, pinned keys, and waiting, which is tried
 * against listeners of the test's own. */
#include "ssh-helpers.h"
#include "ssh/keys.h"

#include <sys/eventfd.h>
#include <sys/stat.h>

static void
test_keygen (void)
{
  g_autofree char *dir = temp_dir ();
  g_autofree char *path = g_build_filename (dir, "key", NULL);
  g_autofree char *private_key = NULL;
  g_autofree char *public_key = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (vm_ssh_keygen ("vm web", &private_key, &public_key, &error));
  g_assert_true (g_str_has_prefix (private_key, "-----BEGIN OPENSSH PRIVATE KEY-----\n"));
  g_assert_true (g_str_has_suffix (private_key, "-----END OPENSSH PRIVATE KEY-----\n"));
  g_assert_true (g_str_has_suffix (public_key, " vm web"));
  write_file (path, private_key, 0600);
  g_autofree char *derived = run ((const char *[]){ "ssh-keygen", "-y", "-f", path, NULL });
  g_assert_true (g_str_has_prefix (public_key, g_strchomp (derived)));

  char *unset = NULL;
  g_assert_false (vm_ssh_keygen ("two\nlines", &unset, &unset, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_SSH_KEYGEN_FAILED);
  g_assert_null (unset);
  vm_dir_remove (dir, NULL);
}

static void
test_public_keys (void)
{
  g_autofree char *private_key = NULL;
  g_autofree char *public_key = NULL;
  vm_ssh_keygen ("me@h\303\266st", &private_key, &public_key, NULL);
  g_autofree char *many = g_strdup_printf ("# mine\r\n\n  %s\r\n%s", public_key, public_key);
  g_autofree char *two = g_strdup_printf ("%s\n%s\n", public_key, public_key);
  g_autofree char *clean = vm_ssh_public_keys_clean (many, "f", NULL);
  g_assert_cmpstr (clean, ==, two);

  g_autofree char *with_options = g_strdup_printf ("command=\"x\" %s\n", public_key);
  g_autofree char *other_type = g_strdup_printf ("ssh-rsa %s", strchr (public_key, ' ') + 1);
  const char *bad[] = { "",           "# only a comment\n", "ssh-ed25519",       "ssh-ed25519 AAAA",
                        with_options, private_key,          other_type,          "ssh-ed25519 !!",
                        "hello",      "\n - ssh-ed25519",   "ssh-nonsense AAAAA" };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (vm_ssh_public_keys_clean (bad[i], "keys.pub", &error));
    g_assert_error (error, VM_ERROR, VM_ERROR_USAGE);
    g_assert_nonnull (strstr (error->message, "keys.pub"));
  }
}

/* 1000 random words go through sh and come back. */
static void
test_quote (void)
{
  enum { WORDS = 1000 };
  g_autoptr (GString) script = g_string_new ("printf '%s\\001'");
  g_autoptr (GString) expected = g_string_new (NULL);
  for (int i = 0; i < WORDS; i++) {
    char word[20] = { 0 };
    for (int n = g_test_rand_int_range (0, sizeof word); n > 0; n--) {
      int c = g_test_rand_bit () ? "'\"\\$`!*? \n\t#~-&|;<>(){}[]"[g_test_rand_int_range (0, 26)]
                                 : g_test_rand_int_range (2, 256);
      word[n - 1] = (char) c;
    }
    g_autofree char *quoted = vm_ssh_quote (word);
    g_string_append_printf (script, " %s", quoted);
    g_string_append_printf (expected, "%s\001", word);
  }
  g_autofree char *out = run ((const char *[]){ "sh", "-c", script->str, NULL });
  g_assert_cmpstr (out, ==, expected->str);
}

static void
test_pin (void)
{
  g_autofree char *dir = temp_dir ();
  g_autofree char *path = g_build_filename (dir, "known_hosts", NULL);
  g_autofree char *private_key = NULL;
  g_autofree char *a = NULL;
  g_autofree char *b = NULL;
  g_autoptr (GError) error = NULL;
  struct stat st;

  vm_ssh_keygen ("a", &private_key, &a, NULL);
  g_clear_pointer (&private_key, g_free);
  vm_ssh_keygen ("", &private_key, &b, NULL);
  write_file (path, "db,web ssh-ed25519 OLD\n@revoked web ssh-ed25519 X\nwebb ssh-rsa Y", 0644);
  g_assert_true (vm_ssh_pin (path, ALIAS, a, &error));
  g_assert_true (vm_ssh_pin (path, ALIAS, b, &error));
  g_autofree char *expected =
      g_strdup_printf ("@revoked web ssh-ed25519 X\nwebb ssh-rsa Y\nweb %s\n", b);
  g_autofree char *text = read_file (path);
  g_assert_cmpstr (text, ==, expected);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0600);
  g_autofree char *found = run ((const char *[]){ "ssh-keygen", "-F", ALIAS, "-f", path, NULL });
  g_assert_nonnull (strstr (found, b));

  g_assert_false (vm_ssh_pin (path, ALIAS, "ssh-ed25519 nonsense", &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_SSH_FAILED);
  vm_dir_remove (dir, NULL);
}

typedef struct {
  VmSshTarget target;
  VmOp op;
  GError *error;
  gboolean is_up;
  gint64 done_us;
} Waiter;

static gpointer
wait_thread (gpointer data)
{
  Waiter *waiter = data;
  waiter->is_up = vm_ssh_wait (&waiter->target, &waiter->op, &waiter->error);
  waiter->done_us = g_get_monotonic_time ();
  return NULL;
}

static void
greet (int listener, const char *greeting)
{
  vm_autofd int peer = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
  char byte;
  g_assert_cmpint (write (peer, greeting, strlen (greeting)), ==, strlen (greeting));
  shutdown (peer, SHUT_WR);
  while (read (peer, &byte, 1) > 0) /* until the other side is done with it */
    ;
}

static void
test_wait_refused_then_up (void)
{
  Waiter waiter = { .op = vm_op_within (NULL, LONG_S) };
  guint16 port;
  vm_autofd int listener = bind_loopback (&port);
  waiter.target = target_at (port);
  GThread *thread = g_thread_new ("wait", wait_thread, &waiter);
  g_usleep (500 * 1000); /* that nothing happens cannot be awaited */
  gint64 ready_us = g_get_monotonic_time ();
  g_assert_cmpint (listen (listener, 8), ==, 0);
  greet (listener, "SSH-2.0-test\r\n");
  g_thread_join (thread);
  g_assert_true (waiter.is_up);
  g_test_message ("noticed after %d ms", (int) ((waiter.done_us - ready_us) / 1000));
  g_assert_cmpint (waiter.done_us - ready_us, <, 2 * G_USEC_PER_SEC);
}

/* Greets no connection that is younger than two seconds. */
static void
test_wait_slow_greeter (void)
{
  enum { SLOW_US = 2 * G_USEC_PER_SEC, MANY = 64 };
  Waiter waiter = { .op = vm_op_within (NULL, LONG_S) };
  int peers[MANY];
  gint64 since_us[MANY];
  int n = 0;
  guint16 port;
  vm_autofd int listener = bind_loopback (&port);
  struct pollfd wake = { .fd = listener, .events = POLLIN };
  waiter.target = target_at (port);
  g_assert_cmpint (listen (listener, MANY), ==, 0);
  GThread *thread = g_thread_new ("wait", wait_thread, &waiter);
  for (int greeted = 0; greeted == 0 && n < MANY;) {
    if (poll (&wake, 1, 20) > 0) {
      since_us[n] = g_get_monotonic_time ();
      peers[n++] = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
    }
    for (int i = 0; i < n; i++) {
      char byte;
      gboolean is_open = recv (peers[i], &byte, 1, MSG_DONTWAIT) < 0;
      if (is_open && g_get_monotonic_time () - since_us[i] > SLOW_US)
        greeted += (int) send (peers[i], "SSH-2.0-slow\r\n", 14, MSG_NOSIGNAL);
    }
  }
  g_thread_join (thread);
  g_assert_true (waiter.is_up);
  g_test_message ("%d connections", n);
  g_assert_cmpint (n, <, 20);
  while (n > 0)
    close (peers[--n]);
}

static void
expect_timeout (guint16 port, double seconds, const char *reason)
{
  g_autoptr (GError) error = NULL;
  VmSshTarget target = target_at (port);
  VmOp op = vm_op_within (NULL, seconds);
  g_assert_false (vm_ssh_wait (&target, &op, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_SSH_TIMEOUT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, reason));
}

static void
test_wait_timeouts (void)
{
  guint16 port;
  vm_autofd int listener = bind_loopback (&port);
  expect_timeout (port, 0.3, "refused");
  g_assert_cmpint (listen (listener, 16), ==, 0);
  expect_timeout (port, 0.7, "no sshd greets");
}

typedef struct {
  int listener;
  const char *const *greetings;
} Greeter;

static gpointer
greet_thread (gpointer data)
{
  const Greeter *greeter = data;
  for (int i = 0; greeter->greetings[i] != NULL; i++)
    greet (greeter->listener, greeter->greetings[i]);
  return NULL;
}

static void
test_wait_other_greetings (void)
{
  static const char *const greetings[] = { "HTTP/1.1 400 Bad Request\r\n\r\n", "", "SS",
                                           "Welcome!\r\nSSH-2.0-test\r\n", NULL };
  Waiter waiter = { .op = vm_op_within (NULL, LONG_S) };
  guint16 port;
  vm_autofd int listener = bind_loopback (&port);
  Greeter greeter = { .listener = listener, .greetings = greetings };
  g_assert_cmpint (listen (listener, 16), ==, 0);
  waiter.target = target_at (port);
  GThread *thread = g_thread_new ("greet", greet_thread, &greeter);
  wait_thread (&waiter);
  g_assert_no_error (waiter.error);
  g_thread_join (thread);
}

static void
test_wait_ended (void)
{
  Waiter waiter = { .op = vm_op_within (NULL, LONG_S) };
  guint16 port;
  G_GNUC_UNUSED vm_autofd int bound = bind_loopback (&port);
  vm_autofd int watch = eventfd (0, EFD_CLOEXEC);
  waiter.target = target_at (port);
  waiter.target.watch_fd = watch;
  GThread *thread = g_thread_new ("wait", wait_thread, &waiter);
  eventfd_write (watch, 1);
  g_thread_join (thread);
  g_assert_error (waiter.error, VM_ERROR, VM_ERROR_QEMU_EXITED);
  g_clear_error (&waiter.error);

  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  waiter.op.cancel = cancel;
  waiter.target.watch_fd = -1;
  thread = g_thread_new ("wait", wait_thread, &waiter);
  g_cancellable_cancel (cancel);
  g_thread_join (thread);
  g_assert_error (waiter.error, VM_ERROR, VM_ERROR_CANCELLED);
  g_clear_error (&waiter.error);

  waiter.target.host = "example.org";
  wait_thread (&waiter);
  g_assert_error (waiter.error, VM_ERROR, VM_ERROR_SSH_FAILED);
  g_clear_error (&waiter.error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ssh/keygen", test_keygen);
  g_test_add_func ("/ssh/public-keys", test_public_keys);
  g_test_add_func ("/ssh/quote", test_quote);
  g_test_add_func ("/ssh/pin", test_pin);
  g_test_add_func ("/ssh/wait/refused-then-up", test_wait_refused_then_up);
  g_test_add_func ("/ssh/wait/slow-greeter", test_wait_slow_greeter);
  g_test_add_func ("/ssh/wait/timeouts", test_wait_timeouts);
  g_test_add_func ("/ssh/wait/other-greetings", test_wait_other_greetings);
  g_test_add_func ("/ssh/wait/ended", test_wait_ended);
  return g_test_run ();
}
