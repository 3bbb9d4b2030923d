/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/backends.h"

/* The one list of what this build can run; the first is the platform's own. */
static VmHypervisor *(*const backends[]) (const VmHypervisorConfig *config) = {
  vm_qemu_new,
  vm_noop_new,
};

typedef struct {
  VmHypervisor base;
  VmHypervisor *backends[G_N_ELEMENTS (backends)];
} Router;

const char *
vm_hypervisor_default_backend (void)
{
  return "qemu";
}

/* The backend that @handle names; NULL with @error when this build has none of that name. */
static VmHypervisor *
route (VmHypervisor *self, const VmHandle *handle, GError **error)
{
  Router *router = (Router *) self;
  const VmSpec *spec = handle->spec;
  for (guint i = 0; i < G_N_ELEMENTS (router->backends); i++) {
    if (g_str_equal (router->backends[i]->ops->name, spec->backend))
      return router->backends[i];
  }
  vm_error_set (error, VM_ERROR_BACKEND_NOT_AVAILABLE,
                "VM \"%s\" wants the backend \"%s\", which this build does not have", spec->name,
                spec->backend);
  return NULL;
}

static gboolean
router_prepare (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->prepare (to, handle, op, error);
}

static gboolean
router_start (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->start (to, handle, op, error);
}

static gboolean
router_stop (VmHypervisor *self, VmHandle *handle, guint grace_s, gboolean *out_forced,
             const VmOp *op, GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->stop (to, handle, grace_s, out_forced, op, error);
}

static gboolean
router_suspend (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->suspend (to, handle, op, error);
}

static gboolean
router_resume (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->resume (to, handle, op, error);
}

static gboolean
router_destroy (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->destroy (to, handle, op, error);
}

static gboolean
router_state (VmHypervisor *self, const VmHandle *handle, VmStateInfo *out_info, const VmOp *op,
              GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->state (to, handle, out_info, op, error);
}

static gboolean
router_guest_ip (VmHypervisor *self, const VmHandle *handle, char **out_ip, const VmOp *op,
                 GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->guest_ip (to, handle, out_ip, op, error);
}

static gboolean
router_console_endpoint (VmHypervisor *self, const VmHandle *handle, char **out_path,
                         const VmOp *op, GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->console_endpoint (to, handle, out_path, op, error);
}

static gboolean
router_watch (VmHypervisor *self, const VmHandle *handle, int *out_fd, GError **error)
{
  VmHypervisor *to = route (self, handle, error);
  return to != NULL && to->ops->watch (to, handle, out_fd, error);
}

static void
router_free (VmHypervisor *self)
{
  Router *router = (Router *) self;
  for (guint i = 0; i < G_N_ELEMENTS (router->backends); i++)
    vm_hypervisor_free (router->backends[i]);
  g_free (router);
}

static const VmHypervisorOps router_ops = {
  .name = "router",
  .prepare = router_prepare,
  .start = router_start,
  .stop = router_stop,
  .suspend = router_suspend,
  .resume = router_resume,
  .destroy = router_destroy,
  .state = router_state,
  .guest_ip = router_guest_ip,
  .console_endpoint = router_console_endpoint,
  .watch = router_watch,
  .free = router_free,
};

VmHypervisor *
vm_hypervisor_new (const VmHypervisorConfig *config)
{
  Router *router = g_new0 (Router, 1);
  router->base.ops = &router_ops;
  for (guint i = 0; i < G_N_ELEMENTS (backends); i++)
    router->backends[i] = backends[i](config);
  return &router->base;
}
