/* SPDX-License-Identifier: MPL-2.0 */
#include "vmfile/spec.h"

#include <string.h>

#define SSH_KEY_LIMIT (64 * 1024)
#define CLOUD_INIT_LIMIT (1024 * 1024)
#define DEFAULT_MEMORY_MIB 1024
#define DEFAULT_USER "vm"
#define DEFAULT_BRIDGE "br0"

static VmSpec *
spec_new (void)
{
  VmSpec *spec = g_new0 (VmSpec, 1);
  spec->networks = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_network_free);
  spec->steps = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_step_free);
  return spec;
}

void
vm_spec_free (VmSpec *spec)
{
  if (spec == NULL)
    return;
  g_free (spec->name);
  g_free (spec->backend);
  g_free (spec->image);
  g_free (spec->image_url);
  g_free (spec->checksum);
  g_ptr_array_unref (spec->networks);
  g_free (spec->hostname);
  g_free (spec->ssh_public_key);
  g_clear_pointer (&spec->user_data, g_bytes_unref);
  g_clear_pointer (&spec->network_config, g_bytes_unref);
  g_free (spec->ssh_user);
  g_free (spec->private_key);
  g_ptr_array_unref (spec->steps);
  g_free (spec);
}

/* ---- resolving ---- */

typedef struct {
  const VmDef *def;
  const char *base_dir; /* absolute */
} Resolver;

/* NULL for NULL. `~user` is not a spelling that VMFiles have; it stays a file name. */
static char *
resolve_path (const Resolver *self, const char *path)
{
  if (path == NULL)
    return NULL;
  if (path[0] == '~' && (path[1] == '\0' || path[1] == '/'))
    return g_build_filename (g_get_home_dir (), path + 1, NULL);
  return g_canonicalize_filename (path, self->base_dir);
}

/* Reads the file that @setting names, at most @limit bytes; without a @path there is nothing to
 * do and *@out_bytes stays. */
static gboolean
read_setting (const Resolver *self, const char *setting, const char *path, gsize limit,
              GBytes **out_bytes, GError **error)
{
  if (path == NULL)
    return TRUE;
  g_autofree char *resolved = resolve_path (self, path);
  char *data = NULL;
  gsize size = 0;
  if (!vm_file_read (resolved, limit, &data, &size, error)) {
    g_prefix_error (error, "vm \"%s\": %s: ", self->def->name, setting);
    return FALSE;
  }
  *out_bytes = g_bytes_new_take (data, size);
  return TRUE;
}

/* A private key given by mistake would travel into the guest's seed; that is why the text is looked
 * at here and not left to sshd. */
static gboolean
resolve_ssh_key (const Resolver *self, char **out_text, GError **error)
{
  const char *path = self->def->ssh_key;
  g_autoptr (GBytes) bytes = NULL;
  if (!read_setting (self, "ssh-key", path, SSH_KEY_LIMIT, &bytes, error))
    return FALSE;
  if (bytes == NULL)
    return TRUE;

  gsize size = 0;
  const char *data = g_bytes_get_data (bytes, &size);
  g_autofree char *text = g_strstrip (g_strndup (data, size));
  const char *fault = NULL;
  if (g_str_has_prefix (text, "-----BEGIN "))
    fault = "is a private key; name the public one, which ends in .pub";
  else if (text[0] == '\0')
    fault = "is empty";
  else if (!g_utf8_validate (data, (gssize) size, NULL))
    fault = "is not text";
  if (fault != NULL)
    return vm_error_set (error, VM_ERROR_IO, "vm \"%s\": ssh-key: %s %s", self->def->name, path,
                         fault);
  *out_text = g_steal_pointer (&text);
  return TRUE;
}

static gboolean
resolve_image (const Resolver *self, char **out_path, GError **error)
{
  if (self->def->image == NULL)
    return TRUE;
  g_autofree char *path = resolve_path (self, self->def->image);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return vm_error_set (error, VM_ERROR_IMAGE_NOT_FOUND, "vm \"%s\": image: there is no file %s",
                         self->def->name, path);
  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    return vm_error_set (error, VM_ERROR_IMAGE_NOT_FOUND, "vm \"%s\": image: %s is a folder",
                         self->def->name, path);
  *out_path = g_steal_pointer (&path);
  return TRUE;
}

static void
resolve_networks (const Resolver *self, GPtrArray *networks)
{
  const GPtrArray *given = self->def->networks;
  for (guint i = 0; i < given->len; i++) {
    VmNetwork *network = vm_network_copy (given->pdata[i]);
    if (network->kind == VM_NETWORK_TAP && network->link == NULL)
      network->link = g_strdup (DEFAULT_BRIDGE);
    g_ptr_array_add (networks, network);
  }
  if (given->len == 0)
    g_ptr_array_add (networks, vm_network_new (VM_NETWORK_USER));
}

/* Makes one host path of a step absolute and sees that something is there. */
static gboolean
resolve_step_path (const Resolver *self, guint number, const char *setting, char **path,
                   GError **error)
{
  if (*path == NULL)
    return TRUE;
  g_autofree char *resolved = resolve_path (self, *path);
  if (!g_file_test (resolved, G_FILE_TEST_EXISTS))
    return vm_error_set (error, VM_ERROR_IO,
                         "vm \"%s\": provision step %u: %s: there is no file %s", self->def->name,
                         number, setting, resolved);
  g_free (*path);
  *path = g_steal_pointer (&resolved);
  return TRUE;
}

static gboolean
resolve_steps (const Resolver *self, GPtrArray *steps, GError **error)
{
  for (guint i = 0; i < self->def->steps->len; i++) {
    VmStep *step = vm_step_copy (self->def->steps->pdata[i]);
    g_ptr_array_add (steps, step);
    if (!resolve_step_path (self, i + 1, "script", &step->script, error) ||
        !resolve_step_path (self, i + 1, "source", &step->source, error))
      return FALSE;
  }
  return TRUE;
}

static char *
dup_or (const char *text, const char *fallback)
{
  return g_strdup (text != NULL ? text : fallback);
}

/* What needs no look at the disk. */
static void
resolve_plain (const Resolver *self, const char *default_backend, VmSpec *spec)
{
  const VmDef *def = self->def;
  spec->name = g_strdup (def->name);
  spec->backend = dup_or (def->backend, default_backend);
  spec->image_url = g_strdup (def->image_url);
  spec->checksum = g_strdup (def->checksum);
  spec->vcpus = def->vcpus > 0 ? def->vcpus : 1;
  spec->memory_mib = def->memory_mib > 0 ? def->memory_mib : DEFAULT_MEMORY_MIB;
  spec->disk_gib = def->disk_gib;
  spec->uefi = def->uefi;
  spec->accel = def->accel;
  spec->hostname = dup_or (def->hostname, def->name);
  spec->ssh_user = dup_or (def->ssh_user, DEFAULT_USER);
  spec->private_key = resolve_path (self, def->private_key);
  resolve_networks (self, spec->networks);
}

VmSpec *
vm_def_resolve (const VmDef *def, const char *base_dir, const char *default_backend, GError **error)
{
  g_autoptr (VmSpec) spec = spec_new ();
  g_autofree char *base = g_canonicalize_filename (base_dir, NULL);
  Resolver self = { def, base };

  resolve_plain (&self, default_backend, spec);
  if (!resolve_image (&self, &spec->image, error) ||
      !resolve_ssh_key (&self, &spec->ssh_public_key, error) ||
      !read_setting (&self, "user-data", def->user_data, CLOUD_INIT_LIMIT, &spec->user_data,
                     error) ||
      !read_setting (&self, "network-config", def->network_config, CLOUD_INIT_LIMIT,
                     &spec->network_config, error) ||
      !resolve_steps (&self, spec->steps, error))
    return NULL;
  return g_steal_pointer (&spec);
}

/* ---- JSON ---- */

typedef enum {
  FIELD_STRING, /* char * */
  FIELD_UINT,   /* guint */
  FIELD_PORT,   /* guint16 */
  FIELD_UINT64,
  FIELD_BOOL,
  FIELD_WORD,  /* an enum, by its words */
  FIELD_BYTES, /* GBytes *, as base64 */
  FIELD_LIST,  /* GPtrArray * of structs */
} FieldType;

typedef struct FieldTable FieldTable;

typedef struct {
  const char *name;
  FieldType type;
  gsize offset;
  gboolean required;
  const char *const *words; /* FIELD_WORD */
  const FieldTable *items;  /* FIELD_LIST */
} Field;

struct FieldTable {
  const Field *fields; /* up to one without a name */
  gpointer (*new_item) (void);
};

static gpointer
new_forward (void)
{
  return vm_forward_new (0, 0);
}

static gpointer
new_network (void)
{
  return vm_network_new (VM_NETWORK_USER);
}

static gpointer
new_step (void)
{
  return vm_step_new (VM_STEP_SHELL);
}

#define AT(type, member) G_STRUCT_OFFSET (type, member)

static const Field forward_fields[] = {
  { "host_port", FIELD_PORT, AT (VmForward, host_port), TRUE },
  { "guest_port", FIELD_PORT, AT (VmForward, guest_port), TRUE },
  { "protocol", FIELD_WORD, AT (VmForward, protocol), FALSE, vm_protocol_words },
  { "address", FIELD_STRING, AT (VmForward, address) },
  { NULL },
};
static const FieldTable forward_table = { forward_fields, new_forward };

static const Field network_fields[] = {
  { "kind", FIELD_WORD, AT (VmNetwork, kind), TRUE, vm_network_kind_words },
  { "link", FIELD_STRING, AT (VmNetwork, link) },
  { "forwards", FIELD_LIST, AT (VmNetwork, forwards), FALSE, NULL, &forward_table },
  { NULL },
};
static const FieldTable network_table = { network_fields, new_network };

static const Field step_fields[] = {
  { "kind", FIELD_WORD, AT (VmStep, kind), TRUE, vm_step_kind_words },
  { "run", FIELD_WORD, AT (VmStep, run), FALSE, vm_run_policy_words },
  { "inline", FIELD_STRING, AT (VmStep, inline_text) },
  { "script", FIELD_STRING, AT (VmStep, script) },
  { "source", FIELD_STRING, AT (VmStep, source) },
  { "destination", FIELD_STRING, AT (VmStep, destination) },
  { NULL },
};
static const FieldTable step_table = { step_fields, new_step };

static const Field spec_fields[] = {
  { "name", FIELD_STRING, AT (VmSpec, name), TRUE },
  { "backend", FIELD_STRING, AT (VmSpec, backend), TRUE },
  { "image", FIELD_STRING, AT (VmSpec, image) },
  { "image_url", FIELD_STRING, AT (VmSpec, image_url) },
  { "checksum", FIELD_STRING, AT (VmSpec, checksum) },
  { "vcpus", FIELD_UINT, AT (VmSpec, vcpus), TRUE },
  { "memory_mib", FIELD_UINT64, AT (VmSpec, memory_mib), TRUE },
  { "disk_gib", FIELD_UINT64, AT (VmSpec, disk_gib) },
  { "uefi", FIELD_BOOL, AT (VmSpec, uefi) },
  { "accel", FIELD_WORD, AT (VmSpec, accel), FALSE, vm_accel_words },
  { "networks", FIELD_LIST, AT (VmSpec, networks), TRUE, NULL, &network_table },
  { "hostname", FIELD_STRING, AT (VmSpec, hostname), TRUE },
  { "ssh_public_key", FIELD_STRING, AT (VmSpec, ssh_public_key) },
  { "user_data", FIELD_BYTES, AT (VmSpec, user_data) },
  { "network_config", FIELD_BYTES, AT (VmSpec, network_config) },
  { "ssh_user", FIELD_STRING, AT (VmSpec, ssh_user), TRUE },
  { "private_key", FIELD_STRING, AT (VmSpec, private_key) },
  { "steps", FIELD_LIST, AT (VmSpec, steps), FALSE, NULL, &step_table },
  { NULL },
};

static JsonObject *write_object (const Field *fields, gconstpointer self);

static JsonArray *
write_list (const Field *item_fields, const GPtrArray *list)
{
  JsonArray *array = json_array_new ();
  for (guint i = 0; i < list->len; i++)
    json_array_add_object_element (array, write_object (item_fields, list->pdata[i]));
  return array;
}

static void
write_bytes (JsonObject *object, const char *name, GBytes *bytes)
{
  if (bytes == NULL)
    return;
  gsize size = 0;
  const guchar *data = g_bytes_get_data (bytes, &size);
  g_autofree char *text = g_base64_encode (data, size);
  json_object_set_string_member (object, name, text);
}

static void
write_field (JsonObject *object, const Field *field, gconstpointer at)
{
  switch (field->type) {
  case FIELD_STRING:
    if (*(char *const *) at != NULL)
      json_object_set_string_member (object, field->name, *(char *const *) at);
    break;
  case FIELD_UINT:
    json_object_set_int_member (object, field->name, *(const guint *) at);
    break;
  case FIELD_PORT:
    json_object_set_int_member (object, field->name, *(const guint16 *) at);
    break;
  case FIELD_UINT64:
    json_object_set_int_member (object, field->name, (gint64) * (const guint64 *) at);
    break;
  case FIELD_BOOL:
    json_object_set_boolean_member (object, field->name, *(const gboolean *) at);
    break;
  case FIELD_WORD:
    json_object_set_string_member (object, field->name, field->words[*(const guint *) at]);
    break;
  case FIELD_BYTES:
    write_bytes (object, field->name, *(GBytes *const *) at);
    break;
  case FIELD_LIST:
    json_object_set_array_member (object, field->name,
                                  write_list (field->items->fields, *(GPtrArray *const *) at));
    break;
  }
}

static JsonObject *
write_object (const Field *fields, gconstpointer self)
{
  JsonObject *object = json_object_new ();
  for (const Field *field = fields; field->name != NULL; field++)
    write_field (object, field, (const char *) self + field->offset);
  return object;
}

static gboolean read_object (const Field *fields, JsonNode *node, gpointer self, GError **error);

static gboolean
wrong_type (const Field *field, const char *expected, GError **error)
{
  return vm_error_set (error, VM_ERROR_STORE_FAILED, "the stored \"%s\" is not %s", field->name,
                       expected);
}

static gboolean
read_string (const Field *field, JsonNode *node, gpointer at, GError **error)
{
  const char *text =
      json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : NULL;
  if (text == NULL)
    return wrong_type (field, "a string", error);
  if (field->type == FIELD_WORD) {
    int index = vm_word_index (field->words, text);
    if (index < 0)
      return wrong_type (field, "one of its words", error);
    *(guint *) at = (guint) index;
  } else if (field->type == FIELD_BYTES) {
    gsize size = 0;
    guchar *data = g_base64_decode (text, &size);
    g_clear_pointer ((GBytes **) at, g_bytes_unref);
    *(GBytes **) at = g_bytes_new_take (data, size);
  } else {
    g_free (*(char **) at);
    *(char **) at = g_strdup (text);
  }
  return TRUE;
}

static gboolean
read_integer (const Field *field, JsonNode *node, gpointer at, GError **error)
{
  gint64 value = json_node_get_value_type (node) == G_TYPE_INT64 ? json_node_get_int (node) : -1;
  gint64 max = field->type == FIELD_PORT   ? G_MAXUINT16
               : field->type == FIELD_UINT ? G_MAXUINT
                                           : G_MAXINT64;
  if (value < 0 || value > max)
    return wrong_type (field, "a number in its range", error);
  if (field->type == FIELD_PORT)
    *(guint16 *) at = (guint16) value;
  else if (field->type == FIELD_UINT)
    *(guint *) at = (guint) value;
  else
    *(guint64 *) at = (guint64) value;
  return TRUE;
}

static gboolean
read_list (const Field *field, JsonNode *node, GPtrArray *list, GError **error)
{
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return wrong_type (field, "a list", error);
  JsonArray *array = json_node_get_array (node);
  for (guint i = 0; i < json_array_get_length (array); i++) {
    g_ptr_array_add (list, field->items->new_item ());
    if (!read_object (field->items->fields, json_array_get_element (array, i),
                      list->pdata[list->len - 1], error)) {
      g_prefix_error (error, "%s %u: ", field->name, i + 1);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
read_field (const Field *field, JsonNode *node, gpointer at, GError **error)
{
  switch (field->type) {
  case FIELD_STRING:
  case FIELD_WORD:
  case FIELD_BYTES:
    return read_string (field, node, at, error);
  case FIELD_UINT:
  case FIELD_PORT:
  case FIELD_UINT64:
    return read_integer (field, node, at, error);
  case FIELD_BOOL:
    if (json_node_get_value_type (node) != G_TYPE_BOOLEAN)
      return wrong_type (field, "true or false", error);
    *(gboolean *) at = json_node_get_boolean (node);
    return TRUE;
  case FIELD_LIST:
    return read_list (field, node, *(GPtrArray **) at, error);
  }
  g_assert_not_reached ();
}

static gboolean
read_object (const Field *fields, JsonNode *node, gpointer self, GError **error)
{
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return vm_error_set (error, VM_ERROR_STORE_FAILED, "the stored definition is not an object");
  JsonObject *object = json_node_get_object (node);
  for (const Field *field = fields; field->name != NULL; field++) {
    JsonNode *member = json_object_get_member (object, field->name);
    if (member == NULL && field->required)
      return vm_error_set (error, VM_ERROR_STORE_FAILED, "the stored definition lacks \"%s\"",
                           field->name);
    if (member != NULL && !read_field (field, member, (char *) self + field->offset, error))
      return FALSE;
  }
  return TRUE;
}

JsonNode *
vm_spec_to_json (const VmSpec *spec)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  json_node_take_object (node, write_object (spec_fields, spec));
  return node;
}

VmSpec *
vm_spec_from_json (JsonNode *node, GError **error)
{
  g_autoptr (VmSpec) spec = spec_new ();
  if (!read_object (spec_fields, node, spec, error))
    return NULL;
  return g_steal_pointer (&spec);
}
