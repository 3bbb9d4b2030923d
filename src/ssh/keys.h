/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* SSH key material as text: making a pair, checking what a user names as a public key. Formats are
 * OpenSSH's: PROTOCOL.key for private keys, sshd(8) AUTHORIZED_KEYS for public ones. Writes no
 * file and knows no connection. */

#include "runtime/error.h"

VM_BEGIN_DECLS

/* Makes an Ed25519 pair: @out_private is the text of an unencrypted OpenSSH private key file,
 * @out_public one line `ssh-ed25519 AAAA… comment` without newline. @comment must not contain line
 * breaks. Both owned by the caller; keep @out_private from others (files 0600, no logs, no argv).
 * Errors: VM_ERROR_SSH_KEYGEN_FAILED. */
gboolean vm_ssh_keygen (const char *comment, char **out_private, char **out_public, GError **error);

/* The keys in @text, the content of a .pub or authorized_keys file: one line each, newline at every
 * end, valid UTF-8, without blank lines, `#` comments and carriage returns. Owned by the caller.
 * NULL with VM_ERROR_USAGE when any other line is not a well-formed public key (options before the
 * key are refused: they would limit the login), or when there is none. @name is where @text came
 * from, for the message. */
char *vm_ssh_public_keys_clean (const char *text, const char *name, GError **error);

VM_END_DECLS
