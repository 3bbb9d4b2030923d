/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <string.h>

/* A VM's folder carries a copy of its record, so that a store which was lost or restored from an
 * old backup finds its VMs again. The store is what counts while it knows of the VM. */

#define RECORD "vm.json"
#define RECORD_LIMIT (4 * 1024 * 1024)

gboolean
cli_record_write (const VmHandle *handle, const char *origin, GError **error)
{
  g_autofree char *path = vm_handle_path (handle, RECORD);
  g_autofree char *json = vm_handle_to_json (handle);
  g_autoptr (JsonObject) object = json_object_new ();
  json_object_set_member (object, "handle", json_from_string (json, NULL));
  if (origin != NULL)
    json_object_set_string_member (object, "origin", origin);
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), object);
  g_autofree char *text = json_to_string (root, FALSE);
  return vm_file_write (path, text, strlen (text), 0600, error);
}

/* The record in the folder of @name; NULL when there is none that could be its own. */
static VmHandle *
record_read (Cli *cli, const char *name, char **out_origin)
{
  g_autofree char *dir = g_build_filename (cli->data_dir, "vms", name, NULL);
  g_autofree char *path = g_build_filename (dir, RECORD, NULL);
  g_autofree char *text = NULL;
  if (!vm_name_is_valid (name) || !vm_file_read (path, RECORD_LIMIT, &text, NULL, NULL))
    return NULL;
  g_autoptr (JsonNode) root = json_from_string (text, NULL);
  JsonObject *object =
      root != NULL && JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  if (object == NULL || !json_object_has_member (object, "handle"))
    return NULL;
  g_autofree char *json = json_to_string (json_object_get_member (object, "handle"), FALSE);
  g_autoptr (VmHandle) handle = vm_handle_from_json (json, NULL);
  if (handle == NULL || !g_str_equal (handle->spec->name, name) || !g_str_equal (handle->dir, dir))
    return NULL;
  *out_origin = g_strdup (json_object_get_string_member_with_default (object, "origin", NULL));
  return g_steal_pointer (&handle);
}

gboolean
cli_recover (Cli *cli, VmStore *store, const char *name)
{
  g_autofree char *origin = NULL;
  g_autoptr (VmHandle) handle = record_read (cli, name, &origin);
  g_autoptr (GError) error = NULL;
  if (handle == NULL)
    return FALSE;
  g_autofree char *json = vm_handle_to_json (handle);
  if (!vm_store_add (store, name, handle->spec->backend, origin, json, &error) ||
      !vm_store_set_macs (store, name, handle->macs, &error) ||
      !vm_store_use_image (store, name, handle->spec->image, &error) ||
      !vm_store_set_phase (store, name, VM_PHASE_PREPARED, &error)) {
    g_debug ("cannot take VM \"%s\" back: %s", name, error->message);
    return FALSE;
  }
  vm_store_event (store, name, "recover", "ok", NULL);
  cli_progress (cli, name, "found again by its folder");
  return TRUE;
}

gboolean
cli_recover_all (Cli *cli, VmStore *store, const GPtrArray *rows)
{
  g_autofree char *path = g_build_filename (cli->data_dir, "vms", NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);
  gboolean found = FALSE;
  const char *name;
  for (guint i = 0; i < rows->len; i++)
    g_hash_table_add (known, ((VmRow *) rows->pdata[i])->name);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    if (!g_hash_table_contains (known, name))
      found = cli_recover (cli, store, name) || found;
  }
  return found;
}
