/* SPDX-License-Identifier: MPL-2.0 */
/* The cloud-init documents against golden ones, hostile values through a JSON parser, and the seed
 * image read back with libarchive. */
#include "cloudinit/cloudinit.h"
#include "runtime/proc.h"

#include <archive.h>
#include <archive_entry.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY "ssh-ed25519 AAAAC3Nz it's me"
#define VOLUME_ID_OFFSET (16 * 2048 + 40) /* in the primary volume descriptor: ECMA-119, 8.4 */

static const VmSeed plain = {
  .instance_id = "i-1",
  .hostname = "web",
  .user = "vm",
  .authorized_keys = KEY "\nssh-rsa BBBB\n",
  .host_private_key = "-----BEGIN-----\nx\n-----END-----\n",
  .host_public_key = "ssh-ed25519 CCCC",
};

static const char golden_user_data[] =
    "#cloud-config\n"
    "{\n"
    "  \"hostname\" : \"web\",\n"
    "  \"preserve_hostname\" : false,\n"
    "  \"manage_etc_hosts\" : \"localhost\",\n"
    "  \"users\" : [\n"
    "    {\n"
    "      \"name\" : \"vm\",\n"
    "      \"sudo\" : \"ALL=(ALL) NOPASSWD:ALL\",\n"
    "      \"shell\" : \"/bin/bash\",\n"
    "      \"lock_passwd\" : true,\n"
    "      \"ssh_authorized_keys\" : [\n"
    "        \"ssh-ed25519 AAAAC3Nz it's me\",\n"
    "        \"ssh-rsa BBBB\"\n"
    "      ]\n"
    "    }\n"
    "  ],\n"
    "  \"disable_root\" : true,\n"
    "  \"ssh_pwauth\" : false,\n"
    "  \"ssh_keys\" : {\n"
    "    \"ed25519_private\" : \"-----BEGIN-----\\nx\\n-----END-----\\n\",\n"
    "    \"ed25519_public\" : \"ssh-ed25519 CCCC\"\n"
    "  }\n"
    "}\n";

static const char golden_vendor_config[] =
    "#cloud-config\n"
    "{\n"
    "  \"ssh_keys\" : {\n"
    "    \"ed25519_private\" : \"-----BEGIN-----\\nx\\n-----END-----\\n\",\n"
    "    \"ed25519_public\" : \"ssh-ed25519 CCCC\"\n"
    "  }\n"
    "}\n";

static const char golden_boothook[] = "#!/bin/sh\n"
                                      "user='vm'\n"
                                      "keys='ssh-ed25519 AAAAC3Nz it'\\''s me\n"
                                      "ssh-rsa BBBB\n"
                                      "'\n"
                                      "sudoers=/etc/sudoers.d/90-vmctl-$user\n"
                                      "\n"
                                      "if ! grep -q \"^$user:\" /etc/passwd; then\n";

static void
test_user_names (void)
{
  const char *good[] = { "vm", "_", "a-b_c9", "abcdefghijklmnopqrstuvwxyzabcdef" };
  const char *bad[] = { "",    "9a",  "-a",      "Vm",       "a b",
                        "a:b", "a\n", "root;id", "\303\266", "abcdefghijklmnopqrstuvwxyzabcdefg" };
  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (vm_cloudinit_user_is_valid (good[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (vm_cloudinit_user_is_valid (bad[i]));
}

static void
test_documents (void)
{
  g_autofree char *meta_data = vm_cloudinit_meta_data (&plain);
  g_autofree char *user_data = vm_cloudinit_user_data (&plain);
  g_assert_cmpstr (meta_data, ==,
                   "{\n  \"instance-id\" : \"i-1\",\n  \"local-hostname\" : \"web\"\n}\n");
  g_assert_cmpstr (user_data, ==, golden_user_data);
}

/* The decoded content of the part of @mime that has @type. */
static char *
mime_part (const char *mime, const char *type)
{
  g_autofree char *header = g_strdup_printf ("\nContent-Type: %s; ", type);
  const char *part = strstr (mime, header);
  g_assert_nonnull (part);
  const char *body = strstr (part, "\n\n");
  const char *end = strstr (body, "\n--");
  gsize size;
  g_autofree char *base64 = g_strndup (body, (gsize) (end - body));
  g_autofree guchar *content = g_base64_decode (base64, &size);
  return g_strndup ((char *) content, size);
}

static void
test_vendor_data (void)
{
  g_autofree char *mime = vm_cloudinit_vendor_data (&plain);
  g_assert_true (g_str_has_prefix (
      mime, "Content-Type: multipart/mixed; boundary=\"==vmctl==\"\nMIME-Version: 1.0\n\n"
            "--==vmctl==\nContent-Type: text/cloud-config; charset=\"utf-8\"\n"));
  g_assert_true (g_str_has_suffix (mime, "\n--==vmctl==--\n"));
  g_autofree char *config = mime_part (mime, "text/cloud-config");
  g_assert_cmpstr (config, ==, golden_vendor_config);
  g_autofree char *hook = mime_part (mime, "text/cloud-boothook");
  g_assert_true (g_str_has_prefix (hook, golden_boothook));
}

/* A shell takes the boothook for a program, and the keys in it for what they are. */
static void
test_boothook_syntax (void)
{
  VmSeed seed = plain;
  seed.authorized_keys = "ssh-rsa A $(id) `id` \"'\\ $HOME\nssh-rsa B\xc3\xb6\n";
  g_autofree char *mime = vm_cloudinit_vendor_data (&seed);
  g_autofree char *hook = mime_part (mime, "text/cloud-boothook");
  char *body = strstr (hook, "\n\nif ");
  g_assert_nonnull (body);
  g_autofree char *head = g_strndup (hook, (gsize) (body - hook));
  g_autofree char *script = g_strdup_printf ("%s\nprintf %%s \"$keys\"\nexit\n%s", head, body);
  g_auto (VmProcResult) result = { 0 };
  VmOp op = vm_op_within (NULL, 20);
  g_assert_true (
      vm_proc_run ((const char *[]){ "sh", "-n", "-c", hook, NULL }, &result, &op, NULL));
  g_assert_true (vm_proc_result_is_success (&result));
  vm_proc_result_clear (&result);
  g_assert_true (vm_proc_run ((const char *[]){ "sh", "-c", script, NULL }, &result, &op, NULL));
  g_assert_cmpstr (result.out, ==, seed.authorized_keys);
}

static const char *const hostile[] = {
  "plain",
  "a: b # c",
  "\"quoted\" 'twice' \\back",
  "x\n  - admin: true\n---\n...",
  "%YAML &a *a !!python {[]},|>",
  "tab\tcr\r\nnull \001\033\177",
  "nel\302\205 c1\302\200 ls\342\200\250 ps\342\200\251",
  "\357\273\277bom \357\277\275 \357\277\276",
  "h\303\266st \346\227\245 \360\237\230\200",
  "",
};

static void
test_hostile_values (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (hostile); i++) {
    VmSeed seed = plain;
    seed.hostname = hostile[i];
    seed.instance_id = hostile[i];
    seed.host_private_key = hostile[i];
    g_autofree char *meta_data = vm_cloudinit_meta_data (&seed);
    g_autofree char *user_data = vm_cloudinit_user_data (&seed);
    g_autoptr (JsonNode) meta = json_from_string (meta_data, NULL);
    g_autoptr (JsonNode) user = json_from_string (strchr (user_data, '\n'), NULL);
    JsonObject *config = json_node_get_object (user);
    JsonObject *keys = json_object_get_object_member (config, "ssh_keys");
    g_assert_cmpstr (json_object_get_string_member (json_node_get_object (meta), "local-hostname"),
                     ==, hostile[i]);
    g_assert_cmpstr (json_object_get_string_member (config, "hostname"), ==, hostile[i]);
    g_assert_cmpstr (json_object_get_string_member (keys, "ed25519_private"), ==, hostile[i]);
    for (const char *at = user_data; *at != '\0'; at++)
      g_assert_true (*at == '\n' || (*at >= ' ' && *at < 0x7f) || (guchar) *at >= 0xf0 ||
                     ((guchar) *at & 0xc0) == 0x80);
  }
}

/* What @path holds, name → GBytes. */
static GHashTable *
read_image (const char *path)
{
  GHashTable *files =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_bytes_unref);
  struct archive *archive = archive_read_new ();
  struct archive_entry *entry;
  archive_read_support_format_iso9660 (archive);
  g_assert_cmpint (archive_read_open_filename (archive, path, 10240), ==, ARCHIVE_OK);
  while (archive_read_next_header (archive, &entry) == ARCHIVE_OK) {
    gsize size = (gsize) archive_entry_size (entry);
    g_autofree char *data = g_malloc (size + 1);
    if (archive_entry_filetype (entry) != AE_IFREG)
      continue;
    g_assert_cmpint (archive_read_data (archive, data, size), ==, size);
    g_hash_table_insert (files, g_strdup (archive_entry_pathname (entry)),
                         g_bytes_new (data, size));
  }
  archive_read_free (archive);
  return files;
}

static void
expect_file (GHashTable *files, const char *name, const char *content, gsize size)
{
  GBytes *bytes = g_hash_table_lookup (files, name);
  g_assert_nonnull (bytes);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), content, size);
}

static void
test_seed (void)
{
  g_autofree char *dir = g_dir_make_tmp ("test-cloudinit-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "seed.iso", NULL);
  g_autofree char *image = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  struct stat st;

  g_assert_true (vm_cloudinit_write_seed (&plain, path, &error));
  g_autoptr (GHashTable) files = read_image (path);
  g_autofree char *meta_data = vm_cloudinit_meta_data (&plain);
  g_assert_cmpint (g_hash_table_size (files), ==, 2);
  expect_file (files, "user-data", golden_user_data, strlen (golden_user_data));
  expect_file (files, "meta-data", meta_data, strlen (meta_data));
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0600);
  g_assert_true (vm_file_read (path, 1 << 24, &image, &size, NULL));
  g_assert_cmpint (size % 2048, ==, 0);
  g_assert_cmpmem (image + VOLUME_ID_OFFSET, 32, "cidata                          ", 32);
  vm_dir_remove (dir, NULL);
}

/* The user's own documents come through byte for byte, also where they are no text. */
static void
test_seed_with_own_data (void)
{
  static const char own[] = "#cloud-config\r\nusers: [root]\n\0\377\0";
  g_autofree char *dir = g_dir_make_tmp ("test-cloudinit-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "seed.iso", NULL);
  g_autofree char *large = g_malloc (3000000);
  g_autoptr (GBytes) user_data = g_bytes_new_static (own, sizeof own);
  g_autoptr (GError) error = NULL;
  VmSeed seed = plain;

  for (int i = 0; i < 3000000; i++)
    large[i] = (char) ((guint) i * 7919 >> 8);
  g_autoptr (GBytes) network = g_bytes_new_static (large, 3000000);
  seed.user_data = user_data;
  seed.network_config = network;
  g_assert_true (vm_cloudinit_write_seed (&seed, path, &error));
  g_autoptr (GHashTable) files = read_image (path);
  g_autofree char *vendor_data = vm_cloudinit_vendor_data (&seed);
  g_assert_cmpint (g_hash_table_size (files), ==, 4);
  expect_file (files, "user-data", own, sizeof own);
  expect_file (files, "network-config", large, 3000000);
  expect_file (files, "vendor-data", vendor_data, strlen (vendor_data));
  vm_dir_remove (dir, NULL);
}

static void
test_seed_refusals (void)
{
  g_autoptr (GError) error = NULL;
  VmSeed seed = plain;
  seed.user = "a b\n";
  g_assert_false (vm_cloudinit_write_seed (&seed, "/nonexistent/seed.iso", &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_CLOUDINIT_ISO_FAILED);
  g_clear_error (&error);
  seed = plain;
  seed.authorized_keys = "ssh-rsa AAAA \377";
  g_assert_false (vm_cloudinit_write_seed (&seed, "/nonexistent/seed.iso", &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_CLOUDINIT_ISO_FAILED);
  g_clear_error (&error);
  g_assert_false (vm_cloudinit_write_seed (&plain, "/nonexistent/seed.iso", &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_IO);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cloudinit/user-names", test_user_names);
  g_test_add_func ("/cloudinit/documents", test_documents);
  g_test_add_func ("/cloudinit/vendor-data", test_vendor_data);
  g_test_add_func ("/cloudinit/boothook-syntax", test_boothook_syntax);
  g_test_add_func ("/cloudinit/hostile-values", test_hostile_values);
  g_test_add_func ("/cloudinit/seed", test_seed);
  g_test_add_func ("/cloudinit/seed-with-own-data", test_seed_with_own_data);
  g_test_add_func ("/cloudinit/seed-refusals", test_seed_refusals);
  return g_test_run ();
}
