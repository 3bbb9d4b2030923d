/* SPDX-License-Identifier: MPL-2.0 */

/* KDL: text to a document tree in which everything knows where it was written.
 *
 * Reads KDL 2.0.0 and, for files that are not valid KDL 2, KDL 1. It does no I/O, keeps no
 * global state and never blocks. It must not know what any node means: virtual machines,
 * settings and their defaults belong to the reader of the tree, as does the drawing of
 * diagnostics. All that is reachable from a KdlDocument lives exactly as long as it does. */

#pragma once

#include <glib.h>

#pragma GCC visibility push(default)

G_BEGIN_DECLS

/* How deep blocks may be nested, and how many diagnostics one document keeps. */
#define KDL_MAX_DEPTH 128
#define KDL_MAX_DIAGNOSTICS 20

typedef enum KdlVersion {
  KDL_VERSION_AUTO, /* the `/- kdl-version` marker decides; without one: 2, then 1 */
  KDL_VERSION_1,
  KDL_VERSION_2,
} KdlVersion;

/* A stretch of the source, in bytes. */
typedef struct KdlSpan {
  guint32 offset;
  guint32 length;
} KdlSpan;

/* Where an offset lies for a human: both count from 1, the column in characters. */
typedef struct KdlPosition {
  guint line;
  guint column;
} KdlPosition;

/* A name, a type annotation or a property's key. `text` is what it means (escapes resolved,
 * dedented), UTF-8 and always NUL-terminated; only a `\u{0}` escape makes strlen (text) smaller
 * than `length`. `span` is how it was written, quotes included. */
typedef struct KdlString {
  const char *text;
  KdlSpan span;
  guint32 length;
} KdlString;

typedef enum KdlKind {
  KDL_NULL,
  KDL_BOOLEAN,
  KDL_NUMBER,
  KDL_STRING,
} KdlKind;

/* An argument, or the value of a property. `text` is as in KdlString; numbers and keywords keep
 * their source text there (`0xf_f`, `#true`). `span` does not include the type annotation. */
typedef struct KdlValue {
  const char *text;
  guint32 length;
  KdlKind kind : 8;
  guint is_true : 1; /* of a KDL_BOOLEAN */
  KdlSpan span;
  const KdlString *type; /* `(type)`, or NULL */
} KdlValue;

typedef struct KdlProperty {
  KdlString key;
  KdlValue value;
} KdlProperty;

/* One node. Arguments and properties are kept apart, each in the order of the file; a property
 * given twice is there twice (see kdl_node_property). What a slashdash `/-` comments out is not
 * in the tree. Walk children with: for (c = node->children; c != NULL; c = c->next). */
typedef struct KdlNode KdlNode;
struct KdlNode {
  KdlString name;
  const KdlString *type; /* `(type)`, or NULL */
  KdlSpan span;          /* from the type or name to the last entry or the closing brace */
  KdlSpan block;         /* of the children, braces included; length 0: there is no block */
  const KdlValue *args;
  const KdlProperty *props;
  guint32 n_args;
  guint32 n_props : 31;
  guint32 damaged : 1; /* a fault lost arguments, properties or nameless children of this node:
                          do not report that something is missing from it */
  const KdlNode *children;
  const KdlNode *next;
};

/* One fault of the text. All texts are for humans, without a final full stop; those that may be
 * NULL are absent then. They quote the source raw: escape control characters when printing. */
typedef struct KdlDiagnostic {
  char *message;
  KdlSpan span;        /* may be empty, and may lie at the very end of the source */
  char *label;         /* said at `span`; may be NULL */
  KdlSpan related;     /* a second place, meaningful if related_label is set */
  char *related_label; /* may be NULL */
  char *help;          /* may be NULL */
} KdlDiagnostic;

/* A parsed text: owns a copy of the source, the tree and the diagnostics. */
typedef struct KdlDocument KdlDocument;

/* Parses `length` bytes of `text`, which need not be NUL-terminated and are copied. `version`
 * pins the grammar (a marker in the file is then ignored) or lets the file decide. `max_size` is
 * the longest text to accept, in bytes; 0 means any that 32-bit offsets can address.
 *
 * Always returns a document, owned by the caller. It was valid KDL if and only if
 * kdl_document_diagnostics() counts none; otherwise its tree holds what could be recovered. */
KdlDocument *kdl_parse (const char *text, gsize length, KdlVersion version, gsize max_size);

/* Frees the document and all that was borrowed from it. Accepts NULL. */
void kdl_document_free (KdlDocument *doc);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KdlDocument, kdl_document_free)

/* Returns the first top-level node (borrowed), or NULL if there is none; follow `next`. */
const KdlNode *kdl_document_nodes (const KdlDocument *doc);

/* Returns the source (borrowed, NUL-terminated) and its length in bytes. It is empty if the text
 * was longer than allowed, and not UTF-8 if a diagnostic says so. */
const char *kdl_document_source (const KdlDocument *doc, gsize *out_length);

/* Returns the grammar that the tree or the diagnostics come from: KDL_VERSION_1 or _2. */
KdlVersion kdl_document_version (const KdlDocument *doc);

/* Returns whether the text was read as KDL 1 only because it is not valid KDL 2: neither the
 * caller nor a marker asked for it. */
gboolean kdl_document_fell_back (const KdlDocument *doc);

/* Returns the faults in the order of the file (borrowed) and their number, at most
 * KDL_MAX_DIAGNOSTICS. */
const KdlDiagnostic *kdl_document_diagnostics (const KdlDocument *doc, guint *out_count);

/* Returns how many more faults were found than kdl_document_diagnostics() kept. */
guint kdl_document_further_faults (const KdlDocument *doc);

/* Returns the line and column of a byte offset, which may be the end of the source. Lines are
 * those that editors show: they end in LF, CRLF or CR. Takes time linear in the offset. */
KdlPosition kdl_document_position (const KdlDocument *doc, gsize offset);

/* Returns the line that holds `offset`, without its line end, and at the file's start without the
 * byte order mark. The line before it is the one at the returned offset - 1. */
KdlSpan kdl_document_line (const KdlDocument *doc, gsize offset);

/* Returns the value of the property `key` (borrowed), the last one if it was given several times
 * as KDL demands, or NULL. */
const KdlValue *kdl_node_property (const KdlNode *node, const char *key);

/* Why a value cannot be had as the number type that was asked for. */
typedef enum KdlFit {
  KDL_FIT_OK,
  KDL_FIT_NOT_A_NUMBER, /* the value is no KDL_NUMBER */
  KDL_FIT_NOT_WHOLE,    /* written with a fraction or an exponent, or #nan */
  KDL_FIT_TOO_SMALL,
  KDL_FIT_TOO_LARGE,
} KdlFit;

/* Each converts a KDL_NUMBER of any radix and sets *out only if it returns KDL_FIT_OK. The double
 * is the nearest one; it is an infinity for #inf and #-inf only, larger numbers do not fit. */
KdlFit kdl_value_int64 (const KdlValue *value, gint64 *out);
KdlFit kdl_value_uint64 (const KdlValue *value, guint64 *out);
KdlFit kdl_value_double (const KdlValue *value, double *out);

/* Returns the tree in the canonical form of the document's version: one node a line, 4 spaces of
 * indent, properties sorted, numbers and strings normalised; a lone newline for an empty tree.
 * The caller owns the string. */
GString *kdl_serialise (const KdlDocument *doc);

G_END_DECLS

#pragma GCC visibility pop
