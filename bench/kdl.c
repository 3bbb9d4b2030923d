/* SPDX-License-Identifier: MPL-2.0 */

/* How fast a large KDL file becomes a document, and how much memory that takes. */

#include "kdl/kdl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_SIZE (50 * 1000 * 1000)
#define ROUNDS 7

/* One VM as people write them: comments, blocks in one line and in several, properties. */
static const char vm_block[] =
    "vm \"web-%u\" {\n"
    "    image-url \"https://example.org/noble.img\" checksum=\"sha256:9f86d081884c7d65\"\n"
    "    vcpus 2                       // > 0, default 1\n"
    "    memory \"2GiB\"\n"
    "    disk 20\n"
    "    uefi #true                    // default BIOS\n"
    "    accel \"auto\"                  // auto, kvm or tcg\n"
    "    backend \"qemu\"\n"
    "    network \"user\" {\n"
    "        forward 8080 80           // host port, guest port\n"
    "        forward 8443 443 address=\"127.0.0.1\" protocol=\"tcp\"\n"
    "    }\n"
    "    cloud-init {\n"
    "        hostname \"web-%u\"\n"
    "        ssh-key \"~/.ssh/id_ed25519.pub\"\n"
    "        user-data \"cloud-config.yaml\"\n"
    "        network-config \"net.yaml\"\n"
    "    }\n"
    "    ssh { user \"ubuntu\"; private-key \"~/.ssh/id_ed25519\" }\n"
    "    depends-on \"db\"\n"
    "    provision \"shell\" { inline \"sudo apt-get install -y nginx\" }\n"
    "    provision \"shell\" { script \"scripts/setup.sh\" }\n"
    "    provision \"file\"  { source \"app.conf\"; destination \"/tmp/app.conf\" }\n"
    "}\n";

/* Returns the resident memory of this process, in bytes. */
static gsize
resident_bytes (void)
{
  g_autofree char *text = NULL;
  unsigned long total, resident;

  if (!g_file_get_contents ("/proc/self/statm", &text, NULL, NULL) ||
      sscanf (text, "%lu %lu", &total, &resident) != 2)
    return 0;
  return resident * 4096;
}

static int
compare_doubles (const void *a, const void *b)
{
  double first = *(const double *) a, second = *(const double *) b;

  return (first > second) - (first < second);
}

int
main (void)
{
  g_autoptr (GString) text = g_string_sized_new (INPUT_SIZE + sizeof vm_block);
  double rates[ROUNDS];
  gsize grown = 0;

  for (guint i = 0; text->len < INPUT_SIZE; i++)
    g_string_append_printf (text, vm_block, i, i);
  for (guint round = 0; round < ROUNDS; round++) {
    gsize before = resident_bytes ();
    gint64 start = g_get_monotonic_time ();
    g_autoptr (KdlDocument) doc = kdl_parse (text->str, text->len, KDL_VERSION_AUTO, 0);
    double seconds = (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
    gsize after = resident_bytes ();
    guint faults;

    kdl_document_diagnostics (doc, &faults);
    if (faults > 0) {
      fputs ("the generated text is not valid KDL\n", stderr);
      return 1;
    }
    rates[round] = (double) text->len / 1e6 / seconds;
    grown = MAX (grown, after > before ? after - before : 0);
  }
  qsort (rates, ROUNDS, sizeof *rates, compare_doubles);
  printf ("kdl_parse: %.1f MB, %.0f MB/s (median of %d, %.0f to %.0f), memory %.1f x the input\n",
          (double) text->len / 1e6, rates[ROUNDS / 2], ROUNDS, rates[0], rates[ROUNDS - 1],
          (double) grown / (double) text->len);
  return 0;
}
