/* SPDX-License-Identifier: MPL-2.0 */
#include "image/image.h"

#include "runtime/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough for the magic numbers of every format that has to be told apart. */
#define HEADER_BYTES 1024
#define SECTOR 512
#define HASH_CHUNK (256 * 1024)

/* qcow2 v2 and v3, all fields big-endian. */
enum {
  QCOW2_VERSION = 4,
  QCOW2_BACKING_OFFSET = 8,
  QCOW2_SIZE = 24,
  QCOW2_CRYPT_METHOD = 32,
  QCOW2_INCOMPATIBLE = 72,
  QCOW2_V2_LENGTH = 72,
  QCOW2_V3_LENGTH = 104,
};

/* Incompatible features that change nothing in which files are opened: dirty (0), compression type
 * (3), extended L2 entries (4). Corrupt (1), external data file (2) and unknown ones are refused.
 */
#define QCOW2_HARMLESS ((1u << 0) | (1u << 3) | (1u << 4))
#define QCOW2_DATA_FILE (1u << 2)

typedef struct {
  guint8 bytes[HEADER_BYTES];
  gsize length;
} Header;

/* Formats that must not pass as raw: QEMU would guess at them, or the user would be surprised. */
static const struct {
  const char *magic;
  gsize length;
  const char *name;
} foreign_formats[] = {
  { "KDMV", 4, "VMDK" },
  { "COWD", 4, "VMDK" },
  { "# Disk Descriptor", 17, "VMDK" },
  { "conectix", 8, "VHD" },
  { "vhdxfile", 8, "VHDX" },
  { "<<< ", 4, "VDI" },
  { "QED\0", 4, "QED" },
  { "WithoutFreeSpace", 16, "Parallels" },
  { "WithouFreSpacExt", 16, "Parallels" },
  { "LUKS\xba\xbe", 6, "LUKS" },
  { "\x1f\x8b", 2, "gzip" },
  { "\xfd"
    "7zXZ",
    5, "xz" },
  { "\x28\xb5\x2f\xfd", 4, "zstd" },
  { "<!DOCTYPE", 9, "HTML" },
};

static guint32
be32 (const Header *header, gsize at)
{
  guint32 value;
  memcpy (&value, header->bytes + at, sizeof value);
  return GUINT32_FROM_BE (value);
}

static guint64
be64 (const Header *header, gsize at)
{
  return (guint64) be32 (header, at) << 32 | be32 (header, at + 4);
}

const char *
vm_image_format_to_string (VmImageFormat format)
{
  return format == VM_IMAGE_QCOW2 ? "qcow2" : "raw";
}

static gboolean
unsafe (const char *path, const char *why, GError **error)
{
  return vm_error_set (error, VM_ERROR_IMAGE_UNSAFE, "%s %s", path, why);
}

static gboolean
inspect_qcow2 (const char *path, const Header *header, VmImageInfo *out_info, GError **error)
{
  guint32 version = header->length >= QCOW2_V2_LENGTH ? be32 (header, QCOW2_VERSION) : 0;
  if (version != 2 && (version != 3 || header->length < QCOW2_V3_LENGTH))
    return vm_error_set (error, VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED,
                         "%s is a qcow image of an unknown version, or cut short", path);
  guint64 features = version == 3 ? be64 (header, QCOW2_INCOMPATIBLE) : 0;
  if (be64 (header, QCOW2_BACKING_OFFSET) != 0)
    return unsafe (path, "names a backing file", error);
  if (features & QCOW2_DATA_FILE)
    return unsafe (path, "keeps its data in another file", error);
  if (features & ~(guint64) QCOW2_HARMLESS)
    return unsafe (path, "is marked corrupt or uses unknown qcow2 features", error);
  if (be32 (header, QCOW2_CRYPT_METHOD) != 0)
    return unsafe (path, "is encrypted", error);
  *out_info = (VmImageInfo){ VM_IMAGE_QCOW2, be64 (header, QCOW2_SIZE) };
  return TRUE;
}

static gboolean
inspect_raw (const char *path, const Header *header, off_t size, VmImageInfo *out_info,
             GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (foreign_formats); i++) {
    gsize length = foreign_formats[i].length;
    if (header->length >= length && memcmp (header->bytes, foreign_formats[i].magic, length) == 0)
      return vm_error_set (error, VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED,
                           "%s is %s, not a qcow2 or raw disk image", path,
                           foreign_formats[i].name);
  }
  if (size < SECTOR)
    return vm_error_set (error, VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED,
                         "%s is too small to be a disk image", path);
  *out_info = (VmImageInfo){ VM_IMAGE_RAW, (guint64) size };
  return TRUE;
}

gboolean
vm_image_inspect (const char *path, VmImageInfo *out_info, GError **error)
{
  vm_autofd int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat (fd, &st) < 0)
    return vm_error_set (error, VM_ERROR_IMAGE_NOT_FOUND, "cannot open the image %s: %s", path,
                         g_strerror (errno));
  if (!S_ISREG (st.st_mode))
    return vm_error_set (error, VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED, "%s is not a file", path);
  Header header = { 0 };
  ssize_t n = pread (fd, header.bytes, sizeof header.bytes, 0);
  if (n < 0)
    return vm_error_set_errno (error, errno, "cannot read the image %s", path);
  header.length = (gsize) n;
  if (n >= 4 && memcmp (header.bytes, "QFI\xfb", 4) == 0)
    return inspect_qcow2 (path, &header, out_info, error);
  return inspect_raw (path, &header, st.st_size, out_info, error);
}

static gboolean
overlay_error (const char *overlay, const char *why, GError **error)
{
  return vm_error_set (error, VM_ERROR_IMAGE_OVERLAY_CREATION_FAILED,
                       "cannot make the overlay %s: %s", overlay, why);
}

gboolean
vm_image_make_overlay (const char *base, const VmImageInfo *info, const char *overlay, guint64 size,
                       const VmOp *op, GError **error)
{
  if (size != 0 && size < info->virtual_size) {
    vm_error_set (error, VM_ERROR_IMAGE_OVERLAY_CREATION_FAILED,
                  "the disk (%.1f GiB) would be smaller than its image %s (%.1f GiB)",
                  (double) size / (1 << 30), base, (double) info->virtual_size / (1 << 30));
    return vm_error_help (error, "leave `disk` out to get the image's size, or make it larger");
  }
  g_autofree char *bytes =
      g_strdup_printf ("%" G_GUINT64_FORMAT, size != 0 ? size : info->virtual_size);
  const char *argv[] = {
    "qemu-img", "create", "-q", "-f",    "qcow2", "-F", vm_image_format_to_string (info->format),
    "-b",       base,     "--", overlay, bytes,   NULL
  };
  g_auto (VmProcResult) result = { 0 };
  VmOp limit = vm_op_within (op, 60);
  if (!vm_proc_run (argv, &result, &limit, error)) {
    unlink (overlay);
    g_prefix_error (error, "cannot make the overlay %s: ", overlay);
    return FALSE;
  }
  if (vm_proc_result_is_success (&result))
    return TRUE;
  unlink (overlay);
  return overlay_error (overlay, g_strstrip (result.err), error);
}

/* The sum of the whole file, in lower-case hex, owned by the caller. */
static char *
hash_file (const char *path, GChecksumType type, const VmOp *op, GError **error)
{
  vm_autofd int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  g_autoptr (GChecksum) sum = g_checksum_new (type);
  g_autofree guint8 *buffer = g_malloc (HASH_CHUNK);
  ssize_t n = -1;
  while (fd >= 0 && (n = read (fd, buffer, HASH_CHUNK)) > 0) {
    g_checksum_update (sum, buffer, n);
    if (!vm_op_check (op, error))
      return NULL;
  }
  if (n < 0) {
    vm_error_set_errno (error, errno, "cannot read the image %s", path);
    return NULL;
  }
  return g_strdup (g_checksum_get_string (sum));
}

gboolean
vm_image_verify (const char *path, const char *checksum, const VmOp *op, GError **error)
{
  gboolean is_512 = g_str_has_prefix (checksum, "sha512:");
  if (!is_512 && !g_str_has_prefix (checksum, "sha256:"))
    return vm_error_set (error, VM_ERROR_USAGE, "this version cannot check \"%s\"", checksum) ||
           vm_error_help (error, "a checksum is sha256:HEX or sha512:HEX");
  g_autofree char *actual =
      hash_file (path, is_512 ? G_CHECKSUM_SHA512 : G_CHECKSUM_SHA256, op, error);
  const char *wanted = checksum + strlen ("sha256:");
  if (actual == NULL)
    return FALSE;
  return g_ascii_strcasecmp (actual, wanted) == 0 ||
         vm_error_set (error, VM_ERROR_IMAGE_CHECKSUM_MISMATCH,
                       "%s is not what its checksum says\nexpected %s\nfound    %s", path, wanted,
                       actual);
}

char *
vm_image_locate (const char *url, GError **error)
{
  g_autofree char *host = NULL;
  g_autofree char *path =
      g_str_has_prefix (url, "file://") ? g_filename_from_uri (url, &host, NULL) : NULL;
  if (path != NULL && (host == NULL || g_ascii_strcasecmp (host, "localhost") == 0))
    return g_steal_pointer (&path);
  vm_error_set (error, VM_ERROR_IMAGE_DOWNLOAD_FAILED, "cannot fetch %s: it is not on this host",
                url);
  vm_error_help (error, "this version does not download: fetch the image yourself and name it with "
                        "`image`");
  return NULL;
}
