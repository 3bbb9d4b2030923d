/* SPDX-License-Identifier: MPL-2.0 */

/* What the KDL module promises beyond the conformance cases: places, numbers, diagnostics,
 * recovery, versions, limits and linear time. */

#include "kdl/kdl.h"

#include <locale.h>
#include <math.h>
#include <string.h>

static KdlDocument *
parse_as (const char *text, KdlVersion version)
{
  return kdl_parse (text, strlen (text), version, 0);
}

static KdlDocument *
parse (const char *text)
{
  return parse_as (text, KDL_VERSION_AUTO);
}

static guint
count_faults (const KdlDocument *doc)
{
  guint count;

  kdl_document_diagnostics (doc, &count);
  return count;
}

static void
assert_span (const KdlDocument *doc, KdlSpan span, const char *expected)
{
  gsize length;
  g_autofree char *text = g_strndup (kdl_document_source (doc, &length) + span.offset, span.length);

  g_assert_cmpstr (text, ==, expected);
}

static void
assert_canonical (const char *text, KdlVersion version, const char *expected)
{
  g_autoptr (KdlDocument) doc = parse_as (text, version);
  g_autoptr (GString) canonical = kdl_serialise (doc);

  g_assert_cmpuint (count_faults (doc), ==, 0);
  g_assert_cmpstr (canonical->str, ==, expected);
}

/* Expects exactly one fault in `text`: the source that is marked, and what is said. */
typedef struct Expected {
  const char *text;
  const char *marked;
  const char *message;
  const char *label;
  const char *related;
  const char *help;
} Expected;

static void
check_fault (const Expected *expected, KdlVersion version)
{
  g_autoptr (KdlDocument) doc = parse_as (expected->text, version);
  guint count;
  const KdlDiagnostic *d = kdl_document_diagnostics (doc, &count);

  g_test_message ("%s", expected->text);
  g_assert_cmpuint (count, ==, 1);
  g_assert_cmpstr (d->message, ==, expected->message);
  assert_span (doc, d->span, expected->marked);
  g_assert_cmpstr (d->label, ==, expected->label);
  g_assert_cmpstr (d->related_label, ==, expected->related);
  g_assert_cmpstr (d->help, ==, expected->help);
}

static void
check_faults (const Expected *expected, gsize count, KdlVersion version)
{
  for (gsize i = 0; i < count; i++)
    check_fault (&expected[i], version);
}

/* --- The tree --------------------------------------------------------------------------------- */

static void
test_spans (void)
{
  g_autoptr (KdlDocument) doc =
      parse ("first\n(t)\"n\\u{e9}\" 0x1F (u8)\"a b\" \"k\"=(f)#true /-9 {\n  c; d\n} // end\n");
  const KdlNode *node = kdl_document_nodes (doc)->next;

  g_assert_cmpuint (count_faults (doc), ==, 0);
  g_assert_cmpstr (node->name.text, ==, "né");
  assert_span (doc, node->name.span, "\"n\\u{e9}\"");
  assert_span (doc, node->type->span, "t");
  assert_span (doc, node->span, "(t)\"n\\u{e9}\" 0x1F (u8)\"a b\" \"k\"=(f)#true /-9 {\n  c; d\n}");
  assert_span (doc, node->block, "{\n  c; d\n}");
  g_assert_cmpuint (node->n_args, ==, 2);
  assert_span (doc, node->args[0].span, "0x1F");
  assert_span (doc, node->args[1].span, "\"a b\"");
  assert_span (doc, node->args[1].type->span, "u8");
  g_assert_cmpuint (node->n_props, ==, 1);
  assert_span (doc, node->props[0].key.span, "\"k\"");
  assert_span (doc, node->props[0].value.span, "#true");
  assert_span (doc, node->props[0].value.type->span, "f");
  g_assert_cmpint (node->props[0].value.kind, ==, KDL_BOOLEAN);
  g_assert_true (node->props[0].value.is_true);
  g_assert_cmpstr (node->children->name.text, ==, "c");
  assert_span (doc, node->children->next->span, "d");
  g_assert_null (node->next);
}

static void
test_properties (void)
{
  g_autoptr (KdlDocument) doc = parse ("n a=1 b=2 a=3 c=#null");
  const KdlNode *node = kdl_document_nodes (doc);

  g_assert_cmpuint (node->n_props, ==, 4);
  g_assert_cmpstr (kdl_node_property (node, "a")->text, ==, "3");
  g_assert_cmpint (kdl_node_property (node, "c")->kind, ==, KDL_NULL);
  g_assert_null (kdl_node_property (node, "d"));
}

static void
test_text (void)
{
  g_autoptr (KdlDocument) doc = parse ("a \"x\\u{0}y\" \"\" b\\\n c{}");
  const KdlNode *node = kdl_document_nodes (doc);

  g_assert_cmpmem (node->args[0].text, node->args[0].length, "x\0y", 3);
  g_assert_cmpuint (node->args[1].length, ==, 0);
  g_assert_cmpstr (node->args[1].text, ==, "");
  g_assert_cmpstr (node->args[2].text, ==, "b");
  g_assert_cmpstr (node->args[3].text, ==, "c");
  g_assert_cmpuint (node->block.length, ==, 2);
  g_assert_null (node->children);
}

static void
test_positions (void)
{
  g_autoptr (KdlDocument) doc = parse ("\xef\xbb\xbf"
                                       "a\r\né \"ü\"\rc\n\n");
  gsize length;
  const char *source = kdl_document_source (doc, &length);
  static const struct {
    const char *at;
    guint line, column;
    const char *text;
  } cases[] = {
    { "a", 1, 1, "a" },         { "\r\n", 1, 2, "a" }, { "é", 2, 1, "é \"ü\"" },
    { "\"ü", 2, 3, "é \"ü\"" }, { "c\n", 3, 1, "c" },  { "\n\n", 3, 2, "c" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    gsize offset = (gsize) (strstr (source, cases[i].at) - source);
    KdlPosition position = kdl_document_position (doc, offset);

    g_assert_cmpuint (position.line, ==, cases[i].line);
    g_assert_cmpuint (position.column, ==, cases[i].column);
    assert_span (doc, kdl_document_line (doc, offset), cases[i].text);
  }
  g_assert_cmpuint (kdl_document_position (doc, length).line, ==, 5);
  g_assert_cmpuint (kdl_document_position (doc, length + 100).column, ==, 1);
  assert_span (doc, kdl_document_line (doc, length), "");
}

static void
test_round_trip (void)
{
  assert_canonical ("", KDL_VERSION_AUTO, "\n");
  assert_canonical ("a;b 1_0 +0b11 -0x0 00.50_0e+07 {c {}}", KDL_VERSION_2,
                    "a\nb 10 3 -0 0.500E+07 {\n    c\n}\n");
  assert_canonical ("n b=1 a=2 b=\"x y\" \"z\"", KDL_VERSION_2, "n z a=2 b=\"x y\"\n");
  assert_canonical ("n 0xffff_ffff_ffff_ffff_ffff", KDL_VERSION_2, "n 1208925819614629174706175\n");
  assert_canonical ("n \"a\\u{7f}\\u{200e}\\u{0}\\u{85}\\u{b}\"", KDL_VERSION_2,
                    "n \"a\\u{7f}\\u{200e}\\u{0}\\u{85}\\u{b}\"\n");
  assert_canonical ("r\"a b\" r#\"c\"d\"# true 1 k=\"v\";", KDL_VERSION_1,
                    "\"a b\" \"c\\\"d\" true 1 k=\"v\"\n");
}

static void
test_multiline (void)
{
  assert_canonical ("n \"\"\"\r\n  a\r\n\t\r\n    b \\\n   c\\n\n  \"\"\"", KDL_VERSION_2,
                    "n \"a\\n\\n  b c\\n\"\n");
  assert_canonical ("n #\"\"\"\n \\a \"#\n \"\"\"#", KDL_VERSION_2, "n \"\\\\a \\\"#\"\n");
  assert_canonical ("n \"a\\  \n  b\"", KDL_VERSION_2, "n ab\n");
}

/* --- Numbers ---------------------------------------------------------------------------------- */

static void
test_integers (void)
{
  static const struct {
    const char *text;
    KdlFit as_int64, as_uint64;
    gint64 int64;
    guint64 uint64;
  } cases[] = {
    { "0", KDL_FIT_OK, KDL_FIT_OK, 0, 0 },
    { "-0", KDL_FIT_OK, KDL_FIT_OK, 0, 0 },
    { "+1_000", KDL_FIT_OK, KDL_FIT_OK, 1000, 1000 },
    { "0xF_f", KDL_FIT_OK, KDL_FIT_OK, 255, 255 },
    { "-0o17", KDL_FIT_OK, KDL_FIT_TOO_SMALL, -15, 0 },
    { "0b101", KDL_FIT_OK, KDL_FIT_OK, 5, 5 },
    { "9223372036854775807", KDL_FIT_OK, KDL_FIT_OK, G_MAXINT64, G_MAXINT64 },
    { "9223372036854775808", KDL_FIT_TOO_LARGE, KDL_FIT_OK, 0, (guint64) G_MAXINT64 + 1 },
    { "-9223372036854775808", KDL_FIT_OK, KDL_FIT_TOO_SMALL, G_MININT64, 0 },
    { "-9223372036854775809", KDL_FIT_TOO_SMALL, KDL_FIT_TOO_SMALL, 0, 0 },
    { "18446744073709551615", KDL_FIT_TOO_LARGE, KDL_FIT_OK, 0, G_MAXUINT64 },
    { "18446744073709551616", KDL_FIT_TOO_LARGE, KDL_FIT_TOO_LARGE, 0, 0 },
    { "0x1_0000_0000_0000_0000", KDL_FIT_TOO_LARGE, KDL_FIT_TOO_LARGE, 0, 0 },
    { "2.5", KDL_FIT_NOT_WHOLE, KDL_FIT_NOT_WHOLE, 0, 0 },
    { "1e3", KDL_FIT_NOT_WHOLE, KDL_FIT_NOT_WHOLE, 0, 0 },
    { "#nan", KDL_FIT_NOT_WHOLE, KDL_FIT_NOT_WHOLE, 0, 0 },
    { "#inf", KDL_FIT_TOO_LARGE, KDL_FIT_TOO_LARGE, 0, 0 },
    { "#-inf", KDL_FIT_TOO_SMALL, KDL_FIT_TOO_SMALL, 0, 0 },
    { "\"2\"", KDL_FIT_NOT_A_NUMBER, KDL_FIT_NOT_A_NUMBER, 0, 0 },
    { "#true", KDL_FIT_NOT_A_NUMBER, KDL_FIT_NOT_A_NUMBER, 0, 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = g_strconcat ("n ", cases[i].text, NULL);
    g_autoptr (KdlDocument) doc = parse (text);
    const KdlValue *value = kdl_document_nodes (doc)->args;
    guint64 uint64 = 0;
    gint64 int64 = 0;

    g_test_message ("%s", text);
    g_assert_cmpint (kdl_value_int64 (value, &int64), ==, cases[i].as_int64);
    g_assert_cmpint (kdl_value_uint64 (value, &uint64), ==, cases[i].as_uint64);
    g_assert_cmpint (int64, ==, cases[i].int64);
    g_assert_cmpuint (uint64, ==, cases[i].uint64);
  }
}

static void
test_doubles (void)
{
  g_autoptr (KdlDocument) doc = parse ("n 1_0.5_0e-1 -0x10 0x8000_0000_0000_0400_1 0b1 1e999 "
                                       "-1e999 #inf #-inf #nan x");
  const KdlValue *args = kdl_document_nodes (doc)->args;
  double number = 0;

  g_assert_cmpint (kdl_value_double (&args[0], &number), ==, KDL_FIT_OK);
  g_assert_cmpfloat (number, ==, 1.05);
  g_assert_cmpint (kdl_value_double (&args[1], &number), ==, KDL_FIT_OK);
  g_assert_cmpfloat (number, ==, -16);
  g_assert_cmpint (kdl_value_double (&args[2], &number), ==, KDL_FIT_OK);
  g_assert_cmpfloat (number, ==, 0x8.00000000000080p64); /* just above half: rounds up */
  g_assert_cmpint (kdl_value_double (&args[3], &number), ==, KDL_FIT_OK);
  g_assert_cmpfloat (number, ==, 1);
  g_assert_cmpint (kdl_value_double (&args[4], &number), ==, KDL_FIT_TOO_LARGE);
  g_assert_cmpint (kdl_value_double (&args[5], &number), ==, KDL_FIT_TOO_SMALL);
  g_assert_cmpint (kdl_value_double (&args[6], &number), ==, KDL_FIT_OK);
  g_assert_true (isinf (number) && number > 0);
  g_assert_cmpint (kdl_value_double (&args[7], &number), ==, KDL_FIT_OK);
  g_assert_true (isinf (number) && number < 0);
  g_assert_cmpint (kdl_value_double (&args[8], &number), ==, KDL_FIT_OK);
  g_assert_true (isnan (number));
  g_assert_cmpint (kdl_value_double (&args[9], &number), ==, KDL_FIT_NOT_A_NUMBER);
}

/* --- Diagnostics ------------------------------------------------------------------------------ */

static void
test_faults_of_braces (void)
{
  static const Expected expected[] = {
    { "vm \"web\" {\n    vcpus 2\n    network \"user\" {\n        forward 8080 80\n}\n", "{",
      "this block is never closed", "opened here",
      "closes it, but its indentation belongs to `vm \"web\"` (line 1)", "add `}` after line 4" },
    { "vm \"web\" {\n    vcpus 2\n", "{", "this block is never closed", "opened here",
      "the file ends here", "add `}` after line 2" },
    { "a {\n    b 1\n\nc {\n    d 2\n}\n", "{", "this block is never closed", "opened here",
      "its indentation says that the block has ended before", "add `}` after line 2" },
    { "vm \"web\" {\n}\n}\nx\n", "}", "unexpected `}`", "no block is open here",
      "`vm \"web\"` was closed here (line 2)", "remove it" },
    { "}\n", "}", "unexpected `}`", "no block is open here", NULL, "remove it" },
    { "vm \"web\"\n{\n  a\n}\n", "{", "this block has no node", NULL,
      "`vm \"web\"` ended with its line", "put `{` on the line of its node: vm \"web\" {" },
    { "a {} {\n}\n", "{", "a node can have only one block", "second block", "first block",
      "put the contents of both into one block, or begin a new node before it" },
    { "a {} b\n", "b", "a node ends after its block", "a new node begins here", NULL,
      "put `;` or a line end before it" },
  };
  g_autoptr (KdlDocument) doc = parse (expected[0].text);
  guint count;
  const KdlDiagnostic *d = kdl_document_diagnostics (doc, &count);

  check_faults (expected, G_N_ELEMENTS (expected), KDL_VERSION_AUTO);
  g_assert_cmpuint (kdl_document_position (doc, d->span.offset).line, ==, 3);
  g_assert_cmpuint (kdl_document_position (doc, d->span.offset).column, ==, 20);
  g_assert_cmpuint (kdl_document_position (doc, d->related.offset).line, ==, 5);
}

static void
test_faults_of_words (void)
{
  static const Expected expected[] = {
    { "image /var/img.qcow2", "/var/img.qcow2", "`/` is not allowed in an unquoted string", NULL,
      NULL, "quote it: image \"/var/img.qcow2\"" },
    { "ssh { ssh-key ~/.ssh/id.pub; }", "~/.ssh/id.pub", "`/` is not allowed in an unquoted string",
      NULL, NULL, "quote it: ssh-key \"~/.ssh/id.pub\"" },
    { "a C:\\x\\y", "C:\\x\\y", "`\\` is not allowed in an unquoted string", NULL, NULL,
      "quote it: a #\"C:\\x\\y\"#" },
    { "memory 2GiB", "2GiB", "`2GiB` is not a number", "starts with a digit", NULL,
      "quote it: memory \"2GiB\"" },
    { "x a address=10.0.0.5", "10.0.0.5", "`10.0.0.5` is not a number", "starts with a digit", NULL,
      "quote it: address=\"10.0.0.5\"" },
    { "x a 1.5.2", "1.5.2", "`1.5.2` is not a number", "starts with a digit", NULL,
      "quote it: \"1.5.2\"" },
    { "forward 8080:80", "8080:80", "`8080:80` is not a number", NULL, NULL,
      "host and guest port are two arguments: forward 8080 80" },
    { "uefi true; a b", "true", "`true` must be written `#true` in KDL 2", NULL, NULL,
      "write #true, or begin the file with `/- kdl-version 1`" },
    { "x inf", "inf", "`inf` must be written `#inf` in KDL 2", NULL, NULL,
      "write #inf, or quote it if it is meant as text" },
    { "x #yes", "#yes", "`#yes` is not a keyword", NULL, NULL,
      "the keywords are #true, #false, #null, #inf, #-inf and #nan; a comment begins with `//`" },
    { "# a { comment\n", "#", "`#` does not begin a comment", NULL, NULL, "use `//`" },
    { "8080 x", "8080", "`8080` cannot be a name", "starts with a digit", NULL,
      "quote it: \"8080\"" },
    { "a \x07", "\x07", "the character U+0007 is not allowed", NULL, NULL,
      "remove it, or write \\u{7} in a quoted string" },
    { "a /* b", "/*", "this comment is never closed", "opened here", NULL, "add `*/`" },
  };

  check_faults (expected, G_N_ELEMENTS (expected), KDL_VERSION_AUTO);
}

static void
test_faults_of_entries (void)
{
  static const Expected expected[] = {
    { "vcpus = 2", "=", "`vcpus` is a node, not an assignment", NULL, NULL, "write: vcpus 2" },
    { "memory=2GiB", "=", "`memory` is a node, not an assignment", NULL, NULL,
      "write: memory \"2GiB\"" },
    { "uefi = true {\n a\n}", "=", "`uefi` is a node, not an assignment", NULL, NULL,
      "write: uefi #true" },
    { "depends-on \"a\", \"b\"", ",", "KDL has no commas between arguments", NULL, NULL,
      "depends-on \"a\" \"b\"" },
    { "ports 80,443", ",", "KDL has no commas between arguments", NULL, NULL, "ports 80 443" },
    { "depends-on [\"a\", \"b\"]", "[", "KDL has no lists in brackets", NULL, NULL,
      "depends-on \"a\" \"b\"" },
    { "a \"b\"c", "c", "a blank is missing", "begins right after what stands before it", NULL,
      "separate arguments and properties by blanks; inside a string, a quote is written `\\\"`" },
    { "a (t)b=1", "(t)b", "a type annotation belongs to the value, not to the property", NULL, NULL,
      "put it after `=`" },
    { "a b=\n", "=", "the property `b` has no value", NULL, NULL,
      "write a value after `=`: b=VALUE" },
    { "a /-\n", "/-", "nothing follows `/-`", NULL, NULL,
      "write the value to comment out after it, or remove it" },
    { "(\n", "(", "the type annotation is not closed", "opened here", NULL,
      "add `)` after its name" },
    { "a {}/-\n", "/-", "only the end of the node may follow its block", NULL, NULL,
      "put arguments and properties before the block" },
    { "a;;", ";", "unexpected `;`", "no node stands before it", NULL, "remove it" },
  };

  check_faults (expected, G_N_ELEMENTS (expected), KDL_VERSION_AUTO);
}

static void
test_faults_of_strings (void)
{
  static const char close_help[] =
      "add `\"`; for several lines use `\"\"\"` alone on the first and last line";
  const Expected expected[] = {
    { "a \"b c\nd \"e\"\n", "\"b c", "string is not closed on its line", NULL, NULL, close_help },
    { "vm \"web {\r\n  a\r\n}\r\n", "\"web {", "string is not closed on its line", NULL, NULL,
      close_help },
    { "ssh { user \"u }\na\n", "\"u }", "string is not closed on its line", NULL, NULL,
      close_help },
    { "a \"C:\\images\"", "\\i", "`\\i` is not an escape", NULL, NULL,
      "write `\\\\` for a backslash, or use a raw string: #\"C:\\images\"#" },
    { "a \"\\u{d800}\"", "\\u{d800}", "`\\u{d800}` is not an escape", NULL, NULL,
      "write \\u{…} with the 1 to 6 hexadecimal digits of a character" },
    { "a \"\"\"b\"\"\" {\n}", "\"\"\"", "a string in three quotes begins on the next line", NULL,
      NULL,
      "put a line end after the opening quotes and before the closing ones, or use `\"` for a "
      "string on one line" },
    { "a \"\"\"\n b\n  \"\"\"\n", " ", "this line is indented less than the closing quotes", NULL,
      NULL, "begin it with the very same blanks as the line of the closing quotes" },
    { "a \"\"\"\n b\"\"\"\n", "\"\"\"", "the closing quotes need a line of their own",
      "follows text", NULL, "put them on the next line" },
    { "a {\n b \"\"\"\n}\n", "\"\"\"", "this string is never closed", "opened here", NULL,
      "add the closing quotes on a line of their own" },
  };

  check_faults (expected, G_N_ELEMENTS (expected), KDL_VERSION_AUTO);
}

static void
test_faults_of_version_1 (void)
{
  static const Expected expected[] = {
    { "a b", "b", "`b` must be quoted in KDL 1", NULL, NULL, "quote it: a \"b\"" },
    { "a { b }", "}", "KDL 1 wants the last node of a block terminated", NULL, NULL,
      "put `;` or a line end before `}`" },
    { "a 1/-", "1/-", "`/` is not allowed in an unquoted string", NULL, NULL,
      "quote it: a \"1/-\"" },
    { "a \"b\nc", "\"", "this string is never closed", NULL, NULL, "add `\"`" },
  };

  check_faults (expected, G_N_ELEMENTS (expected), KDL_VERSION_1);
}

/* --- Recovery --------------------------------------------------------------------------------- */

/* One fault a node, in the order of the file, and everything else is kept. */
static void
test_recovery (void)
{
  g_autoptr (KdlDocument) doc = parse ("a 1 2x 3y {\n  b = \"{\" // {\n  \"c\" 1\n}\n"
                                       "d \"e\nf [1, 2] {\n  g\n}\n7 { lost; }\nh 8:9\n");
  static const char expected[] = "a 1 {\n    b\n    c 1\n}\nd\nf {\n    g\n}\nh\n";
  g_autoptr (GString) canonical = kdl_serialise (doc);
  const KdlNode *node = kdl_document_nodes (doc);
  guint count;
  const KdlDiagnostic *all = kdl_document_diagnostics (doc, &count);

  g_assert_cmpuint (count, ==, 6);
  for (guint i = 1; i < count; i++)
    g_assert_cmpuint (all[i].span.offset, >, all[i - 1].span.offset);
  g_assert_cmpstr (canonical->str, ==, expected);
  g_assert_true (node->damaged);
  g_assert_true (node->children->damaged);
  g_assert_false (node->children->next->damaged);
}

/* Where indentation shows that a brace is missing, the nodes after it are in the right place. */
static void
test_recovery_of_braces (void)
{
  g_autoptr (KdlDocument) doc = parse ("vm \"a\" {\n  network {\n    forward 1 2\n  vcpus 3\n}\n"
                                       "vm \"b\" {\n  x\n}\ny = 2\n");
  g_autoptr (GString) canonical = kdl_serialise (doc);

  g_assert_cmpuint (count_faults (doc), ==, 2);
  g_assert_cmpstr (canonical->str, ==,
                   "vm a {\n    network {\n        forward 1 2\n    }\n    vcpus 3\n}\n"
                   "vm b {\n    x\n}\ny\n");
}

static void
test_oddly_indented (void)
{
  g_autoptr (KdlDocument) doc = parse ("a {\n    b {\n  c\n }\n}\nd {\ne {\n      f\n");
  guint count;
  const KdlDiagnostic *d = kdl_document_diagnostics (doc, &count);

  g_assert_cmpuint (count, ==, 1);
  g_assert_cmpuint (kdl_document_position (doc, d->span.offset).line, ==, 7);
}

static void
test_many_faults (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (KdlDocument) doc = NULL;

  for (int i = 0; i < 27; i++)
    g_string_append (text, "a 1x\n");
  doc = parse (text->str);
  g_assert_cmpuint (count_faults (doc), ==, KDL_MAX_DIAGNOSTICS);
  g_assert_cmpuint (kdl_document_further_faults (doc), ==, 7);
}

/* --- Versions, encoding and limits ------------------------------------------------------------ */

static void
assert_version (const char *text, KdlVersion version, gboolean fell_back, guint faults)
{
  g_autoptr (KdlDocument) doc = parse (text);

  g_test_message ("%s", text);
  g_assert_cmpuint (count_faults (doc), ==, faults);
  g_assert_cmpint (kdl_document_version (doc), ==, version);
  g_assert_cmpint (kdl_document_fell_back (doc), ==, fell_back);
}

static void
test_versions (void)
{
  assert_version ("a b", KDL_VERSION_2, FALSE, 0);
  assert_version ("a \"b\"", KDL_VERSION_2, FALSE, 0);
  assert_version ("a true", KDL_VERSION_1, TRUE, 0);
  assert_version ("a r\"b\"\nb null\n", KDL_VERSION_1, TRUE, 0);
  assert_version ("a true b", KDL_VERSION_2, FALSE, 1);
  assert_version ("/- kdl-version 1\na true", KDL_VERSION_1, FALSE, 0);
  assert_version ("/- kdl-version 1\na b", KDL_VERSION_1, FALSE, 1);
  assert_version ("\xef\xbb\xbf/-kdl-version  2 \r\na true", KDL_VERSION_2, FALSE, 1);
  assert_version ("/- kdl-version 3\na", KDL_VERSION_2, FALSE, 1);
  assert_version ("/- kdl-version 2.0\na", KDL_VERSION_2, FALSE, 1);
  assert_version ("/- kdl-version 3 {\n}\na", KDL_VERSION_2, FALSE, 0);
  assert_version ("\n/- kdl-version 1\na b", KDL_VERSION_2, FALSE, 0);
}

static void
test_version_message (void)
{
  static const Expected unknown = {
    "/- kdl-version 3\na true\n", "3",  "KDL version 3 is not known",
    "only 1 and 2 are",           NULL, "write `/- kdl-version 2`"
  };

  check_fault (&unknown, KDL_VERSION_AUTO);
  assert_canonical (unknown.text, KDL_VERSION_1, "a true\n");
}

static void
test_encoding (void)
{
  static const struct {
    const char *text;
    guint offset;
    const char *message;
  } cases[] = {
    { "caf\xe9 1", 3, "not UTF-8, byte 0xE9, looks like Latin-1" },
    { "\xff\xfe"
      "a",
      0, "not UTF-8, byte 0xFF, looks like UTF-16" },
    { "aé\x80", 3, "not UTF-8, byte 0x80" },
    { "12345678\xc0\xaf", 8, "not UTF-8, byte 0xC0" },
    { "\xed\xa0\x80", 0, "not UTF-8, byte 0xED" },
    { "\xf4\x90\x80\x80", 0, "not UTF-8, byte 0xF4" },
    { "a\xe2\x82", 1, "not UTF-8, byte 0xE2" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KdlDocument) doc = parse (cases[i].text);
    guint count;
    const KdlDiagnostic *d = kdl_document_diagnostics (doc, &count);

    g_assert_cmpuint (count, ==, 1);
    g_assert_cmpstr (d->message, ==, cases[i].message);
    g_assert_cmpuint (d->span.offset, ==, cases[i].offset);
    g_assert_null (kdl_document_nodes (doc));
  }
}

static void
test_size_limit (void)
{
  g_autoptr (KdlDocument) fits = kdl_parse ("abcd", 4, KDL_VERSION_AUTO, 4);
  g_autoptr (KdlDocument) doc = kdl_parse ("abcde", 5, KDL_VERSION_AUTO, 4);
  g_autoptr (KdlDocument) empty = kdl_parse (NULL, 0, KDL_VERSION_AUTO, 4);
  guint count;
  const KdlDiagnostic *d = kdl_document_diagnostics (doc, &count);

  g_assert_cmpuint (count_faults (fits), ==, 0);
  g_assert_cmpuint (count_faults (empty), ==, 0);
  g_assert_cmpuint (count, ==, 1);
  g_assert_cmpstr (d->message, ==, "the file is too large");
  g_assert_cmpstr (d->label, ==, "5 bytes, at most 4 are allowed");
}

static void
test_depth_limit (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (KdlDocument) fits = NULL;
  g_autoptr (KdlDocument) doc = NULL;
  guint count;

  for (int i = 0; i < KDL_MAX_DEPTH; i++)
    g_string_prepend (g_string_append (text, "}"), "a {");
  fits = parse (text->str);
  g_assert_cmpuint (count_faults (fits), ==, 0);
  g_string_prepend (g_string_append (text, "}"), "a {");
  doc = parse (text->str);
  g_assert_cmpstr (kdl_document_diagnostics (doc, &count)->message, ==,
                   "blocks are nested too deeply");
  g_assert_cmpuint (count, ==, 1);
}

/* Each text is one piece over and over: parsing must not take more than linear time. */
static void
test_bombs (void)
{
  static const struct {
    const char *piece;
    guint times;
  } bombs[] = {
    { "node {", 2000000 },    { "node /-{ ", 1000000 }, { "a /-{\n", 22 },
    { "a /-{\n", 100000 },    { "/-", 1000000 },        { "/*", 1000000 },
    { "x=\\\";", 200000 },    { "#\"\"\"x\n", 200000 }, { "a \"\n", 200000 },
    { "\\ ", 1000000 },       { "a{b{}};", 200000 },    { "a {\n b\nc\n}\n", 50000 },
    { "##########", 100000 }, { "a \"\\", 300000 },     { "r###", 300000 },
    { "a=,[", 300000 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bombs); i++) {
    g_autoptr (GString) text = g_string_new (NULL);
    gint64 start;

    for (guint n = 0; n < bombs[i].times; n++)
      g_string_append (text, bombs[i].piece);
    start = g_get_monotonic_time ();
    for (int version = KDL_VERSION_AUTO; version <= KDL_VERSION_2; version++)
      kdl_document_free (kdl_parse (text->str, text->len, (KdlVersion) version, 0));
    g_test_message ("%s: %" G_GINT64_FORMAT " ms", bombs[i].piece,
                    (g_get_monotonic_time () - start) / 1000);
    g_assert_cmpint (g_get_monotonic_time () - start, <, 5 * G_USEC_PER_SEC);
  }
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*run) (void);
  } tests[] = {
    { "/kdl/tree/spans", test_spans },
    { "/kdl/tree/properties", test_properties },
    { "/kdl/tree/text", test_text },
    { "/kdl/tree/positions", test_positions },
    { "/kdl/tree/round-trip", test_round_trip },
    { "/kdl/tree/multiline", test_multiline },
    { "/kdl/numbers/integers", test_integers },
    { "/kdl/numbers/doubles", test_doubles },
    { "/kdl/faults/braces", test_faults_of_braces },
    { "/kdl/faults/words", test_faults_of_words },
    { "/kdl/faults/entries", test_faults_of_entries },
    { "/kdl/faults/strings", test_faults_of_strings },
    { "/kdl/faults/version-1", test_faults_of_version_1 },
    { "/kdl/recovery/nodes", test_recovery },
    { "/kdl/recovery/braces", test_recovery_of_braces },
    { "/kdl/recovery/odd-indent", test_oddly_indented },
    { "/kdl/recovery/many", test_many_faults },
    { "/kdl/versions/detection", test_versions },
    { "/kdl/versions/message", test_version_message },
    { "/kdl/limits/encoding", test_encoding },
    { "/kdl/limits/size", test_size_limit },
    { "/kdl/limits/depth", test_depth_limit },
    { "/kdl/limits/bombs", test_bombs },
  };

  setlocale (LC_ALL, "");
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add_func (tests[i].path, tests[i].run);
  return g_test_run ();
}
