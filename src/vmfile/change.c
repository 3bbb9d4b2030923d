/* SPDX-License-Identifier: MPL-2.0 */
#include "vmfile/change.h"

#define LONGEST_SHOWN 80

/* Members of the spec's JSON form. Names, backends and checksums are missing on purpose: a VM of
 * another name is another VM, a VM keeps its backend, and an image is judged when it is fetched. */
static const struct {
  const char *member;
  const char *setting;
  VmChangeKind kind;
} settings[] = {
  { "image", "image", VM_CHANGE_RECREATE },
  { "image_url", "image-url", VM_CHANGE_RECREATE },
  { "disk_gib", "disk", VM_CHANGE_RECREATE },
  { "uefi", "uefi", VM_CHANGE_RECREATE },
  { "vcpus", "vcpus", VM_CHANGE_RESTART },
  { "memory_mib", "memory", VM_CHANGE_RESTART },
  { "accel", "accel", VM_CHANGE_RESTART },
  { "networks", "network", VM_CHANGE_RESTART },
  /* The guest is told these at its first boot, and never again. */
  { "hostname", "hostname", VM_CHANGE_RECREATE },
  { "ssh_public_key", "ssh-key", VM_CHANGE_RECREATE },
  { "user_data", "user-data", VM_CHANGE_RECREATE },
  { "network_config", "network-config", VM_CHANGE_RECREATE },
  { "ssh_user", "user", VM_CHANGE_RECREATE },
  { "private_key", "private-key", VM_CHANGE_HOT },
};

static const char *const kind_names[] = {
  [VM_CHANGE_HOT] = "hot",
  [VM_CHANGE_RESTART] = "restart",
  [VM_CHANGE_RECREATE] = "recreate",
};

const char *
vm_change_kind_to_string (VmChangeKind kind)
{
  return kind_names[kind];
}

void
vm_change_free (VmChange *change)
{
  if (change == NULL)
    return;
  g_free (change->from);
  g_free (change->to);
  g_free (change);
}

/* A single value as text; NULL for what has structure or would fill the screen. */
static char *
show (JsonNode *node)
{
  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    return NULL;
  g_autofree char *text = json_node_get_value_type (node) == G_TYPE_STRING
                              ? json_node_dup_string (node)
                              : json_to_string (node, FALSE);
  return g_utf8_strlen (text, -1) <= LONGEST_SHOWN ? g_steal_pointer (&text) : NULL;
}

static gboolean
is_same (JsonNode *a, JsonNode *b)
{
  return a == b || (a != NULL && b != NULL && json_node_equal (a, b));
}

/* The path of an image with a URL is where its copy lies, and not a setting. */
static void
drop_copy (JsonNode *spec)
{
  JsonObject *object = json_node_get_object (spec);
  if (json_object_has_member (object, "image_url") && json_object_has_member (object, "image"))
    json_object_remove_member (object, "image");
}

GPtrArray *
vm_spec_changes (const VmSpec *from, const VmSpec *to)
{
  g_autoptr (JsonNode) old = vm_spec_to_json (from);
  g_autoptr (JsonNode) new = vm_spec_to_json (to);
  GPtrArray *changes = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_change_free);

  drop_copy (old);
  drop_copy (new);
  for (gsize i = 0; i < G_N_ELEMENTS (settings); i++) {
    JsonNode *before = json_object_get_member (json_node_get_object (old), settings[i].member);
    JsonNode *after = json_object_get_member (json_node_get_object (new), settings[i].member);
    if (is_same (before, after))
      continue;
    VmChange *change = g_new0 (VmChange, 1);
    *change = (VmChange){ settings[i].setting, settings[i].kind, show (before), show (after) };
    g_ptr_array_add (changes, change);
  }
  return changes;
}

static void
take_member (JsonObject *into, JsonObject *from, const char *member)
{
  JsonNode *value = json_object_dup_member (from, member);
  if (value != NULL)
    json_object_set_member (into, member, value);
  else if (json_object_has_member (into, member))
    json_object_remove_member (into, member);
}

VmSpec *
vm_spec_merge (const VmSpec *from, const VmSpec *to, VmChangeKind deepest)
{
  g_autoptr (JsonNode) merged = vm_spec_to_json (from);
  g_autoptr (JsonNode) wanted = vm_spec_to_json (to);
  JsonObject *into = json_node_get_object (merged);

  take_member (into, json_node_get_object (wanted), "steps");
  for (gsize i = 0; i < G_N_ELEMENTS (settings); i++) {
    if (settings[i].kind <= deepest)
      take_member (into, json_node_get_object (wanted), settings[i].member);
  }
  return vm_spec_from_json (merged, NULL); /* both halves came from valid specs */
}
