/* SPDX-License-Identifier: MPL-2.0 */
#include "ssh/internal.h"

#include <string.h>
#include <unistd.h>

/* The file has one line per key, `names type base64 [comment]`, names separated by commas (sshd(8),
 * SSH_KNOWN_HOSTS). libssh looks hosts up by address and port and knows no alias, so this file
 * reads and writes it. Marked (`@revoked`) and hashed lines are OpenSSH's business and never match.
 */
#define FILE_LIMIT (1024 * 1024)

static gboolean
read_lines (const char *path, GStrv *out_lines, GError **error)
{
  g_autofree char *text = NULL;
  if (access (path, F_OK) == 0 && !vm_file_read (path, FILE_LIMIT, &text, NULL, error))
    return FALSE;
  *out_lines = g_strsplit (text != NULL ? text : "", "\n", -1);
  return TRUE;
}

/* What follows @alias on a line that is about it, else NULL. */
static const char *
match_line (const char *line, const char *alias)
{
  gsize names_length = strcspn (line, " \t");
  g_autofree char *names = g_strndup (line, names_length);
  g_auto (GStrv) list = g_strsplit (names, ",", -1);
  if (!g_strv_contains ((const char *const *) list, alias))
    return NULL;
  return line + names_length + strspn (line + names_length, " \t");
}

GPtrArray *
vm_ssh_pinned_keys (const char *known_hosts, const char *alias, GError **error)
{
  g_auto (GStrv) lines = NULL;
  if (!read_lines (known_hosts, &lines, error))
    return NULL;
  g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; lines[i] != NULL; i++) {
    const char *key = match_line (g_strchomp (lines[i]), alias);
    if (key == NULL)
      continue;
    g_auto (GStrv) words = g_strsplit_set (key, " \t", 3);
    if (g_strv_length (words) >= 2)
      g_ptr_array_add (keys, g_strdup_printf ("%s %s", words[0], words[1]));
  }
  return g_steal_pointer (&keys);
}

gboolean
vm_ssh_pin (const char *known_hosts, const char *alias, const char *public_key, GError **error)
{
  g_auto (GStrv) lines = NULL;
  g_autofree char *key = vm_ssh_key_text (public_key);
  if (key == NULL)
    return vm_error_set (error, VM_ERROR_SSH_FAILED, "cannot pin a malformed host key for %s",
                         alias);
  if (!read_lines (known_hosts, &lines, error))
    return FALSE;
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0; lines[i] != NULL; i++) {
    if (*g_strchomp (lines[i]) != '\0' && match_line (lines[i], alias) == NULL)
      g_string_append_printf (text, "%s\n", lines[i]);
  }
  g_string_append_printf (text, "%s %s\n", alias, key);
  return vm_file_write (known_hosts, text->str, text->len, 0600, error);
}
