/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/qemu/qemu.h"

#include "runtime/proc.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define QMP_START_S 20
#define QMP_COMMAND_S 5
#define QMP_STATE_S 2
#define TERM_S 5
#define KILL_S 5
#define RESEND_POWERDOWN_MS 10000
#define RETRY_MS 500
#define APPEAR_S 2
#define CLAIM_MS 20

typedef struct {
  VmHypervisor base;
  VmHypervisorConfig config;
  GMutex probe_lock;
  gboolean probed; /* KVM was looked at; both under the lock */
  gboolean kvm;
} Qemu;

static gboolean
kvm_is_usable (Qemu *self)
{
  g_mutex_lock (&self->probe_lock);
  if (!self->probed) {
    g_autofree char *reason = NULL;
    self->probed = TRUE;
    self->kvm = vm_kvm_is_usable (&reason);
    if (!self->kvm && self->config.warn != NULL) {
      g_autofree char *line =
          g_strdup_printf ("guests run without acceleration, slowly: %s", reason);
      self->config.warn (self->config.warn_data, line);
    }
  }
  g_mutex_unlock (&self->probe_lock);
  return self->kvm;
}

static gboolean
choose_kvm (Qemu *self, const VmSpec *spec)
{
  VmAccel accel = self->config.accel != VM_ACCEL_AUTO ? self->config.accel : spec->accel;
  return accel == VM_ACCEL_KVM || (accel == VM_ACCEL_AUTO && kvm_is_usable (self));
}

static gboolean
qemu_prepare (VmHypervisor *base, VmHandle *handle, const VmOp *op, GError **error)
{
  Qemu *self = (Qemu *) base;
  g_autofree char *program = vm_qemu_find_program (self->config.qemu, error);
  return program != NULL && vm_qemu_prepare (handle, op, error);
}

/* Runs one command over a connection of its own. */
static gboolean
command (const VmHandle *handle, const char *name, double limit_s, JsonNode **out_return,
         const VmOp *op, GError **error)
{
  VmOp limit = vm_op_within (op, limit_s);
  g_autoptr (VmQmp) qmp = vm_qemu_connect (handle, &limit, error);
  return qmp != NULL && vm_qmp_execute (qmp, name, NULL, out_return, &limit, error);
}

static gboolean
is_fixed_forward (const VmSpec *spec, guint port)
{
  for (guint i = 0; i < spec->networks->len; i++) {
    const VmNetwork *network = spec->networks->pdata[i];
    for (guint j = 0; j < network->forwards->len; j++) {
      const VmForward *forward = network->forwards->pdata[j];
      if (forward->host_port == port)
        return TRUE;
    }
  }
  return FALSE;
}

/* From lines such as `  TCP[HOST_FORWARD]  12  127.0.0.1 38157  10.0.2.15  22  0  0`. */
static guint16
parse_ssh_port (const VmSpec *spec, const char *usernet)
{
  g_auto (GStrv) lines = g_strsplit (usernet, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    guint host_port;
    guint guest_port;
    if (sscanf (lines[i], " TCP[HOST_FORWARD] %*s 127.0.0.1 %u %*s %u", &host_port, &guest_port) ==
            2 &&
        guest_port == 22 && host_port <= G_MAXUINT16 && !is_fixed_forward (spec, host_port))
      return (guint16) host_port;
  }
  return 0;
}

static gboolean
has_user_network (const VmSpec *spec)
{
  for (guint i = 0; i < spec->networks->len; i++) {
    const VmNetwork *network = spec->networks->pdata[i];
    if (network->kind == VM_NETWORK_USER || network->kind == VM_NETWORK_ISOLATED)
      return TRUE;
  }
  return FALSE;
}

/* The port that the kernel chose for SSH, asked of QEMU. */
static gboolean
learn_ssh_endpoint (VmHandle *handle, VmQmp *qmp, const VmOp *op, GError **error)
{
  g_autoptr (JsonNode) answer = NULL;
  if (!has_user_network (handle->spec)) {
    g_clear_pointer (&handle->ssh_host, g_free);
    handle->ssh_port = 0;
    return TRUE;
  }
  if (!vm_qmp_execute (qmp, "human-monitor-command", "{\"command-line\":\"info usernet\"}", &answer,
                       op, error))
    return FALSE;
  const char *text = JSON_NODE_HOLDS_VALUE (answer) ? json_node_get_string (answer) : NULL;
  handle->ssh_port = text != NULL ? parse_ssh_port (handle->spec, text) : 0;
  if (handle->ssh_port == 0)
    return vm_error_set (error, VM_ERROR_QMP_COMMAND_FAILED,
                         "QEMU does not tell the SSH port of VM \"%s\"", handle->spec->name);
  g_free (handle->ssh_host);
  handle->ssh_host = g_strdup ("127.0.0.1");
  return TRUE;
}

static void
remove_pidfile (const VmHandle *handle)
{
  g_autofree char *path = vm_handle_path (handle, VM_QEMU_PIDFILE);
  unlink (path);
}

static void
kill_and_reap (GPid pid, int pidfd)
{
  VmOp grace = vm_op_grace (KILL_S);
  pidfd_send_signal (pidfd, SIGKILL, NULL, 0);
  vm_op_wait (&grace, pidfd, POLLIN, -1, NULL, NULL);
  vm_proc_reap (pid, NULL);
}

/* One try: spawned, greeted, endpoint known; or nothing is left and @error says why. */
static gboolean
launch_once (VmHandle *handle, const VmQemuLaunch *launch, const VmOp *op, GError **error)
{
  g_autoptr (GPtrArray) argv = vm_qemu_argv (handle, launch);
  g_autoptr (GError) cause = NULL;
  vm_autofd int pidfd = -1;
  GPid pid;
  if (!vm_qemu_spawn (handle, argv, &pid, &pidfd, error))
    return FALSE;

  VmOp limit = vm_op_within (op, QMP_START_S);
  g_autoptr (VmQmp) qmp = vm_qemu_connect (handle, &limit, &cause);
  if (qmp != NULL && learn_ssh_endpoint (handle, qmp, &limit, &cause))
    return TRUE;

  /* A QEMU that refuses its options closes the socket a moment before it is gone. */
  gboolean ended = FALSE;
  VmOp grace = vm_op_grace (1);
  if (g_error_matches (cause, VM_ERROR, VM_ERROR_QEMU_EXITED))
    vm_op_wait (&grace, pidfd, POLLIN, -1, &ended, NULL);
  if (ended)
    return vm_qemu_spawn_error (handle, pid, error);
  kill_and_reap (pid, pidfd);
  remove_pidfile (handle);
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

/* A VM that runs already; whoever started it may not have lived to write down its SSH port. */
static gboolean
take_over (VmHandle *handle, const VmOp *op, GError **error)
{
  VmOp limit = vm_op_within (op, QMP_COMMAND_S);
  g_autoptr (VmQmp) qmp = vm_qemu_connect (handle, &limit, error);
  return qmp != NULL && learn_ssh_endpoint (handle, qmp, &limit, error);
}

static gboolean
qemu_start (VmHypervisor *base, VmHandle *handle, const VmOp *op, GError **error)
{
  Qemu *self = (Qemu *) base;
  const char *vars;
  VmImageInfo info;
  VmQemuLaunch launch = { 0 };
  if (vm_qemu_is_running (handle))
    return take_over (handle, op, error);
  g_autofree char *program = vm_qemu_find_program (self->config.qemu, error);
  if (program == NULL || !vm_image_inspect (handle->spec->image, &info, error))
    return FALSE;
  if (handle->spec->uefi && !vm_qemu_find_firmware (&launch.firmware, &vars, error))
    return FALSE;
  launch.program = program;
  launch.kvm = choose_kvm (self, handle->spec);
  launch.base_format = info.format;
  handle->accel = launch.kvm ? VM_ACCEL_KVM : VM_ACCEL_TCG;

  /* Last time's SSH port is asked for first, so that it stays the same as long as it is free. */
  g_autoptr (GError) cause = NULL;
  if (launch_once (handle, &launch, op, &cause))
    return TRUE;
  if (handle->ssh_port == 0 || !g_error_matches (cause, VM_ERROR, VM_ERROR_PORT_UNAVAILABLE)) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  handle->ssh_port = 0;
  return launch_once (handle, &launch, op, error);
}

/* Asks the guest to power off; a frozen one is continued first, or it could not obey. */
static gboolean
ask_to_power_off (const VmHandle *handle, const VmOp *op)
{
  VmOp limit = vm_op_within (op, QMP_COMMAND_S);
  g_autoptr (VmQmp) qmp = vm_qemu_connect (handle, &limit, NULL);
  return qmp != NULL && vm_qmp_execute (qmp, "cont", NULL, NULL, &limit, NULL) &&
         vm_qmp_execute (qmp, "system_powerdown", NULL, NULL, &limit, NULL);
}

/* TRUE with @out_ended when the process ended in time. A guest may miss a button that is pressed
 * while it boots, and QEMU may be busy with another client: it is pressed again now and then. FALSE
 * only when the caller cancelled. */
static gboolean
power_off (const VmHandle *handle, int pidfd, guint grace_s, gboolean *out_ended, const VmOp *op,
           GError **error)
{
  VmOp limit = vm_op_within (op, grace_s);
  *out_ended = FALSE;
  while (!*out_ended) {
    int pause_ms = ask_to_power_off (handle, &limit) ? RESEND_POWERDOWN_MS : RETRY_MS;
    if (!vm_op_check (op, error))
      return FALSE;
    if (!vm_op_wait (&limit, pidfd, POLLIN, pause_ms, out_ended, NULL))
      break;
  }
  return vm_op_check (op, error);
}

/* SIGTERM, then SIGKILL. */
static gboolean
end_process (const VmHandle *handle, int pidfd, GError **error)
{
  static const struct {
    int signal;
    double limit_s;
  } ladder[] = { { SIGTERM, TERM_S }, { SIGKILL, KILL_S } };

  for (gsize i = 0; i < G_N_ELEMENTS (ladder); i++) {
    VmOp grace = vm_op_grace (ladder[i].limit_s);
    pidfd_send_signal (pidfd, ladder[i].signal, NULL, 0);
    if (vm_op_wait (&grace, pidfd, POLLIN, -1, NULL, NULL))
      return TRUE;
  }
  return vm_error_set (error, VM_ERROR_TIMEOUT, "QEMU of VM \"%s\" does not end, not even killed",
                       handle->spec->name);
}

/* A process that has the lock but has not said who it is is only just being started. */
static gboolean
open_process (const VmHandle *handle, int *out_pid, int *out_pidfd, GError **error)
{
  VmOp grace = vm_op_grace (APPEAR_S);
  while ((*out_pidfd = vm_qemu_open_process (handle, out_pid)) < 0) {
    if (!vm_qemu_is_running (handle))
      return TRUE;
    if (!vm_op_wait (&grace, -1, 0, CLAIM_MS, NULL, NULL))
      return vm_error_set (error, VM_ERROR_VM_INVALID_STATE,
                           "VM \"%s\" runs, but its process cannot be found", handle->spec->name);
  }
  return TRUE;
}

static gboolean
qemu_stop (VmHypervisor *base, VmHandle *handle, guint grace_s, gboolean *out_forced,
           const VmOp *op, GError **error)
{
  int pid = 0;
  vm_autofd int pidfd = -1;
  if (!open_process (handle, &pid, &pidfd, error))
    return FALSE;
  gboolean ended = pidfd < 0;
  if (!ended && grace_s > 0 && !power_off (handle, pidfd, grace_s, &ended, op, error))
    return FALSE;
  if (out_forced != NULL)
    *out_forced = !ended;
  if (!ended && !end_process (handle, pidfd, error))
    return FALSE;
  if (pid != 0)
    vm_proc_reap (pid, NULL);
  /* What is still there was left by a process that could not tidy up; from now on it is stopped. */
  remove_pidfile (handle);
  return TRUE;
}

static gboolean
qemu_suspend (VmHypervisor *base, VmHandle *handle, const VmOp *op, GError **error)
{
  return command (handle, "stop", QMP_COMMAND_S, NULL, op, error);
}

static gboolean
qemu_resume (VmHypervisor *base, VmHandle *handle, const VmOp *op, GError **error)
{
  return command (handle, "cont", QMP_COMMAND_S, NULL, op, error);
}

static gboolean
qemu_destroy (VmHypervisor *base, VmHandle *handle, const VmOp *op, GError **error)
{
  return qemu_stop (base, handle, 0, NULL, op, error) && vm_dir_remove (handle->dir, error);
}

static gboolean
file_exists (const VmHandle *handle, const char *file)
{
  g_autofree char *path = vm_handle_path (handle, file);
  return access (path, F_OK) == 0;
}

/* QEMU removes its pid file when it ends in an orderly way; one that was killed leaves it, and so
 * does a host that went down. */
static void
state_of_ended (const VmHandle *handle, VmStateInfo *info)
{
  if (!g_file_test (handle->dir, G_FILE_TEST_IS_DIR)) {
    info->state = VM_STATE_DESTROYED;
  } else if (!file_exists (handle, VM_QEMU_OVERLAY)) {
    info->state = VM_STATE_PREPARING;
  } else if (!file_exists (handle, VM_QEMU_LOG)) {
    info->state = VM_STATE_PREPARED;
  } else if (file_exists (handle, VM_QEMU_PIDFILE) && vm_qemu_is_of_this_boot (handle)) {
    g_autofree char *words = vm_qemu_last_words (handle);
    info->state = VM_STATE_FAILED;
    info->detail = *words != '\0' ? g_steal_pointer (&words) : g_strdup ("QEMU was killed");
  } else {
    info->state = VM_STATE_STOPPED;
  }
}

static gboolean
qemu_state (VmHypervisor *base, const VmHandle *handle, VmStateInfo *out_info, const VmOp *op,
            GError **error)
{
  g_autoptr (JsonNode) answer = NULL;
  *out_info = (VmStateInfo){ 0 };
  if (!vm_qemu_is_running (handle)) {
    state_of_ended (handle, out_info);
    return TRUE;
  }
  vm_fd_close (vm_qemu_open_process (handle, &out_info->pid));
  out_info->state = VM_STATE_RUNNING;
  if (!command (handle, "query-status", QMP_STATE_S, &answer, op, NULL)) {
    out_info->detail = g_strdup ("unresponsive");
    return vm_op_check (op, error);
  }
  const char *status = JSON_NODE_HOLDS_OBJECT (answer)
                           ? vm_json_get_string (json_node_get_object (answer), "status")
                           : NULL;
  if (g_strcmp0 (status, "paused") == 0)
    out_info->state = VM_STATE_SUSPENDED;
  else if (g_strcmp0 (status, "io-error") == 0)
    out_info->detail = g_strdup ("paused: its disk cannot be written (host disk full?)");
  return TRUE;
}

static gboolean
qemu_guest_ip (VmHypervisor *base, const VmHandle *handle, char **out_ip, const VmOp *op,
               GError **error)
{
  if (!has_user_network (handle->spec))
    return vm_error_set (error, VM_ERROR_VM_INVALID_STATE, "VM \"%s\" has no network",
                         handle->spec->name);
  *out_ip = g_strdup ("10.0.2.15"); /* what QEMU's own DHCP server gives its first client */
  return TRUE;
}

static gboolean
qemu_console_endpoint (VmHypervisor *base, const VmHandle *handle, char **out_path, const VmOp *op,
                       GError **error)
{
  if (!vm_qemu_is_running (handle))
    return vm_error_set (error, VM_ERROR_VM_INVALID_STATE, "VM \"%s\" does not run",
                         handle->spec->name);
  *out_path = vm_handle_path (handle, VM_QEMU_CONSOLE_SOCKET);
  return TRUE;
}

static gboolean
qemu_watch (VmHypervisor *base, const VmHandle *handle, int *out_fd, GError **error)
{
  *out_fd = vm_qemu_open_process (handle, NULL);
  return TRUE;
}

static void
qemu_free (VmHypervisor *base)
{
  Qemu *self = (Qemu *) base;
  g_mutex_clear (&self->probe_lock);
  g_free (self);
}

static const VmHypervisorOps qemu_ops = {
  .name = "qemu",
  .prepare = qemu_prepare,
  .start = qemu_start,
  .stop = qemu_stop,
  .suspend = qemu_suspend,
  .resume = qemu_resume,
  .destroy = qemu_destroy,
  .state = qemu_state,
  .guest_ip = qemu_guest_ip,
  .console_endpoint = qemu_console_endpoint,
  .watch = qemu_watch,
  .free = qemu_free,
};

VmHypervisor *
vm_qemu_new (const VmHypervisorConfig *config)
{
  Qemu *self = g_new0 (Qemu, 1);
  self->base.ops = &qemu_ops;
  self->config = *config;
  g_mutex_init (&self->probe_lock);
  return &self->base;
}
