/* SPDX-License-Identifier: MPL-2.0 */

#include "kdl/chars.h"

#include <string.h>

#define I KDL_CLASS_IDENT
#define S KDL_CLASS_SPACE
#define N KDL_CLASS_NEWLINE
#define Q KDL_CLASS_QUOTING
#define B KDL_CLASS_BANNED
#define W KDL_CLASS_WIDE
#define Z KDL_CLASS_NUL
#define x 0 /* punctuation */

/* From 0x80 on, both versions agree. Continuation bytes count as IDENT: they are only met after a
 * lead byte that does. */
#define HIGH_BYTES                                                                                 \
  I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, /* 80 */                                         \
      I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, \
      I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, W, I, I, I, I, I, I, I, I, I, I, I, \
      I, I, /* C0: C2 has U+0085 and U+00A0 */                                                     \
      I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, W, W, W, I, I, I, I, I, I, I, I, I, I, I, \
      W, /* E0: U+1680, U+20xx, U+3000, U+FEFF */                                                  \
      I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I

/* clang-format off */
static const guint8 classes_v1[256] = {
  Z, x, x, x, x, x, x, x, x, S, N, x, N, N, x, x, /* VT is no line end in KDL 1 */
  x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x,
  S, I, Q, I, I, I, I, I, x, x, I, I, x, I, I, x, /*   ! " # $ % & ' ( ) * + , - . / */
  I, I, I, I, I, I, I, I, I, I, I, x, x, x, x, I, /* 0 … 9 : ; < = > ? */
  I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I,
  I, I, I, I, I, I, I, I, I, I, I, x, Q, x, I, I, /* P … Z [ \ ] ^ _ */
  I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I,
  I, I, I, I, I, I, I, I, I, I, I, x, I, x, I, I, /* p … z { | } ~ DEL */
  HIGH_BYTES
};

static const guint8 classes_v2[256] = {
  Z, B, B, B, B, B, B, B, B, S, N, N, N, N, B, B,
  B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
  S, I, Q, x, I, I, I, I, x, x, I, I, I, I, I, x, /*   ! " # $ % & ' ( ) * + , - . / */
  I, I, I, I, I, I, I, I, I, I, I, x, I, x, I, I, /* 0 … 9 : ; < = > ? */
  I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I,
  I, I, I, I, I, I, I, I, I, I, I, x, Q, x, I, I, /* P … Z [ \ ] ^ _ */
  I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I,
  I, I, I, I, I, I, I, I, I, I, I, x, I, x, I, B, /* p … z { | } ~ DEL */
  HIGH_BYTES
};
/* clang-format on */

#undef I
#undef S
#undef N
#undef Q
#undef B
#undef W
#undef Z
#undef x

const guint8 *
kdl_char_classes (KdlVersion version)
{
  return version == KDL_VERSION_1 ? classes_v1 : classes_v2;
}

typedef struct WideRange {
  guint16 first;
  guint16 last;
  guint8 class_v1;
  guint8 class_v2;
} WideRange;

/* The characters beyond ASCII that are not simply part of identifiers. */
static const WideRange wide_ranges[] = {
  { 0x0085, 0x0085, KDL_CLASS_NEWLINE, KDL_CLASS_NEWLINE },
  { 0x00a0, 0x00a0, KDL_CLASS_SPACE, KDL_CLASS_SPACE },
  { 0x1680, 0x1680, KDL_CLASS_SPACE, KDL_CLASS_SPACE },
  { 0x2000, 0x200a, KDL_CLASS_SPACE, KDL_CLASS_SPACE },
  { 0x200e, 0x200f, KDL_CLASS_IDENT, KDL_CLASS_BANNED }, /* direction marks */
  { 0x2028, 0x2029, KDL_CLASS_NEWLINE, KDL_CLASS_NEWLINE },
  { 0x202a, 0x202e, KDL_CLASS_IDENT, KDL_CLASS_BANNED }, /* embeddings and overrides */
  { 0x202f, 0x202f, KDL_CLASS_SPACE, KDL_CLASS_SPACE },
  { 0x205f, 0x205f, KDL_CLASS_SPACE, KDL_CLASS_SPACE },
  { 0x2066, 0x2069, KDL_CLASS_IDENT, KDL_CLASS_BANNED }, /* isolates */
  { 0x3000, 0x3000, KDL_CLASS_SPACE, KDL_CLASS_SPACE },
  { 0xfeff, 0xfeff, KDL_CLASS_SPACE, KDL_CLASS_BANNED }, /* byte order mark */
};

static KdlChar
wide_char_at (const char *at, const guint8 *classes)
{
  gunichar c = g_utf8_get_char (at);
  guint8 length = g_utf8_skip[(guchar) *at];

  for (gsize i = 0; i < G_N_ELEMENTS (wide_ranges); i++) {
    const WideRange *range = &wide_ranges[i];

    if (c >= range->first && c <= range->last)
      return (KdlChar){ classes == classes_v1 ? range->class_v1 : range->class_v2, length };
  }
  return (KdlChar){ KDL_CLASS_IDENT, length };
}

KdlChar
kdl_char_at (const char *at, const guint8 *classes)
{
  guint8 class = classes[(guchar) *at];

  if (class & KDL_CLASS_WIDE)
    return wide_char_at (at, classes);
  if (at[0] == '\r' && at[1] == '\n')
    return (KdlChar){ class, 2 };
  return (KdlChar){ class, g_utf8_skip[(guchar) *at] };
}

/* Returns how many bytes the valid UTF-8 sequence at `at` has, or 0. The second byte's range is
 * what excludes overlong forms, surrogates and values above U+10FFFF (Unicode, table 3-7). */
static gsize
sequence_length (const guchar *at, gsize available)
{
  guchar lead = at[0];
  guchar low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  guchar high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  gsize length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

  if (lead > 0xf4 || length > available)
    return 0;
  if (length > 1 && (at[1] < low || at[1] > high))
    return 0;
  for (gsize i = 2; i < length; i++)
    if ((at[i] & 0xc0) != 0x80)
      return 0;
  return length;
}

const char *
kdl_char_find_invalid (const char *text, gsize length)
{
  const guchar *at = (const guchar *) text;
  const guchar *end = at + length;

  while (at < end) {
    guint64 eight;
    gsize taken;

    if (end - at >= 8) {
      memcpy (&eight, at, 8);
      if ((eight & G_GUINT64_CONSTANT (0x8080808080808080)) == 0) {
        at += 8;
        continue;
      }
    }
    taken = sequence_length (at, (gsize) (end - at));
    if (taken == 0)
      return (const char *) at;
    at += taken;
  }
  return NULL;
}
