/* SPDX-License-Identifier: MPL-2.0 */

/* What each character may do in KDL 1 and KDL 2: byte tables, and the few wider characters that
 * are space, line end or forbidden. Every scanning loop of the parser is built on these tables.
 * Must not know what tokens or nodes are. */

#pragma once

#include "kdl/kdl.h"

typedef enum KdlClass {
  KDL_CLASS_IDENT = 1 << 0,   /* may be part of a bare identifier */
  KDL_CLASS_SPACE = 1 << 1,   /* blank, but no line end */
  KDL_CLASS_NEWLINE = 1 << 2, /* begins a line end */
  KDL_CLASS_QUOTING = 1 << 3, /* `"` and `\`: not plain inside a quoted string */
  KDL_CLASS_BANNED = 1 << 4,  /* may not stand in a document at all */
  KDL_CLASS_WIDE = 1 << 5,    /* lead byte of characters of various classes */
  KDL_CLASS_NUL = 1 << 6,     /* the terminator of the source, or a NUL within it */
} KdlClass;

/* One character of the source: what it is and how many bytes it takes (CRLF is one line end). */
typedef struct KdlChar {
  guint8 class;
  guint8 length;
} KdlChar;

/* Returns the 256 classes of bytes, for the grammar of `version` (not AUTO). */
const guint8 *kdl_char_classes (KdlVersion version);

/* Classifies the character at `at`, which must be valid UTF-8 followed by a NUL somewhere. */
KdlChar kdl_char_at (const char *at, const guint8 *classes);

/* Returns the first byte of `text` that is not part of valid UTF-8, or NULL if there is none. */
const char *kdl_char_find_invalid (const char *text, gsize length);
