/* SPDX-License-Identifier: MPL-2.0 */
#include "cloudinit/cloudinit.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define USER_MAX_LENGTH 32
#define BASE64_LINE 57 /* bytes that make the 76 characters of a line (RFC 2045, 6.8) */
#define BOUNDARY "==vmctl=="

gboolean
vm_cloudinit_user_is_valid (const char *user)
{
  gsize length = strlen (user);
  return length > 0 && length <= USER_MAX_LENGTH && (g_ascii_islower (*user) || *user == '_') &&
         strspn (user, G_CSET_a_2_z G_CSET_DIGITS "_-") == length;
}

/* JSON allows characters in strings that YAML readers refuse or fold: DEL, C1 controls, NEL, line
 * separators, the byte order mark. Everything of the BMP beyond ASCII is escaped, then. What lies
 * above it stays: both take it as it is, while YAML has no surrogate pairs. */
static char *
escape_for_yaml (const char *json)
{
  g_autoptr (GString) text = g_string_new (NULL);
  for (const char *at = json; *at != '\0'; at = g_utf8_next_char (at)) {
    gunichar c = g_utf8_get_char (at);
    if (c >= 0x7f && c <= 0xffff)
      g_string_append_printf (text, "\\u%04x", c);
    else
      g_string_append_unichar (text, c);
  }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* Takes @object. Ends in a newline. */
static char *
to_json (JsonObject *object)
{
  g_autoptr (JsonNode) root = json_node_new (JSON_NODE_OBJECT);
  json_node_take_object (root, object);
  g_autofree char *json = json_to_string (root, TRUE);
  g_autofree char *escaped = escape_for_yaml (json);
  return g_strconcat (escaped, "\n", NULL);
}

char *
vm_cloudinit_meta_data (const VmSeed *seed)
{
  JsonObject *object = json_object_new ();
  json_object_set_string_member (object, "instance-id", seed->instance_id);
  json_object_set_string_member (object, "local-hostname", seed->hostname);
  return to_json (object);
}

/* The non-empty lines of @text, for g_strfreev(). */
static GStrv
key_lines (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autoptr (GStrvBuilder) keys = g_strv_builder_new ();
  for (guint i = 0; lines[i] != NULL; i++) {
    if (*g_strstrip (lines[i]) != '\0')
      g_strv_builder_add (keys, lines[i]);
  }
  return g_strv_builder_end (keys);
}

/* With `ssh_keys` cloud-init removes the image's host keys and makes none of its own (module
 * cc_ssh). */
static void
set_host_key (JsonObject *config, const VmSeed *seed)
{
  JsonObject *keys = json_object_new ();
  json_object_set_string_member (keys, "ed25519_private", seed->host_private_key);
  json_object_set_string_member (keys, "ed25519_public", seed->host_public_key);
  json_object_set_object_member (config, "ssh_keys", keys);
}

/* `users` without the word `default` leaves the distribution's own user out. */
static void
set_user (JsonObject *config, const VmSeed *seed)
{
  g_auto (GStrv) lines = key_lines (seed->authorized_keys);
  JsonArray *keys = json_array_new ();
  for (guint i = 0; lines[i] != NULL; i++)
    json_array_add_string_element (keys, lines[i]);

  JsonObject *user = json_object_new ();
  json_object_set_string_member (user, "name", seed->user);
  json_object_set_string_member (user, "sudo", "ALL=(ALL) NOPASSWD:ALL");
  json_object_set_string_member (user, "shell", "/bin/bash");
  json_object_set_boolean_member (user, "lock_passwd", TRUE);
  json_object_set_array_member (user, "ssh_authorized_keys", keys);
  JsonArray *users = json_array_new ();
  json_array_add_object_element (users, user);
  json_object_set_array_member (config, "users", users);
  /* Who asks for root by name gets root. */
  json_object_set_boolean_member (config, "disable_root", strcmp (seed->user, "root") != 0);
  json_object_set_boolean_member (config, "ssh_pwauth", FALSE);
}

static char *
to_cloud_config (JsonObject *config)
{
  g_autofree char *json = to_json (config);
  return g_strconcat ("#cloud-config\n", json, NULL);
}

char *
vm_cloudinit_user_data (const VmSeed *seed)
{
  JsonObject *config = json_object_new ();
  json_object_set_string_member (config, "hostname", seed->hostname);
  json_object_set_boolean_member (config, "preserve_hostname", FALSE);
  /* Else sudo cannot resolve the name and says so at each use. */
  json_object_set_string_member (config, "manage_etc_hosts", "localhost");
  set_user (config, seed);
  set_host_key (config, seed);
  return to_cloud_config (config);
}

/* Runs as root at every boot, ahead of all modules, so each part looks whether it is done. The user
 * name is only letters, digits, `_` and `-`. */
static const char boothook_body[] =
    "if ! grep -q \"^$user:\" /etc/passwd; then\n"
    "  shell=/bin/sh\n"
    "  [ ! -x /bin/bash ] || shell=/bin/bash\n"
    "  if command -v useradd >/dev/null; then\n"
    "    useradd -m -s \"$shell\" \"$user\" || useradd -m -s \"$shell\" -g \"$user\" \"$user\"\n"
    "  else\n"
    "    adduser -D -s \"$shell\" \"$user\"\n"
    "  fi\n"
    "  # No password, but not locked: an sshd without PAM lets no locked user in.\n"
    "  sed -i \"s/^$user:!*:/$user:*:/\" /etc/shadow\n"
    "fi\n"
    "\n"
    "mkdir -p /etc/sudoers.d\n"
    "(umask 0337 && printf '%s ALL=(ALL) NOPASSWD:ALL\\n' \"$user\" >\"$sudoers.new\" &&\n"
    "  mv -f \"$sudoers.new\" \"$sudoers\")\n"
    "\n"
    "home=$(grep \"^$user:\" /etc/passwd | cut -d: -f6)\n"
    "(umask 077 && mkdir -p \"$home/.ssh\" && touch \"$home/.ssh/authorized_keys\")\n"
    "file=$home/.ssh/authorized_keys\n"
    "# A last line without its end would swallow ours.\n"
    "[ -z \"$(tail -c 1 \"$file\")\" ] || echo >>\"$file\"\n"
    "printf '%s' \"$keys\" | while IFS= read -r key; do\n"
    "  grep -qxF -e \"$key\" \"$file\" || printf '%s\\n' \"$key\" >>\"$file\"\n"
    "done\n"
    "chown \"$user:\" \"$home/.ssh\" \"$file\"\n"
    "! command -v restorecon >/dev/null || restorecon -R \"$home/.ssh\"\n";

static char *
boothook (const VmSeed *seed)
{
  g_auto (GStrv) lines = key_lines (seed->authorized_keys);
  g_autofree char *joined = g_strjoinv ("\n", lines);
  g_autofree char *keys = g_strconcat (joined, "\n", NULL);
  g_autofree char *quoted_keys = g_shell_quote (keys);
  g_autofree char *quoted_user = g_shell_quote (seed->user);
  return g_strdup_printf ("#!/bin/sh\n"
                          "user=%s\n"
                          "keys=%s\n"
                          "sudoers=/etc/sudoers.d/90-vmctl-$user\n"
                          "\n"
                          "%s",
                          quoted_user, quoted_keys, boothook_body);
}

/* Base64, so that no content can contain the boundary and nobody recodes it on the way. */
static void
append_part (GString *mime, const char *type, const char *content)
{
  gsize size = strlen (content);
  g_string_append_printf (mime,
                          "--" BOUNDARY "\n"
                          "Content-Type: %s; charset=\"utf-8\"\n"
                          "MIME-Version: 1.0\n"
                          "Content-Transfer-Encoding: base64\n"
                          "\n",
                          type);
  for (gsize at = 0; at < size; at += BASE64_LINE) {
    g_autofree char *line =
        g_base64_encode ((const guchar *) content + at, MIN (size - at, BASE64_LINE));
    g_string_append_printf (mime, "%s\n", line);
  }
}

char *
vm_cloudinit_vendor_data (const VmSeed *seed)
{
  JsonObject *object = json_object_new ();
  set_host_key (object, seed);
  g_autofree char *config = to_cloud_config (object);
  g_autofree char *hook = boothook (seed);
  g_autoptr (GString) mime =
      g_string_new ("Content-Type: multipart/mixed; boundary=\"" BOUNDARY "\"\n"
                    "MIME-Version: 1.0\n"
                    "\n");
  append_part (mime, "text/cloud-config", config);
  append_part (mime, "text/cloud-boothook", hook);
  g_string_append (mime, "--" BOUNDARY "--\n");
  return g_string_free (g_steal_pointer (&mime), FALSE);
}
