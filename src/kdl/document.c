/* SPDX-License-Identifier: MPL-2.0 */

#include "kdl/parser.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((gsize) 2 * 1024 * 1024)
#define FIRST_CHUNK ((gsize) 4 * 1024)
#define LARGEST_CHUNK ((gsize) 4 * 1024 * 1024)

typedef struct KdlArenaChunk {
  struct KdlArenaChunk *next;
  gsize size;
} KdlArenaChunk;

/* --- Memory ----------------------------------------------------------------------------------- */

gpointer
kdl_alloc_large (gsize size)
{
  gpointer memory = NULL;

  if (size < HUGE_PAGE)
    return g_malloc (size);
  if (posix_memalign (&memory, HUGE_PAGE, size) != 0)
    g_error ("failed to allocate %" G_GSIZE_FORMAT " bytes", size);
#ifdef MADV_HUGEPAGE
  madvise (memory, size, MADV_HUGEPAGE);
#endif
  return memory;
}

/* Chunks double, so that a small file costs little and a large one few of them. */
static void
arena_grow (KdlArena *arena, gsize needed)
{
  gsize size = arena->chunks == NULL ? FIRST_CHUNK : MIN (2 * arena->chunks->size, LARGEST_CHUNK);
  KdlArenaChunk *chunk;

  size = MAX (size, needed + sizeof (KdlArenaChunk));
  chunk = kdl_alloc_large (size);
  *chunk = (KdlArenaChunk){ arena->chunks, size };
  arena->chunks = chunk;
  arena->at = (char *) (chunk + 1);
  arena->end = (char *) chunk + size;
}

gpointer
kdl_arena_alloc (KdlArena *arena, gsize size)
{
  gpointer memory;

  size = (size + 7) & ~(gsize) 7;
  if ((gsize) (arena->end - arena->at) < size)
    arena_grow (arena, size);
  memory = arena->at;
  arena->at += size;
  return memory;
}

void
kdl_tree_clear (KdlTree *tree)
{
  KdlArenaChunk *chunk = tree->arena.chunks;

  while (chunk != NULL) {
    KdlArenaChunk *next = chunk->next;

    g_free (chunk);
    chunk = next;
  }
  g_free (tree->strings);
  *tree = (KdlTree){ 0 };
}

/* --- Parsing ---------------------------------------------------------------------------------- */

/* Prepares a pass over the whole source into an empty tree. */
static void
parser_init (KdlParser *p, KdlDocument *doc, KdlTree *tree, KdlVersion version)
{
  *p = (KdlParser){
    .doc = doc,
    .tree = tree,
    .version = version,
    .source = doc->source,
    .at = doc->source,
    .end = doc->source + doc->length,
    .no_string_before = doc->source,
    .classes = kdl_char_classes (version),
    .args = g_array_new (FALSE, FALSE, sizeof (KdlValue)),
    .props = g_array_new (FALSE, FALSE, sizeof (KdlProperty)),
  };
}

static void
parser_clear (KdlParser *p)
{
  g_array_unref (p->args);
  g_array_unref (p->props);
}

/* Makes one pass over the source; returns whether it is valid. *missing_brace is where to supply a
 * `}`, or NULL, and becomes where another pass should do so. */
static gboolean
read_once (KdlDocument *doc, KdlVersion version, gboolean trial, const char **missing_brace,
           KdlTree *tree)
{
  KdlParser p;

  parser_init (&p, doc, tree, version);
  p.trial = trial;
  p.missing_brace = *missing_brace;
  tree->strings = kdl_alloc_large (doc->length + 1);
  memcpy (tree->strings, doc->source, doc->length + 1);
  kdl_read_nodes (&p);
  parser_clear (&p);
  *missing_brace = p.missing_brace;
  return p.faults == 0;
}

static void
clear_result (KdlDocument *doc)
{
  kdl_tree_clear (&doc->tree);
  g_array_set_size (doc->diagnostics, 0);
  doc->further_faults = 0;
}

/* Reads the source as `version`; returns whether it is valid. If the end shows that a brace is
 * missing somewhere, all nodes from there on are in the wrong block: then it is read again. */
static gboolean
read_as (KdlDocument *doc, KdlVersion version)
{
  const char *missing_brace = NULL;
  gboolean valid = read_once (doc, version, FALSE, &missing_brace, &doc->tree);

  if (missing_brace != NULL) {
    clear_result (doc);
    read_once (doc, version, FALSE, &missing_brace, &doc->tree);
  }
  return valid;
}

static const char *
skip_spaces (const char *at)
{
  KdlChar c;

  while ((c = kdl_char_at (at, kdl_char_classes (KDL_VERSION_2))).class & KDL_CLASS_SPACE)
    at += c.length;
  return at;
}

/* Looks for `/- kdl-version N` and a line end, at the start of the source; returns N's start and
 * end, or NULL. N may be any word that begins with a digit. */
static const char *
find_marker (const char *at, const char **out_end)
{
  const guint8 *classes = kdl_char_classes (KDL_VERSION_2);
  const char *number;
  const char *end;

  if (g_str_has_prefix (at, "\xef\xbb\xbf"))
    at += 3;
  if (!g_str_has_prefix (at, "/-"))
    return NULL;
  at = skip_spaces (at + 2);
  if (!g_str_has_prefix (at, "kdl-version"))
    return NULL;
  at += strlen ("kdl-version");
  number = skip_spaces (at);
  if (number == at || !g_ascii_isdigit (*number))
    return NULL;
  end = number;
  while (classes[(guchar) *end] & KDL_CLASS_IDENT)
    end++;
  *out_end = end;
  end = skip_spaces (end);
  return kdl_char_at (end, classes).class & KDL_CLASS_NEWLINE ? number : NULL;
}

/* The version that the marker demands, or AUTO. Another version than 1 and 2 is a fault. */
static KdlVersion
read_marker (KdlDocument *doc)
{
  const char *end = NULL;
  const char *number = find_marker (doc->source, &end);
  KdlParser p;

  if (number == NULL)
    return KDL_VERSION_AUTO;
  if (end == number + 1 && (*number == '1' || *number == '2'))
    return *number == '1' ? KDL_VERSION_1 : KDL_VERSION_2;
  parser_init (&p, doc, &doc->tree, KDL_VERSION_2);
  kdl_fault (&p, KDL_FAULT_MARKER, number, end);
  parser_clear (&p);
  return KDL_VERSION_AUTO;
}

/* Copies the text and checks it as far as that needs no grammar. */
static void
set_source (KdlDocument *doc, const char *text, gsize length, gsize max_size)
{
  gboolean fits = length <= max_size;
  const char *invalid;
  KdlParser p;

  doc->length = fits ? length : 0;
  doc->source = kdl_alloc_large (doc->length + 1);
  if (doc->length > 0) /* `text` may be NULL then */
    memcpy (doc->source, text, doc->length);
  doc->source[doc->length] = '\0';
  invalid = kdl_char_find_invalid (doc->source, doc->length);
  if (fits && invalid == NULL)
    return;
  parser_init (&p, doc, &doc->tree, KDL_VERSION_2);
  if (fits)
    kdl_fault_not_utf8 (&p, invalid);
  else
    kdl_fault_too_large (&p, length, max_size);
  parser_clear (&p);
}

static void
clear_diagnostic (gpointer data)
{
  KdlDiagnostic *diagnostic = data;

  g_free (diagnostic->message);
  g_free (diagnostic->label);
  g_free (diagnostic->related_label);
  g_free (diagnostic->help);
}

static int
compare_places (gconstpointer a, gconstpointer b)
{
  guint32 first = ((const KdlDiagnostic *) a)->span.offset;
  guint32 second = ((const KdlDiagnostic *) b)->span.offset;

  return (first > second) - (first < second);
}

/* Takes the text as KDL 1 after all, if it is valid as that. */
static void
try_version_1 (KdlDocument *doc)
{
  const char *missing_brace = NULL;
  KdlTree tree = { 0 };

  if (!read_once (doc, KDL_VERSION_1, TRUE, &missing_brace, &tree)) {
    kdl_tree_clear (&tree);
    return;
  }
  clear_result (doc);
  doc->tree = tree;
  doc->version = KDL_VERSION_1;
  doc->fell_back = TRUE;
}

KdlDocument *
kdl_parse (const char *text, gsize length, KdlVersion version, gsize max_size)
{
  KdlDocument *doc = g_new0 (KdlDocument, 1);
  KdlVersion demanded = version;

  doc->version = version == KDL_VERSION_1 ? KDL_VERSION_1 : KDL_VERSION_2;
  doc->diagnostics = g_array_new (FALSE, FALSE, sizeof (KdlDiagnostic));
  g_array_set_clear_func (doc->diagnostics, clear_diagnostic);
  /* One byte less than spans can count, so that the end of the text has an offset, too. */
  set_source (doc, text, length, max_size == 0 ? G_MAXUINT32 - 1 : MIN (max_size, G_MAXUINT32 - 1));
  if (doc->diagnostics->len == 0 && version == KDL_VERSION_AUTO)
    demanded = read_marker (doc);
  if (doc->diagnostics->len > 0)
    return doc;
  if (demanded != KDL_VERSION_AUTO)
    doc->version = demanded;
  if (!read_as (doc, doc->version) && demanded == KDL_VERSION_AUTO)
    try_version_1 (doc);
  g_array_sort (doc->diagnostics, compare_places);
  return doc;
}

/* --- Access ----------------------------------------------------------------------------------- */

void
kdl_document_free (KdlDocument *doc)
{
  if (doc == NULL)
    return;
  kdl_tree_clear (&doc->tree);
  g_clear_pointer (&doc->diagnostics, g_array_unref);
  g_free (doc->source);
  g_free (doc);
}

const KdlNode *
kdl_document_nodes (const KdlDocument *doc)
{
  return doc->tree.nodes;
}

const char *
kdl_document_source (const KdlDocument *doc, gsize *out_length)
{
  *out_length = doc->length;
  return doc->source;
}

KdlVersion
kdl_document_version (const KdlDocument *doc)
{
  return doc->version;
}

gboolean
kdl_document_fell_back (const KdlDocument *doc)
{
  return doc->fell_back;
}

const KdlDiagnostic *
kdl_document_diagnostics (const KdlDocument *doc, guint *out_count)
{
  *out_count = doc->diagnostics->len;
  return (const KdlDiagnostic *) doc->diagnostics->data;
}

guint
kdl_document_further_faults (const KdlDocument *doc)
{
  return doc->further_faults;
}

/* A CR that is followed by LF does not end a line by itself. */
static gboolean
ends_line (const char *at)
{
  return *at == '\n' || (*at == '\r' && at[1] != '\n');
}

/* Returns the line's first byte after a possible byte order mark: an editor shows none. */
static const char *
find_line_start (const KdlDocument *doc, const char *at)
{
  while (at > doc->source && !ends_line (at - 1))
    at--;
  if (at == doc->source && g_str_has_prefix (at, "\xef\xbb\xbf"))
    at += 3;
  return at;
}

KdlPosition
kdl_document_position (const KdlDocument *doc, gsize offset)
{
  const char *target = doc->source + MIN (offset, doc->length);
  KdlPosition position = { 1, 1 };

  for (const char *at = doc->source; at < target; at++)
    position.line += ends_line (at);
  /* Counting lead bytes copes with text that is not UTF-8, too. */
  for (const char *at = find_line_start (doc, target); at < target; at++)
    position.column += ((guchar) *at & 0xc0) != 0x80;
  return position;
}

KdlSpan
kdl_document_line (const KdlDocument *doc, gsize offset)
{
  const char *target = doc->source + MIN (offset, doc->length);
  const char *start;
  const char *end;

  if (target > doc->source && *target == '\n' && target[-1] == '\r')
    target--;
  start = find_line_start (doc, target);
  end = start;
  while (end < doc->source + doc->length && *end != '\n' && *end != '\r')
    end++;
  return (KdlSpan){ (guint32) (start - doc->source), (guint32) (end - start) };
}

const KdlValue *
kdl_node_property (const KdlNode *node, const char *key)
{
  gsize length = strlen (key);

  for (guint i = node->n_props; i > 0; i--) {
    const KdlProperty *property = &node->props[i - 1];

    if (property->key.length == length && memcmp (property->key.text, key, length) == 0)
      return &property->value;
  }
  return NULL;
}
