/* SPDX-License-Identifier: MPL-2.0 */

#include "kdl/parser.h"

#include <string.h>

static KdlFrame *
current_frame (KdlParser *p)
{
  return &p->frames[p->depth];
}

static void
set_span_end (const KdlParser *p, KdlSpan *span, const char *end)
{
  span->length = (guint32) (end - p->source) - span->offset;
}

/* --- Recovery --------------------------------------------------------------------------------- */

/* Skips a string in quotes, so that braces inside do not count; a quote that is not closed on its
 * line is skipped as any other character, and so are all later ones of that line (looking for the
 * end of each would take quadratic time). */
static void
skip_unread_string (KdlParser *p)
{
  const char *at = p->at + 1;

  p->at = at;
  if (at <= p->no_string_before)
    return;
  while (at < p->end && *at != '"' && *at != '\n' && *at != '\r')
    at += *at == '\\' && at + 1 < p->end ? 2 : 1;
  if (*at == '"')
    p->at = at + 1;
  else
    p->no_string_before = at;
}

/* `# …`, which many other formats have as a comment. */
static gboolean
is_hash_comment (const KdlParser *p)
{
  return p->at[0] == '#' && strchr (" \t\r\n#", p->at[1]) != NULL;
}

/* Goes on to where the faulty node ends, or its block begins. */
static void
skip_to_node_end (KdlParser *p)
{
  while (p->at < p->end) {
    if (strchr (";{}", *p->at) != NULL && *p->at != '\0')
      return;
    if (kdl_char_at (p->at, p->classes).class & KDL_CLASS_NEWLINE)
      return;
    if ((p->at[0] == '/' && p->at[1] == '/') || is_hash_comment (p))
      kdl_skip_line_comment (p);
    else if (*p->at == '"')
      skip_unread_string (p);
    else if (!kdl_skip_node_space (p))
      p->at += kdl_char_at (p->at, p->classes).length;
  }
}

/* --- Entries ---------------------------------------------------------------------------------- */

/* Takes the `=` after a property's key; *spaced tells whether there was space before what is at
 * `at` now. KDL 1 allows none around `=`. */
static gboolean
take_equals (KdlParser *p, gboolean *spaced)
{
  if (p->version == KDL_VERSION_2)
    *spaced = kdl_skip_node_space (p);
  if (*p->at != '=')
    return FALSE;
  p->at++;
  if (p->version == KDL_VERSION_2)
    kdl_skip_node_space (p);
  return TRUE;
}

static gboolean
read_property (KdlParser *p, const char *start, const KdlValue *key, KdlProperty *out)
{
  if (key->type != NULL)
    return kdl_fault (p, KDL_FAULT_TYPE_ON_KEY, start, p->token_end);
  *out = (KdlProperty){ .key = { key->text, key->span, key->length } };
  p->key = p->token;
  p->key_end = p->token_end;
  if (!kdl_read_type (p, &out->value.type) || !kdl_read_value (p, FALSE, &out->value))
    return FALSE;
  p->key = NULL;
  return TRUE;
}

/* Reads an argument or a property and the space after it. */
static gboolean
read_entry (KdlParser *p, KdlNode *node, gboolean discarded, gboolean *spaced)
{
  const char *start = p->at;
  KdlProperty property;
  KdlValue value = { 0 };

  p->key = NULL;
  if (!kdl_read_type (p, &value.type) || !kdl_read_value (p, TRUE, &value))
    return FALSE;
  *spaced = FALSE;
  if (value.kind == KDL_STRING && take_equals (p, spaced)) {
    if (!read_property (p, start, &value, &property))
      return FALSE;
    *spaced = FALSE;
    if (!discarded)
      g_array_append_val (p->props, property);
  } else if (!discarded) {
    g_array_append_val (p->args, value);
  }
  if (!discarded)
    set_span_end (p, &node->span, p->token_end);
  *spaced |= kdl_skip_node_space (p);
  return TRUE;
}

static gconstpointer
move_to_arena (KdlParser *p, GArray *array)
{
  gsize size = array->len * g_array_get_element_size (array);
  gpointer moved;

  if (size == 0)
    return NULL;
  moved = memcpy (kdl_arena_alloc (&p->tree->arena, size), array->data, size);
  g_array_set_size (array, 0);
  return moved;
}

/* Gives the node the entries read for it. */
static void
set_entries (KdlParser *p, KdlNode *node)
{
  node->n_args = p->args->len;
  node->n_props = p->props->len;
  node->args = move_to_arena (p, p->args);
  node->props = move_to_arena (p, p->props);
}

/* --- Blocks ----------------------------------------------------------------------------------- */

static void
open_block (KdlParser *p, KdlNode *node, gboolean discarded)
{
  if (p->depth == KDL_MAX_DEPTH) {
    kdl_fault (p, KDL_FAULT_TOO_DEEP, p->at, p->at + 1);
    p->stopped = TRUE;
    return;
  }
  if (node != NULL && !discarded && node->block.length == 0)
    node->block.offset = (guint32) (p->at - p->source);
  p->depth++;
  *current_frame (p) = (KdlFrame){
    .node = node,
    .discarded = discarded || node == NULL,
    .open = p->at,
    .indent = p->indent,
  };
  p->at++;
}

/* Makes the nodes read inside the innermost block the children of its node. */
static KdlNode *
leave_block (KdlParser *p)
{
  KdlFrame *frame = current_frame (p);
  KdlNode *node = frame->node;

  p->depth--;
  if (frame->discarded)
    return node;
  node->children = frame->first;
  set_span_end (p, &node->block, p->at);
  set_span_end (p, &node->span, p->at);
  return node;
}

/* Compares the indentation of the node or the `}` at `at` with that of its block. */
static void
check_indent (KdlParser *p)
{
  KdlFrame *frame = current_frame (p);
  gboolean is_brace = *p->at == '}';

  if (!p->starts_line || p->depth == 0)
    return;
  if (is_brace && p->indent == frame->indent && frame->open <= p->misfit.open)
    p->misfit.open = NULL; /* what was around it is in order, so it was merely indented oddly */
  if (!is_brace && frame->node_indent == 0)
    frame->node_indent = p->indent;
  if (p->misfit.open != NULL || p->indent > frame->indent ||
      (is_brace ? p->indent == frame->indent : frame->node_indent <= frame->indent))
    return;
  p->misfit = (KdlMisfit){ .open = frame->open, .place = p->at };
  for (guint depth = p->depth - 1; is_brace && depth > 0 && p->misfit.intended == NULL; depth--)
    if (p->frames[depth].indent == p->indent)
      p->misfit.intended = p->frames[depth].node;
}

/* Ends the innermost block where a `}` seems to have been forgotten. */
static void
supply_brace (KdlParser *p)
{
  KdlNode *node;

  kdl_fault_unclosed_block (p);
  p->missing_brace = NULL;
  p->misfit.open = NULL;
  node = leave_block (p);
  if (node != NULL)
    node->damaged = TRUE;
}

/* A `{` where a node should begin: the line end before it has terminated the node it is meant
 * for, which gets it nevertheless. */
static void
adopt_block (KdlParser *p)
{
  KdlNode *node = current_frame (p)->last;

  kdl_fault_stray_block (p, node);
  open_block (p, node, node == NULL || node->block.length != 0);
}

/* --- Nodes ------------------------------------------------------------------------------------ */

/* Takes what ends a node: a semicolon, a line end or comment, or the end of the block or file. */
static gboolean
take_terminator (KdlParser *p)
{
  if (p->at == p->end)
    return TRUE;
  if (*p->at == '}') {
    if (p->version == KDL_VERSION_1 && p->depth > 0)
      kdl_fault (p, KDL_FAULT_BLOCK_END, p->at, p->at + 1);
    return TRUE;
  }
  if (*p->at == ';') {
    p->at++;
    return TRUE;
  }
  if (p->at[0] == '/' && p->at[1] == '/')
    kdl_skip_line_comment (p);
  if (kdl_take_newline (p)) {
    p->line = p->at;
    return TRUE;
  }
  return p->at == p->end;
}

/* After its block a node must end; reports what stands there instead. Returns whether that is to be
 * read as the next node. */
static gboolean
fail_after_block (KdlParser *p, const KdlNode *node, gboolean discarded)
{
  gboolean is_name = kdl_class (p) & KDL_CLASS_IDENT && !g_ascii_isdigit (*p->at);

  if (discarded)
    return kdl_fault (p, KDL_FAULT_ENTRY_AFTER_BLOCK, p->slashdash, p->slashdash + 2);
  if (!is_name || node == NULL || node->block.length == 0)
    return kdl_fault (p, KDL_FAULT_ENTRY_AFTER_BLOCK, p->at, g_utf8_next_char (p->at));
  kdl_fault (p, KDL_FAULT_NODE_AFTER_BLOCK, p->at, g_utf8_next_char (p->at));
  return TRUE;
}

/* Opens the block at `at` for the node; a second one is read, but not kept. */
static void
begin_block (KdlParser *p, KdlNode *node, gboolean discarded, gboolean is_first)
{
  gboolean surplus = p->version == KDL_VERSION_1
                         ? !is_first
                         : !discarded && node != NULL && node->block.length != 0;

  if (surplus) {
    kdl_fault_second_block (p, node);
    node->damaged = TRUE;
  }
  open_block (p, node, discarded || surplus);
}

/* Reads a node from behind its name or from behind a block to its end or to inside a block. The
 * node is NULL if its name could not be read. */
static void
continue_node (KdlParser *p, KdlNode *node, gboolean may_have_entries)
{
  gboolean spaced = kdl_skip_node_space (p);

  while (!p->stopped) {
    gboolean discarded = kdl_take_slashdash (p);

    if (*p->at == '{') {
      begin_block (p, node, discarded, may_have_entries || node == NULL);
      break;
    }
    if (!discarded && take_terminator (p))
      break;
    if (may_have_entries) {
      spaced |= discarded && p->version == KDL_VERSION_2;
      if (discarded && !spaced)
        p->at = p->slashdash;
      if (spaced ? read_entry (p, node, discarded, &spaced) : kdl_fault_junction (p))
        continue;
    } else if (fail_after_block (p, node, discarded)) {
      break;
    }
    if (node != NULL)
      node->damaged = TRUE;
    skip_to_node_end (p);
  }
  if (may_have_entries)
    set_entries (p, node);
  if (p->stopped && node != NULL)
    node->damaged = TRUE;
}

static void
close_block (KdlParser *p)
{
  KdlNode *node;

  if (p->depth == 0) {
    kdl_fault_surplus_brace (p);
    p->at++;
    return;
  }
  if (p->depth == 1) {
    p->last_closed = current_frame (p)->node;
    p->last_close = p->at;
    p->misfit.open = NULL;
  }
  p->at++;
  node = leave_block (p);
  continue_node (p, node, FALSE);
}

static KdlNode *
add_node (KdlParser *p, const KdlNode *head, gboolean discarded)
{
  KdlFrame *frame = current_frame (p);
  KdlNode *node = kdl_arena_alloc (&p->tree->arena, sizeof *node);

  *node = *head;
  if (discarded)
    return node;
  if (frame->last != NULL)
    frame->last->next = node;
  else
    frame->first = node;
  frame->last = node;
  return node;
}

static void
read_node (KdlParser *p)
{
  gboolean discarded = kdl_take_slashdash (p);
  KdlNode head = { .span.offset = (guint32) (p->at - p->source) };
  KdlNode *node = NULL;

  p->key = NULL;
  p->token = p->at;
  p->token_end = p->at;
  if (kdl_read_type (p, &head.type) && kdl_read_name (p, &head.name)) {
    set_span_end (p, &head.span, p->at);
    node = add_node (p, &head, discarded);
  } else {
    if (current_frame (p)->node != NULL)
      current_frame (p)->node->damaged = TRUE;
    skip_to_node_end (p);
  }
  continue_node (p, node, node != NULL);
}

static void
read_nodes (KdlParser *p)
{
  while (!p->stopped) {
    kdl_skip_line_space (p);
    if (p->stopped || p->at == p->end)
      break;
    check_indent (p);
    if (p->at == p->missing_brace && p->misfit.place == p->at)
      supply_brace (p);
    else if (*p->at == '}')
      close_block (p);
    else if (*p->at == '{')
      adopt_block (p);
    else
      read_node (p);
  }
}

void
kdl_read_nodes (KdlParser *p)
{
  gboolean repaired = p->missing_brace != NULL;

  if (g_str_has_prefix (p->at, "\xef\xbb\xbf"))
    p->at += 3;
  p->line = p->at;
  read_nodes (p);
  p->missing_brace = NULL;
  if (p->depth > 0 && !p->stopped) {
    kdl_fault_unclosed_block (p);
    if (!repaired && p->misfit.open != NULL)
      p->missing_brace = p->misfit.place;
  }
  while (p->depth > 0) {
    KdlNode *node = leave_block (p);

    if (node != NULL)
      node->damaged = TRUE;
  }
  p->tree->nodes = p->frames[0].first;
}
