/* SPDX-License-Identifier: MPL-2.0 */
#include "cloudinit/cloudinit.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#define VOLUME_ID "cidata"                /* by which cloud-init knows the NoCloud medium */
#define VOLUME_ID_OFFSET (16 * 2048 + 40) /* in the primary volume descriptor: ECMA-119, 8.4 */

typedef struct archive SeedArchive;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeedArchive, archive_write_free)

typedef struct archive_entry SeedEntry;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeedEntry, archive_entry_free)

static la_ssize_t
append_image (struct archive *archive, void *image, const void *bytes, size_t n)
{
  g_byte_array_append (image, bytes, (guint) n);
  return (la_ssize_t) n;
}

static gboolean
fail (struct archive *archive, GError **error)
{
  const char *why = archive_error_string (archive);
  return vm_error_set (error, VM_ERROR_CLOUDINIT_ISO_FAILED, "cannot make the cloud-init seed: %s",
                       why != NULL ? why : "unknown failure of libarchive");
}

static gboolean
open_image (struct archive *archive, GByteArray *image, GError **error)
{
  /* Joliet and Rock Ridge, which carry the long names, are on by default. */
  if (archive_write_set_format_iso9660 (archive) == ARCHIVE_OK &&
      archive_write_set_format_option (archive, "iso9660", "volume-id", VOLUME_ID) == ARCHIVE_OK &&
      archive_write_set_bytes_in_last_block (archive, 1) == ARCHIVE_OK &&
      archive_write_open (archive, image, NULL, append_image, NULL) == ARCHIVE_OK)
    return TRUE;
  return fail (archive, error);
}

/* A file with a fixed time and owner, so that a seed says nothing of the host it was made on. */
static gboolean
add_file (struct archive *archive, const char *name, gconstpointer bytes, gsize n, GError **error)
{
  g_autoptr (SeedEntry) entry = archive_entry_new ();
  archive_entry_set_pathname (entry, name);
  archive_entry_set_filetype (entry, AE_IFREG);
  archive_entry_set_perm (entry, 0400);
  archive_entry_set_size (entry, (la_int64_t) n);
  archive_entry_set_mtime (entry, 0, 0);
  if (archive_write_header (archive, entry) == ARCHIVE_OK &&
      archive_write_data (archive, bytes, n) == (la_ssize_t) n)
    return TRUE;
  return fail (archive, error);
}

static gboolean
add_text (struct archive *archive, const char *name, char *text, GError **error)
{
  g_autofree char *own = text;
  return add_file (archive, name, own, strlen (own), error);
}

static gboolean
add_bytes (struct archive *archive, const char *name, GBytes *bytes, GError **error)
{
  gsize size;
  const void *data = g_bytes_get_data (bytes, &size);
  return add_file (archive, name, data, size, error);
}

static gboolean
add_documents (struct archive *archive, const VmSeed *seed, GError **error)
{
  if (!add_text (archive, "meta-data", vm_cloudinit_meta_data (seed), error))
    return FALSE;
  if (seed->network_config != NULL &&
      !add_bytes (archive, "network-config", seed->network_config, error))
    return FALSE;
  if (seed->user_data == NULL)
    return add_text (archive, "user-data", vm_cloudinit_user_data (seed), error);
  return add_bytes (archive, "user-data", seed->user_data, error) &&
         add_text (archive, "vendor-data", vm_cloudinit_vendor_data (seed), error);
}

static gboolean
check (const VmSeed *seed, GError **error)
{
  const char *const texts[] = { seed->instance_id, seed->hostname, seed->authorized_keys,
                                seed->host_private_key, seed->host_public_key };
  if (!vm_cloudinit_user_is_valid (seed->user)) {
    g_autofree char *shown = g_strescape (seed->user, NULL);
    vm_error_set (error, VM_ERROR_CLOUDINIT_ISO_FAILED, "\"%.100s\" cannot name a user", shown);
    return vm_error_help (error, "a user's name has 1 to 32 characters, a-z, 0-9, `_` and `-`, and "
                                 "begins with a letter or `_`");
  }
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    if (!g_utf8_validate (texts[i], -1, NULL))
      return vm_error_set (error, VM_ERROR_CLOUDINIT_ISO_FAILED,
                           "the host name or a key is not valid UTF-8");
  }
  return TRUE;
}

gboolean
vm_cloudinit_write_seed (const VmSeed *seed, const char *path, GError **error)
{
  g_autoptr (GByteArray) image = g_byte_array_new ();
  g_autoptr (SeedArchive) archive = archive_write_new ();
  if (!check (seed, error) || !open_image (archive, image, error) ||
      !add_documents (archive, seed, error))
    return FALSE;
  if (archive_write_close (archive) != ARCHIVE_OK)
    return fail (archive, error);
  /* The standard has capitals there and libarchive obeys; Joliet's copy is as given. Not every
   * reader asks Joliet. */
  memcpy (image->data + VOLUME_ID_OFFSET, VOLUME_ID, strlen (VOLUME_ID));
  return vm_file_write (path, image->data, image->len, 0600, error);
}
