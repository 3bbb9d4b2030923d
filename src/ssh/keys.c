/* SPDX-License-Identifier: MPL-2.0 */
#include "ssh/keys.h"

#include "ssh/internal.h"

#include <string.h>

/* libssh allocates with malloc(); a private key is wiped before it goes back. */
static char *
take_text (char *text)
{
  char *copy = g_strdup (text);
  if (text != NULL)
    explicit_bzero (text, strlen (text));
  ssh_string_free_char (text);
  return copy;
}

gboolean
vm_ssh_keygen (const char *comment, char **out_private, char **out_public, GError **error)
{
  g_auto (ssh_key) key = NULL;
  char *private_text = NULL;
  char *public_text = NULL;

  if (strpbrk (comment, "\r\n") != NULL)
    return vm_error_set (error, VM_ERROR_SSH_KEYGEN_FAILED,
                         "a key's comment cannot contain line breaks");
  if (ssh_pki_generate (SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK ||
      ssh_pki_export_privkey_base64 (key, NULL, NULL, NULL, &private_text) != SSH_OK)
    return vm_error_set (error, VM_ERROR_SSH_KEYGEN_FAILED, "cannot make an Ed25519 key");
  g_autofree char *private_key = take_text (private_text);
  if (ssh_pki_export_pubkey_base64 (key, &public_text) != SSH_OK)
    return vm_error_set (error, VM_ERROR_SSH_KEYGEN_FAILED, "cannot write an Ed25519 key");
  g_autofree char *public_key = take_text (public_text);

  *out_private = g_steal_pointer (&private_key);
  *out_public =
      g_strdup_printf ("ssh-ed25519 %s%s%s", public_key, *comment != '\0' ? " " : "", comment);
  return TRUE;
}

char *
vm_ssh_key_text (const char *line)
{
  g_auto (ssh_key) key = NULL;
  g_auto (GStrv) words = g_strsplit_set (line, " \t", 3);
  if (g_strv_length (words) < 2)
    return NULL;
  enum ssh_keytypes_e type = ssh_key_type_from_name (words[0]);
  /* The type is named in the blob once more, and libssh takes the blob's word for it. */
  if (type == SSH_KEYTYPE_UNKNOWN ||
      ssh_pki_import_pubkey_base64 (words[1], type, &key) != SSH_OK || ssh_key_type (key) != type)
    return NULL;
  return g_strdup_printf ("%s %s", words[0], words[1]);
}

char *
vm_ssh_public_keys_clean (const char *text, const char *name, GError **error)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_auto (GStrv) lines = g_strsplit (valid, "\n", -1);
  g_autoptr (GString) clean = g_string_new (NULL);

  if (strstr (valid, "PRIVATE KEY-----") != NULL) {
    vm_error_set (error, VM_ERROR_USAGE, "%s holds a private key", name);
    vm_error_help (error, "name the public one, usually the same path with .pub");
    return NULL;
  }
  for (guint i = 0; lines[i] != NULL; i++) {
    const char *line = g_strstrip (lines[i]);
    if (*line == '\0' || *line == '#')
      continue;
    g_autofree char *key = vm_ssh_key_text (line);
    if (key == NULL) {
      vm_error_set (error, VM_ERROR_USAGE, "line %u of %s is not an SSH public key", i + 1, name);
      vm_error_help (error, "a public key is one line like `ssh-ed25519 AAAA… comment`");
      return NULL;
    }
    g_string_append_printf (clean, "%s\n", line);
  }
  if (clean->len == 0) {
    vm_error_set (error, VM_ERROR_USAGE, "%s holds no SSH public key", name);
    return NULL;
  }
  return g_string_free (g_steal_pointer (&clean), FALSE);
}
