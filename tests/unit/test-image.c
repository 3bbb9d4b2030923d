/* SPDX-License-Identifier: MPL-2.0 */
#include "image/image.h"

#include <string.h>

#define MIB (1024 * 1024)

typedef struct {
  char *dir;
  char *path;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->dir = g_dir_make_tmp ("vm-image-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->dir, "image", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_assert_true (vm_dir_remove (fixture->dir, NULL));
  g_free (fixture->dir);
  g_free (fixture->path);
}

/* A qcow2 header of version 3 whose fields can be spoiled one by one. */
typedef struct {
  guint32 version;
  guint64 backing_offset;
  guint32 crypt_method;
  guint64 incompatible;
  gsize length;
} Qcow2;

static const Qcow2 sound = { .version = 3, .length = 512 };

static void
put32 (guint8 *at, guint32 value)
{
  value = GUINT32_TO_BE (value);
  memcpy (at, &value, sizeof value);
}

static void
put64 (guint8 *at, guint64 value)
{
  value = GUINT64_TO_BE (value);
  memcpy (at, &value, sizeof value);
}

static void
write_qcow2 (const Fixture *fixture, const Qcow2 *header)
{
  guint8 bytes[512] = "QFI\xfb";
  put32 (bytes + 4, header->version);
  put64 (bytes + 8, header->backing_offset);
  put64 (bytes + 24, 7 * MIB);
  put32 (bytes + 32, header->crypt_method);
  put64 (bytes + 72, header->incompatible);
  g_assert_true (vm_file_write (fixture->path, bytes, header->length, 0600, NULL));
}

static void
expect_code (const Fixture *fixture, VmErrorCode code)
{
  g_autoptr (GError) error = NULL;
  VmImageInfo info;
  g_assert_false (vm_image_inspect (fixture->path, &info, &error));
  g_assert_error (error, VM_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, fixture->path));
}

static void
test_qcow2 (Fixture *fixture, gconstpointer data)
{
  VmImageInfo info;
  write_qcow2 (fixture, &sound);
  g_assert_true (vm_image_inspect (fixture->path, &info, NULL));
  g_assert_cmpint (info.format, ==, VM_IMAGE_QCOW2);
  g_assert_cmpuint (info.virtual_size, ==, 7 * MIB);

  const Qcow2 old = { .version = 2, .length = 72 };
  write_qcow2 (fixture, &old);
  g_assert_true (vm_image_inspect (fixture->path, &info, NULL));
}

static void
test_unsafe_qcow2 (Fixture *fixture, gconstpointer data)
{
  static const Qcow2 unsafe[] = {
    { .version = 3, .length = 512, .backing_offset = 104 },
    { .version = 3, .length = 512, .crypt_method = 2 },
    { .version = 3, .length = 512, .incompatible = 1 << 1 },
    { .version = 3, .length = 512, .incompatible = 1 << 2 },
    { .version = 3, .length = 512, .incompatible = G_GUINT64_CONSTANT (1) << 40 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (unsafe); i++) {
    write_qcow2 (fixture, &unsafe[i]);
    expect_code (fixture, VM_ERROR_IMAGE_UNSAFE);
  }
}

static void
test_cut_short (Fixture *fixture, gconstpointer data)
{
  Qcow2 header = sound;
  for (header.length = 4; header.length < 104; header.length++) {
    write_qcow2 (fixture, &header);
    expect_code (fixture, VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED);
  }
  header = (Qcow2){ .version = 4, .length = 512 };
  write_qcow2 (fixture, &header);
  expect_code (fixture, VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED);
}

static void
test_raw (Fixture *fixture, gconstpointer data)
{
  g_autofree char *zeros = g_malloc0 (MIB);
  VmImageInfo info;
  g_assert_true (vm_file_write (fixture->path, zeros, MIB, 0600, NULL));
  g_assert_true (vm_image_inspect (fixture->path, &info, NULL));
  g_assert_cmpint (info.format, ==, VM_IMAGE_RAW);
  g_assert_cmpuint (info.virtual_size, ==, MIB);
}

static void
test_foreign (Fixture *fixture, gconstpointer data)
{
  static const char *const starts[] = { "KDMV",     "# Disk DescriptorFile\n", "vhdxfile",
                                        "\x1f\x8b", "<!DOCTYPE html>",         "" };
  for (gsize i = 0; i < G_N_ELEMENTS (starts); i++) {
    char bytes[600] = { 0 };
    memcpy (bytes, starts[i], strlen (starts[i]));
    gsize length = *starts[i] != '\0' ? sizeof bytes : 0; /* an empty file too */
    g_assert_true (vm_file_write (fixture->path, bytes, length, 0600, NULL));
    expect_code (fixture, VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED);
  }
}

static void
test_missing (Fixture *fixture, gconstpointer data)
{
  expect_code (fixture, VM_ERROR_IMAGE_NOT_FOUND);
}

static void
test_overlay (Fixture *fixture, gconstpointer data)
{
  g_autofree char *zeros = g_malloc0 (MIB);
  g_autofree char *overlay = g_build_filename (fixture->dir, "overlay", NULL);
  g_autoptr (GError) error = NULL;
  VmImageInfo info;
  VmImageInfo made;
  g_autofree char *qemu_img = g_find_program_in_path ("qemu-img");
  if (qemu_img == NULL) {
    g_test_skip ("qemu-img is not installed");
    return;
  }
  g_assert_true (vm_file_write (fixture->path, zeros, MIB, 0600, NULL));
  g_assert_true (vm_image_inspect (fixture->path, &info, NULL));
  g_assert_false (vm_image_make_overlay (fixture->path, &info, overlay, 1000, NULL, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_IMAGE_OVERLAY_CREATION_FAILED);
  g_assert_false (g_file_test (overlay, G_FILE_TEST_EXISTS));

  g_assert_true (vm_image_make_overlay (fixture->path, &info, overlay, 3 * MIB, NULL, NULL));
  /* It names a backing file, so it must not pass as somebody's base. */
  g_clear_error (&error);
  g_assert_false (vm_image_inspect (overlay, &made, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_IMAGE_UNSAFE);
}

static void
test_locate (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = vm_image_locate ("file:///a%20b/c.qcow2", NULL);
  g_assert_cmpstr (path, ==, "/a b/c.qcow2");
  g_assert_null (vm_image_locate ("https://example.org/x", &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_IMAGE_DOWNLOAD_FAILED);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/image/qcow2", test_qcow2);
  ADD ("/image/unsafe", test_unsafe_qcow2);
  ADD ("/image/cut-short", test_cut_short);
  ADD ("/image/raw", test_raw);
  ADD ("/image/foreign", test_foreign);
  ADD ("/image/missing", test_missing);
  ADD ("/image/overlay", test_overlay);
  ADD ("/image/locate", test_locate);
  return g_test_run ();
}
