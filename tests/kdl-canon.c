/* SPDX-License-Identifier: MPL-2.0 */

/* Prints the canonical form of a KDL file, or what is wrong with it: the face that the conformance
 * cases of the KDL project are run through. */

#include "kdl/kdl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns the version that the argument names, or exits. */
static KdlVersion
parse_version (const char *text)
{
  if (g_strcmp0 (text, "1") == 0)
    return KDL_VERSION_1;
  if (g_strcmp0 (text, "2") == 0)
    return KDL_VERSION_2;
  fputs ("kdl-canon: --kdl-version takes 1 or 2\n", stderr);
  exit (2);
}

static void
print_diagnostics (const KdlDocument *doc, const char *path)
{
  guint count;
  const KdlDiagnostic *all = kdl_document_diagnostics (doc, &count);

  for (guint i = 0; i < count; i++) {
    const KdlDiagnostic *d = &all[i];
    KdlPosition at = kdl_document_position (doc, d->span.offset);

    fprintf (stderr, "%s:%u:%u: %s", path, at.line, at.column, d->message);
    if (d->label != NULL)
      fprintf (stderr, " (%s)", d->label);
    if (d->related_label != NULL) {
      at = kdl_document_position (doc, d->related.offset);
      fprintf (stderr, "\n  %u:%u: %s", at.line, at.column, d->related_label);
    }
    if (d->help != NULL)
      fprintf (stderr, "\n  help: %s", d->help);
    fputc ('\n', stderr);
  }
  if (kdl_document_further_faults (doc) > 0)
    fprintf (stderr, "and %u more\n", kdl_document_further_faults (doc));
}

int
main (int argc, char **argv)
{
  gboolean forced = argc == 4 && strcmp (argv[1], "--kdl-version") == 0;
  KdlVersion version = forced ? parse_version (argv[2]) : KDL_VERSION_AUTO;
  g_autoptr (KdlDocument) doc = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  gsize length = 0;
  guint faults;

  if (argc != 2 && !forced) {
    fputs ("usage: kdl-canon [--kdl-version 1|2] FILE\n", stderr);
    return 2;
  }
  if (!g_file_get_contents (argv[argc - 1], &text, &length, &error)) {
    fprintf (stderr, "kdl-canon: %s\n", error->message);
    return 1;
  }
  doc = kdl_parse (text, length, version, 0);
  kdl_document_diagnostics (doc, &faults);
  if (faults > 0) {
    print_diagnostics (doc, argv[argc - 1]);
    return 1;
  }
  g_autoptr (GString) canonical = kdl_serialise (doc);
  fwrite (canonical->str, 1, canonical->len, stdout);
  return 0;
}
