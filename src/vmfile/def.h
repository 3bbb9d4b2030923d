/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Definitions: what a VMFile (or a command line) says of its VMs, as written. Paths are still
 * relative, nothing was looked at on disk; vm_def_resolve() (spec.h) is the step that does. Pure
 * data: knows nothing of hypervisors and of the store. */

#include "runtime/error.h"

VM_BEGIN_DECLS

typedef enum { VM_ACCEL_AUTO, VM_ACCEL_KVM, VM_ACCEL_TCG } VmAccel;

typedef enum {
  VM_NETWORK_USER,     /* QEMU's own network stack; the guest reaches out, forwards reach in */
  VM_NETWORK_ISOLATED, /* the same without a way out; forwards still reach in */
  VM_NETWORK_TAP,      /* a TAP device on a bridge of the host */
  VM_NETWORK_VNIC,     /* illumos */
  VM_NETWORK_NONE,
} VmNetworkKind;

typedef enum { VM_PROTOCOL_TCP, VM_PROTOCOL_UDP } VmProtocol;

typedef struct {
  guint16 host_port;
  guint16 guest_port;
  VmProtocol protocol;
  char *address; /* IPv4, of the host; never NULL, "127.0.0.1" by default */
} VmForward;

typedef struct {
  VmNetworkKind kind;
  char *link;          /* bridge (tap) or VNIC name; NULL: not said, or a kind that has none */
  GPtrArray *forwards; /* of VmForward, never NULL */
} VmNetwork;

typedef enum { VM_STEP_SHELL, VM_STEP_FILE } VmStepKind;
typedef enum { VM_RUN_ONCE, VM_RUN_ALWAYS } VmRunPolicy;

/* A provisioning step. Exactly one of @inline_text and @script is set for a shell step, @source and
 * @destination for a file step. */
typedef struct {
  VmStepKind kind;
  VmRunPolicy run;
  char *inline_text;
  char *script;      /* path on the host */
  char *source;      /* path on the host */
  char *destination; /* path in the guest */
} VmStep;

/* One VM. Zero and NULL mean "not said": vm_def_resolve() fills in the defaults. */
typedef struct {
  char *name;
  char *backend; /* NULL: the platform's own */
  char *image;   /* path; either this or image_url */
  char *image_url;
  char *checksum; /* "sha256:HEX", "sha512:HEX", or the https URL of a file of checksums */
  guint vcpus;
  guint64 memory_mib;
  guint64 disk_gib;
  gboolean uefi;
  VmAccel accel;
  GPtrArray *networks; /* of VmNetwork, never NULL; empty: one of kind user */
  gboolean has_cloud_init;
  char *hostname;
  char *ssh_key;        /* path of a public key */
  char *user_data;      /* path */
  char *network_config; /* path */
  gboolean has_ssh;
  char *ssh_user;
  char *private_key;     /* path */
  GPtrArray *depends_on; /* of char *, never NULL */
  GPtrArray *steps;      /* of VmStep, never NULL */
} VmDef;

VmForward *vm_forward_new (guint16 host_port, guint16 guest_port);
VmForward *vm_forward_copy (const VmForward *forward);
void vm_forward_free (VmForward *forward);

VmNetwork *vm_network_new (VmNetworkKind kind);
VmNetwork *vm_network_copy (const VmNetwork *network);
void vm_network_free (VmNetwork *network);

VmStep *vm_step_new (VmStepKind kind);
VmStep *vm_step_copy (const VmStep *step);
void vm_step_free (VmStep *step);

/* A definition with nothing said but its name. */
VmDef *vm_def_new (const char *name);
VmDef *vm_def_copy (const VmDef *def);
void vm_def_free (VmDef *def);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmForward, vm_forward_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmNetwork, vm_network_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmStep, vm_step_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmDef, vm_def_free)

/* The words that VMFiles, command lines and the JSON forms use for the enums: NULL-terminated, a
 * word's index is its enum value. */
extern const char *const vm_accel_words[];
extern const char *const vm_network_kind_words[];
extern const char *const vm_protocol_words[];
extern const char *const vm_step_kind_words[];
extern const char *const vm_run_policy_words[];

/* A value's word, and back: -1 for an unknown word. Static. */
const char *vm_accel_to_string (VmAccel accel);
int vm_accel_from_string (const char *word);
const char *vm_network_kind_to_string (VmNetworkKind kind);
int vm_network_kind_from_string (const char *word);

/* The index of @word in the NULL-terminated @words, -1 when it is not there. */
int vm_word_index (const char *const *words, const char *word);

VM_END_DECLS
