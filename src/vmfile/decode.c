/* SPDX-License-Identifier: MPL-2.0 */
#include "vmfile/decode.h"

#include <string.h>

/* How much of the user's own text is repeated, in characters: to say what is meant, and to be
 * copied from a help line. */
#define QUOTE_LENGTH 60
#define SOURCE_LENGTH 240

static void decode_node (VmDecoder *self, VmBlock *block, const KdlNode *node);

/* ---- helpers of all three files ---- */

VmDiagnostic *
vm_decoder_fault (VmDecoder *self, KdlSpan span, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  return vm_diagnostics_add (self->diagnostics, VM_ERROR_VMFILE_VALIDATION, span, "%s", message);
}

void
vm_decoder_place (VmDecoder *self, gconstpointer thing, KdlSpan span)
{
  g_hash_table_insert (self->places, (gpointer) thing, g_memdup2 (&span, sizeof span));
}

KdlSpan
vm_decoder_place_of (const VmDecoder *self, gconstpointer thing)
{
  const KdlSpan *span = g_hash_table_lookup (self->places, thing);
  return span != NULL ? *span : (KdlSpan){ 0 };
}

static char *
shorten (const char *text, glong length)
{
  if (g_utf8_strlen (text, -1) <= length)
    return g_strdup (text);
  g_autofree char *start = g_utf8_substring (text, 0, length);
  return g_strconcat (start, "…", NULL);
}

char *
vm_decoder_quote (const char *text)
{
  return shorten (text, QUOTE_LENGTH);
}

char *
vm_decoder_source (const VmDecoder *self, KdlSpan span)
{
  g_autofree char *text = g_strndup (self->source + span.offset, span.length);
  return shorten (text, SOURCE_LENGTH);
}

KdlSpan
vm_span_join (KdlSpan from, KdlSpan to)
{
  return (KdlSpan){ from.offset, to.offset + to.length - from.offset };
}

KdlSpan
vm_node_head (const KdlNode *node)
{
  return node->n_args > 0 ? vm_span_join (node->name.span, node->args[node->n_args - 1].span)
                          : node->name.span;
}

/* ---- what was given ---- */

static void
give (VmBlock *block, const VmSetting *setting, KdlSpan span, gboolean is_guess)
{
  VmGiven *given = g_new0 (VmGiven, 1);
  given->span = span;
  given->is_guess = is_guess;
  g_hash_table_insert (block->given, (gpointer) setting, given);
}

/* Notes that @setting was written at @span; a repetition is a fault with all its places. */
static void
note_given (VmDecoder *self, VmBlock *block, const VmSetting *setting, KdlSpan span)
{
  VmGiven *given = g_hash_table_lookup (block->given, setting);
  if (given == NULL || given->is_guess) {
    give (block, setting, span, FALSE);
  } else if (setting->repeatable) {
    return;
  } else if (given->repeated != NULL) {
    vm_diagnostic_point (given->repeated, span, "and here");
  } else {
    given->repeated = vm_decoder_fault (self, span, "`%s` is given twice", setting->name);
    vm_diagnostic_label (given->repeated, "again here");
    vm_diagnostic_point (given->repeated, given->span, "first given here");
    vm_diagnostic_help (given->repeated, "remove one");
  }
}

static void
note_guess (VmBlock *block, const VmSetting *setting, KdlSpan span)
{
  if (!g_hash_table_contains (block->given, setting))
    give (block, setting, span, TRUE);
}

/* ---- unknown names ---- */

gboolean
vm_block_is_kind_known (const VmBlock *block)
{
  return (block->scopes & (block->scopes - 1)) == 0;
}

/* All that @scopes know in @spellings, for a help line; NULL when that is nothing. */
static char *
known_names (guint scopes, guint spellings)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  for (const VmSetting *s = vm_schema (); s->name != NULL; s++)
    if ((s->scopes & scopes) && (s->spellings & spellings))
      g_ptr_array_add (names, (gpointer) s->name);
  g_ptr_array_add (names, NULL);
  return names->len > 1 ? vm_schema_join ((const char *const *) names->pdata, "and") : NULL;
}

static void
help_with_place (VmDiagnostic *fault, const VmSetting *elsewhere)
{
  const char *name = elsewhere->name;
  if (elsewhere->scopes & VM_IN_FILE)
    vm_diagnostic_help (fault, "`%s` belongs at the top level of the file", name);
  else if (elsewhere->spellings & VM_AS_NODE)
    vm_diagnostic_help (fault, "`%s` belongs into `%s`", name,
                        vm_schema_scope_form (elsewhere->scopes));
  else
    vm_diagnostic_help (fault, "`%s` is a property: %s", name, elsewhere->example);
}

/* `vcpus: 2`: a node with a colon in its name to KDL. */
static gboolean
find_assignment (VmDecoder *self, VmBlock *block, const KdlNode *node)
{
  const char *written = self->source + node->name.span.offset;
  const char *colon = memchr (written, ':', node->name.span.length);
  if (colon == NULL)
    return FALSE;
  g_autofree char *name = g_strndup (written, (gsize) (colon - written));
  const VmSetting *setting = vm_schema_find (block->scopes, VM_AS_NODE, name);
  if (setting == NULL)
    setting = vm_schema_suggest (block->scopes, VM_AS_NODE, name);
  if (setting == NULL)
    return FALSE;

  guint32 offset = node->name.span.offset + (guint32) (colon - written);
  VmDiagnostic *fault = vm_decoder_fault (self, (KdlSpan){ offset, 1 },
                                          "`%s` is a node, not an assignment", setting->name);
  KdlSpan head = vm_node_head (node);
  KdlSpan value = { offset + 1, head.offset + head.length - offset - 1 };
  g_autofree char *text = g_strstrip (vm_decoder_source (self, value));
  if (text[0] != '\0')
    vm_diagnostic_help (fault, "write: %s %s", setting->name, text);
  else
    vm_diagnostic_help (fault, "for example: %s", setting->example);
  note_guess (block, setting, node->name.span);
  return TRUE;
}

static void
unknown_node (VmDecoder *self, VmBlock *block, const KdlNode *node)
{
  if (!vm_block_is_kind_known (block) || find_assignment (self, block, node))
    return;
  g_autofree char *name = g_strndup (node->name.text, strcspn (node->name.text, ":"));
  const VmSetting *elsewhere = vm_schema_find (~block->scopes, VM_AS_NODE | VM_AS_PROPERTY, name);
  if (elsewhere != NULL && self->braces_differ)
    return;
  g_autofree char *shown = vm_decoder_quote (elsewhere != NULL ? name : node->name.text);
  VmDiagnostic *fault = vm_decoder_fault (self, node->name.span, "unknown setting `%s`", shown);
  vm_diagnostic_label (fault, "not known in %s", vm_schema_scope_title (block->scopes));

  const VmSetting *meant = vm_schema_suggest (block->scopes, VM_AS_NODE, node->name.text);
  g_autofree char *known = known_names (block->scopes, VM_AS_NODE);
  if (elsewhere != NULL) {
    help_with_place (fault, elsewhere);
  } else if (meant != NULL) {
    vm_diagnostic_help (fault, "did you mean `%s`?", meant->name);
    note_guess (block, meant, node->name.span);
  } else {
    vm_diagnostic_help (fault, "%s can hold %s", vm_schema_scope_title (block->scopes), known);
  }
}

/* @parent is the block around @node, @inside the node's own. */
static void
unknown_property (VmDecoder *self, const VmBlock *parent, VmBlock *inside, const KdlNode *node,
                  const KdlProperty *property)
{
  const char *key = property->key.text;
  g_autofree char *shown = vm_decoder_quote (key);
  g_autofree char *value = vm_decoder_source (self, property->value.span);
  VmDiagnostic *fault = vm_decoder_fault (self, property->key.span, "unknown property `%s`", shown);
  vm_diagnostic_label (fault, "not known on `%s`", node->name.text);

  const VmSetting *meant = vm_schema_suggest (inside->scopes, VM_AS_PROPERTY, key);
  const VmSetting *elsewhere = vm_schema_find (~0u, VM_AS_PROPERTY, key);
  g_autofree char *known = known_names (inside->scopes, VM_AS_PROPERTY);
  if (vm_schema_find (inside->scopes, VM_AS_NODE, key) != NULL) {
    g_autofree char *head = vm_decoder_source (self, vm_node_head (node));
    vm_diagnostic_help (fault, "write it in the block: %s { %s %s }", head, key, value);
    note_guess (inside, vm_schema_find (inside->scopes, VM_AS_NODE, key), property->key.span);
  } else if (meant != NULL) {
    vm_diagnostic_help (fault, "did you mean `%s`?", meant->name);
    note_guess (inside, meant, property->key.span);
  } else if (vm_schema_find (parent->scopes, VM_AS_NODE, key) != NULL) {
    vm_diagnostic_help (fault, "write it as a node of its own: %s %s", key, value);
  } else if (elsewhere != NULL) {
    help_with_place (fault, elsewhere);
  } else if (known != NULL) {
    vm_diagnostic_help (fault, "`%s` can have %s", node->name.text, known);
  } else {
    vm_diagnostic_help (fault, "`%s` takes no properties", node->name.text);
  }
}

static void
refuse_annotation (VmDecoder *self, const KdlString *type)
{
  if (type == NULL)
    return;
  g_autofree char *shown = vm_decoder_quote (type->text);
  VmDiagnostic *fault =
      vm_decoder_fault (self, type->span, "type annotations mean nothing in a VMFile");
  vm_diagnostic_help (fault, "remove (%s)", shown);
}

/* ---- arguments ---- */

static void
missing_argument (VmDecoder *self, const VmSetting *setting, const VmSetting *missing,
                  const KdlNode *node)
{
  if (node->damaged)
    return;
  VmDiagnostic *fault =
      missing == setting
          ? vm_decoder_fault (self, node->name.span, "`%s` needs a value", setting->name)
          : vm_decoder_fault (self, vm_node_head (node), "a %s needs a %s", setting->name,
                              missing->name);
  vm_diagnostic_help (fault, "for example: %s", missing->example);
}

/* Says what the arguments behind the @n that @setting takes were probably meant to be. */
static void
help_with_surplus (VmDecoder *self, VmDiagnostic *fault, const VmSetting *setting,
                   const KdlNode *node, guint n)
{
  const KdlValue *first = &node->args[n];
  KdlSpan rest = vm_span_join (first->span, node->args[node->n_args - 1].span);
  gboolean is_text = setting->takes == VM_TAKES_TEXT || setting->takes == VM_TAKES_PATH;
  if (first->kind == KDL_STRING && vm_schema_find (setting->opens, VM_AS_NODE, first->text)) {
    g_autofree char *text = vm_decoder_source (self, rest);
    vm_diagnostic_help (fault, "write it in the block: %s { %s }", setting->name, text);
  } else if (is_text && self->source[node->args[0].span.offset] != '"') {
    g_autofree char *text = vm_decoder_source (self, vm_span_join (node->args[0].span, rest));
    vm_diagnostic_help (fault, "if it is one text, quote it: %s \"%s\"", setting->name, text);
  } else {
    vm_diagnostic_help (fault, "for example: %s", setting->example);
  }
}

static void
surplus_arguments (VmDecoder *self, const VmBlock *parent, const VmSetting *setting,
                   const KdlNode *node, guint n)
{
  static const char *const takes[] = { "no value", "one value", "two values" };
  const KdlValue *first = &node->args[n];
  KdlSpan rest = vm_span_join (first->span, node->args[node->n_args - 1].span);
  gboolean is_sibling =
      first->kind == KDL_STRING && vm_schema_find (parent->scopes, VM_AS_NODE, first->text) != NULL;
  VmDiagnostic *fault = vm_decoder_fault (self, is_sibling ? first->span : rest, "`%s` takes %s",
                                          setting->name, takes[n]);
  if (is_sibling) {
    vm_diagnostic_label (fault, "this is read as one more value of `%s`", setting->name);
    vm_diagnostic_help (fault, "did you forget `;` before %s?", first->text);
    return;
  }
  vm_diagnostic_label (fault, "too much");
  help_with_surplus (self, fault, setting, node, n);
}

static gboolean
read_argument (VmDecoder *self, const VmSetting *setting, VmSpelling spelling, const KdlNode *node,
               guint index, gpointer target)
{
  VmReading reading = { setting, spelling, node->name.text, &node->args[index] };
  refuse_annotation (self, node->args[index].type);
  return vm_decoder_read (self, &reading, (char *) target + setting->offset);
}

/* The value of a setting that is a node: one, or for lists one and more. */
static void
decode_value (VmDecoder *self, const VmBlock *parent, const VmSetting *setting, const KdlNode *node)
{
  guint n = setting->takes == VM_TAKES_VM_NAMES ? node->n_args : 1;
  if (node->n_args == 0)
    missing_argument (self, setting, setting, node);
  for (guint i = 0; i < MIN (n, node->n_args); i++)
    read_argument (self, setting, VM_AS_NODE, node, i, parent->target);
  if (node->n_args > n)
    surplus_arguments (self, parent, setting, node, n);
}

/* The words between a block's name and its `{`. The one that says of which kind the block is picks
 * the scope; without it, or when it is wrong, all kinds stay possible. */
static void
decode_head (VmDecoder *self, const VmBlock *parent, const VmSetting *setting, const KdlNode *node,
             VmBlock *inside)
{
  const VmSetting *argument;
  gboolean is_sound = TRUE;
  guint n = 0;
  for (; (argument = vm_schema_argument (setting, n)) != NULL; n++) {
    gboolean is_kind = argument->takes == VM_TAKES_WORD;
    guint first = setting->opens & -setting->opens;
    if (n >= node->n_args) {
      if (argument->required && is_sound)
        missing_argument (self, setting, argument, node);
      is_sound = FALSE;
      if (is_kind && !argument->required && !node->damaged)
        inside->scopes = first;
    } else if (!read_argument (self, argument, VM_AS_ARGUMENT, node, n, inside->target)) {
      is_sound = FALSE;
    } else if (is_kind) {
      guint kind = *(const guint *) ((const char *) inside->target + argument->offset);
      inside->scopes = first << kind;
    }
  }
  if (node->n_args > n)
    surplus_arguments (self, parent, setting, node, n);
}

/* ---- properties and children ---- */

static void
decode_properties (VmDecoder *self, const VmBlock *parent, VmBlock *inside, const KdlNode *node)
{
  for (guint i = 0; i < node->n_props; i++) {
    const KdlProperty *property = &node->props[i];
    const VmSetting *setting = vm_schema_find (inside->scopes, VM_AS_PROPERTY, property->key.text);
    if (setting == NULL && vm_block_is_kind_known (inside))
      unknown_property (self, parent, inside, node, property);
    if (setting == NULL)
      continue;
    note_given (self, inside, setting, property->key.span);
    refuse_annotation (self, property->value.type);
    VmReading reading = { setting, VM_AS_PROPERTY, node->name.text, &property->value };
    vm_decoder_read (self, &reading, (char *) inside->target + setting->offset);
  }
}

static void
decode_children (VmDecoder *self, VmBlock *inside, const KdlNode *node)
{
  if (node->block.length > 0 && !vm_schema_has_nodes (inside->scopes)) {
    KdlSpan brace = { node->block.offset, 1 };
    VmDiagnostic *fault = vm_decoder_fault (self, brace, "`%s` takes no block", node->name.text);
    vm_diagnostic_help (fault, "remove it");
    return;
  }
  for (const KdlNode *child = node->children; child != NULL; child = child->next)
    decode_node (self, inside, child);
}

/* ---- what `defaults` hands down ---- */

static void
inherit_places (VmDecoder *self, const GPtrArray *from, const GPtrArray *to)
{
  for (guint i = 0; i < from->len; i++)
    vm_decoder_place (self, to->pdata[i], vm_decoder_place_of (self, from->pdata[i]));
}

/* A VM that says nothing yet but what `defaults` says. */
static VmDef *
new_vm (VmDecoder *self)
{
  if (self->defaults == NULL)
    return vm_def_new (NULL);
  VmDef *def = vm_def_copy (self->defaults);
  inherit_places (self, self->defaults->steps, def->steps);
  inherit_places (self, self->defaults->depends_on, def->depends_on);
  for (guint i = 0; i < def->networks->len; i++) {
    const VmNetwork *from = self->defaults->networks->pdata[i];
    const VmNetwork *to = def->networks->pdata[i];
    inherit_places (self, from->forwards, to->forwards);
  }
  return def;
}

static void
clear_text (gpointer target, const VmSetting *setting)
{
  g_clear_pointer ((char **) ((char *) target + setting->offset), g_free);
}

/* The first image that a VM names replaces that of `defaults`, checksum included. */
static void
clear_choice (const VmBlock *block, const VmSetting *setting)
{
  for (const VmSetting *s = vm_schema (); s->name != NULL; s++) {
    if (!(s->scopes & block->scopes) || s->choice != setting->choice)
      continue;
    if (g_hash_table_contains (block->given, s))
      return;
  }
  for (const VmSetting *s = vm_schema (); s->name != NULL; s++) {
    gboolean is_rival = (s->scopes & block->scopes) && s->choice == setting->choice;
    if (is_rival || (s->scopes & setting->opens))
      clear_text (block->target, s);
  }
}

/* ---- nodes ---- */

static gpointer
make_vm (VmDecoder *self, const VmSetting *setting, const KdlNode *node)
{
  gboolean is_defaults = setting->opens == VM_IN_DEFAULTS;
  if (is_defaults && self->defaults != NULL)
    return self->defaults;
  VmDef *def = new_vm (self);
  vm_decoder_place (self, def, node->n_args > 0 ? node->args[0].span : node->name.span);
  if (is_defaults)
    self->defaults = def;
  else
    g_ptr_array_add (self->file->vms, def);
  return def;
}

/* The struct that the settings inside @node fill: a new one in its place, or that of the block
 * around. */
static gpointer
make_target (VmDecoder *self, const VmBlock *block, const VmSetting *setting, const KdlNode *node)
{
  VmDef *def = block->target;
  VmNetwork *network = block->target;
  gpointer made = NULL;
  switch (setting->makes) {
  case VM_MAKES_NOTHING:
    return block->target;
  case VM_MAKES_VM:
    return make_vm (self, setting, node);
  case VM_MAKES_NETWORK:
    if (!g_hash_table_contains (block->given, setting))
      g_ptr_array_set_size (def->networks, 0);
    g_ptr_array_add (def->networks, made = vm_network_new (VM_NETWORK_USER));
    break;
  case VM_MAKES_FORWARD:
    g_ptr_array_add (network->forwards, made = vm_forward_new (0, 0));
    break;
  case VM_MAKES_STEP:
    g_ptr_array_add (def->steps, made = vm_step_new (VM_STEP_SHELL));
    break;
  }
  vm_decoder_place (self, made, vm_node_head (node));
  return made;
}

static void
decode_inside (VmDecoder *self, const VmBlock *block, const VmSetting *setting, const KdlNode *node,
               gpointer target)
{
  g_autoptr (GHashTable) given = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  VmBlock inside = { setting->opens, target, node, given };
  gboolean is_slip = vm_decoder_find_slip (self, node);
  gboolean has_value = setting->takes != VM_TAKES_BLOCK && setting->takes != VM_TAKES_PRESENCE;
  if (!is_slip && has_value)
    decode_value (self, block, setting, node);
  else if (!is_slip)
    decode_head (self, block, setting, node, &inside);
  if (setting->takes == VM_TAKES_PRESENCE)
    *(gboolean *) ((char *) target + setting->offset) = TRUE;
  if (!is_slip)
    decode_properties (self, block, &inside, node);
  decode_children (self, &inside, node);
  vm_decoder_check_block (self, &inside);
}

static void
decode_node (VmDecoder *self, VmBlock *block, const KdlNode *node)
{
  const VmSetting *setting = vm_schema_find (block->scopes, VM_AS_NODE, node->name.text);
  if (setting == NULL) {
    unknown_node (self, block, node);
    return;
  }
  refuse_annotation (self, node->type);
  if (setting->choice != VM_CHOICE_NONE)
    clear_choice (block, setting);
  gpointer target = make_target (self, block, setting, node);
  note_given (self, block, setting, node->name.span);
  decode_inside (self, block, setting, node, target);
}

/* ---- the file ---- */

static gboolean
is_defaults (const KdlNode *node)
{
  const VmSetting *setting = vm_schema_find (VM_IN_FILE, VM_AS_NODE, node->name.text);
  return setting != NULL && setting->opens == VM_IN_DEFAULTS;
}

/* Whether the parser found a brace too many or too few. */
static gboolean
has_brace_fault (const VmDecoder *self)
{
  guint n = 0;
  const KdlDiagnostic *faults = kdl_document_diagnostics (self->diagnostics->doc, &n);
  for (guint i = 0; i < n; i++)
    if (faults[i].span.length == 1 && strchr ("{}", self->source[faults[i].span.offset]) != NULL)
      return TRUE;
  return FALSE;
}

/* `defaults` holds for all VMs, also for those above it: it is decoded first. */
static void
decode_file (VmDecoder *self, const KdlNode *nodes)
{
  g_autoptr (GHashTable) given = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  VmBlock block = { .scopes = VM_IN_FILE, .given = given };
  for (const KdlNode *node = nodes; node != NULL; node = node->next)
    if (is_defaults (node))
      decode_node (self, &block, node);
  for (const KdlNode *node = nodes; node != NULL; node = node->next)
    if (!is_defaults (node))
      decode_node (self, &block, node);

  const VmSetting *vm = vm_schema_find (VM_IN_FILE, VM_AS_NODE, "vm");
  guint n_parser_faults = 0;
  kdl_document_diagnostics (self->diagnostics->doc, &n_parser_faults);
  if (g_hash_table_contains (given, vm) || n_parser_faults > 0)
    return;
  VmDiagnostic *fault = vm_decoder_fault (self, (KdlSpan){ 0 }, "there is no vm in this file");
  vm_diagnostic_help (fault, "for example: %s", vm->example);
}

VmFile *
vm_file_decode (const char *path, KdlDocument *doc, VmDiagnostics **out_diagnostics)
{
  g_autoptr (VmDiagnostics) diagnostics = vm_diagnostics_new (path, doc);
  g_autoptr (GHashTable) places = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  g_autoptr (VmFile) file = g_new0 (VmFile, 1);
  file->path = g_strdup (path);
  file->vms = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_def_free);
  file->read_as_kdl1 = kdl_document_fell_back (doc);

  VmDecoder self = { .file = file, .diagnostics = diagnostics, .places = places };
  gsize size = 0;
  self.source = kdl_document_source (doc, &size);
  self.is_kdl1 = kdl_document_version (doc) == KDL_VERSION_1;
  self.braces_differ = has_brace_fault (&self);
  vm_diagnostics_add_kdl (diagnostics);
  decode_file (&self, kdl_document_nodes (doc));
  vm_decoder_check_file (&self);
  vm_def_free (self.defaults);
  if (vm_diagnostics_count (diagnostics) == 0)
    return g_steal_pointer (&file);
  vm_diagnostics_finish (diagnostics);
  *out_diagnostics = g_steal_pointer (&diagnostics);
  return NULL;
}
