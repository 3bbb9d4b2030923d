/* SPDX-License-Identifier: MPL-2.0 */
#include "vmfile/decode.h"

#include <string.h>

/* Looking for a near name among the VMs takes time in proportion to them; in a file with more
 * faults than this nobody sees most of the suggestions. */
#define MAX_SUGGESTIONS (2 * VM_MAX_DIAGNOSTICS)

/* ---- slips that are valid KDL ---- */

/* Text that was written without quotes stands in the source as it is. */
static gboolean
is_bare (const VmDecoder *self, const KdlValue *value)
{
  return value->kind == KDL_STRING && value->length == value->span.length &&
         memcmp (self->source + value->span.offset, value->text, value->length) == 0;
}

/* A bare word that ends in a colon right before `//`: the rest of the URL, and all that follows on
 * the line, has become a comment. A checksum would vanish without a word. @before is what is
 * written in front of the value. */
static gboolean
find_bare_url (VmDecoder *self, const char *before, const KdlValue *value)
{
  const char *after = self->source + value->span.offset + value->span.length;
  if (!is_bare (self, value) || !g_str_has_suffix (value->text, ":") ||
      !g_str_has_prefix (after, "//"))
    return FALSE;
  KdlSpan span = value->span;
  span.length += (guint32) strcspn (after, " \t\r\n");
  g_autofree char *url = vm_decoder_source (self, span);
  VmDiagnostic *fault = vm_decoder_fault (self, span, "this URL is not in quotes");
  vm_diagnostic_label (fault, "`//` and what follows on this line is a comment");
  vm_diagnostic_help (fault, "quote it: %s\"%s\"", before, url);
  return TRUE;
}

/* The length of the quotation mark, other than `"`, that @text begins with. */
static gsize
foreign_quote (const char *text)
{
  static const char *const quotes[] = { "'",      "\u201c", "\u201d", "\u201e",
                                        "\u201f", "\u2018", "\u2019", "\u201a" };
  for (gsize i = 0; i < G_N_ELEMENTS (quotes); i++)
    if (g_str_has_prefix (text, quotes[i]))
      return strlen (quotes[i]);
  return 0;
}

static gsize
foreign_quote_at_end (const char *text, gsize length)
{
  const char *last = g_utf8_find_prev_char (text, text + length);
  return last != NULL ? foreign_quote (last) : 0;
}

/* 'my web' is two bare words to KDL; all from the opening to the closing mark is one fault. */
static gboolean
find_foreign_quotes (VmDecoder *self, const KdlNode *node, guint index)
{
  const KdlValue *first = &node->args[index];
  gsize opening = is_bare (self, first) ? foreign_quote (first->text) : 0;
  if (opening == 0)
    return FALSE;
  guint last = index;
  while (last + 1 < node->n_args &&
         (first->length == opening ||
          foreign_quote_at_end (node->args[last].text, node->args[last].length) == 0))
    last++;
  gsize closing = foreign_quote_at_end (node->args[last].text, node->args[last].length);

  KdlSpan span = vm_span_join (first->span, node->args[last].span);
  VmDiagnostic *fault = vm_decoder_fault (self, span, "%s quotes are no quotes in KDL",
                                          first->text[0] == '\'' ? "single" : "curly");
  if (span.length <= opening + closing) {
    vm_diagnostic_help (fault, "use \"");
    return TRUE;
  }
  KdlSpan inner = { span.offset + (guint32) opening,
                    span.length - (guint32) opening - (guint32) closing };
  g_autofree char *text = vm_decoder_source (self, inner);
  vm_diagnostic_help (fault, "write: %s \"%s\"", node->name.text, text);
  return TRUE;
}

gboolean
vm_decoder_find_slip (VmDecoder *self, const KdlNode *node)
{
  g_autofree char *name = g_strconcat (node->name.text, " ", NULL);
  for (guint i = 0; i < node->n_args; i++)
    if (find_bare_url (self, name, &node->args[i]) || find_foreign_quotes (self, node, i))
      return TRUE;
  for (guint i = 0; i < node->n_props; i++) {
    g_autofree char *key = g_strconcat (node->props[i].key.text, "=", NULL);
    if (find_bare_url (self, key, &node->props[i].value))
      return TRUE;
  }
  return FALSE;
}

/* ---- what must be there ---- */

static gboolean
is_set (const VmBlock *block, const VmSetting *setting)
{
  return *(char *const *) ((const char *) block->target + setting->offset) != NULL;
}

/* Whether the parser may have lost something of the block: then nothing is said to be missing. */
static gboolean
is_incomplete (const VmDecoder *self, const VmBlock *block)
{
  return block->node->damaged || self->braces_differ;
}

static void
check_required (VmDecoder *self, const VmBlock *block)
{
  g_autoptr (GPtrArray) missing = g_ptr_array_new ();
  const char *example = NULL;
  for (const VmSetting *s = vm_schema (); s->name != NULL; s++) {
    if (!(s->scopes & block->scopes) || !s->required || (s->spellings & VM_AS_ARGUMENT) ||
        g_hash_table_contains (block->given, s))
      continue;
    g_ptr_array_add (missing, (gpointer) s->name);
    example = s->example;
  }
  if (missing->len == 0)
    return;
  g_ptr_array_add (missing, NULL);
  g_autofree char *names = vm_schema_join ((const char *const *) missing->pdata, "and");
  VmDiagnostic *fault = vm_decoder_fault (self, vm_node_head (block->node), "%s needs %s",
                                          vm_schema_scope_title (block->scopes), names);
  vm_diagnostic_help (fault, "for example: %s", example);
}

static void
both_given (VmDecoder *self, const VmSetting *one, const VmGiven *at_one, const VmSetting *other,
            const VmGiven *at_other)
{
  gboolean in_order = at_one->span.offset < at_other->span.offset;
  VmDiagnostic *fault = vm_decoder_fault (self, in_order ? at_other->span : at_one->span,
                                          "both `%s` and `%s` are given", one->name, other->name);
  vm_diagnostic_label (fault, "the second");
  vm_diagnostic_point (fault, in_order ? at_one->span : at_other->span, "the first");
  vm_diagnostic_help (fault, "keep one");
}

/* Exactly one of the two settings of each choice. What `defaults` says counts for its VMs. */
static void
check_choice (VmDecoder *self, const VmBlock *block, VmChoice choice)
{
  const VmSetting *settings[2] = { NULL };
  guint n = 0;
  for (const VmSetting *s = vm_schema (); s->name != NULL && n < 2; s++)
    if ((s->scopes & block->scopes) && s->choice == choice)
      settings[n++] = s;
  if (n < 2)
    return;

  const VmGiven *one = g_hash_table_lookup (block->given, settings[0]);
  const VmGiven *other = g_hash_table_lookup (block->given, settings[1]);
  if (one != NULL && other != NULL) {
    if (!one->is_guess && !other->is_guess)
      both_given (self, settings[0], one, settings[1], other);
    return;
  }
  if (one != NULL || other != NULL || is_incomplete (self, block) ||
      (block->scopes & VM_IN_DEFAULTS) || is_set (block, settings[0]) ||
      is_set (block, settings[1]))
    return;
  VmDiagnostic *fault = vm_decoder_fault (self, vm_node_head (block->node), "%s needs `%s` or `%s`",
                                          vm_schema_scope_title (block->scopes), settings[0]->name,
                                          settings[1]->name);
  vm_diagnostic_help (fault, "for example: %s", settings[0]->example);
}

static gboolean
is_given (const VmBlock *block, const char *name)
{
  return g_hash_table_contains (block->given, vm_schema_find (block->scopes, VM_AS_NODE, name));
}

/* Provisioners log in: vmctl must know a user that is there, or make one. */
static void
check_way_in (VmDecoder *self, const VmBlock *block)
{
  const VmDef *def = block->target;
  if (is_incomplete (self, block) || def->steps->len == 0 || def->has_ssh || def->has_cloud_init ||
      is_given (block, "ssh") || is_given (block, "cloud-init"))
    return;
  KdlSpan place = vm_decoder_place_of (self, def->steps->pdata[0]);
  VmDiagnostic *last = self->no_way_in;
  if (last != NULL && last->primary.span.offset == place.offset) {
    vm_diagnostic_point (last, vm_node_head (block->node), "nor in this one");
    return;
  }
  VmDiagnostic *fault = vm_decoder_fault (
      self, place, "a provisioner needs `ssh` or `cloud-init` in its vm to log in");
  self->no_way_in = fault;
  vm_diagnostic_point (fault, vm_node_head (block->node), "neither is in this vm");
  vm_diagnostic_help (fault,
                      "add cloud-init { } if the image has cloud-init, else for example: ssh "
                      "{ user \"debian\" }");
}

/* `network "none"` leaves no room for another network, nor for provisioners. */
static void
check_no_network (VmDecoder *self, const VmDef *def)
{
  for (guint i = 0; i < def->networks->len; i++) {
    const VmNetwork *network = def->networks->pdata[i];
    if (network->kind != VM_NETWORK_NONE)
      continue;
    KdlSpan place = vm_decoder_place_of (self, network);
    if (def->networks->len > 1) {
      const VmNetwork *other = def->networks->pdata[i == 0 ? 1 : 0];
      VmDiagnostic *fault = vm_decoder_fault (self, place, "this vm has a network after all");
      vm_diagnostic_label (fault, "says that there is none");
      vm_diagnostic_point (fault, vm_decoder_place_of (self, other), "another network");
      vm_diagnostic_help (fault, "keep one of the two");
    } else if (def->steps->len > 0) {
      VmDiagnostic *fault =
          vm_decoder_fault (self, vm_decoder_place_of (self, def->steps->pdata[0]),
                            "a provisioner needs a network to reach its vm");
      vm_diagnostic_point (fault, place, "there is none");
      vm_diagnostic_help (fault, "network \"isolated\" lets vmctl in and nothing out");
    }
    return;
  }
}

void
vm_decoder_check_block (VmDecoder *self, const VmBlock *block)
{
  if (block->scopes == 0 || !vm_block_is_kind_known (block))
    return;
  if (!is_incomplete (self, block))
    check_required (self, block);
  check_choice (self, block, VM_CHOICE_IMAGE);
  check_choice (self, block, VM_CHOICE_COMMAND);
  if (block->scopes == VM_IN_VM) {
    check_way_in (self, block);
    check_no_network (self, block->target);
  }
}

/* ---- the VMs together ---- */

/* The second place of @thing, and all later ones, join one fault: *@faults maps the first thing to
 * it. Returns the fault if it is new. */
static VmDiagnostic *
repeat (VmDecoder *self, GHashTable *faults, gpointer first, gconstpointer thing,
        const char *message)
{
  KdlSpan place = vm_decoder_place_of (self, thing);
  VmDiagnostic *fault = g_hash_table_lookup (faults, first);
  if (fault != NULL) {
    vm_diagnostic_point (fault, place, "and here");
    return NULL;
  }
  fault = vm_decoder_fault (self, place, "%s", message);
  vm_diagnostic_label (fault, "again here");
  vm_diagnostic_point (fault, vm_decoder_place_of (self, first), "first given here");
  g_hash_table_insert (faults, first, fault);
  return fault;
}

/* Returns the VMs by name; the first of those that share one. */
static GHashTable *
check_names (VmDecoder *self)
{
  g_autoptr (GHashTable) faults = g_hash_table_new (NULL, NULL);
  GHashTable *by_name = g_hash_table_new (g_str_hash, g_str_equal);
  for (guint i = 0; i < self->file->vms->len; i++) {
    VmDef *def = self->file->vms->pdata[i];
    VmDef *first = def->name != NULL ? g_hash_table_lookup (by_name, def->name) : NULL;
    if (first == NULL && def->name != NULL)
      g_hash_table_insert (by_name, def->name, def);
    if (first == NULL)
      continue;
    g_autofree char *message = g_strdup_printf ("vm `%s` is given twice", def->name);
    VmDiagnostic *fault = repeat (self, faults, first, def, message);
    if (fault != NULL)
      vm_diagnostic_help (fault, "give each vm a name of its own");
  }
  return by_name;
}

/* A VM named in the `depends-on` of `defaults` does not depend on itself; a name given twice counts
 * once. */
static void
tidy_dependencies (VmDecoder *self, VmDef *def)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  guint n_inherited = self->defaults != NULL ? self->defaults->depends_on->len : 0;
  guint kept = 0;
  for (guint i = 0; i < def->depends_on->len; i++) {
    char *name = def->depends_on->pdata[i];
    gboolean is_own = i < n_inherited && g_strcmp0 (name, def->name) == 0;
    if (is_own || g_hash_table_contains (seen, name)) {
      g_free (name);
      continue;
    }
    g_hash_table_add (seen, name);
    def->depends_on->pdata[kept++] = name;
  }
  /* The rest of the array has moved up or is freed: it must not be freed again. */
  for (guint i = kept; i < def->depends_on->len; i++)
    def->depends_on->pdata[i] = NULL;
  g_ptr_array_set_size (def->depends_on, (int) kept);
}

static void
unknown_dependency (VmDecoder *self, const char *name, GHashTable *by_name)
{
  VmDiagnostic *fault = vm_decoder_fault (self, vm_decoder_place_of (self, name),
                                          "there is no vm `%s` in this file", name);
  vm_diagnostic_help (fault, "`depends-on` names vms of the same file");
  if (self->diagnostics->list->len > MAX_SUGGESTIONS)
    return;
  g_autofree const char **names = (const char **) g_hash_table_get_keys_as_array (by_name, NULL);
  const char *meant = vm_did_you_mean (name, names);
  if (meant != NULL)
    vm_diagnostic_help (fault, "did you mean `%s`?", meant);
}

/* Whether the file may hold VMs whose names the decoder could not make out. */
static gboolean
has_lost_names (const VmDecoder *self)
{
  gboolean is_lost = self->braces_differ;
  for (guint i = 0; i < self->file->vms->len; i++)
    is_lost = is_lost || ((const VmDef *) self->file->vms->pdata[i])->name == NULL;
  return is_lost;
}

static void
check_dependencies (VmDecoder *self, const VmDef *def, GHashTable *by_name)
{
  for (guint i = 0; i < def->depends_on->len; i++)
    if (!g_hash_table_contains (by_name, def->depends_on->pdata[i]))
      unknown_dependency (self, def->depends_on->pdata[i], by_name);
}

/* Where @def says that it depends on @needed. */
static KdlSpan
dependency_place (const VmDecoder *self, const VmDef *def, const VmDef *needed)
{
  for (guint i = 0; i < def->depends_on->len; i++)
    if (strcmp (def->depends_on->pdata[i], needed->name) == 0)
      return vm_decoder_place_of (self, def->depends_on->pdata[i]);
  g_assert_not_reached ();
}

static void
cycle_found (GPtrArray *cycle, gpointer data)
{
  VmDecoder *self = data;
  GString *path = g_string_new (NULL);
  for (guint i = 0; i < cycle->len; i++)
    g_string_append_printf (path, "%s → ", ((const VmDef *) cycle->pdata[i])->name);
  const VmDef *first = cycle->pdata[0];
  g_autofree char *circle = g_string_free (g_string_append (path, first->name), FALSE);

  VmDiagnostic *fault = NULL;
  for (guint i = 0; i < cycle->len; i++) {
    const VmDef *def = cycle->pdata[i];
    const VmDef *needed = cycle->pdata[(i + 1) % cycle->len];
    KdlSpan place = dependency_place (self, def, needed);
    if (fault != NULL) {
      vm_diagnostic_point (fault, place, "`%s` waits for `%s`", def->name, needed->name);
      continue;
    }
    if (cycle->len == 1) {
      fault = vm_decoder_fault (self, place, "vm `%s` depends on itself", def->name);
      vm_diagnostic_help (fault, "remove it");
      return;
    }
    fault = vm_decoder_fault (self, place, "`depends-on` goes in a circle: %s", circle);
    vm_diagnostic_label (fault, "`%s` waits for `%s`", def->name, needed->name);
    vm_diagnostic_help (fault, "remove one of them");
  }
}

/* ---- host ports ---- */

typedef struct {
  GHashTable *by_key; /* "tcp 8080" and "tcp 8080 127.0.0.1" → the first VmForward */
  GHashTable *faults;
} Ports;

static VmForward *
port_lookup (const Ports *ports, const VmForward *forward, const char *address)
{
  g_autofree char *key = g_strdup_printf ("%s %u %s", vm_protocol_words[forward->protocol],
                                          forward->host_port, address);
  return g_hash_table_lookup (ports->by_key, key);
}

static void
port_insert (Ports *ports, VmForward *forward, const char *address)
{
  char *key = g_strdup_printf ("%s %u %s", vm_protocol_words[forward->protocol], forward->host_port,
                               address);
  if (g_hash_table_contains (ports->by_key, key))
    g_free (key);
  else
    g_hash_table_insert (ports->by_key, key, forward);
}

/* Two forwards exclude each other when they share port, protocol and address; 0.0.0.0 shares all.
 */
static void
check_forward (VmDecoder *self, Ports *ports, VmForward *forward)
{
  gboolean is_any = strcmp (forward->address, "0.0.0.0") == 0;
  VmForward *first = port_lookup (ports, forward, is_any ? "" : forward->address);
  if (first == NULL)
    first = port_lookup (ports, forward, "0.0.0.0");
  if (first == NULL) {
    port_insert (ports, forward, "");
    port_insert (ports, forward, forward->address);
    return;
  }
  KdlSpan place = vm_decoder_place_of (self, forward);
  gboolean is_inherited = place.offset == vm_decoder_place_of (self, first).offset;
  if (is_inherited && g_hash_table_contains (ports->faults, first))
    return;
  g_autofree char *message =
      g_strdup_printf ("host port %u is forwarded twice", forward->host_port);
  if (!is_inherited) {
    VmDiagnostic *fault = repeat (self, ports->faults, first, forward, message);
    if (fault != NULL)
      vm_diagnostic_help (fault, "take another host port, such as %u",
                          forward->host_port < G_MAXUINT16 ? forward->host_port + 1u : 1024u);
    return;
  }
  VmDiagnostic *fault = vm_decoder_fault (self, place, "%s", message);
  vm_diagnostic_label (fault, "more than one vm has it from `defaults`");
  vm_diagnostic_help (fault, "move it into the vm that it is for");
  g_hash_table_insert (ports->faults, first, fault);
}

static void
check_ports (VmDecoder *self)
{
  g_autoptr (GHashTable) by_key = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) faults = g_hash_table_new (NULL, NULL);
  Ports ports = { by_key, faults };
  for (guint i = 0; i < self->file->vms->len; i++) {
    const VmDef *def = self->file->vms->pdata[i];
    for (guint j = 0; j < def->networks->len; j++) {
      const VmNetwork *network = def->networks->pdata[j];
      for (guint k = 0; k < network->forwards->len; k++) {
        VmForward *forward = network->forwards->pdata[k];
        if (forward->host_port > 0)
          check_forward (self, &ports, forward);
      }
    }
  }
}

void
vm_decoder_check_file (VmDecoder *self)
{
  g_autoptr (GHashTable) by_name = check_names (self);
  gboolean is_complete = !has_lost_names (self);
  for (guint i = 0; i < self->file->vms->len; i++) {
    tidy_dependencies (self, self->file->vms->pdata[i]);
    if (is_complete)
      check_dependencies (self, self->file->vms->pdata[i], by_name);
  }
  g_ptr_array_unref (vm_defs_sort (self->file->vms, cycle_found, self)); /* for its faults alone */
  check_ports (self);
}
