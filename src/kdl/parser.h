/* SPDX-License-Identifier: MPL-2.0 */

/* The inside of a KdlDocument, the state of its parser, and what the files of this folder offer
 * each other; for them alone. One KdlParser makes one pass over the source for one version of the
 * grammar:
 *
 *   nodes.c (nodes, blocks, recovery) → tokens.c (space, names, values) → strings.c, numbers.c
 *
 * Readers start at `at`, move it past what they took and return FALSE after having reported a
 * fault through faults.c; `at` is then where looking for the node's end may begin. */

#pragma once

#include "kdl/chars.h"

/* --- The document ----------------------------------------------------------------------------- */

/* Memory that is only ever freed as a whole. */
typedef struct KdlArena {
  struct KdlArenaChunk *chunks;
  char *at;
  char *end;
} KdlArena;

/* Returns `size` bytes, aligned for any struct of the tree and not cleared. Never fails. */
gpointer kdl_arena_alloc (KdlArena *arena, gsize size);

/* Returns `size` bytes to be freed with g_free(), in huge pages where that is worth it: for a large
 * file, having the kernel hand out its memory in small ones takes as long as parsing it. */
gpointer kdl_alloc_large (gsize size);

/* What one pass over the source made of it. A string means at most as many bytes as it takes in
 * the source, quotes or a following delimiter not counted. So each is decoded in place, in a copy
 * of the source, where it also finds room for its NUL: no string needs an allocation. */
typedef struct KdlTree {
  KdlArena arena;
  char *strings;
  const KdlNode *nodes;
} KdlTree;

/* Frees what the tree holds and leaves it empty. */
void kdl_tree_clear (KdlTree *tree);

struct KdlDocument {
  char *source;
  gsize length;
  KdlTree tree;
  KdlVersion version;
  gboolean fell_back;
  GArray *diagnostics; /* of KdlDiagnostic */
  guint further_faults;
};

/* --- The parser ------------------------------------------------------------------------------- */

/* An open block: the top level, or one between braces. */
typedef struct KdlFrame {
  KdlNode *node;      /* whose block it is; NULL at the top, or if the node was lost */
  gboolean discarded; /* commented out, or without a node: its nodes are not kept */
  KdlNode *first;
  KdlNode *last;
  const char *open;  /* the `{` */
  gsize indent;      /* of the line that opens it, in bytes */
  gsize node_indent; /* of its first node that begins a line, or 0 */
} KdlFrame;

/* A `}` that stands further left than the line of its `{`, or a node that does not stand further
 * right, unlike those before it: if braces do not balance in the end, one is missing here. */
typedef struct KdlMisfit {
  const char *open; /* the `{` that is not closed in time; NULL: no misfit */
  const char *place;
  const KdlNode *intended; /* whose `}` it seems to be, or NULL */
} KdlMisfit;

typedef struct KdlParser {
  KdlDocument *doc;
  KdlTree *tree;
  KdlVersion version; /* never AUTO */
  gboolean trial;     /* only to see whether the text is valid: stop at the first fault */
  gboolean stopped;   /* nothing sensible can be read beyond this point */
  guint faults;

  const char *source;
  const char *at;
  const char *end;
  const guint8 *classes;

  /* Lines, as far as they matter for the indentation of braces. */
  const char *line;       /* start of the last line begun between nodes */
  const char *known_line; /* the one that `indent` belongs to */
  gsize indent;
  gboolean starts_line; /* `at` was the first on its line after the last line space */

  KdlFrame frames[KDL_MAX_DEPTH + 1];
  guint depth;
  KdlMisfit misfit;
  const char *missing_brace;  /* a `}` is to be supplied here; or, after a pass, in the next one */
  const KdlNode *last_closed; /* the last top-level node that had a block, */
  const char *last_close;     /* and its `}` */
  gboolean braces_unsure;     /* a fault swallowed braces: do not complain about their balance */
  const char *no_string_before; /* no quote before this place is closed on its line */

  /* The node being read, also for what diagnostics quote. */
  const char *name;
  const char *name_end;
  const char *key; /* of the property whose value is being read, or NULL */
  const char *key_end;
  const char *slashdash; /* the last `/-` */
  const char *token;     /* start and end of what was read last */
  const char *token_end;
  GArray *args;  /* of KdlValue, until the node's entries are complete */
  GArray *props; /* of KdlProperty */
} KdlParser;

static inline guint8
kdl_class (const KdlParser *p)
{
  return p->classes[(guchar) *p->at];
}

/* nodes.c: reads all nodes from `at` on into the tree. */
void kdl_read_nodes (KdlParser *p);

/* tokens.c */

/* Skips what may separate the parts of a node; returns whether there was any. */
gboolean kdl_skip_node_space (KdlParser *p);

/* Skips what may separate nodes: line ends and line comments, too. */
void kdl_skip_line_space (KdlParser *p);

/* Whether a node can go no further than `at`: at the end of the line, the file or a block, or at
 * the beginning of one. */
gboolean kdl_ends_node (const KdlParser *p, const char *at);

/* Skips from `//` to the end of the line, which stays. */
void kdl_skip_line_comment (KdlParser *p);

/* Takes a line end or returns FALSE without a fault. */
gboolean kdl_take_newline (KdlParser *p);

/* Takes `/-` and the space after it, or returns FALSE without a fault. */
gboolean kdl_take_slashdash (KdlParser *p);

/* Reads a node's name. */
gboolean kdl_read_name (KdlParser *p, KdlString *out);

/* Reads `(type)` if there is one, and the space that may follow; *out is NULL without it. */
gboolean kdl_read_type (KdlParser *p, const KdlString **out);

/* Reads a value without a type. `may_be_key`: an identifier that KDL 1 does not take as a value
 * is fine if `=` follows. */
gboolean kdl_read_value (KdlParser *p, gboolean may_be_key, KdlValue *out);

/* Whether the text can be written as an identifier without quotes. */
gboolean kdl_is_bare (KdlVersion version, const char *text, gsize length);

/* strings.c */

/* Whether `at` is at a string in quotes, raw or not. */
gboolean kdl_at_quoted_string (const KdlParser *p);

/* Reads a string in quotes, of any form. */
gboolean kdl_read_quoted_string (KdlParser *p, KdlString *out);

/* Makes `out` the string that was written as `start` to `at` and means the `length` bytes at
 * `text` (a place in the source), where they are terminated. */
void
kdl_set_string (KdlParser *p, const char *start, const char *text, gsize length, KdlString *out);

/* numbers.c: whether the text is a number with all its digits in order. */
gboolean kdl_is_number (const char *text, const char *end);

/* numbers.c: appends the number in its canonical form. */
void kdl_number_serialise (const KdlValue *value, GString *out);

/* --- Faults (faults.c) ------------------------------------------------------------------------ */

/* The readers only tell which fault they met and where; wording, labels and suggested text are made
 * in faults.c. Each function returns FALSE, so that a reader can fail with it; none moves `at`. */

/* Faults whose texts only depend on what stands at the place. */
typedef enum KdlFault {
  KDL_FAULT_BLOCK_END, /* KDL 1 only */
  KDL_FAULT_COMMENT_UNCLOSED,
  KDL_FAULT_ENTRY_AFTER_BLOCK,
  KDL_FAULT_HASH_COMMENT,
  KDL_FAULT_KEYWORD_UNKNOWN,
  KDL_FAULT_MARKER, /* a version that does not exist */
  KDL_FAULT_MULTILINE_CLOSE,
  KDL_FAULT_MULTILINE_INDENT,
  KDL_FAULT_MULTILINE_OPEN,
  KDL_FAULT_MULTILINE_UNCLOSED,
  KDL_FAULT_NODE_AFTER_BLOCK,
  KDL_FAULT_TOO_DEEP,
  KDL_FAULT_TYPE_EMPTY,
  KDL_FAULT_TYPE_ON_KEY,
  KDL_FAULT_TYPE_UNCLOSED,
} KdlFault;

/* Reports the fault for the source between `from` and `to`. */
gboolean kdl_fault (KdlParser *p, KdlFault fault, const char *from, const char *to);

/* The text as a whole cannot be read: longer than `max_size`; not UTF-8 from `at` on. */
gboolean kdl_fault_too_large (KdlParser *p, gsize length, gsize max_size);
gboolean kdl_fault_not_utf8 (KdlParser *p, const char *at);

/* The character at `at` may not stand in any document. */
gboolean kdl_fault_banned (KdlParser *p, const char *at);

/* A string that begins at `open` is not closed before `to`. */
gboolean kdl_fault_unclosed_string (KdlParser *p, const char *open, const char *to);

/* The `\` at `at`, in the string that begins at `open`, begins no escape. */
gboolean kdl_fault_escape (KdlParser *p, const char *at, const char *open);

/* What stands at p->at can begin no name or no value. */
gboolean kdl_fault_no_name (KdlParser *p);
gboolean kdl_fault_no_value (KdlParser *p);

/* What stands at p->at follows the last token without a space. */
gboolean kdl_fault_junction (KdlParser *p);

/* The text at p->at begins like a number, but is none. */
gboolean kdl_fault_number (KdlParser *p);

/* A keyword without `#` in KDL 2; an identifier as a value in KDL 1. Both stand at p->at. */
gboolean kdl_fault_bare_keyword (KdlParser *p, const char *end);
gboolean kdl_fault_bare_string (KdlParser *p, const char *end);

/* Braces: one too many; a block without its end; a second block of a node; a block on the line
 * after its node, NULL if there is none before it. */
gboolean kdl_fault_surplus_brace (KdlParser *p);
gboolean kdl_fault_unclosed_block (KdlParser *p);
gboolean kdl_fault_second_block (KdlParser *p, const KdlNode *node);
gboolean kdl_fault_stray_block (KdlParser *p, const KdlNode *node);

/* --- Suggested text, for faults.c (suggest.c) ------------------------------------------------- */

/* The longest piece of the source that a text quotes, in bytes. */
#define KDL_LONGEST_QUOTE 60

/* Returns a copy of the source for quoting, shortened if need be. */
char *kdl_quote (const char *from, const char *to);

/* Whether the word is one that KDL reserves for a keyword. */
gboolean kdl_is_keyword (const char *from, const char *to);

/* Skips blanks and tabs, not beyond `end`. */
const char *kdl_skip_blanks (const char *at, const char *end);

/* Returns where a word that somebody wrote without quotes ends: at a blank, or at what ends a node
 * or begins a block. */
const char *kdl_find_word_end (const KdlParser *p, const char *at);

/* Returns where the value at `at` ends: a string in quotes, or a word, which ends at any of `stops`
 * as well. */
const char *kdl_find_value_end (const KdlParser *p, const char *at, const char *stops);

/* Appends a word as it should have been written for a value. */
void kdl_suggest_value (const KdlParser *p, const char *from, const char *to, GString *out);

/* Returns "quote it: …" for a word, with the property or the node it belongs to where that is
 * clear. */
char *kdl_suggest_quotes (const KdlParser *p, const char *from, const char *to);

/* Returns the node from its name on without the commas and brackets of a list. */
char *kdl_suggest_without_commas (const KdlParser *p);
