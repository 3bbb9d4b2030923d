/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/qemu/qemu.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The command line, against a golden file; and the QMP client, against a scripted peer on a real
 * socket: it sends each line of the script after having received a command (the first unasked). */

static VmSpec *
make_spec (const char *name)
{
  g_autoptr (VmDef) def = vm_def_new (name);
  g_autoptr (GError) error = NULL;
  def->image_url = g_strdup ("file:///x");
  VmSpec *spec = vm_def_resolve (def, "/", "qemu", &error);
  g_assert_no_error (error);
  return spec;
}

static VmHandle *
make_handle (void)
{
  VmHandle *handle = vm_handle_new (make_spec ("web"), "/data");
  VmNetwork *network = handle->spec->networks->pdata[0];
  g_ptr_array_add (network->forwards, vm_forward_new (8080, 80));
  handle->spec->image = g_strdup ("/images/we,ird \"one\".qcow2");
  g_free (handle->macs->pdata[0]);
  handle->macs->pdata[0] = g_strdup ("52:54:00:11:22:33");
  return handle;
}

static void
compare_with_golden (const char *file, GPtrArray *argv)
{
  g_autofree char *path = g_build_filename (g_getenv ("VM_TEST_DATA"), "argv", file, NULL);
  g_autofree char *joined = g_strjoinv ("\n", (char **) argv->pdata);
  g_autofree char *actual = g_strconcat (joined, "\n", NULL);
  g_autofree char *expected = NULL;
  if (g_getenv ("VM_TEST_UPDATE") != NULL)
    g_assert_true (g_file_set_contents (path, actual, -1, NULL));
  g_assert_true (g_file_get_contents (path, &expected, NULL, NULL));
  g_assert_cmpstr (actual, ==, expected);
}

static void
test_argv_plain (void)
{
  g_autoptr (VmHandle) handle = make_handle ();
  const VmQemuLaunch launch = { "/usr/bin/qemu", FALSE, VM_IMAGE_QCOW2, NULL };
  g_autoptr (GPtrArray) argv = vm_qemu_argv (handle, &launch);
  compare_with_golden ("plain.txt", argv);
}

static void
test_argv_uefi_kvm_isolated (void)
{
  g_autoptr (VmHandle) handle = make_handle ();
  const VmQemuLaunch launch = { "/usr/bin/qemu", TRUE, VM_IMAGE_RAW, "/fw/OVMF_CODE.fd" };
  ((VmNetwork *) handle->spec->networks->pdata[0])->kind = VM_NETWORK_ISOLATED;
  handle->ssh_port = 40022;
  g_autoptr (GPtrArray) argv = vm_qemu_argv (handle, &launch);
  compare_with_golden ("uefi-kvm-isolated.txt", argv);
}

static void
test_handle_survives_json (void)
{
  g_autoptr (VmHandle) handle = make_handle ();
  handle->ssh_host = g_strdup ("127.0.0.1");
  handle->ssh_port = 40022;
  handle->accel = VM_ACCEL_TCG;
  handle->settled = TRUE;
  g_autofree char *json = vm_handle_to_json (handle);
  g_autoptr (VmHandle) back = vm_handle_from_json (json, NULL);
  g_assert_nonnull (back);
  g_autofree char *again = vm_handle_to_json (back);
  g_assert_cmpstr (json, ==, again);
  g_assert_cmpstr (back->dir, ==, "/data/vms/web");
}

static void
test_damaged_handles (void)
{
  static const char *const damaged[] = { "", "[]", "{}", "{\"spec\":1}", "{\"spec\":{}}", "nul" };
  for (gsize i = 0; i < G_N_ELEMENTS (damaged); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (vm_handle_from_json (damaged[i], &error));
    g_assert_error (error, VM_ERROR, VM_ERROR_STORE_FAILED);
  }
}

typedef struct {
  int fd;
  const char *const *script;
} Peer;

static gpointer
play (gpointer data)
{
  Peer *peer = data;
  char command[4096];
  for (guint i = 0; peer->script[i] != NULL; i++) {
    if (i > 0 && read (peer->fd, command, sizeof command) <= 0)
      break;
    if (write (peer->fd, peer->script[i], strlen (peer->script[i])) < 0)
      break;
  }
  close (peer->fd);
  return NULL;
}

typedef struct {
  VmQmp *qmp;
  GThread *thread;
  Peer peer;
  GError *error;
} Talk;

static void
talk_start (Talk *talk, const char *const *script)
{
  int fds[2];
  VmOp op = vm_op_within (NULL, 5);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  talk->peer = (Peer){ fds[1], script };
  talk->thread = g_thread_new ("peer", play, &talk->peer);
  talk->qmp = vm_qmp_new (fds[0], &op, &talk->error);
}

static void
talk_clear (Talk *talk)
{
  vm_qmp_free (talk->qmp);
  g_thread_join (talk->thread);
  g_clear_error (&talk->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Talk, talk_clear)

#define GREETING "{\"QMP\":{\"version\":{},\"capabilities\":[]}}\r\n"
#define CAPABILITIES "{\"return\":{},\"id\":1}\r\n"

static void
test_qmp_reply_among_events (void)
{
  static const char *const script[] = { GREETING, CAPABILITIES,
                                        "{\"event\":\"STOP\"}\r\n{\"return\":1,\"id\":1}\r\n{"
                                        "\"return\":{\"status\":\"paused\"},\"id\":2}\r\n",
                                        NULL };
  g_auto (Talk) talk = { 0 };
  g_autoptr (JsonNode) answer = NULL;
  talk_start (&talk, script);
  g_assert_no_error (talk.error);
  g_assert_true (vm_qmp_execute (talk.qmp, "query-status", NULL, &answer, NULL, NULL));
  g_assert_cmpstr (json_object_get_string_member (json_node_get_object (answer), "status"), ==,
                   "paused");
}

static void
test_qmp_error_reply (void)
{
  static const char *const script[] = {
    GREETING, CAPABILITIES,
    "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no such thing\"},\"id\":2}\r\n", NULL
  };
  g_auto (Talk) talk = { 0 };
  g_autoptr (GError) error = NULL;
  talk_start (&talk, script);
  g_assert_false (vm_qmp_execute (talk.qmp, "cont", NULL, NULL, NULL, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_QMP_COMMAND_FAILED);
  g_assert_nonnull (strstr (error->message, "no such thing"));
}

static void
test_qmp_peers_that_are_not_qemu (void)
{
  static const struct {
    const char *script[3];
    VmErrorCode code;
  } cases[] = {
    { { "", NULL }, VM_ERROR_QEMU_EXITED },
    { { "{\"QMP\":", NULL }, VM_ERROR_QEMU_EXITED },
    { { "hello\n", NULL }, VM_ERROR_QMP_COMMAND_FAILED },
    { { "[]\n", NULL }, VM_ERROR_QMP_COMMAND_FAILED },
    { { "{}\n", NULL }, VM_ERROR_QMP_CONNECT_FAILED },
    { { GREETING, NULL }, VM_ERROR_QEMU_EXITED },
    { { GREETING, "{\"id\":1}\n", NULL }, VM_ERROR_QMP_COMMAND_FAILED },
    { { GREETING, "{\"error\":7,\"id\":1}\n", NULL }, VM_ERROR_QMP_COMMAND_FAILED },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (Talk) talk = { 0 };
    talk_start (&talk, cases[i].script);
    g_assert_null (talk.qmp);
    g_assert_error (talk.error, VM_ERROR, (int) cases[i].code);
  }
}

static void
test_qmp_silent_peer (void)
{
  int fds[2];
  g_autoptr (GError) error = NULL;
  VmOp op = vm_op_within (NULL, 0.05);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  g_assert_null (vm_qmp_new (fds[0], &op, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_QMP_CONNECT_FAILED);
  close (fds[1]);
}

/* A parser that calls itself for each level would end the program here. */
static void
test_qmp_deep_line (void)
{
  g_autofree char *deep = g_strnfill (100000, '[');
  g_autofree char *line = g_strconcat ("{\"a\":", deep, "\n", NULL);
  const char *const script[] = { line, NULL };
  g_auto (Talk) talk = { 0 };
  talk_start (&talk, script);
  g_assert_null (talk.qmp);
  g_assert_error (talk.error, VM_ERROR, VM_ERROR_QMP_COMMAND_FAILED);
}

static gpointer
send_for_ever (gpointer data)
{
  char flood[65536];
  memset (flood, 'x', sizeof flood);
  while (send (GPOINTER_TO_INT (data), flood, sizeof flood, MSG_NOSIGNAL) > 0)
    ;
  return NULL;
}

static void
test_qmp_endless_line (void)
{
  int fds[2];
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  GThread *thread = g_thread_new ("flood", send_for_ever, GINT_TO_POINTER (fds[1]));
  g_assert_null (vm_qmp_new (fds[0], NULL, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_QMP_COMMAND_FAILED);
  g_thread_join (thread);
  close (fds[1]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/argv/plain", test_argv_plain);
  g_test_add_func ("/argv/uefi-kvm-isolated", test_argv_uefi_kvm_isolated);
  g_test_add_func ("/handle/json", test_handle_survives_json);
  g_test_add_func ("/handle/damaged", test_damaged_handles);
  g_test_add_func ("/qmp/events", test_qmp_reply_among_events);
  g_test_add_func ("/qmp/error", test_qmp_error_reply);
  g_test_add_func ("/qmp/strangers", test_qmp_peers_that_are_not_qemu);
  g_test_add_func ("/qmp/silent", test_qmp_silent_peer);
  g_test_add_func ("/qmp/deep-line", test_qmp_deep_line);
  g_test_add_func ("/qmp/endless-line", test_qmp_endless_line);
  return g_test_run ();
}
