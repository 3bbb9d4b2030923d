/* SPDX-License-Identifier: MPL-2.0 */

#include "kdl/parser.h"

#include <math.h>
#include <string.h>

/* A number's text, taken apart. Underscores are still in the digits. */
typedef struct Literal {
  gboolean negative;
  guint radix_bits;   /* of 0b, 0o and 0x: 1, 3 and 4; 0 is decimal */
  const char *digits; /* after sign and prefix, up to the end of the text */
} Literal;

static Literal
take_apart (const char *text)
{
  Literal literal = { .negative = *text == '-' };

  if (*text == '+' || *text == '-')
    text++;
  if (text[0] == '0')
    literal.radix_bits = text[1] == 'b' ? 1 : text[1] == 'o' ? 3 : text[1] == 'x' ? 4 : 0;
  literal.digits = literal.radix_bits != 0 ? text + 2 : text;
  return literal;
}

static gboolean
is_digit (char c, guint radix_bits)
{
  int value = g_ascii_xdigit_value (c);

  return value >= 0 && value < (radix_bits == 0 ? 10 : 1 << radix_bits);
}

/* Skips a digit, and the digits and underscores after it; returns NULL if there is no digit. */
static const char *
skip_digits (const char *at, const char *end, guint radix_bits)
{
  if (at >= end || !is_digit (*at, radix_bits))
    return NULL;
  while (at < end && (*at == '_' || is_digit (*at, radix_bits)))
    at++;
  return at;
}

gboolean
kdl_is_number (const char *text, const char *end)
{
  Literal literal = take_apart (text);
  const char *at = skip_digits (literal.digits, end, literal.radix_bits);

  if (at == end || at == NULL || literal.radix_bits != 0)
    return at == end;
  if (*at == '.')
    at = skip_digits (at + 1, end, 0);
  if (at == NULL || at == end || (*at != 'e' && *at != 'E'))
    return at == end;
  at++;
  if (at < end && (*at == '+' || *at == '-'))
    at++;
  return skip_digits (at, end, 0) == end;
}

/* Reads a whole number apart from its sign. */
static KdlFit
read_magnitude (const KdlValue *value, gboolean *out_negative, guint64 *out)
{
  Literal literal = take_apart (value->text);
  guint radix = literal.radix_bits == 0 ? 10 : 1u << literal.radix_bits;
  gboolean overflow = strcmp (value->text, "#inf") == 0 || strcmp (value->text, "#-inf") == 0;
  guint64 magnitude = 0;

  if (value->kind != KDL_NUMBER)
    return KDL_FIT_NOT_A_NUMBER;
  if (overflow)
    literal = (Literal){ .negative = value->text[1] == '-', .digits = "" };
  if (literal.radix_bits == 0 && strpbrk (literal.digits, ".eEn") != NULL)
    return KDL_FIT_NOT_WHOLE;
  for (const char *at = literal.digits; *at != '\0'; at++) {
    if (*at == '_')
      continue;
    overflow |= __builtin_mul_overflow (magnitude, radix, &magnitude);
    overflow |= __builtin_add_overflow (magnitude, g_ascii_xdigit_value (*at), &magnitude);
  }
  if (overflow)
    return literal.negative ? KDL_FIT_TOO_SMALL : KDL_FIT_TOO_LARGE;
  *out_negative = literal.negative;
  *out = magnitude;
  return KDL_FIT_OK;
}

KdlFit
kdl_value_int64 (const KdlValue *value, gint64 *out)
{
  const guint64 limit = (guint64) G_MAXINT64;
  gboolean negative;
  guint64 magnitude;
  KdlFit fit = read_magnitude (value, &negative, &magnitude);

  if (fit != KDL_FIT_OK)
    return fit;
  if (magnitude > limit + negative)
    return negative ? KDL_FIT_TOO_SMALL : KDL_FIT_TOO_LARGE;
  /* Negated while unsigned: -G_MININT64 has no signed counterpart. */
  *out = (gint64) (negative ? -magnitude : magnitude);
  return KDL_FIT_OK;
}

KdlFit
kdl_value_uint64 (const KdlValue *value, guint64 *out)
{
  gboolean negative;
  guint64 magnitude;
  KdlFit fit = read_magnitude (value, &negative, &magnitude);

  if (fit != KDL_FIT_OK)
    return fit;
  if (negative && magnitude > 0)
    return KDL_FIT_TOO_SMALL;
  *out = magnitude;
  return KDL_FIT_OK;
}

/* Keeps the first 60 bits or more exactly and remembers in the lowest one whether any of the
 * others was set, so that the conversion rounds as if it had seen them all. */
static double
radix_to_double (const Literal *literal)
{
  guint64 mantissa = 0;
  gint64 shift = 0;

  for (const char *at = literal->digits; *at != '\0'; at++) {
    guint digit = (guint) g_ascii_xdigit_value (*at);

    if (*at == '_')
      continue;
    if (mantissa >> (64 - literal->radix_bits) == 0) {
      mantissa = mantissa << literal->radix_bits | digit;
    } else {
      mantissa |= digit != 0;
      shift += literal->radix_bits;
    }
  }
  return ldexp ((double) mantissa, (int) MIN (shift, G_MAXINT));
}

/* Appends digits without underscores; returns where they end. */
static const char *
append_digits (const char *at, GString *out)
{
  for (; g_ascii_isdigit (*at) || *at == '_'; at++)
    if (*at != '_')
      g_string_append_c (out, *at);
  return at;
}

/* A decimal in its canonical form: no underscores, plus sign or superfluous zeros, and the
 * exponent after `E` with its sign. */
static void
append_decimal (const Literal *literal, GString *out)
{
  const char *at = literal->digits;

  if (literal->negative)
    g_string_append_c (out, '-');
  while ((*at == '0' || *at == '_') && (g_ascii_isdigit (at[1]) || at[1] == '_'))
    at++;
  if (*at == '_') /* all of it was zeros and underscores */
    g_string_append_c (out, '0');
  at = append_digits (at, out);
  if (*at == '.') {
    g_string_append_c (out, '.');
    at = append_digits (at + 1, out);
  }
  if (*at == 'e' || *at == 'E') {
    at++;
    g_string_append_c (out, 'E');
    g_string_append_c (out, *at == '-' ? '-' : '+');
    append_digits (*at == '-' || *at == '+' ? at + 1 : at, out);
  }
}

KdlFit
kdl_value_double (const KdlValue *value, double *out)
{
  Literal literal = take_apart (value->text);
  double result;

  if (value->kind != KDL_NUMBER)
    return KDL_FIT_NOT_A_NUMBER;
  if (*value->text == '#') {
    *out = g_ascii_strtod (value->text + 1, NULL);
    return KDL_FIT_OK;
  }
  if (literal.radix_bits != 0) {
    result = radix_to_double (&literal);
    result = literal.negative ? -result : result;
  } else {
    g_autoptr (GString) decimal = g_string_new (NULL);

    append_decimal (&literal, decimal);
    result = g_ascii_strtod (decimal->str, NULL);
  }
  if (isinf (result))
    return literal.negative ? KDL_FIT_TOO_SMALL : KDL_FIT_TOO_LARGE;
  *out = result;
  return KDL_FIT_OK;
}

/* Appends a number of any size as decimal, by way of limbs of nine decimal digits each. */
static void
append_radix (const Literal *literal, GString *out)
{
  const guint32 base = 1000000000;
  g_autoptr (GArray) limbs = g_array_new (FALSE, FALSE, sizeof (guint32));

  for (const char *at = literal->digits; *at != '\0'; at++) {
    guint64 carry = (guint64) g_ascii_xdigit_value (*at);

    if (*at == '_')
      continue;
    for (guint i = 0; i < limbs->len; i++) {
      guint32 *limb = &g_array_index (limbs, guint32, i);

      carry += (guint64) *limb << literal->radix_bits;
      *limb = (guint32) (carry % base);
      carry /= base;
    }
    if (carry > 0) {
      guint32 limb = (guint32) carry;

      g_array_append_val (limbs, limb);
    }
  }
  if (literal->negative)
    g_string_append_c (out, '-');
  if (limbs->len == 0)
    g_string_append_c (out, '0');
  for (guint i = limbs->len; i > 0; i--)
    g_string_append_printf (out, i == limbs->len ? "%u" : "%09u",
                            g_array_index (limbs, guint32, i - 1));
}

void
kdl_number_serialise (const KdlValue *value, GString *out)
{
  Literal literal = take_apart (value->text);

  if (*value->text == '#')
    g_string_append (out, value->text);
  else if (literal.radix_bits != 0)
    append_radix (&literal, out);
  else
    append_decimal (&literal, out);
}
