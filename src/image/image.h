/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Disk images: what a file is, read from its own header before any other program opens it, and the
 * overlays that VMs write to. A base image is foreign input and is never written to. Knows nothing
 * of VMs. Header layout: docs/interop/qcow2.txt of QEMU. */

#include "runtime/op.h"

VM_BEGIN_DECLS

typedef enum { VM_IMAGE_RAW, VM_IMAGE_QCOW2 } VmImageFormat;

/* "raw" or "qcow2", as QEMU names them. Static. */
const char *vm_image_format_to_string (VmImageFormat format);

typedef struct {
  VmImageFormat format;
  guint64 virtual_size; /* bytes */
} VmImageInfo;

/* Reads the header of @path. Blocks on the disk only. Errors: VM_ERROR_IMAGE_NOT_FOUND;
 * VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED for formats other than these two;
 * VM_ERROR_IMAGE_UNSAFE for an image that names a backing or data file, is encrypted, or uses
 * features that this version cannot judge. */
gboolean vm_image_inspect (const char *path, VmImageInfo *out_info, GError **error);

/* Makes the qcow2 overlay @overlay over @base (of @info). @size is the guest's disk size in bytes,
 * 0 for that of the base; it must not be smaller. Errors: VM_ERROR_IMAGE_OVERLAY_CREATION_FAILED;
 * nothing is left then. */
gboolean vm_image_make_overlay (const char *base, const VmImageInfo *info, const char *overlay,
                                guint64 size, const VmOp *op, GError **error);

/* Compares the file at @path with @checksum, "sha256:HEX" or "sha512:HEX". Reads all of it.
 * Errors: VM_ERROR_IMAGE_CHECKSUM_MISMATCH with both sums; VM_ERROR_USAGE for a checksum of another
 * form; VM_ERROR_IO; those of @op. */
gboolean vm_image_verify (const char *path, const char *checksum, const VmOp *op, GError **error);

/* The local path, owned by the caller, of the image at @url. This version knows `file://` alone.
 * Errors: VM_ERROR_IMAGE_DOWNLOAD_FAILED. */
char *vm_image_locate (const char *url, GError **error);

VM_END_DECLS
