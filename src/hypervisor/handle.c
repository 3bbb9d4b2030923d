/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/handle.h"

#include "runtime/json.h"

#include <errno.h>

/* In the block that QEMU and KVM guests use; 24 random bits. */
static char *
random_mac (void)
{
  guint32 bits = g_random_int ();
  return g_strdup_printf ("52:54:00:%02x:%02x:%02x", bits & 0xff, bits >> 8 & 0xff,
                          bits >> 16 & 0xff);
}

VmHandle *
vm_handle_new (VmSpec *spec, const char *data_dir)
{
  VmHandle *handle = g_new0 (VmHandle, 1);
  handle->dir = g_build_filename (data_dir, "vms", spec->name, NULL);
  handle->macs = g_ptr_array_new_with_free_func (g_free);
  vm_handle_set_spec (handle, spec);
  return handle;
}

VmHandle *
vm_handle_new_bare (const char *name, const char *backend, const char *data_dir)
{
  VmSpec *spec = g_new0 (VmSpec, 1);
  spec->name = g_strdup (name);
  spec->backend = g_strdup (backend);
  spec->networks = g_ptr_array_new ();
  spec->steps = g_ptr_array_new ();
  return vm_handle_new (spec, data_dir);
}

void
vm_handle_set_spec (VmHandle *handle, VmSpec *spec)
{
  if (handle->spec != spec)
    vm_spec_free (handle->spec);
  handle->spec = spec;
  while (handle->macs->len < spec->networks->len)
    g_ptr_array_add (handle->macs, random_mac ());
  g_ptr_array_set_size (handle->macs, (int) spec->networks->len);
}

void
vm_handle_free (VmHandle *handle)
{
  if (handle == NULL)
    return;
  vm_spec_free (handle->spec);
  g_free (handle->dir);
  g_clear_pointer (&handle->macs, g_ptr_array_unref);
  g_free (handle->ssh_host);
  g_free (handle);
}

gboolean
vm_handle_make_dir (const VmHandle *handle, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (handle->dir);
  if (g_mkdir_with_parents (parent, 0700) < 0)
    return vm_error_set_errno (error, errno, "cannot make %s", parent);
  return vm_dir_make (handle->dir, error);
}

char *
vm_handle_path (const VmHandle *handle, const char *file)
{
  return g_build_filename (handle->dir, file, NULL);
}

char *
vm_handle_to_json (const VmHandle *handle)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "spec");
  json_builder_add_value (builder, vm_spec_to_json (handle->spec));
  json_builder_set_member_name (builder, "dir");
  json_builder_add_string_value (builder, handle->dir);
  json_builder_set_member_name (builder, "macs");
  json_builder_begin_array (builder);
  for (guint i = 0; i < handle->macs->len; i++)
    json_builder_add_string_value (builder, handle->macs->pdata[i]);
  json_builder_end_array (builder);
  if (handle->ssh_host != NULL) {
    json_builder_set_member_name (builder, "ssh-host");
    json_builder_add_string_value (builder, handle->ssh_host);
    json_builder_set_member_name (builder, "ssh-port");
    json_builder_add_int_value (builder, handle->ssh_port);
  }
  json_builder_set_member_name (builder, "accel");
  json_builder_add_string_value (builder, vm_accel_to_string (handle->accel));
  json_builder_set_member_name (builder, "settled");
  json_builder_add_boolean_value (builder, handle->settled);
  json_builder_end_object (builder);
  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  return json_to_string (root, FALSE);
}

/* What is stored is read like any other input: nothing is taken for granted. */
static gboolean
read_members (JsonObject *object, VmHandle *handle)
{
  const char *dir = vm_json_get_string (object, "dir");
  const char *host = vm_json_get_string (object, "ssh-host");
  gint64 port = json_object_get_int_member_with_default (object, "ssh-port", 0);
  const char *accel = vm_json_get_string (object, "accel");
  JsonNode *macs = json_object_get_member (object, "macs");

  if (dir == NULL || !g_path_is_absolute (dir) || port < 0 || port > G_MAXUINT16 || accel == NULL ||
      vm_accel_from_string (accel) < 0 || macs == NULL || !JSON_NODE_HOLDS_ARRAY (macs))
    return FALSE;
  handle->dir = g_strdup (dir);
  handle->ssh_host = g_strdup (host);
  handle->ssh_port = (guint16) port;
  handle->accel = (VmAccel) vm_accel_from_string (accel);
  handle->settled = json_object_get_boolean_member_with_default (object, "settled", FALSE);
  JsonArray *array = json_node_get_array (macs);
  for (guint i = 0; i < json_array_get_length (array); i++) {
    JsonNode *mac = json_array_get_element (array, i);
    if (!JSON_NODE_HOLDS_VALUE (mac) || json_node_get_string (mac) == NULL)
      return FALSE;
    g_ptr_array_add (handle->macs, g_strdup (json_node_get_string (mac)));
  }
  return handle->macs->len == handle->spec->networks->len;
}

VmHandle *
vm_handle_from_json (const char *text, GError **error)
{
  g_autoptr (JsonNode) root = vm_json_parse_object (text);
  if (root == NULL || !json_object_has_member (json_node_get_object (root), "spec")) {
    vm_error_set (error, VM_ERROR_STORE_FAILED, "a stored handle is damaged");
    return NULL;
  }
  JsonObject *object = json_node_get_object (root);
  g_autoptr (VmSpec) spec = vm_spec_from_json (json_object_get_member (object, "spec"), error);
  if (spec == NULL)
    return NULL;
  g_autoptr (VmHandle) handle = g_new0 (VmHandle, 1);
  handle->macs = g_ptr_array_new_with_free_func (g_free);
  handle->spec = g_steal_pointer (&spec);
  if (!read_members (object, handle)) {
    vm_error_set (error, VM_ERROR_STORE_FAILED, "the stored handle of \"%s\" is damaged",
                  handle->spec->name);
    return NULL;
  }
  return g_steal_pointer (&handle);
}
